"""What all tests share: naive twins can be imported, no test sees a person's model store, one store is made for all."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped so too, fixtures leave nothing running
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="foreshock-tests-")


@pytest.fixture(scope="session")
def _empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables and nothing in them: making it costs seconds, copying it nothing."""
    from models.tracking import opened

    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    opened(f"sqlite:///{database}").search_registered_models()
    return database


@pytest.fixture(scope="session")
def mlflow_store(_empty_store: Path) -> Callable[[Path], str]:
    """A maker of fresh stores: the address of one whose files lie in the folder given."""

    def make(folder: Path) -> str:
        shutil.copy(_empty_store, folder / "mlflow.db")
        return f"sqlite:///{folder / 'mlflow.db'}"

    return make


@pytest.fixture
def commands_at(capsys):
    """A maker of callers of commands on the store at an address, which they know as ``registry``."""
    from models.registry import Registry
    from pipeline.cli.main import main

    def at(uri):
        def call(*arguments, status=0):
            with pytest.raises(SystemExit) as left:
                main([*map(str, arguments), "--set", f"models.uri={uri}"])
            told = capsys.readouterr()
            assert left.value.code == status, told.err
            return told.out if status == 0 else told.err

        call.registry = Registry("foreshock", uri)
        return call

    return at


@pytest.fixture
def on_store(mlflow_store, tmp_path, commands_at):
    """A caller of commands on a fresh model store; it returns what they print."""
    return commands_at(mlflow_store(tmp_path))
