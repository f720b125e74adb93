"""How fast a bounded metric fills up, and when it will be full: a drift with an honest interval, O(1) a sample.

Values are averaged over blocks of a quarter of an hour. The level is taken for a random walk with drift: the drift is
the exponentially weighted mean of the differences between blocks, winsorised so that one copied file is no trend, and
the average slope of the next T blocks is as uncertain as the drift is known (variance / n) plus as the walk itself
wanders (variance / T). When differences keep being larger or smaller than the drift (the sequential test of Page,
"Continuous inspection schemes", Biometrika 1954), it is learned anew from the last few. A level that rises by day and
falls by night, or a disk that is cleaned every night, has been as full before; so a forecast begins only above all
highs of the last week, and looks ahead at most four times as far as the growth was watched.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels.layout import INNER

BLOCK_MS = 900_000
DAY_MS = 86_400_000
N_DAYS = 7
# columns of the state of a series
BEGAN, BLOCK, SUM, N_IN, LEVEL, LEVEL_BLOCK, DRIFT, VARIANCE, N_DIFFERENCES, STREAK = range(10)
DAY, DAY_HIGH, DAY_LOW, LOW, FAST, FAST_VARIANCE, RISE, FALL = range(10, 18)
HIGHS = 18
N_STATE = HIGHS + N_DAYS
# columns of what a finished block gives; hours are from the end of the block, infinite where it is not filling
ROW, USED, FULL_HOURS, EARLIEST_HOURS, LATEST_HOURS, RIPE, N_OUT = range(7)

HALF_LIFE_BLOCKS, FAST_HALF_LIFE_BLOCKS = 12.0, 2.0
CLIP = 4.0
# Page's test: drifts of less than SLACK deviations are borne, an excess of LIMIT means another drift; what is known
# of the new one then is worth so many differences
SLACK, LIMIT, KNOWN_ANEW = 0.75, 6.0, 3.0
# a fall of so many deviations, and of so much of the limit, is a cleaning: what was learned of the drift is void
CLEANING_DEVIATIONS, CLEANING_SHARE = 6.0, 0.02
# 90 % of the normal distribution
SIGMAS = 1.645
# a high counts as new above the old ones by this share of the range seen
MARGIN = 0.1
# what is left counts as nothing below this share of the limit
FULL = 0.005
LEAST_DIFFERENCES, LEAST_STREAK, LOOK_AHEAD, WIDEST = 5.0, 3.0, 4.0, 4.0


@njit(**INNER, inline="always")
def forecast(level, limit, drift, variance, n):
    """When a level reaches its limit, in blocks: (middling, earliest, latest) of a 90 % interval.

    Infinite where it does not rise, or where the interval does not exclude that it never gets there.
    """
    room = limit - level
    if room <= FULL * limit:
        return 0.0, 0.0, 0.0
    if drift <= 0.0:
        return np.inf, np.inf, np.inf
    middling = room / drift
    known = min(n + 1.0, 2.0 * HALF_LIFE_BLOCKS / np.log(2.0))
    wobble = SIGMAS * np.sqrt(variance * (1.0 / known + 1.0 / max(middling, 1.0)))
    latest = room / (drift - wobble) if drift > wobble else np.inf
    return middling, room / (drift + wobble), latest


@njit(**INNER, inline="always")
def _finish(row, limit):
    """Take the mean of a finished block into level, drift and the day's extremes."""
    mean = row[SUM] / row[N_IN]
    day = np.floor(row[BLOCK] * BLOCK_MS / DAY_MS)
    if day != row[DAY]:
        if row[DAY] >= 0.0:
            row[HIGHS + int(row[DAY]) % N_DAYS] = row[DAY_HIGH]
            row[LOW] = min(row[LOW], row[DAY_LOW])
        row[DAY], row[DAY_HIGH], row[DAY_LOW] = day, mean, mean
    row[DAY_HIGH], row[DAY_LOW] = max(row[DAY_HIGH], mean), min(row[DAY_LOW], mean)
    if row[LEVEL_BLOCK] >= 0.0:
        difference = (mean - row[LEVEL]) / max(row[BLOCK] - row[LEVEL_BLOCK], 1.0)
        _learn(row, difference, limit)
    row[LEVEL], row[LEVEL_BLOCK] = mean, row[BLOCK]


