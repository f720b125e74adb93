"""Samples onto the grid: cells that open, fill and close by the event time of their own entity.

A cell is centred on the rhythm of its series, so that a little jitter never crosses a border::

        origin                       origin + step
          │◄────────── step ──────────►│
    ──────┼──────────────●─────────────┼──────────────●────► event time
          │          the sample        │
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

N_LEARN = 8
NO_CELL = np.int64(-(2**62))
LADDER_MS = np.array([1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 300_000, 900_000, 3_600_000], dtype=np.int64)
COUNTER, DELTA, TREATMENT, STALE = 1, 2, 3, 16
# what became of a sample: rows of the counts array
ON_GRID, REPLACED, DUPLICATE, LATE, FIRST, NON_FINITE, REFUSED, WAITING = range(8)
# columns of the integer series state
STEP, ORIGIN, CELL, CLOSED, SEEN, LAST, START, SINCE, FILLED, ENTITY, NEXT, RANK, RANK_AT, N_SERIES_COLUMNS = range(14)
# columns of the float series state
VALUE, RAW, INCREASE, N_VALUE_COLUMNS = range(4)
# columns of the integer entity state
WATERMARK, DUE, FIRST_SERIES, RHYTHM, N_CLOSED, WAVE, GROUP_AT, RANK_MAX, N_ENTITY_COLUMNS = range(9)
# columns of the rows that leave the grid
ROW_SERIES, ROW_TIME, ROW_GAP, ROW_TRIGGER, ROW_WAVE, ROW_WAITED, N_ROW_COLUMNS = range(7)


class GridState(NamedTuple):
    """The arrays that the grid of one partition owns; rows are series or entities, columns as named above.

    Columns of ``ears`` and ``clock`` are named in :mod:`pipeline.kernels.silence`.
    """

    kinds: npt.NDArray[np.uint8]
    whole: npt.NDArray[np.int64]
    part: npt.NDArray[np.float64]
    pending_time: npt.NDArray[np.int64]
    pending_start: npt.NDArray[np.int64]
    pending_value: npt.NDArray[np.float64]
    entity: npt.NDArray[np.int64]
    ears: npt.NDArray[np.int64]
    clock: npt.NDArray[np.int64]


class GridRows(NamedTuple):
    """Preallocated room for what leaves the grid in one call; ``used`` counts rows and notices."""

    rows: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    notices: npt.NDArray[np.int64]
    used: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


@njit(cache=True)
def learn_step(times):
    """Find step and origin of a rhythm from its first samples.

    Parameters
    ----------
    times : int64[n]
        Ascending event times in ms.

    Returns
    -------
    tuple of int64
        The rung of the ladder nearest (in ratio) to the median spacing, and the border before the last sample.
    """
    n = times.size
    gaps = np.sort(times[1:] - times[:-1])
    spacing = max(1.0, float(gaps[(n - 1) // 2]))
    best, distance = LADDER_MS[0], np.inf
    for rung in LADDER_MS:
        ratio = abs(np.log(spacing / rung))
        if ratio < distance:
            best, distance = rung, ratio
    offsets = np.empty(n, np.int64)
    half = best // 2
    for i in range(n):
        offsets[i] = (times[i] - times[n - 1] + half) % best - half
    phase = times[n - 1] + np.sort(offsets)[n // 2]
    return best, (phase - half) % best


@njit(cache=True)
def _emit(g, s, gap, value, trigger, out):
    """Write the open cell of series s as a row: one wave further for each cell it closes on the same trigger."""
    e = g.whole[s, ENTITY]
    if g.entity[e, GROUP_AT] != trigger:
        g.entity[e, GROUP_AT] = trigger
        g.entity[e, WAVE] += g.entity[e, RANK_MAX] + 1
        g.entity[e, RANK_MAX] = 0
    g.whole[s, RANK] = g.whole[s, RANK] + 1 if g.whole[s, RANK_AT] == trigger else 0
    g.whole[s, RANK_AT] = trigger
    g.entity[e, RANK_MAX] = max(g.entity[e, RANK_MAX], g.whole[s, RANK])
    row = out.used[0]
    out.rows[row, ROW_SERIES] = s
    out.rows[row, ROW_TIME] = g.whole[s, ORIGIN] + g.whole[s, CELL] * g.whole[s, STEP] + g.whole[s, STEP] // 2
    out.rows[row, ROW_GAP] = gap
    out.rows[row, ROW_TRIGGER] = trigger
    out.rows[row, ROW_WAVE] = g.entity[e, WAVE] + g.whole[s, RANK]
    out.rows[row, ROW_WAITED] = 0
    out.values[row] = value
    out.used[0] = row + 1
    g.entity[e, N_CLOSED] += 1


@njit(cache=True)
def _cell_value(g, s):
    """Turn what a cell gathered into its value: last gauge, or a rate per second; NaN where it says nothing."""
    treatment = g.kinds[s] & TREATMENT
    if treatment == 0:
        return g.part[s, VALUE]
    elapsed = g.whole[s, LAST] - g.whole[s, SINCE]
    if treatment == DELTA and g.whole[s, SINCE] == 0:
        elapsed = g.whole[s, STEP]
    if elapsed <= 0:
        return np.nan
    return g.part[s, INCREASE] / (elapsed / 1000.0)


@njit(cache=True)
def _close(g, s, trigger, out):
    """Close the open cell of series s."""
    value = _cell_value(g, s)
    if not np.isnan(value):
        gap = 0 if g.whole[s, CLOSED] == NO_CELL else g.whole[s, CELL] - g.whole[s, CLOSED] - 1
        _emit(g, s, gap, value, trigger, out)
        g.whole[s, CLOSED] = g.whole[s, CELL]
    g.whole[s, CELL] = NO_CELL
    if g.kinds[s] & TREATMENT != 0:
        g.whole[s, SINCE] = g.whole[s, LAST]
        g.part[s, INCREASE] = 0.0


@njit(cache=True)
def close_due(g, e, watermark, trigger, out):
    """Close every cell of entity e that ends at or before the watermark, and find when the next is due."""
    due = np.int64(2**62)
    s = g.entity[e, FIRST_SERIES]
    while s >= 0:
        if g.whole[s, CELL] != NO_CELL:
            end = g.whole[s, ORIGIN] + (g.whole[s, CELL] + 1) * g.whole[s, STEP]
            if end <= watermark:
                _close(g, s, trigger, out)
            else:
                due = min(due, end)
        s = g.whole[s, NEXT]
    g.entity[e, DUE] = due


@njit(cache=True)
def _gather(g, s, t, start, x):
    """Let one sample into the open cell of series s; returns what became of it."""
    treatment, last = g.kinds[s] & TREATMENT, g.whole[s, LAST]
    filled = g.whole[s, FILLED] == g.whole[s, CELL]
    if treatment == 0:
        if not filled or t >= last:
            g.part[s, VALUE], g.whole[s, LAST] = x, t
    elif last != 0 and t <= last:
        return DUPLICATE if t == last else LATE
    elif treatment == COUNTER:
        raw = g.part[s, RAW]
        restarted = x < raw or (start > last and g.whole[s, START] != 0)
        g.part[s, RAW], g.whole[s, LAST], g.whole[s, START] = x, t, start
        if last == 0:
            g.whole[s, SINCE] = t
            return FIRST
        if not restarted:
            g.part[s, INCREASE] += x - raw
        elif start > last:  # how long it counts anew is known, what it counted before that is not
            g.part[s, INCREASE] += x
            g.whole[s, SINCE] += start - last
        else:
            g.part[s, INCREASE] = np.nan
    else:
        if not filled:  # the cell's interval begins with its first delta, however many there are
            g.whole[s, SINCE] = max(g.whole[s, SINCE], start)
        g.part[s, INCREASE] += x
        g.whole[s, LAST] = t
    g.whole[s, FILLED] = g.whole[s, CELL]
    return REPLACED if filled else ON_GRID


@njit(cache=True)
def place(g, s, t, start, x, trigger, out):
    """Put one sample of a series with a known step into its cell, closing an older open cell first."""
    cell = (t - g.whole[s, ORIGIN]) // g.whole[s, STEP]
    open_cell = g.whole[s, CELL]
    if (g.whole[s, CLOSED] != NO_CELL and cell <= g.whole[s, CLOSED]) or (open_cell != NO_CELL and cell < open_cell):
        return LATE
    if open_cell != NO_CELL and cell > open_cell:
        _close(g, s, trigger, out)
        open_cell = NO_CELL
    g.whole[s, CELL] = cell
    fate = _gather(g, s, t, start, x)
    if open_cell == NO_CELL and fate in (FIRST, DUPLICATE, LATE):
        g.whole[s, CELL] = NO_CELL
    else:
        e = g.whole[s, ENTITY]
        g.entity[e, DUE] = min(g.entity[e, DUE], g.whole[s, ORIGIN] + (cell + 1) * g.whole[s, STEP])
    return fate


@njit(cache=True)
def wait(g, s, t, start, x, trigger, out):
    """Keep a sample of a series whose rhythm is not known yet; the last one needed teaches it and releases all."""
    n = g.whole[s, SEEN]
    i = n
    while i > 0 and g.pending_time[s, i - 1] > t:
        i -= 1
    if i > 0 and g.pending_time[s, i - 1] == t:
        if g.kinds[s] & TREATMENT == 0:
            g.pending_value[s, i - 1] = x
            return REPLACED
        return DUPLICATE
    for j in range(n, i, -1):
        g.pending_time[s, j] = g.pending_time[s, j - 1]
        g.pending_start[s, j] = g.pending_start[s, j - 1]
        g.pending_value[s, j] = g.pending_value[s, j - 1]
    g.pending_time[s, i], g.pending_start[s, i], g.pending_value[s, i] = t, start, x
    g.whole[s, SEEN] = n + 1
    if n + 1 < N_LEARN:
        return WAITING
    g.whole[s, STEP], g.whole[s, ORIGIN] = learn_step(g.pending_time[s])
    e = g.whole[s, ENTITY]
    if g.entity[e, RHYTHM] == 0 or g.whole[s, STEP] < g.entity[e, RHYTHM]:
        g.entity[e, RHYTHM] = g.whole[s, STEP]
    out.counts[WAITING] -= N_LEARN - 1
    released = out.used[0]
    for j in range(N_LEARN - 1):
        fate = place(g, s, g.pending_time[s, j], g.pending_start[s, j], g.pending_value[s, j], trigger, out)
        out.counts[fate] += 1
    j = N_LEARN - 1
    fate = place(g, s, g.pending_time[s, j], g.pending_start[s, j], g.pending_value[s, j], trigger, out)
    out.rows[released : out.used[0], ROW_WAITED] = 1
    return fate
