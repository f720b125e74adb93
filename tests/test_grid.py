"""The grid's room: whatever closes in one call fits what was laid out for it."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.events import Counts, SampleBatch
from pipeline.grid import Grid
from pipeline.kernels.clock import N_LEARN

STEP_MS, T0_MS = 10_000, 1_700_000_000_000


def batch(n_series: int, step: int) -> tuple[SampleBatch, np.ndarray]:
    time_ms = T0_MS + step * STEP_MS
    ids, zeros = np.arange(n_series, dtype=np.int32), np.zeros(n_series, np.int64)
    times = np.full(n_series, time_ms * 1_000_000, np.int64)
    samples = SampleBatch(ids, times, np.ones(n_series), zeros.astype(np.uint8), zeros, zeros.astype(np.int32))
    return samples, np.array([time_ms])


@pytest.mark.parametrize("per_entity", [1, 20, 600])
@pytest.mark.parametrize("n_series", [600, 4_800])
def test_all_series_may_learn_their_rhythm_in_one_call(n_series: int, per_entity: int) -> None:
    grid, counts, rows = Grid(), Counts(), 0
    grid.adopt_series([s // per_entity for s in range(n_series)], [False] * (n_series // per_entity))
    for step in range(N_LEARN + 2):
        closed = next(iter(grid.push(*batch(n_series, step), counts)))
        assert grid._out.used[0] <= len(grid._out.values)
        rows += sum(len(wave.series) for wave in closed.waves)
    assert rows == n_series * (N_LEARN + 1)
    assert counts.on_grid == counts.decoded == n_series * (N_LEARN + 2)


def test_the_log_of_gauges_writes_down_no_intervals_and_takes_no_memory_for_them() -> None:
    grid = Grid(horizon=8)
    grid.adopt_series([0, 0], [False])
    for step in range(40):
        samples, times = batch(2, step)
        for _ in grid.push(samples, times, Counts()):
            pass
    state = grid._state
    assert state.log[:2].any(axis=1).all()
    assert not state.log_ago.any()
