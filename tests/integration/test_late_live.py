"""A law of late data, from a real broker: what comes late ends as the incidents that a backtest finds in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from integration.street import RunningJob
from last_words import last_words

from pipeline.codecs.encode import encode_json
from pipeline.events import Kind
from pipeline.incident import Incident
from pipeline.kafka.topics import create
from pipeline.kafka.writer import Writer
from pipeline.plan import Plan
from pipeline.recordings import Recording, recording
from pipeline.replay import replay

T0, STEP, N_STEPS, FAULT = 1_700_000_000_000, 10_000, 220, range(120, 150)
HOSTS, METRICS = ("web-0", "web-1", "web-2"), ("load", "temperature")
LATEST = Plan().late_steps - 2  # steps


def fleet() -> list[Recording]:
    chance = np.random.default_rng(11)
    values = {host: chance.normal(50.0, 1.0, (N_STEPS, len(METRICS))) for host in HOSTS}
    values[HOSTS[0]][FAULT] += 40.0
    times = pd.to_datetime(T0 + STEP * np.arange(N_STEPS), unit="ms", utc=True)
    frames = {host: pd.DataFrame(values[host], columns=list(METRICS)).assign(timestamp=times) for host in HOSTS}
    return [recording(frame, host) for host, frame in frames.items()]


def but_for_silence(incidents: Iterable[Incident]) -> set[tuple[object, ...]]:
    """Their last words, but for silence, which goes by arrival: who speaks late is missed meanwhile."""
    return last_words(one for one in incidents if one.track != "silence")


def test_late_records_through_the_broker_end_as_the_backtest_in_order(
    broker: str, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    topic, prefix, recordings = fresh("late"), fresh("late-out"), fleet()
    chance = np.random.default_rng(5)
    rows = [(at, one, i) for one in recordings for i, at in enumerate((one.times // 1_000_000).tolist())]
    delays = chance.random(len(rows)) * (chance.random(len(rows)) < 0.2) * LATEST * STEP
    arrival = np.argsort([at + delay for (at, *_), delay in zip(rows, delays, strict=True)], kind="stable")
    create({"bootstrap_servers": broker}, topic, settings={"retention.ms": "-1"})
    writer = Writer({"bootstrap_servers": broker})
    for at, one, i in (rows[j] for j in arrival):
        values = zip(METRICS, one.values[i].tolist(), strict=True)
        samples = [(one.entity, metric, (), at * 1_000_000, value, Kind.GAUGE) for metric, value in values]
        writer.write(topic, encode_json(samples), None, at)
    writer.close()
    settings = {"source.topics": topic, "source.start": "earliest", "source.max_poll_records": 37}
    with RunningJob(broker, prefix, tmp_path / "log", settings) as job:
        job.wait_for(topic, len(rows))
        counts = job.stop()["counts"]
        live = [event.data for event in job.events()]
    expected = [event.data for event in replay(recordings, Plan()).incidents]
    assert counts["late"] == 0
    assert but_for_silence(live) == but_for_silence(expected) != set()
    assert {one.data_quality.late_samples for one in expected} == {0}
    assert max(one.data_quality.late_samples for one in live) > 0
