"""From the features of an entity's series to one smoothed energy, its tail probability and its threshold.

The energy of an entity is a sum of logarithms of mean excesses, so that many small misses and one large one both
count, and metrics that come or go change it little. Two tails judge it. The slow one, which a fault of days hardly
teaches, makes the score, so that scores of different weeks and entities can be ranked. The quick one, which knows
what the last week or two were like, says which energy the alert budget allows; that energy's score is the threshold.

Where the score was over it at the same time of the days before, and soon under it again, the threshold is a little
higher: a backup that runs every night, a little sooner or later, is a habit, but one that is far out of the common is
told again. A score stays what it is, however habitual.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels import tail as t
from pipeline.kernels.baseline import BEYOND, DAY_LEVEL, FLAT, INNOVATION, LEVEL, SEASONAL, SHIFT, SHORT
from pipeline.kernels.layout import INNER
from pipeline.kernels.season import N_SLOTS

N_EXCESS = 10
MODEL_EXCESS = 9
# a band's width beyond the borders weighs like ten scales
BAND_SCALES = 10.0
# and so does a run of equal values as long again as is usual
STILL_SCALES = 10.0
EXCESS_CAP = 50.0
# of a detector of whole windows, beside the views of the series
WINDOW_WEIGHT = 0.5
# columns of the entity state; SLOW and QUICK start a tail's columns
SMOOTH, N_STEPS, SLOW = range(3)
QUICK = SLOW + t.N_TAIL
JUDGED_AT = QUICK + t.N_TAIL
# the slot of the day that is visited and the one before it (from 1, 0: none), the most over the threshold in each,
# and for how many slots in a row there was any
VISIT = JUDGED_AT + 1
VISIT_MOST, LEFT, LEFT_MOST, RUN, N_ENERGY_STATE = range(VISIT + 1, VISIT + 6)
# a habit is learned and lost by so much a day, allows so many times itself, lasts no longer than so many slots, and
# raises the threshold to so many times itself at most
HABIT_UP, HABIT_DOWN, HABIT_ALLOWS, LONGEST_HABIT, HABIT_MOST = 0.6, 0.4, 1.5, 16.0, 1.2
# before it, baselines know too little for their misses to mean anything
WARM_UP_STEPS = 30
SLOW_PACE = t.Pace(0.02, 0.0001, 1.0 / 5_000.0, 1_000.0, 6.0, 5.0, 50.0, 0.15)
QUICK_PACE = t.Pace(0.05, 0.003, 1.0 / 500.0, 100.0, 6.0, 5.0, 50.0, 0.3)
# the finished energy is energy + SMOOTH_WEIGHT x its EW mean with a half-life of seven steps
SMOOTHING, SMOOTH_WEIGHT = 1.0 - 0.5 ** (1.0 / 7.0), 6.0


@njit(cache=True)
def excess(features, out):
    """Excesses of rows over the dead zone of each view.

    Parameters
    ----------
    features : float64[n, N_FEATURES]
    out : float64[n, N_EXCESS]
        Filled here: innovation over 4, short over 3, level over 4, day level over 3, seasonal over 3 and over 6,
        distance beyond the borders, stillness beyond what is usual, shift over 4; a model's, the last column, stays.
    """
    for i in range(features.shape[0]):
        f = features[i]
        out[i, 0] = min(max(abs(f[INNOVATION]) - 4.0, 0.0), EXCESS_CAP)
        out[i, 1] = min(max(abs(f[SHORT]) - 3.0, 0.0), EXCESS_CAP)
        out[i, 2] = min(max(abs(f[LEVEL]) - 4.0, 0.0), EXCESS_CAP)
        out[i, 3] = min(max(abs(f[DAY_LEVEL]) - 3.0, 0.0), EXCESS_CAP)
        out[i, 4] = min(max(abs(f[SEASONAL]) - 3.0, 0.0), EXCESS_CAP)
        out[i, 5] = min(max(abs(f[SEASONAL]) - 6.0, 0.0), EXCESS_CAP)
        out[i, 6] = min(BAND_SCALES * abs(f[BEYOND]), 10.0 * EXCESS_CAP)
        out[i, 7] = min(STILL_SCALES * max(f[FLAT] - 1.0, 0.0), EXCESS_CAP)
        out[i, 8] = min(max(abs(f[SHIFT]) - 4.0, 0.0), EXCESS_CAP)


@njit(**INNER)
def verdict(row, energy, wanted):
    """Decades of an energy, and those from which on it is an anomaly if the budget wants ``wanted`` of them."""
    slow, quick = row[SLOW : SLOW + t.N_TAIL], row[QUICK : QUICK + t.N_TAIL]
    allowed = t.level(quick, wanted, QUICK_PACE)
    return t.decades(slow, energy, SLOW_PACE), t.decades(slow, allowed, SLOW_PACE)


@njit(**INNER)
def learn_tails(row, energy, adapt):
    """Let both tails learn an energy; the first steps, when scales say nothing yet, teach nothing."""
    n = row[N_STEPS] - WARM_UP_STEPS
    row[N_STEPS] += 1.0
    if n >= 0:
        t.learn(row[SLOW : SLOW + t.N_TAIL], energy, n, adapt, SLOW_PACE)
        t.learn(row[QUICK : QUICK + t.N_TAIL], energy, n, adapt, QUICK_PACE)


@njit(cache=True)
def habit(habits, slot):
    """The score that the last days make usual about a slot of the day: the most of the slot and its neighbours."""
    return HABIT_ALLOWS * max(habits[slot - 1], habits[slot], habits[(slot + 1) % N_SLOTS])


@njit(cache=True)
def bent(allowed, usual):
    """The threshold where ``usual`` scores are a habit: a little higher, so that what is far over it is still told."""
    return max(allowed, min(HABIT_MOST * allowed, usual))


@njit(cache=True)
def learn_habit(row, habits, slot, decades, is_over):
    """Note a score over the threshold; a slot is taken in when the next one is over too, or a fault excused itself."""
    if row[VISIT] != slot + 1.0:
        row[RUN] = row[RUN] + 1.0 if row[VISIT_MOST] > 0.0 else 0.0
        if row[LEFT] > 0.0:
            left = int(row[LEFT]) - 1
            more = (row[LEFT_MOST] if row[RUN] <= LONGEST_HABIT else 0.0) - habits[left]
            habits[left] += (HABIT_UP if more > 0.0 else HABIT_DOWN) * more
        row[LEFT], row[LEFT_MOST] = row[VISIT], row[VISIT_MOST]
        row[VISIT], row[VISIT_MOST] = slot + 1.0, 0.0
    if is_over:
        row[VISIT_MOST] = max(row[VISIT_MOST], decades)


@njit(**INNER)
def _mean_excess(e, now, grid, said, out):
    """Mean of what the series of an entity said last, of those that are not overdue."""
    _, next_series, steps, first_series = grid
    latest, said_at = said
    for j in range(N_EXCESS):
        out[j] = 0.0
    n = 0
    s = first_series[e]
    while s >= 0:
        if said_at[s] > 0 and now - said_at[s] <= 1.5 * steps[s]:
            for j in range(N_EXCESS):
                out[j] += latest[s, j]
            n += 1
        s = next_series[s]
    for j in range(N_EXCESS):
        out[j] /= max(n, 1)


@njit(cache=True)
def combine(groups, grid, excesses, said, weights, states, out):
    """Join the series of each entity of a wave into a smoothed energy and its tail probability.

    An entity is judged once at a time, with what all of its series said last: a group that is not newer than the last
    one judged (series of several steps may close that way) or that only waited for a step to be learned joins the next.

    Parameters
    ----------
    groups : tuple of arrays
        (series int64[n], time_ms int64[n], waited bool[n], bounds int64[m + 1], adapt float64[m],
        wanted decades float64[m], excess of each entity's window float64[m], slot of the local day int64[m]).
    grid : tuple of arrays
        (entity of series, next series, step of series, first series of entity).
    excesses : float64[n, N_EXCESS]
    said : tuple of arrays
        (last excesses of each series float32[n_series, N_EXCESS], and when int64[n_series]).
    weights : float64[N_EXCESS]
    states : tuple of arrays
        (float64[n_entities, N_ENERGY_STATE], habits float32[n_entities, N_SLOTS]).
    out : float64[m, 2]
        -log10 of the tail probability of each group, and of its threshold, filled here; NaN where it is not judged.
    """
    series, times, waited, bounds, adapt, wanted, window, slots = groups
    state, habits = states
    mean = np.empty(N_EXCESS)
    for i in range(bounds.size - 1):
        now, fresh = times[bounds[i]], False
        for row in range(bounds[i], bounds[i + 1]):
            s = series[row]
            for j in range(N_EXCESS):
                said[0][s, j] = excesses[row, j]
            said[1][s] = times[row]
            now, fresh = max(now, times[row]), fresh or not waited[row]
        e = grid[0][series[bounds[i]]]
        if not fresh or now <= state[e, JUDGED_AT]:
            out[i, 0] = out[i, 1] = np.nan
            continue
        state[e, JUDGED_AT] = now
        _mean_excess(e, now, grid, said, mean)
        energy = WINDOW_WEIGHT * np.log1p(window[i])
        for j in range(N_EXCESS):
            energy += weights[j] * np.log1p(mean[j])
        row = state[e]
        row[SMOOTH] += max(SMOOTHING, 1.0 / (row[N_STEPS] + 2.0)) * (energy - row[SMOOTH])
        energy += SMOOTH_WEIGHT * row[SMOOTH]
        decades, allowed = verdict(row, energy, wanted[i])
        out[i, 0], out[i, 1] = decades, bent(allowed, habit(habits[e], slots[i]))
        warm = row[N_STEPS] >= WARM_UP_STEPS
        learn_habit(row, habits[e], slots[i], decades, warm and decades >= allowed)
        learn_tails(row, energy, adapt[i])
