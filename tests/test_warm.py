"""Starting warm: after the warm-up nothing is left to compile, and the process that helps leaves when it should."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import pipeline.kernels
from pipeline.codecs.encode import encode_influx, encode_json, encode_otlp_proto
from pipeline.events import Kind, Records
from pipeline.stream import PartitionStream, Plan
from pipeline.warm import compile_kernels

ROOT = Path(__file__).parents[1]
MINUTE_MS, START_MS = 60_000, 1_700_000_000_000
FAILING = """
import logging, sys
from pipeline import warm
logging.basicConfig(format="%(message)s")
sys.executable, warm._n_processors = "/bin/false", lambda: 2
with warm._helped():
    pass
"""


def _compiled() -> dict[str, int]:
    """For how many types of arguments each kernel stands ready."""
    homes = [import_module(f"pipeline.kernels.{file.stem}") for file in Path(*pipeline.kernels.__path__).glob("*.py")]
    found = [(home, name, getattr(home, name)) for home in homes for name in vars(home)]
    return {f"{home.__name__}.{name}": len(one.signatures) for home, name, one in found if hasattr(one, "signatures")}


def test_after_the_warm_up_no_record_waits_for_a_compiler() -> None:
    compile_kernels(Plan())
    before, stream = _compiled(), PartitionStream(Plan(), "t", 0)
    for i, encode in enumerate((encode_otlp_proto, encode_influx, encode_json) * 20):
        at = START_MS + (i - 3 * (i == 50)) * MINUTE_MS
        rows = [(f"h{n}", f"{i % 2}.utilization", (), at * 1_000_000, 1.0 * n, Kind.COUNTER) for n in range(40)]
        stream.step(Records("t", 0, [i], [at], [None], [encode(rows)]))
        stream.tick(at, i + 1)
    assert stream.counts.decoded == 60 * 40
    assert _compiled() == before


@pytest.mark.parametrize(("closes", "leaves_with"), [(True, 1), (False, 0)])
def test_the_process_that_helps_is_through_or_leaves_with_its_caller(
    closes: bool, leaves_with: int, tmp_path: Path
) -> None:
    kept = {"NUMBA_CACHE_DIR": str(tmp_path)} if closes else {}  # with nothing kept it would take half a minute
    command = [sys.executable, "-P", "-m", "pipeline.warm"]
    environment = {**os.environ, **kept, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as helper:
        if closes and helper.stdin is not None:
            helper.stdin.close()
        assert helper.wait(60) == leaves_with


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled, so nobody helps")
def test_a_process_that_cannot_help_is_said_and_not_waited_for(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", FAILING], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "compiling alone: the process beside left with 1:"
