"""A law of a silent input, from a real broker: it is one notice, not as many silent hosts as there are."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from integration.street import RunningJob, wait_until

from pipeline.codecs.encode import encode_json
from pipeline.events import Kind, Notice
from pipeline.kafka.topics import create
from pipeline.kafka.writer import Writer

STEP_MS = 10_000
T0_MS = time.time_ns() // 1_000_000 - 3_600_000  # an hour ago: what is older than a week expires
HOSTS = [f"host-{i}" for i in range(6)]


def send(bootstrap: str, topic: str, steps: range) -> None:
    """Send a step of every host a record, with record time = event time."""
    writer = Writer({"bootstrap_servers": bootstrap})
    for step in steps:
        time_ms = T0_MS + step * STEP_MS
        rows = [(host, "load", (), time_ms * 1_000_000, float(step % 7), Kind.GAUGE) for host in HOSTS]
        writer.write(topic, encode_json(rows), None, time_ms)
    writer.close()


def test_an_input_that_stops_is_one_notice_and_no_silent_hosts(
    broker: str, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    topic, prefix = fresh("quiet"), fresh("quiet-out")
    create({"bootstrap_servers": broker}, topic)
    send(broker, topic, range(60))
    settings = {"source.topics": topic, "source.start": "earliest", "source.idle_seconds": 4}
    with RunningJob(broker, prefix, tmp_path / "log", settings) as job:
        job.wait_for(topic, 60)

        def kinds() -> list[str]:
            return [msgspec.json.decode(value, type=Notice).kind for value in job.values("heartbeat")]

        wait_until(lambda: "input.silent" in kinds())
        send(broker, topic, range(60, 70))
        wait_until(lambda: "input.flowing" in kinds())
        job.stop()
        told = [kind for kind in kinds() if kind.startswith("input.")]
        assert told[:2] == ["input.silent", "input.flowing"]
        assert told == ["input.silent", "input.flowing"] * (len(told) // 2) + ["input.silent"] * (len(told) % 2)
        assert [event.data.title for event in job.events() if event.data.track == "silence"] == []
