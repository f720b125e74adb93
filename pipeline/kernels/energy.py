"""From the features of an entity's series to one smoothed energy, its tail probability and its shares.

The energy of an entity is a sum of logarithms of mean excesses, so that many small misses and one large one both
count, and metrics that come or go change it little. Its tail follows peaks over a running quantile with an
exponential-like (generalised Pareto) tail fitted by moments (Hosking & Wallis, 1987); everything is recursive.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels.baseline import AUTOREGRESSIVE, DAY_LEVEL, INNOVATION, LEVEL, SEASONAL

N_EXCESS = 5
EXCESS_CAP = 50.0
# columns of the entity state
SMOOTH, QUANTILE, SPREAD, PEAK_MEAN, PEAK_SQUARE, N_STEPS, N_PEAKS, N_ENERGY_STATE = range(8)
# share of steps above the running quantile, and how much the built-in tail weighs against what was seen
TAIL_SHARE = 0.02
PRIOR_PEAKS = 30.0
PRIOR_QUANTILE, PRIOR_MEAN, PRIOR_SQUARE = 2.0, 1.0, 2.0


@njit(cache=True)
def excess(features, out):
    """Excesses of rows over the dead zone of each view.

    Parameters
    ----------
    features : float64[n, N_FEATURES]
    out : float64[n, N_EXCESS]
        Filled here: innovation over 4, level over 4, day level over 3, autoregressive over 3, seasonal over 6.
    """
    for i in range(features.shape[0]):
        f = features[i]
        out[i, 0] = min(max(abs(f[INNOVATION]) - 4.0, 0.0), EXCESS_CAP)
        out[i, 1] = min(max(abs(f[LEVEL]) - 4.0, 0.0), EXCESS_CAP)
        out[i, 2] = min(max(abs(f[DAY_LEVEL]) - 3.0, 0.0), EXCESS_CAP)
        out[i, 3] = min(max(abs(f[AUTOREGRESSIVE]) - 3.0, 0.0), EXCESS_CAP)
        out[i, 4] = min(max(abs(f[SEASONAL]) - 6.0, 0.0), EXCESS_CAP)


@njit(cache=True)
def tail(row, energy):
    """-log10 of the probability of an energy at least this high, given the entity's past; updates nothing."""
    weight = row[N_PEAKS] / (row[N_PEAKS] + PRIOR_PEAKS)
    quantile = weight * row[QUANTILE] + (1.0 - weight) * max(PRIOR_QUANTILE, row[QUANTILE])
    if energy <= quantile:
        return -np.log10(TAIL_SHARE) * max(energy, 0.0) / max(quantile, 1e-9)
    mean = weight * row[PEAK_MEAN] + (1.0 - weight) * PRIOR_MEAN
    square = weight * row[PEAK_SQUARE] + (1.0 - weight) * PRIOR_SQUARE
    variance = max(square - mean * mean, 1e-12)
    shape = min(0.3, max(0.0, 0.5 * (1.0 - mean * mean / variance)))
    scale = max(mean * (1.0 - shape), 1e-3)
    over = (energy - quantile) / scale
    decades = over if shape < 1e-6 else np.log1p(shape * over) / shape
    return -np.log10(TAIL_SHARE) + decades / np.log(10.0)


@njit(cache=True)
def learn_tail(row, energy, adapt):
    """Move the running quantile (Robbins & Monro, 1951) and the moments of the peaks over it."""
    n = row[N_STEPS]
    row[N_STEPS] = n + 1.0
    row[SPREAD] += max(1.0 / (n + 2.0), 1e-3) * (abs(energy - row[QUANTILE]) - row[SPREAD])
    step = max(2.0 / (n + 2.0), 0.002) * max(row[SPREAD], 0.01) * adapt
    if energy > row[QUANTILE]:
        peak = min(energy - row[QUANTILE], 20.0)
        weight = adapt * max(1.0 / (row[N_PEAKS] + 2.0), 1.0 / 500.0)
        row[PEAK_MEAN] += weight * (peak - row[PEAK_MEAN])
        row[PEAK_SQUARE] += weight * (peak * peak - row[PEAK_SQUARE])
        row[N_PEAKS] += 1.0
        row[QUANTILE] += step * (1.0 - TAIL_SHARE) * 5.0
    else:
        row[QUANTILE] -= step * TAIL_SHARE * 5.0
