"""Back in time: what is logged and settled of an entity, so that a late sample can be taken as if it had not been late.

Of each entity there are two settled copies, and a log of the samples since the older one::

          older copy            newer copy                    watermark
    ──────────●─────────────────────●──────────────────────────────●────► event time
              │◄── at least horizon x rhythm ──► │◄── horizon x rhythm at least between copies
              └───────────── log ──────────────────────────────────┘

Once the newer copy is old enough, the older one is overwritten with the state of now.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels.clock import began, insert, shift
from pipeline.kernels.layout import (
    CALLED_BY,
    CELL,
    CLOSED,
    CLOSED_AT,
    DEFERRED,
    DUPLICATE,
    ENTITY,
    FATES,
    FIRST_SERIES,
    FULL,
    INNER,
    LAST,
    LATE,
    LEAN,
    LOGGED,
    N_LEARN,
    N_VALUE_COLUMNS,
    NEWER,
    NEWER_EDGE,
    NEXT,
    NO_CELL,
    NOTED,
    NOWHERE,
    OLDER,
    OLDER_EDGE,
    ORIGIN,
    REPLACED,
    RHYTHM,
    ROW_SETTLED,
    SINCE_NEWER,
    STEP,
    TAKEN_BACK,
    TREATMENT,
    WATERMARK,
)


@njit(**INNER, forceinline=True)
def write_down(g, s, t, start, x, fate):
    """Log a sample that went into its cell; of a gauge's samples in one cell only the last is needed."""
    n, first = g.whole[s, LOGGED], g.whole[s, SINCE_NEWER]
    if n > first and g.kinds[s] & TREATMENT == 0:
        before = g.log[s, n - 1] // FATES
        origin, step = g.whole[s, ORIGIN], g.whole[s, STEP]
        if t >= before and (t - origin) // step == (before - origin) // step:
            g.log[s, n - 1] += (t - before) * FATES
            g.log_value[s, n - 1] = x
            return
    if n == g.log.shape[1]:
        forget(g, g.whole[s, ENTITY])
        n = first = 0
    i = n
    while i > first and g.log[s, i - 1] // FATES > t:
        i -= 1
    insert(g, s, i, t, start, x, fate)


@njit(**INNER)
def forget(g, e):
    """Give up both settled copies of an entity and its log: nothing reaches back beyond here."""
    g.edges[e, OLDER_EDGE] = g.edges[e, NEWER_EDGE] = NOWHERE
    s = g.entity[e, FIRST_SERIES]
    while s >= 0:
        if g.whole[s, STEP] != 0:
            g.whole[s, LOGGED] = g.whole[s, SINCE_NEWER] = 0
        s = g.whole[s, NEXT]


@njit(**INNER)
def settle(g, e, t, out):
    """Copy the state of entity e as it is before its first sample at t, and forget what lies before the other copy."""
    edges = g.edges[e]
    edges[OLDER], edges[OLDER_EDGE] = edges[NEWER], edges[NEWER_EDGE]
    copy = 1 - edges[NEWER]
    edges[NEWER], edges[NEWER_EDGE] = copy, t
    for column in range(FIRST_SERIES):
        g.settled_entity[e, copy, column] = g.entity[e, column]
    s = g.entity[e, FIRST_SERIES]
    while s >= 0:
        if g.whole[s, STEP] != 0:
            first, n = g.whole[s, SINCE_NEWER], g.whole[s, LOGGED]
            if first > 0:
                for i in range(first, n):
                    shift(g, s, i, i - first)
            g.whole[s, LOGGED] = g.whole[s, SINCE_NEWER] = n - first
        for column in range(ENTITY):
            g.settled_whole[s, copy, column] = g.whole[s, column]
        for column in range(N_VALUE_COLUMNS):
            g.settled_part[s, copy, column] = g.part[s, column]
        s = g.whole[s, NEXT]
    out.rows[out.used[0] - 1, ROW_SETTLED] = copy + 1


@njit(**INNER)
def is_ripe(g, e, t, horizon):
    """Whether the newer copy of entity e is old enough at t to be the older one."""
    newer = g.edges[e, NEWER_EDGE]
    return newer == NOWHERE or t - newer >= horizon * g.entity[e, RHYTHM]


@njit(**INNER)
def reaches(g, e, t, horizon):
    """Whether a sample at t can still be taken as if it had not been late."""
    rhythm = g.entity[e, RHYTHM]
    return t >= g.edges[e, OLDER_EDGE] and (rhythm == 0 or t >= g.entity[e, WATERMARK] - horizon * rhythm)


