"""Laws of compiled kernels that are kept between runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core import config

from models.kernels.keeping import keep_compiled

ROOT = Path(__file__).parents[1]
COUNTS = """
import os, numpy as np
from models.kernels.bins import count
counts = np.zeros((1, 1, 2), np.int64)
count(np.ones((3, 1)), np.zeros(3, np.int64), np.zeros((1, 1, 1)), counts)
print(counts.ravel().tolist(), os.environ.get("NUMBA_CACHE_DIR"))
"""


@pytest.mark.parametrize("somewhere_else", [False, True])
def test_kernels_are_forgotten_when_any_file_beside_them_changed(
    somewhere_else: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "kept") if somewhere_else else "")
    folder = tmp_path / "kernels"
    folder.mkdir()
    sources = [folder / name for name in ("__init__.py", "caller.py", "called.py")]
    for source in sources:
        source.write_text("a = 1")
    keep_compiled(folder)
    kept = next((tmp_path / "kept").iterdir()) if somewhere_else else folder / "__pycache__"
    compiled = [kept / f"caller.kernel.{ending}" for ending in ("nbi", "nbc")]
    for file in compiled:
        file.write_text("machine code")
    keep_compiled(folder)
    assert all(file.exists() for file in compiled)
    sources[-1].write_text("a = 2")
    keep_compiled(folder)
    assert not any(file.exists() for file in compiled)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of compiled code that nothing may be kept beside, and a user without a home."""
    shutil.copytree(ROOT / "models", tmp_path / "models", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "models/kernels/__pycache__").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/caches")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    return tmp_path


def test_where_nothing_may_be_kept_kernels_last_as_long_as_their_process(nowhere: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(nowhere)}
    asked = [sys.executable, "-B", "-c", COUNTS]
    done = subprocess.run(asked, env=environment, cwd=nowhere, capture_output=True, text=True, check=True)
    counts, room = done.stdout.strip().rsplit(" ", 1)
    assert counts == "[0, 3]"
    assert "let NUMBA_CACHE_DIR name a folder" in done.stderr
    assert Path(room).parent == nowhere
    assert not Path(room).exists()


def test_where_nothing_may_be_written_at_all_the_remedy_is_named(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: str) -> str:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(ImportError, match="let NUMBA_CACHE_DIR name one to write to"):
        keep_compiled(nowhere / "models/kernels")
