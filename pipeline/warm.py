"""Compiling the kernels ahead of time, so that no first record waits for it and no group waits for a member.

They are two halves that share nothing: what reads bytes, and what judges samples. On a first start another process
compiles the first half into the folder where kernels are kept, while this one compiles the second.

usage: python -m pipeline.warm      (the first half alone; it leaves when its standard input ends)
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.codecs.encode import Row, encode_influx, encode_json, encode_otlp_proto
from pipeline.codecs.writer import SampleWriter
from pipeline.dialect import DEFAULT
from pipeline.events import Kind, Records, SeriesIdentity
from pipeline.kernels.walk import walk
from pipeline.stream import PartitionStream, Plan

__all__ = ["compile_kernels"]

log = logging.getLogger(__name__)

MINUTE_MS = 60_000
N_STEPS, LATE, UNTIL = 60, 50, 53
JUMP = 1_000
START_MS = 1_700_000_000_000
HOSTS, METRICS = ("a", "b"), ("disk.utilization", "load")


def compile_kernels(plan: Plan) -> None:
    """Compile all that a job runs, or take it from where it is kept."""
    with _helped():
        _judge(plan)
    _read()


def _judge(plan: Plan) -> None:
    """Send an hour of two made-up hosts, one of which falls silent, through a stream that nobody keeps.

    One step comes late, so that what takes an entity back is compiled too; the last ones are an incident, which has a
    kind to be named; and in the end nothing comes any more.
    """
    stream = PartitionStream(plan, "warm-up", 0)
    for i in (*range(LATE), *range(LATE + 1, UNTIL), LATE, *range(UNTIL, N_STEPS)):
        out = SampleWriter(stream.catalog)
        for entity, metric, labels, time_ns, value, kind in _rows(i):
            series = out.series(SeriesIdentity(entity, "host", metric, labels))
            out.add(series, time_ns, value, kind)
        stream.advance(out.batch(), [_time_ms(i)], [i])
    stream.would_miss(_time_ms(N_STEPS))
    stream.tick(_time_ms(N_STEPS), N_STEPS)


def _read() -> None:
    """Decode some records of each format that is read by a kernel; what a record taught is known the second time."""
    catalog, rows = Catalog(), [*_rows(0)]
    values = [encode(rows) for encode in (encode_json, encode_otlp_proto, encode_influx)]
    for _ in range(2):
        decode(Records("warm-up", 0, [0, 1, 2], [START_MS] * 3, [None] * 3, [*values]), catalog)
    catalog.spellings_of(DEFAULT).grow()


def _rows(i: int) -> Iterator[Row]:
    for host in HOSTS if i < N_STEPS // 2 else HOSTS[:1]:
        for metric in METRICS:
            yield host, metric, (), _time_ms(i) * 1_000_000, float(i % 7 + (JUMP if i >= UNTIL else 0)), Kind.GAUGE


def _time_ms(i: int) -> int:
    return START_MS + i * MINUTE_MS


@contextmanager
def _helped() -> Iterator[None]:
    """Let another process do its half meanwhile, if it has to be done and there is a processor for it.

    Whatever happens to it costs time only: what it has not kept is compiled here.
    """
    if _is_kept() or _n_processors() < 2:
        yield
        return
    home = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-P", "-m", "pipeline.warm"]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=said, stderr=said, env={**os.environ, "PYTHONPATH": home}
        ) as helper,  # on the way out its input is closed, and it leaves
    ):
        yield
        if helper.wait():
            said.seek(0)
            told = said.read().decode(errors="replace").strip().rpartition("\n")[2]
            log.warning("compiling alone: the process beside left with %d: %s", helper.returncode, told)


def _is_kept() -> bool:
    """Whether an earlier start kept its half; without a compiler there is nothing to keep."""
    stats = getattr(walk, "stats", None)
    return stats is None or any(Path(stats.cache_path).glob("walk.walk-*.nbc"))


def _n_processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _leave_with_caller() -> None:
    os.read(sys.stdin.fileno(), 1)  # not by its buffer, whose lock would be held when the interpreter ends
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_leave_with_caller, daemon=True).start()
    _read()
