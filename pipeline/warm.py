"""Compiling the kernels ahead of time, so that no first record waits for it and no group waits for a member."""

from __future__ import annotations

from pipeline.codecs.encode import encode_influx, encode_json, encode_otlp_proto
from pipeline.events import Kind, Records
from pipeline.stream import PartitionStream, Plan

__all__ = ["compile_kernels"]

MINUTE_MS = 60_000
N_STEPS, LATE, UNTIL = 60, 50, 53
START_MS = 1_700_000_000_000


def compile_kernels(plan: Plan) -> None:
    """Send an hour of two made-up hosts, one of which falls silent, through a stream that nobody keeps.

    One record comes late, so that what takes an entity back is compiled too.
    """
    stream = PartitionStream(plan, "warm-up", 0)
    for i in (*range(LATE), *range(LATE + 1, UNTIL), LATE, *range(UNTIL, N_STEPS)):
        time_ms = START_MS + i * MINUTE_MS
        hosts = ("a", "b") if i < N_STEPS // 2 else ("a",)
        rows = [
            (host, metric, (), time_ms * 1_000_000, float(i % 7), Kind.GAUGE)
            for host in hosts
            for metric in ("disk.utilization", "load")
        ]
        value = (encode_json, encode_otlp_proto, encode_influx)[i % 3](rows)
        stream.step(Records("warm-up", 0, [i], [time_ms], [None], [value]))
