"""From a step that closes to an incident that a subscriber can read: at 100,000 samples a second, on a real broker.

Each second every host of a fleet speaks; some of them are far off for a while. The record that closed a step stands in
the incident: the delay is what passes from the moment when that record stood in the broker's log, by the time that the
broker gave it, until the incident is read (read_committed). Beside it stands what passes from the call that sends the
record: with the sender's own queue in it, and the broker's work on the records that were sent with it.
"""

from __future__ import annotations

import os
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from kafka import KafkaConsumer

from pipeline.codecs.encode import encode_otlp_proto
from pipeline.events import Kind
from pipeline.incident import CloudEvent
from pipeline.kafka.topics import create
from pipeline.kafka.writer import Writer
from tests.benchmarks.speed.street import cpu_seconds
from tests.benchmarks.speed.telemetry import MARK_NS, METRICS, Fleet
from tests.integration.street import RunningJob

POINTS = 500
WARM_SECONDS = 105  # a minute of steps to be sure of anything, and time to work them off
PAST_SECONDS = 60  # of them, sent as fast as can be
JUMPS, HOLD_SECONDS = 40, 5  # hosts that are far off at a time, and for how long
HOSTS = POINTS // METRICS  # in a record


def measure(
    bootstrap: str, broker_pid: int, topic: str, n_series: int, seconds: int, jittered: bool
) -> dict[str, float]:
    """Delays in ms: median, 99th percentile and largest, of how many incidents, and the cores that it took."""
    create({"bootstrap_servers": bootstrap}, topic, 1, {"message.timestamp.type": "LogAppendTime"})
    fleet = Fleet(n_series, POINTS)
    settings = {"source.topics": topic, "source.history_hours": 0, "models.poll_seconds": 0}
    with (
        tempfile.TemporaryDirectory() as folder,
        RunningJob(bootstrap, topic, Path(folder, "log"), {**settings, "state.folder": folder}) as job,
    ):
        job.wait_for_line("live from offset")
        read: list[tuple[float, CloudEvent]] = []
        ended = threading.Event()
        reader = threading.Thread(target=_read, args=(bootstrap, f"{topic}.incidents", read, ended))
        reader.start()
        pids = {"job": job.process.pid, "broker": broker_pid, "sender and reader": os.getpid()}
        sending = _Sending(bootstrap, topic, fleet, jittered)
        sending.send(WARM_SECONDS)
        spent, begin = {who: cpu_seconds(pid) for who, pid in pids.items()}, len(sending.sent_at)
        sending.send(seconds)
        cores = {who: (cpu_seconds(pid) - spent[who]) / seconds for who, pid in pids.items()}
        time.sleep(3.0)
        ended.set()
        reader.join()
        sending.close()
    closed = [(at, event.data.source.last_offset) for at, event in read if event.data.source.last_offset >= begin]
    if len(closed) < 20:
        raise SystemExit(f"only {len(closed)} incidents to measure the delay of")
    delays = [1_000.0 * (at - sending.appended_at[offset]) for at, offset in closed]
    since_sent = [1_000.0 * (at - sending.sent_at[offset]) for at, offset in closed]
    return {
        "p50_ms": float(np.percentile(delays, 50)),
        "p99_ms": float(np.percentile(delays, 99)),
        "max_ms": max(delays),
        "since sent, p50_ms": float(np.percentile(since_sent, 50)),
        "since sent, p99_ms": float(np.percentile(since_sent, 99)),
        "incidents": len(delays),
        **{f"cores of {who}": share for who, share in cores.items()},
    }


class _Sending:
    """Sends a step a second in real time; knows when each record was sent and when it stood in the log, by offset."""

    def __init__(self, bootstrap: str, topic: str, fleet: Fleet, jittered: bool) -> None:
        self._topic, self._fleet, self._jittered = topic, fleet, jittered
        self._writer, self._chance = Writer({"bootstrap_servers": bootstrap}), random.Random(0)
        # encoded beforehand: agents do that on machines of their own
        self._jumped = [_jumped(fleet, number) for number in range(fleet.n_records)]
        self._began, self._step = time.time() - PAST_SECONDS, 0
        self._jump: set[int] = set()
        self.sent_at: list[float] = []
        self.appended_at: dict[int, float] = {}

    def send(self, seconds: int) -> None:
        """Send so many steps more."""
        fleet = self._fleet
        for step in range(self._step, self._step + seconds):
            if step >= WARM_SECONDS and step % HOLD_SECONDS == 0:
                self._jump = set(self._chance.sample(range(fleet.n_records), min(JUMPS, fleet.n_records // 2)))
            for number in range(fleet.n_records):
                self._send(step, number, number / fleet.n_records if self._jittered else 0.0)
            self._writer.flush()
        self._step += seconds

    def close(self) -> None:
        """Send no more."""
        self._writer.close()

    def _send(self, step: int, number: int, share: float) -> None:
        due = self._began + step + share
        if time.time() < due:
            self._writer.flush()
            time.sleep(max(0.0, due - time.time()))
        time_ms = int(1_000 * self._began) + step * 1_000 + int(1_000 * share)
        far = self._fleet.stamped(self._jumped[number], time_ms) if number in self._jump else None
        value = far or self._fleet.record(step, number, time_ms)
        self.sent_at.append(time.time())
        self._writer.write(self._topic, value, None, time_ms).add_callback(self._appended)

    def _appended(self, told: Any) -> None:
        self.appended_at[told.offset] = told.timestamp / 1_000.0


def _jumped(fleet: Fleet, number: int) -> bytes:
    """A record to be stamped whose first host is far from everything it ever was, the others as ever."""
    usual = fleet.levels[number * POINTS : (number + 1) * POINTS]
    rows = [
        (f"host-{number * HOSTS + i // METRICS:05d}", f"metric.{i % METRICS}", (), MARK_NS, float(usual[i]), Kind.GAUGE)
        for i in range(POINTS)
    ]
    far = [(*row[:4], 5_000.0 if i < METRICS else row[4], row[5]) for i, row in enumerate(rows)]
    return encode_otlp_proto(far)


def _read(bootstrap: str, topic: str, read: list[tuple[float, CloudEvent]], ended: threading.Event) -> None:
    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    while not ended.is_set():
        for records in consumer.poll(timeout_ms=20).values():
            now = time.time()
            read.extend((now, msgspec.json.decode(one.value, type=CloudEvent)) for one in records)
    consumer.close(autocommit=False)
