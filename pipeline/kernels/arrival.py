"""Samples as they arrive, in the order of their records: refused, heard, and put into the cells of event time."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels.clock import DUE, ENTITY, NON_FINITE, REFUSED, STALE, STEP, WATERMARK, close_due, place, wait
from pipeline.kernels.silence import CHECKED, FLOW, PAUSE_MS, RECORD_TIME, SECOND, find_silent, hear, tick_clock


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
        tick_clock(g, e, t)
        if t > g.entity[e, WATERMARK]:
            g.entity[e, WATERMARK] = t
            if t >= g.entity[e, DUE]:
                close_due(g, e, t, trigger, out)
        hear(g, e, t, trigger, out)
        start = starts[i] // 1_000_000
        if g.whole[s, STEP] == 0:
            fate = wait(g, s, t, start, values[i], trigger, out)
        else:
            fate = place(g, s, t, start, values[i], trigger, out)
        out.counts[fate] += 1
        if g.clock[SECOND] - g.clock[CHECKED] >= look_ms:
            g.clock[CHECKED] = g.clock[SECOND] - g.clock[SECOND] % look_ms
            find_silent(g, n_entities, (rhythms, least_ms, False), trigger, out)
