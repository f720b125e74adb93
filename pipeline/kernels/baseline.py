"""Recursive baselines of one series at a time: what was expected of this sample, and by how many scales it missed.

Every estimate is exponentially weighted (EW), costs O(1) a row, and is updated only after the row was judged with
what was known before it. Residuals are signed; scales are 1.4826 times the EW mean of absolute residuals, at least
a share of the range that the series has shown, so that a constant that flickers once is not an infinite surprise.
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
# rows before which a series' scales say nothing: its features are 0
WARM_UP_ROWS = 20
# what leaves for each row
INNOVATION, LEVEL, DAY_LEVEL, AUTOREGRESSIVE, SEASONAL, SPREAD, FLAT, N_FEATURES = range(8)
# columns of the float state; *_LAGS and *_COV start blocks of ORDER and ORDER + 1 columns
(N_ROWS, LO, HI, FAST, FAST_SCALE, SLOW, SLOW_SCALE, DAY, DAY_SCALE, AR_SCALE, SEASON_SCALE, SHORT_SPREAD) = range(12)
(STILL, LONGEST_STILL, BASE, LAST_VALUE, EXPECTED, BAND, RING_AT) = range(12, 19)
AR_LAGS = 19
AR_COV = AR_LAGS + ORDER
SEASON_LAGS = AR_COV + ORDER + 1
SEASON_COV = SEASON_LAGS + ORDER
N_STATE = SEASON_COV + ORDER + 1
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
def _remember(row, lags_at, cov_at, deviation, scale, weight):
    """Shift a deviation into its lags and autocovariances, winsorised so that one spike does not teach a rhythm."""
    limit = 6.0 * scale
    clipped = min(limit, max(-limit, deviation)) if scale > 0.0 else deviation
    row[cov_at] += weight * (clipped * clipped - row[cov_at])
    for j in range(ORDER):
        row[cov_at + 1 + j] += weight * (clipped * row[lags_at + j] - row[cov_at + 1 + j])
    for j in range(ORDER - 1, 0, -1):
        row[lags_at + j] = row[lags_at + j - 1]
    row[lags_at] = clipped


@njit(cache=True)
def _profile(season, slot, base):
    """The day's profile at a fractional slot, straight between slot centres; NaN where a neighbour is unknown.

    Profiles are 32 bit, so they hold distances from the series' first value: at 1e8 the values themselves are 8 apart.
    """
    at = slot - 0.5
    left = int(np.floor(at))
    share = at - left
    a, b = season[left % N_SLOTS], season[(left + 1) % N_SLOTS]
    if a[SLOT_ROWS] == 0.0 or b[SLOT_ROWS] == 0.0:
        return np.nan
    return base + (1.0 - share) * a[PROFILE] + share * b[PROFILE]


@njit(cache=True)
def _judge(row, slot_season, profile, x, gap, out):
    """Write the features of one row from what was known before it; returns the residuals that update it."""
    floor = max(0.03 * (row[HI] - row[LO]), 1e-14 * max(abs(row[HI]), abs(row[LO])))
    floor = max(floor, 1e-12)
    patience = 1.0 / np.sqrt(1.0 + gap)
    fast, slow, day = x - row[FAST], x - row[SLOW], x - row[DAY]
    out[INNOVATION] = fast * patience / max(MAD * row[FAST_SCALE], floor)
    out[LEVEL] = slow / max(MAD * row[SLOW_SCALE], floor)
    out[DAY_LEVEL] = day / max(MAD * row[DAY_SCALE], floor)
    narrow = max(floor / 3.0, 1e-12)
    plain = slow - predict(row[AR_LAGS : AR_LAGS + ORDER], row[AR_COV : AR_COV + ORDER + 1])
    out[AUTOREGRESSIVE] = plain * patience / max(MAD * row[AR_SCALE], narrow)
    deviation = x - profile
    seasonal = plain
    if not np.isnan(profile):
        seasonal = deviation - predict(row[SEASON_LAGS : SEASON_LAGS + ORDER], row[SEASON_COV : SEASON_COV + ORDER + 1])
        scale = 0.5 * row[SEASON_SCALE] + 0.5 * (
            slot_season[SLOT_SCALE] if slot_season[SLOT_SCALE] > 0 else row[SEASON_SCALE]
        )
        out[SEASONAL] = seasonal * patience / max(MAD * scale, narrow)
        row[BAND] = max(MAD * scale, narrow)
        row[EXPECTED] = x - seasonal
    else:
        out[SEASONAL] = out[AUTOREGRESSIVE]
        row[BAND] = max(MAD * row[AR_SCALE], narrow)
        row[EXPECTED] = x - plain
    out[SPREAD] = np.log((row[SHORT_SPREAD] + floor) / (row[FAST_SCALE] + floor))
    still = row[STILL] + 1.0 if x == row[LAST_VALUE] else 0.0
    out[FLAT] = still / (row[LONGEST_STILL] + 10.0)
    return fast, slow, day, plain, deviation, seasonal


@njit(cache=True)
def _learn(row, slot_season, x, residuals, rows_a_day, adapt):
    """Update every estimate of one series with a judged row; ``adapt`` < 1 slows it while an incident is open."""
    fast, slow, day, plain, deviation, seasonal = residuals
    n = row[N_ROWS]
    forget = (row[HI] - row[LO]) * (1.0 - 0.5 ** (1.0 / 20_000.0))
    row[LO], row[HI] = min(x, row[LO] + forget), max(x, row[HI] - forget)
    long, rate = adapt * _weight(n, 1440.0), adapt * _weight(n, 720.0)
    row[SHORT_SPREAD] += _weight(n, 10.0) * (abs(fast) - row[SHORT_SPREAD])
    row[FAST_SCALE] += long * (abs(fast) - row[FAST_SCALE])
    row[SLOW_SCALE] += rate * (abs(slow) - row[SLOW_SCALE])
    row[DAY_SCALE] += adapt * _weight(n, rows_a_day / 2.0) * (abs(day) - row[DAY_SCALE])
    row[AR_SCALE] += long * (abs(plain) - row[AR_SCALE])
    _remember(row, AR_LAGS, AR_COV, slow, MAD * row[SLOW_SCALE], long)
    if not np.isnan(deviation):
        row[SEASON_SCALE] += long * (abs(seasonal) - row[SEASON_SCALE])
        _remember(row, SEASON_LAGS, SEASON_COV, deviation, MAD * row[DAY_SCALE], long)
    row[FAST] += _weight(n, 1.0) * fast
    row[SLOW] += rate * slow
    row[DAY] += adapt * _weight(n, rows_a_day) * day
    slot_rows = max(1.0, rows_a_day / N_SLOTS)
    weight = adapt * max(1.0 - 0.5 ** (1.0 / (3.0 * slot_rows)), 1.0 / (slot_season[SLOT_ROWS] + 1.0))
    slot_season[PROFILE] += weight * (x - row[BASE] - slot_season[PROFILE])
    slot_season[SLOT_SCALE] += weight * (abs(seasonal) - slot_season[SLOT_SCALE])
    slot_season[SLOT_ROWS] = min(slot_season[SLOT_ROWS] + 1.0, 1e6)
    row[STILL] = row[STILL] + 1.0 if x == row[LAST_VALUE] else 0.0
    row[LONGEST_STILL] = max(row[STILL], row[LONGEST_STILL] * 0.5 ** (1.0 / 20_000.0))
    row[LAST_VALUE] = x
    row[N_ROWS] = n + 1.0


@njit(cache=True)
def _begin(row, x):
    """Start a series at its first value, with scales that say nothing yet."""
    row[LO] = row[HI] = row[FAST] = row[SLOW] = row[DAY] = row[LAST_VALUE] = row[EXPECTED] = row[BASE] = x


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
        residuals = _judge(row, slot_season, _profile(b.season[series[i]], slots[i], row[BASE]), x, gaps[i], out[i])
        if row[N_ROWS] < WARM_UP_ROWS:
            out[i] = 0.0
        _learn(row, slot_season, x, residuals, rows_a_day[i], adapt[i])
        b.ring[series[i], int(row[RING_AT])] = x
        row[RING_AT] = (row[RING_AT] + 1.0) % RING
