"""Where models are kept and runs are noted: the address of the store, and one run of training in it.

Only this file, ``registry.py`` and ``question.py`` speak to MLflow, which costs two seconds and 170 MB to import: all
three import it late.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import files
from models.card import schema_hash
from models.errors import ModelNotFound, StoreUnreachable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from models.bundle import Bundle
    from models.card import Card
    from models.trial import Trial

__all__ = ["Noted", "default_uri", "local_database", "note_run", "note_trial", "opened", "recall_trial", "translated"]

FLAVOR = "foreshock"
EXPERIMENT = "foreshock"
ARTIFACT = "bundle"
# Set before MLflow is imported: it must never open a pickle, never report to its makers unasked, and not try for
# minutes when its server is away.
FORCED = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
PREFERRED = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "GIT_PYTHON_REFRESH": "quiet",
}
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")


@dataclass(frozen=True, slots=True)
class Noted:
    """What a run keeps beside its bundle.

    Parameters
    ----------
    params, measures
        Plain values by name; measures are numbers.
    tables
        CSV files by name.
    figures
        Pictures by name, without ``.png``.
    example
        Feature rows for the signature and the input example, shape (n, n_features).
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)


def default_uri() -> str:
    """SQLite in ``$FORESHOCK_HOME/models``, else in the user's data folder: ``~/.local/share/foreshock/models``."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "foreshock"
    home = Path(os.environ.get("FORESHOCK_HOME") or data)
    return f"sqlite:///{(home / 'models' / 'mlflow.db').absolute()}"


def local_database(uri: str) -> Path | None:
    """The file behind an SQLite address, or None."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def opened(uri: str) -> Any:
    """An MLflow client at the address; a new SQLite file is made ready here, which takes seconds.

    Raises
    ------
    StoreUnreachable
        Nobody answers, or the file cannot be made.
    """
    os.environ.update(FORCED)
    for name, value in PREFERRED.items():
        os.environ.setdefault(name, value)
    database = local_database(uri)
    try:
        if database is not None:
            database.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnreachable(f"{uri}: {error}") from error
    import logging

    import mlflow

    for name in ("mlflow.store.db.utils", "alembic", "mlflow.tracking.fluent"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with translated(uri, "opening the store"):
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        return mlflow.MlflowClient(uri, uri)


@contextmanager
def translated(uri: str, what: str) -> Iterator[None]:
    """Turn what MLflow, its database driver and its transport raise into our errors: not found is not unreachable.

    Raises
    ------
    ModelNotFound
        The store answered that there is no such thing.
    StoreUnreachable
        Anything else: it did not answer, or with a failure of its own.
    """
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        said = str(error).split("\n", 1)[0]
        if error.error_code in ABSENT or ("alias" in said and "not found" in said):
            raise ModelNotFound(f"{what}: {said}") from error
        raise StoreUnreachable(f"{what} at {uri}: {said}") from error
    except (sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        said = str(error).split("\n", 1)[0]
        raise StoreUnreachable(f"{what} at {uri}: {said}") from error


def note_run(uri: str, name: str, bundle: Bundle, noted: Noted) -> str:
    """Write one run with everything that was noted, register its bundle as the next version of ``name``.

    Returns
    -------
    str
        The new version's number.
    """
    client = opened(uri)
    import mlflow
    from mlflow.models import Model, infer_signature

    card = bundle.card
    with translated(uri, "noting a run"), mlflow.start_run(experiment_id=_experiment(client, uri)) as run:
        mlflow.set_tags({"detector": card.detector})
        params = dict(card.facts) | dict(noted.params) | _of_features(card) | files.versions()
        mlflow.log_params({key: str(value)[:6000] for key, value in params.items()})
        mlflow.log_metrics({key: float(value) for key, value in noted.measures.items() if value == value})
        for key, figure in noted.figures.items():
            mlflow.log_figure(figure, f"plots/{key}.png")
        for key, table in noted.tables.items():
            mlflow.log_text(table.to_csv(index=False), f"tables/{key}.csv")
        example = _example(bundle)
        info = Model.log(
            artifact_path=None,
            name=ARTIFACT,
            flavor=_Flavor,
            registered_model_name=name,
            bundle=bundle,
            signature=None if example is None else infer_signature(example, card.golden_scores),
            input_example=example,
        )
        version = str(info.registered_model_version)
        digest = client.get_run(run.info.run_id).data.tags.get(_Flavor.DIGEST_TAG, "")
        for key, value in {"sha256": digest, "detector": card.detector}.items():
            client.set_model_version_tag(name, version, f"foreshock.{key}", value)
        for key, value in noted.measures.items():
            client.set_model_version_tag(name, version, f"measure.{key}", f"{value:.6g}")
    return version


def note_trial(uri: str, name: str, trial: Trial, run_id: str = "") -> str:
    """Write the counts of a trial as they stand into a run, "": into a new one; returns its id."""
    client = opened(uri)
    from mlflow.entities import Metric

    with translated(uri, "noting a trial"):
        if not run_id:
            said = f"version {trial.challenger} beside {trial.champion}"
            tags = _trial_tags(name, trial)
            run_id = str(client.create_run(_experiment(client, uri), tags=tags, run_name=said).info.run_id)
        counts = trial.counts() | {"agreement": trial.agreement}
        now_ms = time.time_ns() // 1_000_000
        client.log_batch(run_id, [Metric(key, float(n), now_ms, trial.steps) for key, n in counts.items()])
    return run_id


def recall_trial(uri: str, name: str, pair: Trial) -> Trial | None:
    """What all runs noted of a pair of versions, added up; None where there is no run."""
    client = opened(uri)
    from models.trial import Trial

    wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in _trial_tags(name, pair).items())
    with translated(uri, "recalling a trial"):
        found = client.search_runs([_experiment(client, uri)], wanted, max_results=1000)
    whole = Trial(pair.champion, pair.challenger)
    for run in found:
        noted = run.data.metrics
        whole.add(Trial(pair.champion, pair.challenger, **{key: int(noted.get(key, 0)) for key in whole.counts()}))
    return whole if found else None


def _trial_tags(name: str, trial: Trial) -> dict[str, str]:
    return {
        "foreshock.trial_of": name,
        "foreshock.champion": trial.champion,
        "foreshock.challenger": trial.challenger,
    }


def _of_features(card: Card) -> dict[str, str]:
    return {"feature_names": ", ".join(card.feature_names), "feature_schema": schema_hash(card.feature_names)}


def _example(bundle: Bundle) -> pd.DataFrame | None:
    import pandas as pd

    card = bundle.card
    return pd.DataFrame(card.golden_rows, columns=list(card.feature_names)) if len(card.golden_rows) else None


def _experiment(client: Any, uri: str) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    database = local_database(uri)
    place = None if database is None else (database.parent / "artifacts").as_uri()
    return str(client.create_experiment(EXPERIMENT, artifact_location=place))


class _Flavor:
    """How MLflow is told to store a bundle: as our own files, beside its MLmodel; it never reads them itself."""

    DIGEST_TAG = "foreshock.sha256"

    @staticmethod
    def save_model(
        path: str, mlflow_model: Any, bundle: Bundle, signature: Any = None, input_example: Any = None
    ) -> None:
        import mlflow

        folder = Path(path)
        if folder.exists():
            shutil.rmtree(folder)
        digest = files.save(bundle, folder)
        mlflow.set_tag(_Flavor.DIGEST_TAG, digest)
        mlflow_model.signature = signature
        if input_example is not None:
            input_example.to_json(folder / "input_example.json", orient="split", index=False)
        mlflow_model.add_flavor(FLAVOR, schema=files.SCHEMA)
        mlflow_model.save(str(folder / "MLmodel"))
