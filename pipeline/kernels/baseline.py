"""Recursive baselines of one series at a time: what was expected of this sample, and by how many scales it missed.

Every estimate is exponentially weighted (EW), costs O(1) a row, and is updated only after the row was judged with
what was known before it. Residuals are signed; scales are 1.4826 times the EW mean of absolute residuals, at least
a share of the range that the series has shown, so that a constant that flickers once is not an infinite surprise.

The scales of what passes (innovations) have a memory of weeks, those of levels of half a day. A change that stays is
learned by the levels within that; the borders between which the series has always been learn it only in a week, so
that an outage of days is not normal by its first evening.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

ORDER = 4
N_SLOTS = 96
RING = 64
MAD = 1.4826
# least scale, as a share of the range shown so far
FLOOR_SHARE = 0.005
# half-lives in rows; the borders follow a level beyond them with BORDER, and creep back BORDER_RETURN times as fast
INNOVATION_SCALE, NEAR_LEVEL, NEAR_MEMORY, SLOW_LEVEL, RHYTHM = 20_000.0, 5.0, 1_440.0, 720.0, 4_320.0
MIDDLE, BORDER, RANGE = 10.0, 10_080.0, 20_000.0
BORDER_RETURN, BORDER_WARM_UP = 0.001, 10.0
# half-lives in days of the day's profile, and of the scale of misses in each of its slots
PROFILE_DAYS, SLOT_SCALE_DAYS = 2.0, 3.0
# rows before which a series' scales say nothing: its features are 0
WARM_UP_ROWS = 20
# what leaves for each row
INNOVATION, SHORT, LEVEL, DAY_LEVEL, SEASONAL, BEYOND, SPREAD, FLAT, REACH, N_FEATURES = range(10)
# columns of the float state; LAGS and COV start blocks of ORDER and ORDER + 1 columns
(N_ROWS, LO, HI, FAST, FAST_SCALE, SLOW, SLOW_SCALE, DAY, DAY_SCALE, MISS_SCALE, AWAY_SCALE, SHORT_SPREAD) = range(12)
(STILL, LONGEST_STILL, BASE, LAST_VALUE, EXPECTED, BAND, RING_AT, MID, LOWER, UPPER, NEAR, NEAR_SCALE) = range(12, 24)
LAGS = 24
COV = LAGS + ORDER
N_STATE = COV + ORDER + 1
PROFILE, SLOT_SCALE, SLOT_ROWS = range(3)


class BaselineState(NamedTuple):
    """Arrays of one partition: (n_series, N_STATE), (n_series, N_SLOTS, 3), (n_series, RING)."""

    state: npt.NDArray[np.float64]
    season: npt.NDArray[np.float32]
    ring: npt.NDArray[np.float64]


@njit(cache=True)
def _weight(n, half_life):
    """Weight of the newest row: a plain mean until it knows more than half_life says."""
    return max(1.0 - 0.5 ** (1.0 / half_life), 1.0 / (n + 2.0))


@njit(cache=True)
def predict(lags, cov):
    """One-step forecast from EW autocovariances by Levinson-Durbin recursion (Brockwell & Davis, 1991, 5.2).

    Parameters
    ----------
    lags : float64[ORDER]
        Latest deviation first.
    cov : float64[ORDER + 1]
        Autocovariances at lags 0 to ORDER.
    """
    error = cov[0] * 1.01
    if error <= 0.0:
        return 0.0
    phi = np.zeros(ORDER)
    old = np.zeros(ORDER)
    for m in range(ORDER):
        acc = cov[m + 1]
        for j in range(m):
            acc -= old[j] * cov[m - j]
        reflection = min(0.999, max(-0.999, acc / error))
        phi[m] = reflection
        for j in range(m):
            phi[j] = old[j] - reflection * old[m - 1 - j]
        error *= 1.0 - reflection * reflection
        for j in range(m + 1):
            old[j] = phi[j]
    forecast = 0.0
    for j in range(ORDER):
        forecast += phi[j] * lags[j]
    return forecast


@njit(cache=True)
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


@njit(cache=True)
def _usual(row, season, slot):
    """What the day's profile says at a fractional slot, straight between slot centres; the slow level where it is mute.

    Profiles are 32 bit, so they hold distances from the series' first value: at 1e8 the values themselves are 8 apart.
    A slow series meets every fourth slot or so: where a neighbour is unknown, the slot speaks alone.
    """
    at = slot - 0.5
    left = int(np.floor(at))
    share = at - left
    a, b = season[left % N_SLOTS], season[(left + 1) % N_SLOTS]
    if a[SLOT_ROWS] > 0.0 and b[SLOT_ROWS] > 0.0:
        return row[BASE] + (1.0 - share) * a[PROFILE] + share * b[PROFILE]
    own = season[int(slot)]
    return row[BASE] + own[PROFILE] if own[SLOT_ROWS] > 0.0 else row[SLOW]


@njit(cache=True)
def _beyond(row, floor):
    """Signed distance of the middle level from the borders, in widths of the band between them; 0 within."""
    band = max(row[UPPER] - row[LOWER], 2.0 * floor)
    return (max(row[MID] - row[UPPER], 0.0) - max(row[LOWER] - row[MID], 0.0)) / band


@njit(cache=True)
def _judge(row, slot_season, usual, x, gap, rows_a_day, out):
    """Write the features of one row from what was known before it; returns the residuals that update it."""
    floor = max(FLOOR_SHARE * (row[HI] - row[LO]), 1e-14 * max(abs(row[HI]), abs(row[LO])))
    floor = max(floor, 1e-12)
    patience = 1.0 / np.sqrt(1.0 + gap)
    fast, slow, day, away = x - row[FAST], x - row[SLOW], x - row[DAY], x - usual
    out[INNOVATION] = fast * patience / max(MAD * row[FAST_SCALE], floor)
    out[REACH] = fast * patience * FLOOR_SHARE / floor
    near = x - row[NEAR]
    out[SHORT] = near * patience / max(MAD * row[NEAR_SCALE], floor)
    out[LEVEL] = slow / max(MAD * row[SLOW_SCALE], floor)
    out[DAY_LEVEL] = day / max(MAD * row[DAY_SCALE], floor)
    miss = away - predict(row[LAGS : LAGS + ORDER], row[COV : COV + ORDER + 1])
    scale = row[MISS_SCALE]
    if slot_season[SLOT_ROWS] > 0.0:
        scale = 0.5 * (scale + slot_season[SLOT_SCALE])
    row[BAND], row[EXPECTED] = max(MAD * scale, floor), x - miss
    out[SEASONAL] = miss * patience / row[BAND]
    row[MID] += _weight(row[N_ROWS], MIDDLE) * (x - row[MID])
    # before the first day is over, every hour is beyond what was
    out[BEYOND] = _beyond(row, floor) * min(1.0, row[N_ROWS] / rows_a_day)
    out[SPREAD] = np.log((row[SHORT_SPREAD] + floor) / (row[FAST_SCALE] + floor))
    still = row[STILL] + 1.0 if x == row[LAST_VALUE] else 0.0
    out[FLAT] = still / (row[LONGEST_STILL] + 10.0)
    return fast, near, slow, day, away, miss


@njit(cache=True)
def _learn_borders(row, adapt):
    """Asymmetric least squares (Newey & Powell, 1987): quick outwards, slow inwards, so both stay near extremes."""
    pull = adapt * max(1.0 - 0.5 ** (1.0 / BORDER), min(0.5, BORDER_WARM_UP / (row[N_ROWS] + 1.0)))
    above, below = row[MID] - row[UPPER], row[MID] - row[LOWER]
    row[UPPER] += pull * above * (1.0 if above > 0.0 else BORDER_RETURN)
    row[LOWER] += pull * below * (1.0 if below < 0.0 else BORDER_RETURN)


@njit(cache=True)
def _learn_slot(slot_season, x, miss, rows_a_day, adapt):
    """Move the profile of one slot of the day, and the scale of the misses in it."""
    slot_rows = max(1.0, rows_a_day / N_SLOTS)
    least = 1.0 / (slot_season[SLOT_ROWS] + 1.0)
    profile = adapt * max(1.0 - 0.5 ** (1.0 / (PROFILE_DAYS * slot_rows)), least)
    scale = adapt * max(1.0 - 0.5 ** (1.0 / (SLOT_SCALE_DAYS * slot_rows)), least)
    slot_season[PROFILE] += profile * (x - slot_season[PROFILE])
    slot_season[SLOT_SCALE] += scale * (abs(miss) - slot_season[SLOT_SCALE])
    slot_season[SLOT_ROWS] = min(slot_season[SLOT_ROWS] + 1.0, 1e6)


@njit(cache=True)
def _learn(row, slot_season, x, residuals, rows_a_day, adapt):
    """Update every estimate of one series with a judged row; ``adapt`` < 1 slows it while an incident is open."""
    fast, near, slow, day, away, miss = residuals
    n = row[N_ROWS]
    forget = (row[HI] - row[LO]) * (1.0 - 0.5 ** (1.0 / RANGE))
    row[LO], row[HI] = min(x, row[LO] + forget), max(x, row[HI] - forget)
    long, rate = adapt * _weight(n, RHYTHM), adapt * _weight(n, SLOW_LEVEL)
    row[SHORT_SPREAD] += _weight(n, 10.0) * (abs(fast) - row[SHORT_SPREAD])
    row[FAST_SCALE] += adapt * _weight(n, INNOVATION_SCALE) * (abs(fast) - row[FAST_SCALE])
    row[NEAR_SCALE] += adapt * _weight(n, NEAR_MEMORY) * (abs(near) - row[NEAR_SCALE])
    row[SLOW_SCALE] += rate * (abs(slow) - row[SLOW_SCALE])
    row[DAY_SCALE] += adapt * _weight(n, rows_a_day / 2.0) * (abs(day) - row[DAY_SCALE])
    row[MISS_SCALE] += long * (abs(miss) - row[MISS_SCALE])
    row[AWAY_SCALE] += long * (abs(away) - row[AWAY_SCALE])
    _remember(row, away, long)
    row[FAST] += _weight(n, 1.0) * fast
    row[NEAR] += _weight(n, NEAR_LEVEL) * near
    row[SLOW] += rate * slow
    row[DAY] += adapt * _weight(n, rows_a_day) * day
    _learn_borders(row, adapt)
    _learn_slot(slot_season, x - row[BASE], miss, rows_a_day, adapt)
    row[STILL] = row[STILL] + 1.0 if x == row[LAST_VALUE] else 0.0
    row[LONGEST_STILL] = max(row[STILL], row[LONGEST_STILL] * 0.5 ** (1.0 / RANGE))
    row[LAST_VALUE] = x
    row[N_ROWS] = n + 1.0


@njit(cache=True)
def _begin(row, x):
    """Start a series at its first value, with scales that say nothing yet."""
    row[LO] = row[HI] = row[FAST] = row[SLOW] = row[DAY] = row[LAST_VALUE] = row[EXPECTED] = row[BASE] = x
    row[MID] = row[LOWER] = row[UPPER] = row[NEAR] = x


@njit(cache=True)
def observe(series, values, gaps, slots, rows_a_day, adapt, b, out):
    """Judge rows against their baselines, then learn from them.

    Parameters
    ----------
    series : int64[n]
        Rows of the state; each at most once.
    values : float64[n]
    gaps : int64[n]
        Missing cells since the series' last one.
    slots : float64[n]
        Position in the day, in [0, N_SLOTS).
    rows_a_day : float64[n]
    adapt : float64[n]
        Factor on every long memory: 1, or less while an incident asks to wait.
    b : BaselineState
    out : float64[n, N_FEATURES]
        Filled here.
    """
    for i in range(series.size):
        row, x = b.state[series[i]], values[i]
        if row[N_ROWS] == 0.0:
            _begin(row, x)
        slot_season = b.season[series[i], int(slots[i])]
        usual = _usual(row, b.season[series[i]], slots[i])
        residuals = _judge(row, slot_season, usual, x, gaps[i], rows_a_day[i], out[i])
        if row[N_ROWS] < WARM_UP_ROWS:
            out[i] = 0.0
        _learn(row, slot_season, x, residuals, rows_a_day[i], adapt[i])
        b.ring[series[i], int(row[RING_AT])] = x
        row[RING_AT] = (row[RING_AT] + 1.0) % RING
