"""A job that was away for hours: what waits for it is worked off in memory that knows no hours."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from integration.street import RunningJob

from pipeline.kafka.topics import create
from pipeline.kafka.writer import Writer
from tests.benchmarks.fleet import METRICS_PER_HOST, Fleet

N_SERIES, STEP_MS = 1_000, 10_000
BEFORE, AWAY = 100, 5_000  # steps: a quarter of an hour, then fourteen hours
BOUND_MB = 100


def peak_mb(job: RunningJob) -> float:
    """The most memory that was resident at once in the life of the process."""
    status = Path(f"/proc/{job.process.pid}/status").read_text()
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kilobytes) / 1e3


def test_a_backlog_of_hours_is_worked_off_in_memory_that_does_not_hang_on_its_length(
    broker: str, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    topic, prefix, fleet = fresh("hours"), fresh("away"), Fleet(N_SERIES)
    create({"bootstrap_servers": broker}, topic)
    first_ms = (int(time.time()) - 3600 * 24) * 1000

    def send(steps: range) -> int:
        writer, n_bytes = Writer({"bootstrap_servers": broker}), 0
        for step in steps:
            for host, record in fleet.step(first_ms + step * STEP_MS):
                writer.write(topic, record, host.encode(), first_ms + step * STEP_MS)
                n_bytes += len(record)
        writer.close()
        return n_bytes

    settings = {"source.topics": topic, "source.start": "earliest", "state.folder": str(tmp_path / "state")}
    send(range(BEFORE))
    with RunningJob(broker, prefix, tmp_path / "before.log", settings) as job:
        job.wait_for(topic, BEFORE * fleet.n_hosts)
        steady = peak_mb(job)
        job.stop()
    n_bytes = send(range(BEFORE, BEFORE + AWAY))
    assert n_bytes / 1e6 > 2 * BOUND_MB, "so much that it would be seen if it were kept"
    with RunningJob(broker, prefix, tmp_path / "after.log", settings) as job:
        job.wait_for(topic, (BEFORE + AWAY) * fleet.n_hosts, 300)
        peak = peak_mb(job)
        told = job.stop()
    assert peak < steady + BOUND_MB, f"{peak:.0f} MB at most, {steady:.0f} MB before"
    assert told["counts"]["decoded"] == AWAY * fleet.n_hosts * METRICS_PER_HOST
    assert told["take_overs"] == 1, "it was never thrown out of its group"
