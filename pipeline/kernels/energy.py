"""From the features of an entity's series to one smoothed energy, its tail probability and its threshold.

A view of an entity is the mean excess of its series, in logarithms, so that many small misses and one large one both
count, and metrics that come or go change it little; a shift of a single series counts for more than its mean. What
lasts counts for more, by running means. The energy of an entity is the sum of its views. Of one series each counts by
its size; the more series there are, the more by its square root, so that what several views agree on is more than what
one of them shouts. A value that was never there adds to the energy of its step alone, by the share of its series, and
no tail learns that: what is new is new once. After hours of trouble it stays a little higher. Two tails judge it. The
slow one, which a fault of days hardly teaches, makes the score, so that scores of different weeks and entities can be
ranked. The quick one, which knows what the last week or two were like, says which energy the alert budget allows; that
energy's score is the threshold. What is unusual comes in runs of steps, and a run makes one incident: where runs are
short there are more of them, and each step must be rarer. What only lingers in the running means when a step itself
shows nothing is no anomaly: the threshold is above it, and an incident can end.

Where the score was over it at the same time of the days before, and soon under it again, the threshold is a little
higher: a backup that runs every night, a little sooner or later, is a habit, but one that is far out of the common is
told again. So is the threshold of blips where they come again and again. A score stays what it is, however habitual.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels import blips as b
from pipeline.kernels import tail as t
from pipeline.kernels.baseline import BEYOND, DAY_LEVEL, FLAT, INNOVATION, LEVEL, NOVEL, REACH, SEASONAL, SHIFT, SHORT
from pipeline.kernels.layout import INNER
from pipeline.kernels.season import N_SLOTS

# columns of excesses; those before NEWS are kept as what a series said last
SHIFTS, MODEL_EXCESS, NEWS, N_EXCESS = 7, 8, 9, 10
N_SAID = NEWS
# what an energy is made of: the mean excesses of what an entity's series said, and the excess of its window; the weight
# of news follows those of the parts
WINDOW, N_PARTS = N_SAID, N_SAID + 1
# a band's width beyond the borders weighs like ten scales
BAND_SCALES = 10.0
# and so does a run of equal values as long again as is usual
STILL_SCALES = 10.0
EXCESS_CAP = 100.0
# a value further from all before is no newer
MOST_NEW = 2.0
# share of its range within which a series' step counts as one scale at least: less is no news, however still it was
LEAST_REACH = 0.02
# what distances from level and season carry of the blame beside a step; none counts for more than so many scales: the
# first flicker of what never moved is not to blame for everything
LEVEL_BLAME, SHIFT_BLAME, MOST_BLAMED = 0.3, 1.0, 100.0
# columns of the entity state; SLOW and QUICK start a tail's columns, MEANS and LOG_MEANS the running means of the parts
# and of their logarithms
UNREST, N_STEPS, SLOW = range(3)
QUICK = SLOW + t.N_TAIL
# steps of the run over the common peaks that lasts, and how much longer than USUAL_RUN such runs have been lately
RUN_NOW, RUN_LONGER, JUDGED_AT = range(QUICK + t.N_TAIL, QUICK + t.N_TAIL + 3)
# the slot of the day that is visited and the one before it (from 1, 0: none), the most over the threshold in each,
# and for how many slots in a row there was any
VISIT = JUDGED_AT + 1
VISIT_MOST, LEFT, LEFT_MOST, RUN, MEANS = range(VISIT + 1, VISIT + 6)
LOG_MEANS = MEANS + N_PARTS
# what the series have had of news since the entity was judged last
UNHEARD = LOG_MEANS + N_PARTS
N_ENERGY_STATE = UNHEARD + 1
# a habit is learned and lost by so much a day, allows so many times itself, lasts no longer than so many slots, and
# raises the threshold to so many times itself at most
HABIT_UP, HABIT_DOWN, HABIT_ALLOWS, LONGEST_HABIT, HABIT_MOST = 0.6, 0.4, 1.5, 16.0, 1.2
# a run is counted over the quantile and so much of the mean peak above it; it lasts so many steps, until the last so
# many runs have told otherwise; no fewer decades than these are ever wanted
COMMON_PEAK, USUAL_RUN, RUNS, LEAST_WANTED = 0.7, 10.0, 20.0, 0.24
# a step that would not have so large a share of the threshold if it lasted shows nothing: what lingers of the steps
# before is so many times under the threshold then
SHOWS, LINGERS = 0.4, 2.0
# up to where blips are usual is worked out anew after each, and every so many steps
SOLVED_EVERY = 64.0
# before it, baselines know too little for their misses to mean anything
WARM_UP_STEPS = 30
SLOW_PACE = t.Pace(0.02, 0.0001, 1.0 / 5_000.0, 1_000.0, 6.0, 5.0, 50.0, 0.15)
QUICK_PACE = t.Pace(0.05, 0.003, 1.0 / 500.0, 75.0, 6.0, 5.0, 50.0, 0.3)
# running means of parts have a half-life of seven steps, and count so many times what a part is now; the square root of
# a view counts so many times
SMOOTHING, SMOOTH_WEIGHT, ROOT_WEIGHT = 1.0 - 0.5 ** (1.0 / 7.0), 3.0, 1.1
# that of the energy has half a day of minutes, and counts for so much
UNREST_RATE, UNREST_WEIGHT = 1.0 - 0.5 ** (1.0 / 720.0), 0.3


@njit(cache=True)
def excess(features, out):
    """Excesses of rows over the dead zone of each view.

    Parameters
    ----------
    features : float64[n, N_FEATURES]
    out : float64[n, N_EXCESS]
        Filled here: innovation over 4, short over 3, level over 4, day level over 3, seasonal over 3, distance beyond
        the borders, stillness beyond what is usual, shift over 3, distance from all values before; a model's stays.
    """
    for i in range(features.shape[0]):
        f = features[i]
        out[i, 0] = min(max(min(abs(f[INNOVATION]), abs(f[REACH]) / LEAST_REACH) - 4.0, 0.0), EXCESS_CAP)
        out[i, 1] = min(max(abs(f[SHORT]) - 3.0, 0.0), EXCESS_CAP)
        out[i, 2] = min(max(abs(f[LEVEL]) - 4.0, 0.0), EXCESS_CAP)
        out[i, 3] = min(max(abs(f[DAY_LEVEL]) - 3.0, 0.0), EXCESS_CAP)
        out[i, 4] = min(max(abs(f[SEASONAL]) - 3.0, 0.0), EXCESS_CAP)
        out[i, 5] = min(BAND_SCALES * abs(f[BEYOND]), 10.0 * EXCESS_CAP)
        out[i, 6] = min(STILL_SCALES * max(f[FLAT] - 1.0, 0.0), EXCESS_CAP)
        out[i, SHIFTS] = min(max(abs(f[SHIFT]) - 3.0, 0.0), EXCESS_CAP)
        out[i, NEWS] = min(abs(f[NOVEL]), MOST_NEW)


@njit(cache=True)
def blame(features, out):
    """How much each row is to blame: its step, its distances from level and season, and how long it has been stuck.

    Blame grows faster than a step, to the power of 1.5: over an event the few rows at which a metric jumped tell more
    than the rest. A step of a small share of the range shown so far carries little, however still the series was.

    Parameters
    ----------
    features : float64[n, N_FEATURES]
    out : float64[n]
        Filled here.
    """
    for i in range(features.shape[0]):
        f = features[i]
        step = min(abs(f[INNOVATION]), abs(f[REACH]) / LEAST_REACH, MOST_BLAMED)
        away = LEVEL_BLAME * min(abs(f[LEVEL]), MOST_BLAMED) + SHIFT_BLAME * min(abs(f[SHIFT]), MOST_BLAMED)
        out[i] = step * np.sqrt(step) + away + STILL_SCALES * max(f[FLAT] - 1.0, 0.0)


@njit(**INNER)
def verdict(row, energy, wanted):
    """Decades of an energy, and those from which on it is an anomaly if the budget wants ``wanted``, as an energy too.

    The second of these is for an entity that nobody knows yet; the more peaks it has shown, the more the first counts.
    Then come the share of a week that a step takes, and the incidents that the budget allows in it.
    Where runs of unusual steps are longer than is usual, fewer of them make as many steps: these may be less rare.
    """
    slow, quick = row[SLOW : SLOW + t.N_TAIL], row[QUICK : QUICK + t.N_TAIL]
    known = quick[t.N_PEAKS] / (quick[t.N_PEAKS] + QUICK_PACE.prior_peaks)
    longer = np.log10(max(USUAL_RUN + row[RUN_LONGER], 1.0) / USUAL_RUN)
    rare = max(known * wanted[0] + (1.0 - known) * wanted[1] - longer, LEAST_WANTED)
    allowed = t.level(quick, rare, QUICK_PACE)
    return t.decades(slow, energy, SLOW_PACE), t.decades(slow, allowed, SLOW_PACE), allowed


@njit(**INNER)
def learn_tails(row, energy, adapt):
    """Let both tails learn an energy; the first steps, when scales say nothing yet, teach nothing."""
    n = row[N_STEPS] - WARM_UP_STEPS
    row[N_STEPS] += 1.0
    if n >= 0:
        _learn_runs(row, energy)
        t.learn(row[SLOW : SLOW + t.N_TAIL], energy, n, adapt, SLOW_PACE)
        t.learn(row[QUICK : QUICK + t.N_TAIL], energy, n, adapt, QUICK_PACE)


@njit(**INNER)
def _learn_runs(row, energy):
    """Count the steps of a run; when it is over, move what is usual by its length."""
    if energy >= row[QUICK + t.QUANTILE] + COMMON_PEAK * row[QUICK + t.PEAK_MEAN]:
        row[RUN_NOW] += 1.0
    elif row[RUN_NOW] > 0.0:
        row[RUN_LONGER] += (row[RUN_NOW] - (USUAL_RUN + row[RUN_LONGER])) / RUNS
        row[RUN_NOW] = 0.0


@njit(cache=True)
def habit(habits, slot):
    """The score that the last days make usual about a slot of the day: the most of the slot and its neighbours."""
    return HABIT_ALLOWS * max(habits[slot - 1], habits[slot], habits[(slot + 1) % N_SLOTS])


@njit(**INNER)
def _own_threshold(row, blips, step, allowed, wanted):
    """The threshold of a step in decades: that of blips while the run is one. Blips are counted here.

    ``step`` is the decades of the step, as far as it shows anything, ``allowed`` the threshold in decades and energy.
    """
    slow = row[SLOW : SLOW + t.N_TAIL]
    if row[N_STEPS] < WARM_UP_STEPS:
        return allowed[0]
    over = b.follow(blips, step, allowed[0], (wanted[2], wanted[3]))
    if over > 0.0:
        b.count(blips, t.level(slow, over, SLOW_PACE))
    if over > 0.0 or (blips[b.USUAL] > 0.0 and row[N_STEPS] % SOLVED_EVERY == 0.0):
        b.solve(blips, allowed[1])
    usual = b.usual(blips)
    return max(allowed[0], t.decades(slow, usual, SLOW_PACE)) if usual > 0.0 else allowed[0]


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
    """Mean of what the series of an entity said last, of those that are not overdue; returns how many these are.

    Of shifts it is the root of the mean square over the fourth root of their number, so that a single series that says
    x beside quiet ones counts for x / n^(3/4), not for x / n.
    """
    _, next_series, steps, first_series = grid
    latest, said_at = said
    for j in range(N_SAID):
        out[j] = 0.0
    n, shifted = 0, 0.0
    s = first_series[e]
    while s >= 0:
        if said_at[s] > 0 and now - said_at[s] <= 1.5 * steps[s]:
            for j in range(N_SAID):
                out[j] += latest[s, j]
            shifted += np.float64(latest[s, SHIFTS]) ** 2
            n += 1
        s = next_series[s]
    n = max(n, 1)
    for j in range(N_SAID):
        out[j] /= n
    out[SHIFTS] = np.sqrt(shifted / n / np.sqrt(n))
    return n


@njit(**INNER)
def _weighed(view, alone):
    """A view by its size and its root, of series of which each is the share ``alone``."""
    return alone * view + (1.0 - alone) * ROOT_WEIGHT * np.sqrt(view)


@njit(**INNER)
def _energy(row, parts, weights, n_series):
    """The energy of a step: the views of ``n_series`` series, each by what it is now and what it was on the way.

    The second is the energy to which it would come if steps like this one went on.
    """
    alone = 1.0 / n_series
    least = 1.0 / (row[N_STEPS] + 2.0)
    rate, energy, lasting = max(SMOOTHING, least), 0.0, 0.0
    for j in range(N_PARTS):
        now = np.log1p(parts[j])
        row[MEANS + j] += rate * (parts[j] - row[MEANS + j])
        row[LOG_MEANS + j] += rate * (now - row[LOG_MEANS + j])
        view = now + SMOOTH_WEIGHT * (row[LOG_MEANS + j] + np.log1p(row[MEANS + j]))
        energy += weights[j] * _weighed(view, alone)
        lasting += weights[j] * _weighed(now + 2.0 * SMOOTH_WEIGHT * now, alone)
    row[UNREST] += max(UNREST_RATE, least) * (energy - row[UNREST])
    return energy + UNREST_WEIGHT * row[UNREST], lasting


@njit(**INNER)
def _heard(row, weight, n_series):
    """What the news since the last step add to the energy of this one, by the share of each series."""
    news, row[UNHEARD] = row[UNHEARD] / n_series, 0.0
    return weight / n_series * np.log1p(news)


@njit(cache=True)
def combine(groups, grid, excesses, said, weights, states, out):
    """Join the series of each entity of a wave into a smoothed energy and its tail probability.

    An entity is judged once at a time, with what all of its series said last: a group that is not newer than the last
    one judged (series of several steps may close that way) or that only waited for a step to be learned joins the next.

    Parameters
    ----------
    groups : tuple of arrays
        (series int64[n], time_ms int64[n], waited bool[n], bounds int64[m + 1], adapt float64[m], wanted
        float64[m, 4] as of :func:`verdict`, excess of each window float64[m], slot of the local day int64[m]).
    grid : tuple of arrays
        (entity of series, next series, step of series, first series of entity).
    excesses : float64[n, N_EXCESS]
    said : tuple of arrays
        (last excesses of each series float32[n_series, N_SAID], and when int64[n_series]).
    weights : float64[N_PARTS + 1]
    states : tuple of arrays
        (float64[n_entities, N_ENERGY_STATE], habits float32[n, N_SLOTS], blips float32[n, blips.N_BLIPS]).
    out : float64[m, 2]
        -log10 of the tail probability of each group, and of its threshold, filled here; NaN where it is not judged.
    """
    series, times, waited, bounds, adapt, wanted, window, slots = groups
    state, habits, blips = states
    mean = np.empty(N_PARTS)
    for i in range(bounds.size - 1):
        e, now, fresh = grid[0][series[bounds[i]]], times[bounds[i]], False
        for row in range(bounds[i], bounds[i + 1]):
            s = series[row]
            for j in range(N_SAID):
                said[0][s, j] = excesses[row, j]
            said[1][s] = times[row]
            state[e, UNHEARD] += excesses[row, NEWS]
            now, fresh = max(now, times[row]), fresh or not waited[row]
        if not fresh or now <= state[e, JUDGED_AT]:
            out[i, 0] = out[i, 1] = np.nan
            continue
        state[e, JUDGED_AT] = now
        n_series, mean[WINDOW] = _mean_excess(e, now, grid, said, mean), window[i]
        row = state[e]
        energy, lasting = _energy(row, mean, weights, n_series)
        news = _heard(row, weights[N_PARTS], n_series)
        decades, allowed, level = verdict(row, energy + news, wanted[i])
        shown = t.decades(row[SLOW : SLOW + t.N_TAIL], lasting + news, SLOW_PACE)
        warm = row[N_STEPS] >= WARM_UP_STEPS
        own = _own_threshold(row, blips[e], min(decades, shown / SHOWS), (allowed, level), wanted[i])
        threshold = bent(own, habit(habits[e], slots[i]))
        out[i, 0], out[i, 1] = decades, threshold if shown >= SHOWS * threshold else max(threshold, LINGERS * decades)
        learn_habit(row, habits[e], slots[i], decades, warm and decades >= allowed)
        learn_tails(row, energy, adapt[i])
