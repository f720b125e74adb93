"""A job says once, in five lines, what it found by itself and will watch."""

from __future__ import annotations

import logging

import pytest

from pipeline.events import Records
from pipeline.overview import Introduction, overview
from pipeline.stream import PartitionStream, Plan

AT = 1_767_571_200


def fed(n_steps: int) -> PartitionStream:
    stream = PartitionStream(Plan(), "t", 0)
    lines = []
    for n in range(n_steps):
        time_ns = (AT + 10 * n) * 10**9
        lines.append(f"cpu,host=web-01 idle=9,user={n} {time_ns}\nm,service=shop v=1 {time_ns}\n")
    values: list[bytes | None] = [line.encode() for line in lines]
    times = [(AT + 10 * n) * 1000 for n in range(n_steps)]
    stream.step(Records("t", 0, list(range(n_steps)), times, [None] * n_steps, values))
    return stream


def test_formats_entities_metrics_steps_and_rejections_are_five_lines() -> None:
    stream = fed(12)
    assert overview(stream.counts, [stream]) == [
        "reading formats: influx (12 records)",
        "watching entities: 1 of class host, 1 of class service: shop, web-01",
        "watching metrics: 3 in 3 series: cpu.idle, cpu.user, m.v",
        "steps: 10 s (3 series)",
        "not understood: 0 of 12 records (see the rejected topic)",
    ]


def test_it_is_said_once_and_not_before_rhythms_are_known(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    introduction = Introduction()
    for n_steps, n_lines in ((0, 0), (3, 0), (12, 5), (20, 5)):
        stream = fed(n_steps)
        introduction.say(stream.counts, [stream])
        assert len(caplog.messages) == n_lines
