"""How long a start takes: the command's help, and a job until its first poll, with and without kept kernels."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipeline.kafka.topics import create
from tests.integration.street import RunningJob

JOINED = "assigned:"


def help_seconds() -> float:
    """Seconds of ``foreshock --help``."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pipeline", "--help"], check=True, capture_output=True)
    return time.perf_counter() - began


def run_seconds(bootstrap: str, name: str, cold: bool) -> float:
    """Seconds from the start of ``foreshock run`` until it has its partition and polls.

    Parameters
    ----------
    cold
        Without compiled kernels from an earlier start.
    """
    create({"bootstrap_servers": bootstrap}, name)
    with tempfile.TemporaryDirectory() as folder:
        kept = os.environ.get("NUMBA_CACHE_DIR")
        if cold:
            os.environ["NUMBA_CACHE_DIR"] = folder
        began = time.perf_counter()
        settings = {"source.topics": name, "state.folder": folder, "models.poll_seconds": 0}
        with RunningJob(bootstrap, name, Path(folder, "log"), settings) as job:
            _restore(kept)
            until = time.monotonic() + 180.0
            while not job.said(JOINED) and job.process.poll() is None and time.monotonic() < until:
                time.sleep(0.02)
            seconds = time.perf_counter() - began
            if not job.said(JOINED):
                raise SystemExit("the job did not join its group")
            told = [line["message"] for line in job.lines()]
            if not told[0].startswith("compiling kernels"):
                raise SystemExit(f"no word of progress before the group is joined: {told[:3]}")
        return seconds


def _restore(kept: str | None) -> None:
    if kept is None:
        os.environ.pop("NUMBA_CACHE_DIR", None)
    else:
        os.environ["NUMBA_CACHE_DIR"] = kept