@njit(**INNER)
def is_late(g, s, t):
    """Whether a sample before its entity's watermark would have changed more than the cell that it falls into."""
    e = g.whole[s, ENTITY]
    if g.whole[s, STEP] == 0:
        return g.whole[s, LOGGED] + 1 >= N_LEARN
    cell = (t - g.whole[s, ORIGIN]) // g.whole[s, STEP]
    end = g.whole[s, ORIGIN] + (cell + 1) * g.whole[s, STEP]
    if t < g.entity[e, CLOSED_AT] or end <= g.entity[e, WATERMARK]:
        return True
    if g.whole[s, CLOSED] != NO_CELL and cell <= g.whole[s, CLOSED]:
        return True
    if g.whole[s, CELL] != NO_CELL and cell < g.whole[s, CELL]:
        return True
    return g.kinds[s] & TREATMENT != 0 and t < g.whole[s, LAST]


@njit(**INNER)
def call_back(g, s, t, start, x, record, out):
    """Log a late sample, and call for its entity to be replayed with it after this record; returns its fate."""
    e, n = g.whole[s, ENTITY], g.whole[s, LOGGED]
    fate, i = TAKEN_BACK, n
    for j in range(n):
        if g.log[s, j] // FATES == t:
            if g.kinds[s] & TREATMENT != 0 or g.log_value[s, j] == x:
                return DUPLICATE
            g.log_value[s, j] = x
            fate = REPLACED
    if fate == TAKEN_BACK:
        if n == g.log.shape[1]:
            if g.edges[e, CALLED_BY] == 0:
                return LATE
            g.edges[e, CALLED_BY] = FULL
            return DEFERRED
        while i > 0 and g.log[s, i - 1] // FATES > t:
            i -= 1
        insert(g, s, i, t, start, x, NOTED)
    if g.edges[e, CALLED_BY] == 0:
        g.edges[e, CALLED_BY] = record + 1
        out.called[out.used[2], 0], out.called[out.used[2], 1] = e, record
        out.used[2] += 1
    return fate


@njit(**LEAN)
def count_logged(g, entities):
    """How many samples the logs of some entities hold."""
    n = 0
    for e in entities:
        s = g.entity[e, FIRST_SERIES]
        while s >= 0:
            n += g.whole[s, LOGGED]
            s = g.whole[s, NEXT]
    return n


@njit(cache=True)
def members(first_series, next_series, entities, room):
    """All series of some entities, and for each the position of its entity in ``entities``: int64[2, n]."""
    out = np.empty((2, room), np.int64)
    n = 0
    for k in range(entities.size):
        s = first_series[entities[k]]
        while s >= 0:
            out[0, n], out[1, n] = s, k
            n += 1
            s = next_series[s]
    return out[:, :n]


@njit(**LEAN)
def forget_all(g, n_entities):
    """Give up all settled copies and logs."""
    for e in range(n_entities):
        forget(g, e)


@njit(**LEAN)
def rewind(g, entities, samples, values, counts):
    """Take entities back to their older copies, and their logs out.

    Parameters
    ----------
    g : GridState
    entities : int64[m]
    samples : int64[n, 4]
        Filled with series, time, start and position in ``entities`` of each logged sample.
    values : float64[n]
        Filled with their values.
    counts : int64[N_FATES]
        What became of the samples when they were taken is uncounted here.
    """
    n = 0
    for k in range(entities.size):
        e = entities[k]
        edges = g.edges[e]
        copy = edges[OLDER]
        s = g.entity[e, FIRST_SERIES]
        while s >= 0:
            for i in range(g.whole[s, LOGGED]):
                fate = g.log[s, i] % FATES
                if fate != NOTED:
                    counts[fate] -= 1
                t = g.log[s, i] // FATES
                samples[n, 0], samples[n, 1], samples[n, 2] = s, t, began(t, g.log_ago[s, i])
                samples[n, 3], values[n] = k, g.log_value[s, i]
                n += 1
            for column in range(ENTITY):
                g.whole[s, column] = g.settled_whole[s, copy, column]
            g.whole[s, LOGGED] = g.whole[s, SINCE_NEWER] = 0
            for column in range(N_VALUE_COLUMNS):
                g.part[s, column] = g.settled_part[s, copy, column]
            s = g.whole[s, NEXT]
        for column in range(FIRST_SERIES):
            g.entity[e, column] = g.settled_entity[e, copy, column]
        edges[NEWER], edges[NEWER_EDGE], edges[CALLED_BY] = copy, edges[OLDER_EDGE], 0
