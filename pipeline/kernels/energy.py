"""From the features of an entity's series to one smoothed energy, its tail probability and its shares.

The energy of an entity is a sum of logarithms of mean excesses, so that many small misses and one large one both
count, and metrics that come or go change it little. Its tail follows peaks over a running quantile with an
exponential-like (generalised Pareto) tail fitted by moments (Hosking & Wallis, 1987); everything is recursive.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels.baseline import AUTOREGRESSIVE, DAY_LEVEL, FLAT, INNOVATION, LEVEL, SEASONAL

N_EXCESS = 7
MODEL_EXCESS = 6
EXCESS_CAP = 50.0
# columns of the entity state
SMOOTH, QUANTILE, SPREAD, PEAK_MEAN, PEAK_SQUARE, N_STEPS, N_PEAKS, N_ENERGY_STATE = range(8)
# before it, baselines know too little for their misses to mean anything
WARM_UP_STEPS = 30
# share of steps above the running quantile, and how much the built-in tail weighs against what was seen
TAIL_SHARE = 0.02
PRIOR_PEAKS = 30.0
# the finished energy is energy + SMOOTH_WEIGHT x its EW mean with a half-life of seven steps
SMOOTHING, SMOOTH_WEIGHT = 1.0 - 0.5 ** (1.0 / 7.0), 3.0
PRIOR_QUANTILE, PRIOR_MEAN, PRIOR_SQUARE = 1.0, 0.5, 0.5


@njit(cache=True)
def excess(features, out):
    """Excesses of rows over the dead zone of each view.

    Parameters
    ----------
    features : float64[n, N_FEATURES]
    out : float64[n, N_EXCESS]
        Filled here: innovation over 4, level over 4, day level over 3, autoregressive over 3, seasonal over 6,
        stillness over 3 of its longest; the last column, a model's own, is left alone.
    """
    for i in range(features.shape[0]):
        f = features[i]
        out[i, 0] = min(max(abs(f[INNOVATION]) - 4.0, 0.0), EXCESS_CAP)
        out[i, 1] = min(max(abs(f[LEVEL]) - 4.0, 0.0), EXCESS_CAP)
        out[i, 2] = min(max(abs(f[DAY_LEVEL]) - 3.0, 0.0), EXCESS_CAP)
        out[i, 3] = min(max(abs(f[AUTOREGRESSIVE]) - 3.0, 0.0), EXCESS_CAP)
        out[i, 4] = min(max(abs(f[SEASONAL]) - 6.0, 0.0), EXCESS_CAP)
        out[i, 5] = min(max(f[FLAT] - 3.0, 0.0), EXCESS_CAP)


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
    shape = min(0.15, max(0.0, 0.5 * (1.0 - mean * mean / variance)))
    scale = max(mean * (1.0 - shape), 1e-3)
    over = (energy - quantile) / scale
    decades = over if shape < 1e-6 else np.log1p(shape * over) / shape
    return -np.log10(TAIL_SHARE) + decades / np.log(10.0)


@njit(cache=True)
def learn_tail(row, energy, adapt):
    """Move the running quantile (Robbins & Monro, 1951) and the moments of the peaks over it."""
    n = row[N_STEPS] - WARM_UP_STEPS
    row[N_STEPS] += 1.0
    if n < 0:
        return
    row[SPREAD] += max(1.0 / (n + 2.0), 1e-3) * (abs(energy - row[QUANTILE]) - row[SPREAD])
    step = max(2.0 / (n + 2.0), 0.003) * max(row[SPREAD], 0.01) * adapt
    if energy > row[QUANTILE]:
        peak = min(energy - row[QUANTILE], 20.0)
        weight = adapt * max(1.0 / (row[N_PEAKS] + 2.0), 1.0 / 500.0)
        row[PEAK_MEAN] += weight * (peak - row[PEAK_MEAN])
        row[PEAK_SQUARE] += weight * (peak * peak - row[PEAK_SQUARE])
        row[N_PEAKS] += 1.0
        row[QUANTILE] += step * (1.0 - TAIL_SHARE) * 5.0
    else:
        row[QUANTILE] -= step * TAIL_SHARE * 5.0


@njit(cache=True)
def combine(groups, grid, excesses, latest, weights, state, out):
    """Join the series of each entity of a wave into a smoothed energy and its tail probability.

    Parameters
    ----------
    groups : tuple of arrays
        (series int64[n], time_ms int64[n], bounds int64[m + 1], adapt float64[m]).
    grid : tuple of arrays
        (entity of series, next series, step of series, first series of entity).
    excesses : float64[n, N_EXCESS]
    latest : float64[n_series, N_EXCESS + 1]
        Last excesses of each series, and in the last column when.
    weights : float64[N_EXCESS]
    state : float64[n_entities, N_ENERGY_STATE]
    out : float64[m]
        -log10 of the tail probability of each group, filled here.
    """
    series, times, bounds, adapt = groups
    entity_of, next_series, steps, first_series = grid
    total = np.empty(N_EXCESS)
    for i in range(bounds.size - 1):
        now = times[bounds[i]]
        for row in range(bounds[i], bounds[i + 1]):
            latest[series[row], :N_EXCESS] = excesses[row]
            latest[series[row], N_EXCESS] = times[row]
            now = max(now, times[row])
        total[:] = 0.0
        n = 0
        e = entity_of[series[bounds[i]]]
        s = first_series[e]
        while s >= 0:
            if latest[s, N_EXCESS] > 0 and now - latest[s, N_EXCESS] <= 1.5 * steps[s]:
                for j in range(N_EXCESS):
                    total[j] += latest[s, j]
                n += 1
            s = next_series[s]
        energy = 0.0
        for j in range(N_EXCESS):
            energy += weights[j] * np.log1p(total[j] / max(n, 1))
        row = state[e]
        row[SMOOTH] += max(SMOOTHING, 1.0 / (row[N_STEPS] + 2.0)) * (energy - row[SMOOTH])
        energy += SMOOTH_WEIGHT * row[SMOOTH]
        out[i] = tail(row, energy)
        learn_tail(row, energy, adapt[i])
