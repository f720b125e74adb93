"""What notebooks read back from a real broker: the samples that went in, and the incidents that came out."""

from __future__ import annotations

import json
from collections.abc import Callable

import pandas as pd
import pytest

import pipeline
from pipeline.errors import BrokerUnreachable
from pipeline.kafka.topics import create
from pipeline.kafka.writer import Writer


def test_samples_are_read_back_from_a_topic_from_a_time_on(broker: str, fresh: Callable[[str], str]) -> None:
    topic, times = fresh("telemetry"), pd.date_range("2026-01-05", periods=60, freq="min", tz="UTC")
    client = {"bootstrap_servers": broker}
    create(client, topic, 2)
    writer = Writer(client)
    for i, time in enumerate(times):
        row = {"timestamp": time.isoformat(), "entity": f"web-{i % 2}", "metric": "load", "value": i}
        writer.write(topic, json.dumps(row).encode(), f"web-{i % 2}".encode(), time.value // 1_000_000)
    writer.close()
    settings = {"kafka.bootstrap_servers": broker}
    whole = pipeline.read_samples(topic, settings=settings)
    assert sorted(whole["value"]) == list(range(60))
    part = pipeline.read_samples(topic, since=times[30], until=times[40], entities="web-1", settings=settings)
    assert sorted(part["value"]) == [31, 33, 35, 37, 39]
    with pytest.raises(BrokerUnreachable, match="the topic nowhere does not exist"):
        pipeline.read_samples("nowhere", settings=settings)
