"""From a step that closes to an incident that a subscriber can read: at 100,000 samples a second, on a real broker.

Each second every host of a fleet speaks; some of them are far off for a while. The record that closed a step stands in
the incident, so what passes between sending it and reading the incident (read_committed) is the delay.
"""

from __future__ import annotations

import random
import tempfile
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
from kafka import KafkaConsumer

from pipeline.codecs.encode import encode_otlp_proto
from pipeline.events import Kind
from pipeline.incident import CloudEvent
from pipeline.kafka.topics import create
from pipeline.kafka.writer import Writer
from tests.benchmarks.speed.telemetry import MARK_NS, METRICS, Fleet
from tests.integration.street import RunningJob

POINTS = 500
WARM_SECONDS = 105  # a minute of steps to be sure of anything, and time to work them off
PAST_SECONDS = 60  # of them, sent as fast as can be
JUMPS, HOLD_SECONDS = 40, 5  # hosts that are far off at a time, and for how long
HOSTS = POINTS // METRICS  # in a record


def measure(bootstrap: str, topic: str, n_series: int, seconds: int, jittered: bool) -> dict[str, float]:
    """Delays in ms: median, 99th percentile, and how many incidents they are of."""
    create({"bootstrap_servers": bootstrap}, topic)
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
        sent_at = _send(bootstrap, topic, fleet, WARM_SECONDS + seconds, jittered)
        time.sleep(3.0)
        ended.set()
        reader.join()
    begin = sent_at[min(len(sent_at) - 1, WARM_SECONDS * fleet.n_records)]
    delays = [
        1_000.0 * (at - sent_at[event.data.source.last_offset])
        for at, event in read
        if sent_at[event.data.source.last_offset] > begin
    ]
    if len(delays) < 20:
        raise SystemExit(f"only {len(delays)} incidents to measure the delay of")
    return {
        "p50_ms": float(np.percentile(delays, 50)),
        "p99_ms": float(np.percentile(delays, 99)),
        "max_ms": max(delays),
        "incidents": len(delays),
    }


def _send(bootstrap: str, topic: str, fleet: Fleet, seconds: int, jittered: bool) -> list[float]:
    """Send a step a second in real time; returns when each record was sent, by offset."""
    chance = random.Random(0)
    writer, sent_at = Writer({"bootstrap_servers": bootstrap}), list[float]()
    # encoded beforehand: agents do that on machines of their own
    jumped = [_jumped(fleet, number) for number in range(fleet.n_records)]
    began = time.time() - PAST_SECONDS
    first_ms = int(1_000 * began)
    jump: set[int] = set()
    for step in range(seconds):
        if step >= WARM_SECONDS and step % HOLD_SECONDS == 0:
            jump = set(chance.sample(range(fleet.n_records), min(JUMPS, fleet.n_records // 2)))
        for number in range(fleet.n_records):
            share = number / fleet.n_records if jittered else 0.0
            due = began + step + share
            if time.time() < due:
                writer.flush()
                time.sleep(max(0.0, due - time.time()))
            time_ms = first_ms + step * 1_000 + int(1_000 * share)
            far = fleet.stamped(jumped[number], time_ms) if number in jump else None
            value = far or fleet.record(step, number, time_ms)
            sent_at.append(time.time())
            writer.write(topic, value, None, time_ms)
        writer.flush()
    writer.close()
    return sent_at


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
