"""Recursive baselines of one series at a time: what was expected of this sample, and by how many scales it missed.

Every estimate is exponentially weighted (EW), costs O(1) a row, and is updated only after the row was judged with
what was known before it. Residuals are signed; scales are 1.4826 times the EW mean of absolute residuals, at least
a share of the range that the series has shown and of the quantum in which it counts, so that a constant that flickers
once is not an infinite surprise.

The scales of what passes (innovations) have a memory of weeks, those of levels of half a day. A change that stays is
learned by the levels within that; the borders between which the series has always been learn it only in a week, so
that an outage of days is not normal by its first evening.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pipeline.kernels import season as s
from pipeline.kernels.ahead import AHEAD, SOON, ask_for_places, ask_for_state
from pipeline.kernels.layout import INNER, LEAN
from pipeline.kernels.notes import note
from pipeline.kernels.rhythm import ORDER, predict
from pipeline.kernels.seen import distance, stays, visit

RING = 60
MAD = 1.4826
# least scale, as a share of the range shown so far and of the quantum
FLOOR_SHARE, QUANTUM_SHARE = 0.005, 0.5
# of a series that mostly stands still, a forecast is off by no less than this share of the range before it is news
CALM_SHARE = 0.03
# no change below so small a share of the range is a quantum
LEAST_QUANTUM = 1e-6
# half-lives in rows; the borders follow a level beyond them with BORDER, and creep back BORDER_RETURN times as fast
INNOVATION_SCALE, NEAR_LEVEL, NEAR_MEMORY, SLOW_LEVEL, RHYTHM = 20_000.0, 5.0, 1_440.0, 720.0, 4_320.0
MIDDLE, BORDER, RANGE, SHIFT_LEVEL, OFFSET_MEMORY = 10.0, 10_080.0, 20_000.0, 15.0, 720.0
BORDER_RETURN, BORDER_WARM_UP = 0.001, 10.0
# so large a share of the misses at this hour an offset usually is at least, as where a burst of every night begins
OFFSET_SHARE = 0.5
# a run of equal values is unusual beyond so many times the longest before, and never before so many rows; what is
# usual, so many changes tell
STILL_TIMES, LEAST_STILL, MANY_CHANGES = 2.0, 10.0, 200.0
# days until a value that was never there counts in full
NEW_DAYS = 14.0
# rows before which a series' scales say nothing: its features are 0
WARM_UP_ROWS = 20
# what leaves for each row
INNOVATION, SHORT, LEVEL, DAY_LEVEL, SEASONAL, BEYOND, FLAT, REACH, SHIFT, NOVEL, N_FEATURES = range(11)
# columns of a series' state: those before N_EXACT are kept in 64 bit, the others, which are scales, in 32; COV, LAGS
# and SEASON start blocks of ORDER + 1, ORDER and season.N_SEASON_STATE columns
(N_ROWS, N_CHANGES, LO, HI, FAST, SLOW, DAY, MID, LOWER, UPPER, NEAR, LAST_VALUE, COV) = range(13)
(SEEN_NOW, SEEN_BEFORE) = range(COV + ORDER + 1, COV + ORDER + 3)
# what stays as it began, and what is only said of the last row: late data takes back the columns before these
BASE = N_SETTLED = SEEN_BEFORE + 1
EXPECTED, N_EXACT = BASE + 1, BASE + 2
(FAST_SCALE, NEAR_SCALE, SLOW_SCALE, DAY_SCALE, MISS_SCALE, AWAY_SCALE, SEEN_FROM) = range(N_EXACT, N_EXACT + 7)
(MID_AWAY, OFFSET, OFFSET_SCALE, QUANTUM, STILL, LONGEST_STILL, BAND) = range(N_EXACT + 7, N_EXACT + 14)
LAGS = N_EXACT + 14
SEASON = LAGS + ORDER
SEEN_WIDTH = SEASON + s.N_SEASON_STATE
N_STATE = SEEN_WIDTH + 1
N_ROW = N_STATE + ORDER  # of a row that is worked on
# the largest scale that 32 bit hold
MOST_SCALE = 3e38


class BaselineState(NamedTuple):
    """Arrays of one partition: what is known of each series, and notes of what its last rows changed in its seasons.

    ``levels`` (n_series, N_EXACT) and ``scales`` (n_series, N_STATE - N_EXACT) are one row of state when worked on. A
    slot of the ``day`` (n_series, N_SLOTS, 2) and an hour of the ``week`` (n_series, N_HOURS) are what
    :mod:`pipeline.kernels.season` makes of them, ``seen`` (n_series, N_SLOTS) counts rows of slots. ``ring`` (n_series,
    RING) holds the last values as distances from the series' first, each row at its number modulo RING. Notes are those
    of :mod:`pipeline.kernels.notes`.
    """

    levels: npt.NDArray[np.float64]
    scales: npt.NDArray[np.float32]
    day: npt.NDArray[np.float32]
    seen: npt.NDArray[np.uint16]
    week: npt.NDArray[np.int16]
    ring: npt.NDArray[np.float32]
    note_at: npt.NDArray[np.uint8]
    note_day: npt.NDArray[np.float32]
    note_week: npt.NDArray[np.int16]


@njit(**INNER)
def _weight(n, half_life, gap):
    """Weight of the newest row after ``gap`` missing ones: a plain mean until it knows more than half_life says."""
    if gap == 0:  # as it mostly is; then this is a power of constants, which the compiler works out
        return max(1.0 - 0.5 ** (1.0 / half_life), 1.0 / (n + 2.0))
    return max(1.0 - 0.5 ** ((1.0 + gap) / half_life), 1.0 / (n + 2.0))


@njit(**INNER)
def _remember(row, deviation, weight):
    """Shift a deviation into lags and autocovariances, winsorised so that one spike does not teach a rhythm."""
    limit = 6.0 * MAD * row[AWAY_SCALE]
    clipped = min(limit, max(-limit, deviation)) if limit > 0.0 else deviation
    row[COV] += weight * (clipped * clipped - row[COV])
    for j in range(ORDER):
        row[COV + 1 + j] += weight * (clipped * row[LAGS + j] - row[COV + 1 + j])
    for j in range(ORDER - 1, 0, -1):
        row[LAGS + j] = row[LAGS + j - 1]
    row[LAGS] = clipped


@njit(**INNER)
def _usual(row, day, seen, week, when, rows_a_day):
    """What hour of the day and of the week say of a row; the slow level where they are mute, and all the first day."""
    slot, hour = when
    if row[N_ROWS] < rows_a_day:
        return row[SLOW]
    return s.of_day(row[BASE], day, seen, slot, row[SLOW]) + s.of_week(row[SEASON:], week, hour)


@njit(**INNER)
def _restless(row):
    """From 0, for a series that changes every other row at most or was hardly seen, to 1 for one that always does."""
    changing = 2.0 * row[N_CHANGES] / (row[N_ROWS] + 1.0) - 1.0
    return max(0.0, changing) * min(1.0, row[N_CHANGES] / MANY_CHANGES)


@njit(**INNER)
def _floor(row):
    """Below it no scale means anything: a share of the range, half a quantum, and what 64 bits can tell apart."""
    floor = max(FLOOR_SHARE * (row[HI] - row[LO]), QUANTUM_SHARE * row[QUANTUM] * _restless(row))
    return max(floor, 1e-14 * max(abs(row[HI]), abs(row[LO])), 1e-12)


@njit(**INNER)
def _at_this_hour(deviation, away):
    """A deviation from a level, as far as the hour does not explain it."""
    return min(max(deviation, -abs(away)), abs(away))


@njit(**INNER)
def _beyond(row, floor):
    """Signed distance of the middle level from the borders, in widths of the band between them; 0 within."""
    band = max(row[UPPER] - row[LOWER], 2.0 * floor)
    beyond = max(row[MID] - row[UPPER], 0.0) - max(row[LOWER] - row[MID], 0.0)
    return _at_this_hour(beyond, row[MID_AWAY]) / band


@njit(**INNER)
def _seen(row):
    """The map of the values that the series has had, by their distances from the first."""
    return row[SEEN_FROM], row[SEEN_WIDTH], row[SEEN_NOW], row[SEEN_BEFORE]


@njit(**INNER)
def _news(row, x, floor, calm, rows_a_day):
    """Signed distance of a value from all that the series has had, in usual steps, little in the first days; noted."""
    seen, away, n = _seen(row), x - row[BASE], int(row[N_ROWS])
    if stays(seen, away, n):
        return 0.0
    step = max(MAD * row[FAST_SCALE], floor)
    if n >= WARM_UP_ROWS and row[FAST_SCALE] > 0.0:
        row[SEEN_FROM], row[SEEN_WIDTH], row[SEEN_NOW], row[SEEN_BEFORE] = visit(seen, away, step, n)
    return distance(seen, away) / max(step, calm) * min(1.0, n / (NEW_DAYS * rows_a_day))


@njit(**INNER)
def _judge(row, slot_scale, usual, x, gap, rows_a_day, out):
    """Write the features of one row from what was known before it; returns the residuals that update it.

    ``slot_scale`` is the scale of the misses in its slot of the day, NaN where it is not known.
    """
    floor = _floor(row)
    patience = 1.0 / np.sqrt(1.0 + gap)
    fast, near, slow, over_day, away = x - row[FAST], x - row[NEAR], x - row[SLOW], x - row[DAY], x - usual
    out[INNOVATION] = fast * patience / max(MAD * row[FAST_SCALE], floor)
    out[REACH] = fast * patience * FLOOR_SHARE / floor
    out[SHORT] = near * patience / max(MAD * row[NEAR_SCALE], floor)
    out[LEVEL] = _at_this_hour(slow, away) / max(MAD * row[SLOW_SCALE], floor)
    out[DAY_LEVEL] = _at_this_hour(over_day, away) / max(MAD * row[DAY_SCALE], floor)
    miss = away - predict(row[LAGS : LAGS + ORDER], row[COV : COV + ORDER + 1], row[N_STATE:])
    scale, offset_scale = row[MISS_SCALE], row[OFFSET_SCALE]
    if not np.isnan(slot_scale):
        scale = 0.5 * (scale + slot_scale)
        offset_scale = max(offset_scale, OFFSET_SHARE * slot_scale)
    row[BAND], row[EXPECTED] = max(MAD * scale, floor), x - miss
    calm = CALM_SHARE * (1.0 - _restless(row)) * (row[HI] - row[LO])
    out[SEASONAL] = miss * patience / max(row[BAND], calm)
    out[NOVEL] = _news(row, x, floor, calm, rows_a_day)
    row[MID] += _weight(row[N_ROWS], MIDDLE, gap) * (x - row[MID])
    row[MID_AWAY] += _weight(row[N_ROWS], MIDDLE, gap) * (away - row[MID_AWAY])
    row[OFFSET] += _weight(max(row[N_ROWS] - rows_a_day, 0.0), SHIFT_LEVEL, gap) * (away - row[OFFSET])
    # before the first day is over, every hour is beyond what was
    known = min(1.0, row[N_ROWS] / rows_a_day)
    out[BEYOND] = _beyond(row, floor) * known
    out[SHIFT] = row[OFFSET] / max(MAD * offset_scale, floor) * known
    still = row[STILL] + 1.0 if x == row[LAST_VALUE] else 0.0
    out[FLAT] = still / (STILL_TIMES * row[LONGEST_STILL] + LEAST_STILL) * _restless(row)
    return fast, near, slow, over_day, away, miss


@njit(**INNER)
def _learn_borders(row, adapt):
    """Asymmetric least squares (Newey & Powell, 1987): quick outwards, slow inwards, so both stay near extremes."""
    pull = adapt * max(1.0 - 0.5 ** (1.0 / BORDER), min(0.5, BORDER_WARM_UP / (row[N_ROWS] + 1.0)))
    above, below = row[MID] - row[UPPER], row[MID] - row[LOWER]
    row[UPPER] += pull * above * (1.0 if above > 0.0 else BORDER_RETURN)
    row[LOWER] += pull * below * (1.0 if below < 0.0 else BORDER_RETURN)


@njit(**INNER)
def _learn_changes(row, x):
    """Count the run of equal values, or end it; the least change that a series makes is its quantum."""
    change = abs(x - row[LAST_VALUE])
    row[LONGEST_STILL] *= 0.5 ** (1.0 / RANGE)
    if change == 0.0 and row[N_ROWS] > 0.0:
        row[STILL] += 1.0
        return
    row[LONGEST_STILL], row[STILL] = max(row[STILL], row[LONGEST_STILL]), 0.0
    row[LAST_VALUE] = x
    if change > LEAST_QUANTUM * (row[HI] - row[LO]):
        row[QUANTUM] = change if row[QUANTUM] == 0.0 else min(change, row[QUANTUM])
        row[N_CHANGES] += 1.0


@njit(**INNER)
def _learn(row, x, residuals, gap, rows_a_day, adapt):
    """Update every level and scale of one series with a judged row; ``adapt`` < 1 slows them during an incident."""
    fast, near, slow, over_day, away, miss = residuals
    n = row[N_ROWS]
    forget = (row[HI] - row[LO]) * (1.0 - 0.5 ** (1.0 / RANGE))
    row[LO], row[HI] = min(x, row[LO] + forget), max(x, row[HI] - forget)
    long, rate = adapt * _weight(n, RHYTHM, 0), adapt * _weight(n, SLOW_LEVEL, 0)
    row[FAST_SCALE] += adapt * _weight(n, INNOVATION_SCALE, 0) * (abs(fast) - row[FAST_SCALE])
    row[NEAR_SCALE] += adapt * _weight(n, NEAR_MEMORY, 0) * (abs(near) - row[NEAR_SCALE])
    row[SLOW_SCALE] += rate * (abs(slow) - row[SLOW_SCALE])
    row[DAY_SCALE] += adapt * _weight(n, rows_a_day / 2.0, 0) * (abs(over_day) - row[DAY_SCALE])
    row[MISS_SCALE] += long * (abs(miss) - row[MISS_SCALE])
    row[AWAY_SCALE] += long * (abs(away) - row[AWAY_SCALE])
    of_season = adapt * _weight(max(n - rows_a_day, 0.0), OFFSET_MEMORY, 0)  # offsets of the first day are from none
    row[OFFSET_SCALE] += of_season * (abs(row[OFFSET]) - row[OFFSET_SCALE])
    if gap >= ORDER:
        for j in range(LAGS, LAGS + ORDER):
            row[j] = 0.0
    _remember(row, away, long)
    row[FAST] += _weight(n, 1.0, gap) * fast
    row[NEAR] += _weight(n, NEAR_LEVEL, gap) * near
    row[SLOW] += rate * slow
    row[DAY] += adapt * _weight(n, rows_a_day, 0) * over_day
    _learn_borders(row, adapt)
    _learn_changes(row, x)
    row[N_ROWS] = n + 1.0


@njit(**INNER, forceinline=True)
def _learn_season(b, i, row, when, observed, rows_a_day, adapt):
    """Let the hour of the day and of the week learn a judged row; ``observed`` is (value, usual value, miss)."""
    day, seen = b.day[i], b.seen[i]
    x, usual, miss = observed
    slot, hour = when
    at = int(slot)
    away = x - s.of_day(row[BASE], day, seen, slot, usual)
    if row[N_ROWS] >= rows_a_day:
        s.learn_week(row[SEASON:], b.week[i], hour, away, rows_a_day, adapt)
    seen[at] = s.learn_day(day[at], int(seen[at]), x - row[BASE], miss, rows_a_day, adapt)


@njit(**INNER)
def _begin(row, x):
    """Start a series at its first value, with scales that say nothing yet."""
    row[LO] = row[HI] = row[FAST] = row[SLOW] = row[DAY] = row[LAST_VALUE] = row[EXPECTED] = row[BASE] = x
    row[MID] = row[LOWER] = row[UPPER] = row[NEAR] = x


@njit(**LEAN, forceinline=True)
def take_up(b, i, row):
    """Lay the state of series ``i`` into the head of a row of 64 bit, float64[N_STATE or more]."""
    for j in range(N_EXACT):
        row[j] = b.levels[i, j]
    for j in range(N_EXACT, N_STATE):
        row[j] = b.scales[i, j - N_EXACT]


@njit(**INNER, forceinline=True)
def lay_down(b, i, row):
    """Keep a row that was worked on as the state of series ``i``."""
    for j in range(N_EXACT):
        b.levels[i, j] = row[j]
    for j in range(N_EXACT, N_STATE):
        b.scales[i, j - N_EXACT] = min(max(row[j], -MOST_SCALE), MOST_SCALE)


@njit(**INNER, forceinline=True)
def judge_and_learn(b, i, row, cell, when, rows_a_day, adapt, out):
    """Judge one row of series ``i`` by what was known before it, then learn from it; parameters as in ``observe``.

    ``row``, float64[N_ROW], is the state of the series, taken up, and scratch; ``cell`` is (value, cells missed).
    """
    x, gap = cell
    slot = int(when[0])
    if row[N_ROWS] == 0.0:
        _begin(row, x)
    usual = _usual(row, b.day[i], b.seen[i], b.week[i], when, rows_a_day)
    step = s.step_into(row[SEASON:], b.week[i], when[1])
    row[FAST], row[NEAR] = s.taken_along(row[FAST], x, step), s.taken_along(row[NEAR], x, step)
    slot_scale = b.day[i, slot, s.SLOT_SCALE] if b.seen[i, slot] > 0 else np.nan
    residuals = _judge(row, slot_scale, usual, x, gap, rows_a_day, out)
    if row[N_ROWS] < WARM_UP_ROWS:
        for j in range(N_FEATURES):
            out[j] = 0.0
    note(b, i, int(row[N_ROWS]), slot, int(row[SEASON + s.HOUR]))
    _learn_season(b, i, row, when, (x, usual, residuals[5]), rows_a_day, adapt)
    b.ring[i, int(row[N_ROWS]) % RING] = x - row[BASE]
    _learn(row, x, residuals, gap, rows_a_day, adapt)


@njit(**LEAN)
def observe(cells, slots, hours, rows_a_day, adapt, b, row, out):
    """Judge rows against their baselines, then learn from them.

    Parameters
    ----------
    cells : tuple of arrays
        (series int64[n], each at most once; values float64[n]; gaps int64[n], missing cells since the series' last).
    slots : float64[n]
        Position in the local day, in [0, N_SLOTS).
    hours : int64[n]
        Hour of the local week, in [0, N_HOURS).
    rows_a_day : float64[n]
    adapt : float64[n]
        Factor on every long memory: 1, or less while an incident asks to wait.
    b : BaselineState
    row : float64[N_ROW]
        Overwritten.
    out : float64[n, N_FEATURES]
        Filled here.
    """
    series, values, gaps = cells
    for n in range(series.size):
        if n + AHEAD < series.size:
            ask_for_state(b, series[n + AHEAD], slots[n + AHEAD], hours[n + AHEAD])
        if n + SOON < series.size:
            ask_for_places(b, series[n + SOON], b.levels[series[n + SOON], N_ROWS])
        i, when = series[n], (slots[n], hours[n])
        take_up(b, i, row)
        judge_and_learn(b, i, row, (values[n], gaps[n]), when, rows_a_day[n], adapt[n], out[n])
        lay_down(b, i, row)
