"""Laws that hold for any input: watermarks only rise, and partitions know nothing of each other."""

from __future__ import annotations

import json

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.events import Counts, Kind, Records, SampleBatch
from pipeline.grid import Grid
from pipeline.kernels import clock
from pipeline.stream import PartitionStream, Plan

T0 = 1_700_000_000_000
MINUTE_MS = 60_000
N_PARTITIONS, N_MINUTES = 4, 240
FAULT = range(150, 170)

# A few entities whose samples come in order, late, twice, or from a clock that runs ahead.
ARRIVALS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(-40, 40), st.floats(allow_nan=True, allow_infinity=True, width=64)),
    min_size=1,
    max_size=120,
)


@given(ARRIVALS, st.lists(st.integers(1, 20), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_a_watermark_never_goes_back(arrivals: list[tuple[int, int, float]], sizes: list[int]) -> None:
    grid, counts, at = Grid(), Counts(), 0
    grid.adopt_series([0, 1, 2], [False] * 3)
    before, clock_before = np.zeros(3, np.int64), 0
    for size in sizes * len(arrivals):
        part = arrivals[at : at + size]
        if not part:
            break
        now = T0 + at * 10_000
        rows = [(series, now + 10_000 * jump, value) for series, jump, value in part]
        list(grid.push(_samples(rows), _times(now), counts))
        watermarks = grid._state.entity[:3, clock.WATERMARK].copy()
        assert (watermarks >= before).all()
        assert grid.clock_ms >= clock_before
        before, clock_before, at = watermarks, grid.clock_ms, at + size
    assert counts.decoded == min(at, len(arrivals))


def _samples(rows: list[tuple[int, int, float]]) -> SampleBatch:
    series, times, values = zip(*rows, strict=True)
    n = len(rows)
    return SampleBatch(
        np.array(series, np.int32),
        np.array(times, np.int64) * 1_000_000,
        np.array(values, np.float64),
        np.full(n, int(Kind.GAUGE), np.uint8),
        np.zeros(n, np.int64),
        np.zeros(n, np.int32),
    )


def _times(record_time_ms: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([record_time_ms], np.int64)


def _records(partition: int, minutes: range) -> Records:
    rng, times, values = np.random.default_rng(partition), [], []
    noise = rng.normal(size=(N_MINUTES, 2))
    for minute in minutes:
        time_ms, fault = T0 + minute * MINUTE_MS, 40.0 * (minute in FAULT)
        rows = [
            {"timestamp": time_ms, "entity": f"host-{partition}", "metric": f"m{m}", "value": noise[minute, m] + fault}
            for m in range(2)
        ]
        times.append(time_ms)
        values.append(json.dumps(rows).encode())
    n = len(times)
    return Records("telemetry", partition, list(minutes), times, [None] * n, list(values))


def _bytes_of(chunks: list[tuple[int, range]]) -> dict[int, bytes]:
    """What each partition publishes when one process steps chunks of them in this order."""
    streams = {
        partition: PartitionStream(Plan(publish_all_scores=True), "telemetry", partition) for partition in range(4)
    }
    told: dict[int, list[object]] = {partition: [] for partition in streams}
    for partition, minutes in chunks:
        result = streams[partition].step(_records(partition, minutes))
        told[partition] += [*result.incidents, *result.scores]
    return {partition: msgspec.json.encode(events) for partition, events in told.items()}


@given(st.randoms(use_true_random=False))
@settings(max_examples=3, deadline=None)
def test_one_process_with_four_partitions_says_what_four_with_one_say(random: object) -> None:
    chunks = [(p, range(m, m + 40)) for p in range(N_PARTITIONS) for m in range(0, N_MINUTES, 40)]
    alone = {p: _bytes_of([one for one in chunks if one[0] == p])[p] for p in range(N_PARTITIONS)}
    order = [partition for partition, _ in chunks]
    random.shuffle(order)  # type: ignore[attr-defined]
    waiting = {p: iter([one for one in chunks if one[0] == p]) for p in range(N_PARTITIONS)}
    together = _bytes_of([next(waiting[partition]) for partition in order])
    assert together == alone
    assert all(b"incident.opened" in said for said in alone.values())