@njit(**INNER, inline="always")
def _learn(row, difference, limit):
    """Move the drift by one difference between blocks."""
    fast = max(1.0 - 0.5 ** (1.0 / FAST_HALF_LIFE_BLOCKS), 1.0 / (row[N_DIFFERENCES] + 1.0))
    surprise = difference - row[FAST]
    row[FAST] += fast * surprise
    row[FAST_VARIANCE] = (1.0 - fast) * (row[FAST_VARIANCE] + fast * surprise * surprise)
    deviation = max(np.sqrt(row[VARIANCE]), 1e-9 * limit)
    if row[N_DIFFERENCES] >= LEAST_DIFFERENCES:
        surprise = (difference - row[DRIFT]) / deviation
        if surprise < -CLEANING_DEVIATIONS and difference < -CLEANING_SHARE * limit:
            row[DRIFT] = row[FAST] = row[N_DIFFERENCES] = row[STREAK] = row[RISE] = row[FALL] = 0.0
            return
        surprise = min(max(surprise, -CLIP), CLIP)
        row[RISE] = max(0.0, row[RISE] + surprise - SLACK)
        row[FALL] = max(0.0, row[FALL] - surprise - SLACK)
        difference = row[DRIFT] + surprise * deviation
        if max(row[RISE], row[FALL]) > LIMIT:
            row[DRIFT], row[VARIANCE], row[N_DIFFERENCES] = row[FAST], row[FAST_VARIANCE], KNOWN_ANEW
            row[RISE] = row[FALL] = 0.0
            return
    weight = max(1.0 - 0.5 ** (1.0 / HALF_LIFE_BLOCKS), 1.0 / (row[N_DIFFERENCES] + 1.0))
    surprise = difference - row[DRIFT]
    row[DRIFT] += weight * surprise
    if row[N_DIFFERENCES] > 0.0:
        row[VARIANCE] = (1.0 - weight) * (row[VARIANCE] + weight * surprise * surprise)
    row[N_DIFFERENCES] += 1.0


@njit(**INNER, inline="always")
def _new_high(row):
    """Whether the level is above all that the days before have seen, by more than a margin."""
    high, low = -np.inf, min(row[LOW], row[DAY_LOW])
    for j in range(N_DAYS):
        high = max(high, row[HIGHS + j])
    return np.isfinite(high) and row[LEVEL] > high + MARGIN * (high - min(low, high))


@njit(cache=True)
def begin(state):
    """Make rows of the state fresh."""
    state[:, :] = 0.0
    state[:, BLOCK] = state[:, LEVEL_BLOCK] = state[:, DAY] = -1.0
    state[:, LOW] = np.inf
    state[:, HIGHS : HIGHS + N_DAYS] = -np.inf


@njit(cache=True)
def observe(rows, limits, state, out):
    """Take cells of bounded series; write a row for each block that they finish.

    Parameters
    ----------
    rows : tuple of arrays
        (series int64[n], time_ms int64[n], value float64[n]): what is used of each series, of its limit.
    limits : float64[n_series]
    state : float64[n_series, N_STATE]
    out : float64[n, N_OUT]
        Filled here, as many rows as are returned.

    Returns
    -------
    int
        Blocks finished.
    """
    series, times, values = rows
    n_out = 0
    for i in range(series.size):
        row, limit = state[series[i]], limits[series[i]]
        block = float(times[i] // BLOCK_MS)
        if row[BLOCK] < 0.0:
            row[BLOCK], row[BEGAN] = block, block
        if block > row[BLOCK]:
            _finish(row, limit)
            middling, earliest, latest = forecast(row[LEVEL], limit, row[DRIFT], row[VARIANCE], row[N_DIFFERENCES])
            sound = np.isfinite(latest) and latest <= WIDEST * middling and row[N_DIFFERENCES] >= LEAST_DIFFERENCES
            known = (row[BLOCK] - row[BEGAN]) * BLOCK_MS >= DAY_MS
            row[STREAK] = row[STREAK] + 1.0 if sound and known and _new_high(row) else 0.0
            hours = BLOCK_MS / 3.6e6
            out[n_out, ROW], out[n_out, USED] = i, row[LEVEL]
            out[n_out, FULL_HOURS], out[n_out, EARLIEST_HOURS] = middling * hours, earliest * hours
            out[n_out, LATEST_HOURS] = latest * hours if sound else np.inf
            watched = row[STREAK] >= max(LEAST_STREAK, middling / LOOK_AHEAD)
            out[n_out, RIPE] = 1.0 if watched else 0.0
            n_out += 1
            row[BLOCK], row[SUM], row[N_IN] = block, 0.0, 0.0
        row[SUM] += values[i]
        row[N_IN] += 1.0
    return n_out
