"""End to end on a real broker: how many samples a second, at which cost of job and of broker, and how late."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition

from pipeline.kafka.broker import EmbeddedBroker, kafka_home
from pipeline.kafka.topics import create
from pipeline.kafka.writer import Writer
from tests.benchmarks.speed.telemetry import STEP_MS, Fleet
from tests.integration.street import RunningJob

TICK_SECONDS = 1.0 / os.sysconf("SC_CLK_TCK")
FROM, UNTIL = 0.15, 0.95  # share of the topic between which it is timed: all kernels run, all series known


@contextmanager
def broker() -> Iterator[tuple[str, int]]:
    """A real broker of its own: its address and process id."""
    with tempfile.TemporaryDirectory() as folder:
        embedded = EmbeddedBroker(kafka_home(), Path(folder))
        try:
            yield embedded.start(), int(embedded.status().pid or 0)
        finally:
            embedded.stop()


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_SECONDS


def resident_bytes(pid: int) -> int:
    """Memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def fill(bootstrap: str, topic: str, fleet: Fleet, n_steps: int, end_ms: int | None = None) -> int:
    """Write so many steps that end now, or earlier; returns how many records they are."""
    create({"bootstrap_servers": bootstrap}, topic)
    writer = Writer({"bootstrap_servers": bootstrap})
    begin = (end_ms or time.time_ns() // 1_000_000) - n_steps * STEP_MS
    for step in range(n_steps):
        time_ms = begin + step * STEP_MS
        for value in fleet.records(step, time_ms):
            writer.write(topic, value, None, time_ms)
    writer.close(60.0)
    return n_steps * fleet.n_records


def throughput(
    bootstrap: str, broker_pid: int, topic: str, group: str, fleet: Fleet, n_records: int
) -> dict[str, float]:
    """Samples a second of a job that works a topic off, exactly once, and the CPU that job and broker spend."""
    overrides = {
        "source.topics": topic,
        "source.start": "earliest",
        "source.history_hours": 0,
        "entities.max_series_per_partition": 2 * fleet.n_series,
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        RunningJob(bootstrap, group, Path(folder, "log"), {**overrides, "state.folder": folder}) as job,
        standing(bootstrap, topic, group) as done,
    ):
        pids = (job.process.pid, broker_pid)
        _wait(lambda: done() >= FROM * n_records, job)
        first, began, spent = done(), time.perf_counter(), [cpu_seconds(pid) for pid in pids]
        _wait(lambda: done() >= UNTIL * n_records, job)
        seconds, samples = time.perf_counter() - began, (done() - first) * fleet.points
        used = [cpu_seconds(pid) - before for pid, before in zip(pids, spent, strict=True)]
        return {
            "samples_per_second": samples / seconds,
            "records_per_second": samples / fleet.points / seconds,
            "job_cpu_us_per_sample": used[0] / samples * 1e6,
            "broker_cpu_us_per_sample": used[1] / samples * 1e6,
            "job_cores": used[0] / seconds,
            "bytes": resident_bytes(pids[0]),
        }


def bare_loop(bootstrap: str, topic: str, n_records: int) -> float:
    """Records a second of a poll loop in a process of its own that decodes nothing, over the same topic."""
    script = Path(__file__).with_name("bare.py")
    told = subprocess.run(
        [sys.executable, str(script), bootstrap, topic, str(n_records)], check=True, capture_output=True, text=True
    )
    return float(told.stdout)


@contextmanager
def standing(bootstrap: str, topic: str, group: str) -> Iterator[Callable[[], int]]:
    """Asks how far the group has committed on its one partition."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    try:
        yield lambda: int(consumer.committed(TopicPartition(topic, 0)) or 0)
    finally:
        consumer.close(autocommit=False)


def _wait(true: Callable[[], bool], job: RunningJob) -> None:
    until = time.monotonic() + 120.0
    while not true():
        if job.process.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"the job did not get on:\n{job._log.read_text()[-2000:]}")
        time.sleep(0.05)
