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
WATERMARK, DUE, FIRST_SERIES, RHYTHM, N_CLOSED, HEARD, SILENT, WAVE, GROUP_AT, RANK_MAX = range(10)
BEAT, N_BEATS, HEARD_FLOW, EPHEMERAL, UNCALLED, N_ENTITY_COLUMNS = range(10, 16)
# columns of the partition's own state
TOP, TOP_ENTITY, SECOND, CHECKED, RECORD_TIME, FLOW, N_HEARD, N_CLOCK_COLUMNS = range(8)
# what a notice tells of an entity
SPOKE, FELL_SILENT, MOVED = range(3)
# a pause of the whole input counts at most so much when it is asked how long the others went on without an entity
PAUSE_MS = 15_000
# columns of the rows that leave the grid
ROW_SERIES, ROW_TIME, ROW_GAP, ROW_TRIGGER, ROW_WAVE, N_ROW_COLUMNS = range(6)
# columns of the notices of silence: the entity, what it did, since when or when, sample and clock that showed it
NOTICE_ENTITY, NOTICE_WHAT, NOTICE_TIME, NOTICE_TRIGGER, NOTICE_CLOCK, N_NOTICE_COLUMNS = range(6)


class GridState(NamedTuple):
    """The arrays that the grid of one partition owns; rows are series or entities, columns as named above."""

    kinds: npt.NDArray[np.uint8]
    whole: npt.NDArray[np.int64]
    part: npt.NDArray[np.float64]
    pending_time: npt.NDArray[np.int64]
    pending_start: npt.NDArray[np.int64]
    pending_value: npt.NDArray[np.float64]
    entity: npt.NDArray[np.int64]
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
        g.part[s, INCREASE] += x if restarted else x - raw
    else:
        if not filled:  # the cell's interval begins with its first delta, however many there are
            g.whole[s, SINCE] = max(g.whole[s, SINCE], start)
        g.part[s, INCREASE] += x
        g.whole[s, LAST] = t
    g.whole[s, FILLED] = g.whole[s, CELL]
    return REPLACED if filled else ON_GRID


@njit(cache=True)
def _place(g, s, t, start, x, trigger, out):
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
def _wait(g, s, t, start, x, trigger, out):
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
    for j in range(N_LEARN - 1):
        fate = _place(g, s, g.pending_time[s, j], g.pending_start[s, j], g.pending_value[s, j], trigger, out)
        out.counts[fate] += 1
    j = N_LEARN - 1
    return _place(g, s, g.pending_time[s, j], g.pending_start[s, j], g.pending_value[s, j], trigger, out)


@njit(cache=True)
def _tick_clock(g, e, t):
    """Advance the partition clock: the second-newest entity's time, so that one fast clock moves nobody else."""
    clock = g.clock
    if g.entity[e, WATERMARK] == 0:
        clock[N_HEARD] += 1
    if e == clock[TOP_ENTITY]:
        clock[TOP] = max(clock[TOP], t)
    elif t > clock[TOP]:
        clock[SECOND] = max(clock[SECOND], clock[TOP])
        clock[TOP], clock[TOP_ENTITY] = t, e
    else:
        clock[SECOND] = max(clock[SECOND], t)
    if clock[N_HEARD] == 1:
        clock[SECOND] = clock[TOP]


@njit(cache=True)
def _notice(g, e, what, time, trigger, out):
    """Write down that an entity fell silent, moved away or spoke again."""
    out.notices[out.used[1], NOTICE_ENTITY] = e
    out.notices[out.used[1], NOTICE_WHAT] = what
    out.notices[out.used[1], NOTICE_TIME] = time
    out.notices[out.used[1], NOTICE_TRIGGER] = trigger
    out.notices[out.used[1], NOTICE_CLOCK] = g.clock[SECOND]
    out.used[1] += 1


