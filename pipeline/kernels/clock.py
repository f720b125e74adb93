"""Samples onto the grid: cells that open, fill and close by the event time of their own entity.

A cell is centred on the rhythm of its series, so that a little jitter never crosses a border::

        origin                       origin + step
          │◄────────── step ──────────►│
    ──────┼──────────────●─────────────┼──────────────●────► event time
          │          the sample        │
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels.layout import (
    CELL,
    CLOSED,
    CLOSED_AT,
    COUNTER,
    DELTA,
    DUE,
    DUPLICATE,
    ENTITY,
    FATES,
    FILLED,
    FIRST,
    FIRST_SERIES,
    GROUP_AT,
    INCREASE,
    INNER,
    LADDER_MS,
    LAST,
    LATE,
    LEAN,
    LOGGED,
    LONG_AGO,
    N_CLOSED,
    N_LEARN,
    NEXT,
    NO_CELL,
    ON_GRID,
    ORIGIN,
    RANK,
    RANK_AT,
    RANK_MAX,
    RAW,
    REPLACED,
    RHYTHM,
    ROW_GAP,
    ROW_SERIES,
    ROW_SETTLED,
    ROW_TIME,
    ROW_TRIGGER,
    ROW_WAITED,
    ROW_WAVE,
    SINCE,
    START,
    STEP,
    TREATMENT,
    UNSAID,
    VALUE,
    WAITING,
    WATERMARK,
    WAVE,
)


@njit(**INNER)
def _sort(numbers, n):
    """Sort the first few of some numbers in place."""
    for i in range(1, n):
        number, j = numbers[i], i
        while j > 0 and numbers[j - 1] > number:
            numbers[j] = numbers[j - 1]
            j -= 1
        numbers[j] = number


@njit(**LEAN)
def learn_step(times, scratch):
    """Find step and origin of a rhythm from its first samples.

    Parameters
    ----------
    times : int64[n]
        Ascending event times in ms.
    scratch : int64[n]
        Overwritten.

    Returns
    -------
    tuple of int64
        The rung of the ladder nearest (in ratio) to the median spacing, and the border before the last sample.
    """
    n = times.size
    for i in range(n - 1):
        scratch[i] = times[i + 1] - times[i]
    _sort(scratch, n - 1)
    spacing = max(1.0, float(scratch[(n - 1) // 2]))
    best, distance = LADDER_MS[0], np.inf
    for rung in LADDER_MS:
        ratio = abs(np.log(spacing / rung))
        if ratio < distance:
            best, distance = rung, ratio
    half = best // 2
    for i in range(n):
        scratch[i] = (times[i] - times[n - 1] + half) % best - half
    _sort(scratch, n)
    phase = times[n - 1] + scratch[n // 2]
    return best, (phase - half) % best


@njit(**INNER, forceinline=True)
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
    out.rows[row, ROW_SETTLED] = 0
    out.values[row] = value
    out.used[0] = row + 1
    g.entity[e, N_CLOSED] += 1
    g.entity[e, CLOSED_AT] = g.entity[e, WATERMARK]


@njit(**INNER, forceinline=True)
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


@njit(**INNER, forceinline=True)
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


@njit(**LEAN)
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


@njit(**INNER, forceinline=True)
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


@njit(**INNER, forceinline=True)
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


@njit(**INNER)
def wait(g, s, t, start, x, trigger, out):
    """Keep a sample of a series whose rhythm is not known yet; the last one needed teaches it and releases all."""
    n = g.whole[s, LOGGED]
    i = n
    while i > 0 and g.log[s, i - 1] // FATES > t:
        i -= 1
    if i > 0 and g.log[s, i - 1] // FATES == t:
        if g.kinds[s] & TREATMENT == 0:
            g.log_value[s, i - 1] = x
            return REPLACED
        return DUPLICATE
    insert(g, s, i, t, start, x, WAITING)
    if n + 1 < N_LEARN:
        return WAITING
    _teach(g, s, out)
    out.counts[WAITING] -= N_LEARN - 1
    fate, released = WAITING, out.used[0]
    for j in range(N_LEARN):
        at = g.log[s, j] // FATES
        fate = place(g, s, at, began(at, g.log_ago[s, j]), g.log_value[s, j], trigger, out)
        g.log[s, j] = at * FATES + fate
        if j < N_LEARN - 1:
            out.counts[fate] += 1
    for row in range(released, out.used[0]):
        out.rows[row, ROW_WAITED] = 1
    return fate


@njit(**INNER)
def _teach(g, s, out):
    """Let the samples that waited teach the series its step, and its entity the finest rhythm."""
    for j in range(N_LEARN):
        out.waited[j] = g.log[s, j] // FATES
    g.whole[s, STEP], g.whole[s, ORIGIN] = learn_step(out.waited[:N_LEARN], out.waited[N_LEARN:])
    e = g.whole[s, ENTITY]
    if g.entity[e, RHYTHM] == 0 or g.whole[s, STEP] < g.entity[e, RHYTHM]:
        g.entity[e, RHYTHM] = g.whole[s, STEP]


@njit(**LEAN)
def ago(t, start):
    """How long before its time a sample's interval, or the count that it continues, began; ``start`` 0: unsaid."""
    return np.int32(UNSAID if start == 0 else min(max(t - start, 0) + 1, LONG_AGO))


@njit(**LEAN)
def began(t, how_long):
    """When a sample's interval began, 0 where nobody said; what began long ago began before all that is remembered."""
    return np.int64(0 if how_long == UNSAID else 1 if how_long == LONG_AGO else np.int64(t) - np.int64(how_long) + 1)


@njit(**INNER, forceinline=True)
def insert(g, s, i, t, start, x, fate):
    """Write a sample into the log of its series as its i-th; there must be room."""
    for j in range(g.whole[s, LOGGED], i, -1):
        shift(g, s, j - 1, j)
    g.log[s, i], g.log_value[s, i] = t * FATES + fate, x
    _say_ago(g, s, i, ago(t, start))
    g.whole[s, LOGGED] += 1


@njit(**INNER)
def shift(g, s, i, to):
    """Copy the i-th sample of a series' log to another place there."""
    g.log[s, to], g.log_value[s, to] = g.log[s, i], g.log_value[s, i]
    _say_ago(g, s, to, g.log_ago[s, i])


@njit(**INNER, forceinline=True)
def _say_ago(g, s, i, how_long):
    """Note how long ago an interval began, if that is another: of gauges nobody says it, and it takes no memory."""
    if g.log_ago[s, i] != how_long:
        g.log_ago[s, i] = how_long
