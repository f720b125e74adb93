"""How unlikely an energy is in an entity's own past, and which energy is so unlikely: one recursive tail.

Above a running quantile (Robbins & Monro, 1951) peaks follow a generalised Pareto law fitted by moments (Hosking &
Wallis, 1987). A built-in tail counts like so many peaks, until an entity has earned its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from pipeline.kernels.layout import INNER

# columns of one tail's state
QUANTILE, SPREAD, PEAK_MEAN, PEAK_SQUARE, N_PEAKS, N_TAIL = range(6)
MOST_PEAK = 20.0


class Pace(NamedTuple):
    """How a tail is learned: share of steps above the quantile, least rates, and the built-in tail.

    ``prior_peaks`` is how many peaks the built-in tail counts for, the others are its quantile and the first two
    moments of its peaks, in units of energy.
    """

    share: float
    least_step: float
    least_peak: float
    prior_peaks: float
    prior_quantile: float
    prior_mean: float
    prior_square: float
    most_shape: float


@njit(**INNER)
def _shape(tail, pace):
    """Quantile, scale and shape in force: what was seen, joined with what is built in."""
    seen = tail[N_PEAKS] / (tail[N_PEAKS] + pace.prior_peaks)
    quantile = seen * tail[QUANTILE] + (1.0 - seen) * max(pace.prior_quantile, tail[QUANTILE])
    mean = seen * tail[PEAK_MEAN] + (1.0 - seen) * pace.prior_mean
    square = seen * tail[PEAK_SQUARE] + (1.0 - seen) * pace.prior_square
    variance = max(square - mean * mean, 1e-12)
    shape = min(pace.most_shape, max(0.0, 0.5 * (1.0 - mean * mean / variance)))
    return max(quantile, 1e-9), max(mean * (1.0 - shape), 1e-3), shape


@njit(cache=True)
def decades(tail, energy, pace):
    """-log10 of the probability of an energy at least this high; grows with energy, updates nothing."""
    quantile, scale, shape = _shape(tail, pace)
    least = -np.log10(pace.share)
    if energy <= quantile:
        return least * max(energy, 0.0) / quantile
    over = (energy - quantile) / scale
    exponent = over if shape < 1e-6 else np.log1p(shape * over) / shape
    return least + exponent / np.log(10.0)


@njit(cache=True)
def level(tail, wanted, pace):
    """The energy whose ``decades`` are ``wanted``."""
    quantile, scale, shape = _shape(tail, pace)
    least = -np.log10(pace.share)
    if wanted <= least:
        return quantile * wanted / least
    exponent = (wanted - least) * np.log(10.0)
    return quantile + scale * (exponent if shape < 1e-6 else np.expm1(shape * exponent) / shape)


@njit(cache=True)
def learn(tail, energy, n, adapt, pace):
    """Move the quantile and the moments of the peaks over it by the ``n``-th energy (from 0)."""
    tail[SPREAD] += max(1.0 / (n + 2.0), 1e-3) * (abs(energy - tail[QUANTILE]) - tail[SPREAD])
    step = 5.0 * adapt * max(2.0 / (n + 2.0), pace.least_step) * max(tail[SPREAD], 0.01)
    if energy <= tail[QUANTILE]:
        tail[QUANTILE] -= step * pace.share
        return
    peak = min(energy - tail[QUANTILE], MOST_PEAK)
    weight = adapt * max(1.0 / (tail[N_PEAKS] + 2.0), pace.least_peak)
    tail[PEAK_MEAN] += weight * (peak - tail[PEAK_MEAN])
    tail[PEAK_SQUARE] += weight * (peak * peak - tail[PEAK_SQUARE])
    tail[N_PEAKS] += 1.0
    tail[QUANTILE] += step * (1.0 - pace.share)