@njit(cache=True)
def _hear(g, e, t, trigger, out):
    """Note that entity e spoke, and learn how long it usually pauses: its longest recent pause, slowly forgotten."""
    pause = g.clock[SECOND] - g.entity[e, HEARD]
    if g.entity[e, SILENT]:
        g.entity[e, SILENT] = 0
        _notice(g, e, SPOKE, t, trigger, out)
    if pause > 0 and g.entity[e, HEARD] > 0:
        beat = g.entity[e, BEAT]
        # One long pause is not a rhythm: once there is one, each teaches at most twice what was known.
        if g.entity[e, N_BEATS] >= N_LEARN:
            pause = min(pause, 2 * max(beat, g.entity[e, RHYTHM]))
        g.entity[e, BEAT] = max(pause, beat - beat // 16)
        g.entity[e, N_BEATS] += 1
    g.entity[e, HEARD], g.entity[e, HEARD_FLOW], g.entity[e, UNCALLED] = g.clock[SECOND], g.clock[FLOW], 0


@njit(cache=True)
def _patience(g, e, rhythms, least_ms):
    """For how long entity e may say nothing."""
    return max(rhythms * max(g.entity[e, RHYTHM], g.entity[e, BEAT]), least_ms)


@njit(cache=True)
def _expected(g, e):
    """Whether entity e would be missed: it has a rhythm, still spoke, and is not of a kind that comes and goes."""
    earned = g.entity[e, RHYTHM] > 0 and g.entity[e, N_CLOSED] >= 2 * N_LEARN and g.entity[e, N_BEATS] >= N_LEARN
    return earned and g.entity[e, SILENT] == 0 and g.entity[e, EPHEMERAL] == 0


@njit(cache=True)
def count_missing(g, n_entities, now, rhythms, least_ms):
    """Count the entities that would be missed, and those that a clock at ``now`` has outrun."""
    expected, missing = 0, 0
    for e in range(n_entities):
        if _expected(g, e):
            expected += 1
            last = max(g.entity[e, HEARD], g.entity[e, WATERMARK])
            if now - last >= _patience(g, e, rhythms, least_ms):
                missing += 1
    return expected, missing


@njit(cache=True)
def _find_silent(g, n_entities, limits, trigger, out):
    """Find the entities whose own rhythm the partition clock has outrun since their last record.

    When most are missing at once, it may be that a few were quicker to send what an outage held back: then the
    others must also have gone on without them for as long in record time, pauses of the whole input not counted.
    """
    rhythms, least_ms, alone = limits
    now = g.clock[SECOND]
    expected, missing = count_missing(g, n_entities, now, rhythms, least_ms)
    if missing == 0:
        return
    doubtful = 2 * missing > expected and not alone
    for e in range(n_entities):
        patience = _patience(g, e, rhythms, least_ms)
        if not _expected(g, e) or now - max(g.entity[e, HEARD], g.entity[e, WATERMARK]) < patience:
            continue
        if doubtful and g.clock[FLOW] - g.entity[e, HEARD_FLOW] < patience:
            continue
        g.entity[e, SILENT] = 1
        close_due(g, e, now, trigger, out)
        what = MOVED if g.entity[e, UNCALLED] else FELL_SILENT
        _notice(g, e, what, g.entity[e, WATERMARK], trigger, out)


@njit(cache=True)
def tick(g, n_entities, now, limits, trigger, out):
    """Advance the partition clock to ``now`` without a record; write the silences that this shows."""
    g.clock[SECOND] = max(g.clock[SECOND], now)
    _find_silent(g, n_entities, (limits[0], limits[1], True), trigger, out)


@njit(cache=True)
def push(g, n_entities, samples, limits, out):
    """Take samples in order; write closed cells and silences.

    Parameters
    ----------
    g : GridState
    n_entities : int
    samples : tuple of arrays
        (series_id, time_ns, start_ns, value, kind, record_time_ms), each of shape (n_samples,).
    limits : tuple of int
        (furthest future in ms, rhythms of silence, least silence in ms, spacing of looks for silence in ms,
        number of the first sample).
    out : GridRows
        Room for all rows and notices that so many samples can lead to: see ``Grid``.
    """
    ids, times, starts, values, kinds, record_times = samples
    future_ms, rhythms, least_ms, look_ms, first = limits
    for i in range(ids.size):
        s, t, trigger = ids[i], times[i] // 1_000_000, first + i
        if s < 0 or t > record_times[i] + future_ms or t <= 0:
            out.counts[REFUSED] += 1
            continue
        if kinds[i] & STALE or not np.isfinite(values[i]):
            out.counts[NON_FINITE] += 1
            continue
        e = g.whole[s, ENTITY]
        g.kinds[s] = kinds[i]
        g.clock[FLOW] += min(max(record_times[i] - g.clock[RECORD_TIME], 0), PAUSE_MS)
        g.clock[RECORD_TIME] = max(g.clock[RECORD_TIME], record_times[i])
        _tick_clock(g, e, t)
        if t > g.entity[e, WATERMARK]:
            g.entity[e, WATERMARK] = t
            if t >= g.entity[e, DUE]:
                close_due(g, e, t, trigger, out)
        _hear(g, e, t, trigger, out)
        start = starts[i] // 1_000_000
        if g.whole[s, STEP] == 0:
            fate = _wait(g, s, t, start, values[i], trigger, out)
        else:
            fate = _place(g, s, t, start, values[i], trigger, out)
        out.counts[fate] += 1
        if g.clock[SECOND] - g.clock[CHECKED] >= look_ms:
            g.clock[CHECKED] = g.clock[SECOND] - g.clock[SECOND] % look_ms
            _find_silent(g, n_entities, (rhythms, least_ms, False), trigger, out)
