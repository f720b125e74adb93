"""Samples as they arrive, in the order of their records: refused, heard, and put into the cells of event time."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels.clock import ago, began, close_due, place, wait
from pipeline.kernels.horizon import call_back, is_late, is_ripe, reaches, settle, write_down
from pipeline.kernels.layout import (
    CALLED_BY,
    DEFERRED,
    DUE,
    ENTITY,
    FIRST,
    INNER,
    LATE,
    LEAN,
    NON_FINITE,
    ON_GRID,
    REFUSED,
    REPLACED,
    REVOKED,
    STALE,
    STEP,
    TAKEN_BACK,
    TREATMENT,
    WATERMARK,
)
from pipeline.kernels.silence import CHECKED, FLOW, NOW, PAUSE_MS, RECORD_TIME, find_silent, hear, tick_clock


@njit(**INNER, forceinline=True)
def _advance(g, s, t, trigger, horizon, out):
    """Let a sample's time move its entity's watermark, which may close cells, and settle the entity now and then."""
    e = g.whole[s, ENTITY]
    if t <= g.entity[e, WATERMARK]:
        return
    g.entity[e, WATERMARK] = t
    if t < g.entity[e, DUE]:
        return
    n_closed = out.used[0]
    close_due(g, e, t, trigger, out)
    # what teaches a series its rhythm closes more in the same wave
    if horizon > 0 and out.used[0] > n_closed and g.whole[s, STEP] != 0 and is_ripe(g, e, t, horizon):
        settle(g, e, t, out)


@njit(**INNER, forceinline=True)
def _fill(g, s, t, start, x, trigger, horizon, out):
    """Put a sample into its cell, and into the log if it changed it."""
    if g.whole[s, STEP] == 0:
        return wait(g, s, t, start, x, trigger, out)
    fate = place(g, s, t, start, x, trigger, out)
    if horizon > 0 and fate in (ON_GRID, REPLACED, FIRST):
        write_down(g, s, t, start, x, fate)
    return fate


@njit(**INNER, forceinline=True)
def _take(g, sample, record, trigger, horizon, out):
    """Take one heard sample; returns what became of it, DEFERRED if its entity is to be replayed first."""
    s, t, start, x = sample
    e = g.whole[s, ENTITY]
    called_by = g.edges[e, CALLED_BY]
    if called_by != 0 and called_by != record + 1:
        return DEFERRED
    behind = t < g.entity[e, WATERMARK]
    late = behind and is_late(g, s, t)
    if called_by != 0 or (late and horizon > 0 and reaches(g, e, t, horizon)):
        fate = call_back(g, s, t, start, x, record, out)
    else:
        _advance(g, s, t, trigger, horizon, out)
        fate = _fill(g, s, t, start, x, trigger, horizon, out)
        if fate == LATE and not behind and horizon > 0 and reaches(g, e, t, horizon):
            late, fate = True, call_back(g, s, t, start, x, record, out)
    if fate == LATE or (late and fate == TAKEN_BACK):
        row = out.used[4]
        out.late[row, 0], out.late[row, 1], out.late[row, 2] = e, t, record
        out.used[4] += 1
    return fate


@njit(**LEAN)
def push(g, n_entities, samples, limits, out):
    """Take samples in order; write closed cells and silences.

    Before a look for silence every entity must be up to date: where one was called back, the look and all that
    follows waits for the next call.

    Parameters
    ----------
    g : GridState
    n_entities : int
    samples : tuple of arrays
        (series_id, time_ns, start_ns, value, kind, record_time_ms, slowest source's clock in ms, record), each of
        shape (n_samples,).
    limits : tuple of int
        (furthest future in ms, rhythms of silence, least silence in ms, spacing of looks for silence in ms,
        horizon in steps, number of the first sample, position of the sample to begin with).
    out : GridRows
        Room for all rows and notices that so many samples can lead to: see ``Grid``.

    Returns
    -------
    int
        Position of the sample to go on with.
    """
    ids, times, starts, values, kinds, record_times, slowest, records = samples
    future_ms, rhythms, least_ms, look_ms, horizon, first, begin = limits
    if ids.size == 0:
        return 0
    for i in range(begin, ids.size):
        if i > 0:
            _look(g, n_entities, (rhythms, least_ms, look_ms), first + i - 1, out)
        s, t = np.int64(ids[i]), times[i] // 1_000_000
        if s < 0 or t > record_times[i] + future_ms or t <= 0:
            out.counts[REFUSED] += 1
        elif kinds[i] & STALE or not (np.isfinite(values[i]) or kinds[i] & REVOKED):
            out.counts[NON_FINITE] += 1
        else:
            g.kinds[s] = kinds[i]
            g.clock[FLOW] += min(max(record_times[i] - g.clock[RECORD_TIME], 0), PAUSE_MS)
            g.clock[RECORD_TIME] = max(g.clock[RECORD_TIME], record_times[i])
            tick_clock(g, g.whole[s, ENTITY], t, slowest[i])
            hear(g, g.whole[s, ENTITY], t, first + i, out)
            start = _start(g, s, t, starts[i])
            fate = _take(g, (s, t, start, values[i]), records[i], first + i, horizon, out)
            _count(fate, i, out)
            if out.used[2] > 0 and g.clock[NOW] - g.clock[CHECKED] >= look_ms:
                return i + 1
    _look(g, n_entities, (rhythms, least_ms, look_ms), first + ids.size - 1, out)
    return ids.size


@njit(**INNER, forceinline=True)
def _start(g, s, t, start_ns):
    """When the interval of a sample began, in ms as the log gives it back; of a gauge nobody asks."""
    return np.int64(0) if g.kinds[s] & TREATMENT == 0 else began(t, ago(t, start_ns // 1_000_000))


@njit(**INNER, forceinline=True)
def _count(fate, i, out):
    if fate == DEFERRED:
        out.deferred[out.used[3]] = i
        out.used[3] += 1
    else:
        out.counts[fate] += 1


@njit(**INNER, forceinline=True)
def _look(g, n_entities, limits, trigger, out):
    """Look who is missed, if the partition clock has moved enough since the last look."""
    look_ms = limits[2]
    if g.clock[NOW] - g.clock[CHECKED] >= look_ms:
        g.clock[CHECKED] = g.clock[NOW] - g.clock[NOW] % look_ms
        find_silent(g, n_entities, limits, trigger, out)


@njit(**LEAN)
def resume(g, samples, deferred, horizon, first, out):
    """Take the samples that were deferred because their entities had to be replayed first; parameters as in push."""
    ids, times, starts, values, _, _, _, records = samples
    for i in deferred:
        s, t = np.int64(ids[i]), times[i] // 1_000_000
        sample = (s, t, _start(g, s, t, starts[i]), values[i])
        _count(_take(g, sample, records[i], first + i, horizon, out), i, out)


@njit(**LEAN)
def replay(g, samples, values, horizon, first, out):
    """Take the samples of rewound entities again, in order of time: rows of (series, time, start) and their values."""
    for i in range(values.size):
        s, t, start = samples[i, 0], samples[i, 1], samples[i, 2]
        _advance(g, s, t, first + i, horizon, out)
        out.counts[_fill(g, s, t, start, values[i], first + i, horizon, out)] += 1
