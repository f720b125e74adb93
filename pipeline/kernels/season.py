"""What is usual at an hour: the profile of the day, and what an hour of the week adds to it.

The day has 96 slots of two 32-bit numbers and a 16-bit count, the week 168 hours in 16 bit: a sign and the logarithm of
how many units of the series' own it is (0: the hour is not known yet), so that none is ever rounded anew when another
changes. An hour of the week is taken in when it is over, so an hour says nothing about itself, and the week is believed
only where it makes the misses smaller.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels.layout import INNER, LEAN

N_SLOTS, N_HOURS = 96, 168
PROFILE, SLOT_SCALE = range(2)
# rows counted of a slot: more would say no more
MOST_SLOT_ROWS = 65_535
# columns of the week's own state: the hour being visited (from 1, 0: none) and what it gathered; the unit, which is the
# first hour's size; the misses of the day's profile without and with the week
(HOUR, HOUR_ROWS, HOUR_SUM, UNIT, DAY_MISS, WEEK_MISS, N_SEASON_STATE) = range(7)
# half-lives in days of the day's profile and of the scale of misses in each of its slots
PROFILE_DAYS, SLOT_SCALE_DAYS = 2.0, 3.0
# share of what an hour shows that is learned at once, the first time all of it
HOUR_WEIGHT = 0.5
# the week is believed where it makes the usual misses so much smaller
WEEK_WORTH = 0.9
WEEK_MISS_DAYS = 3.0
# of the logarithms: steps from a number to its double, one unit in steps, and the largest: 16 doublings down, 47 up
STEPS, ONE_UNIT, MOST = 512.0, 8_192.0, 32_767.0


@njit(**LEAN)
def of_day(base, day, seen, slot, otherwise):
    """What the day's profile says at a fractional slot, straight between slot centres; ``otherwise`` where it is mute.

    Profiles are 32 bit, so they hold distances from the series' first value: at 1e8 the values themselves are 8 apart.
    A slow series meets every fourth slot or so: where a neighbour is unknown, the slot speaks alone.
    """
    at = slot - 0.5
    left = int(np.floor(at))
    share = at - left
    a, b, own = left % N_SLOTS, (left + 1) % N_SLOTS, int(slot)
    if seen[a] > 0 and seen[b] > 0:
        return base + (1.0 - share) * day[a, PROFILE] + share * day[b, PROFILE]
    return base + day[own, PROFILE] if seen[own] > 0 else otherwise


@njit(**LEAN)
def of_day_before(base, day, seen, rows, rate, otherwise, out):
    """What the day's profile said at some slots before it learned what came there.

    Parameters
    ----------
    base, day, seen, otherwise
        As in ``of_day``, day float64[N_SLOTS, 2] and seen int64[N_SLOTS]; the rows are taken out of both.
    rows : tuple of arrays
        (fractional slots float64[n], distances from the first value float64[n], how much of each was learned
        float64[n]) of the last rows, oldest first.
    rate : float
        Share of a row that a slot learns once it is known.
    out : float64[n]
        Filled here.
    """
    slots, distances, adapt = rows
    for i in range(slots.size - 1, -1, -1):
        slot = int(slots[i])
        if seen[slot] > 0:
            weight = adapt[i] * max(rate, 1.0 / seen[slot])
            if weight < 1.0:
                day[slot, PROFILE] = (day[slot, PROFILE] - weight * distances[i]) / (1.0 - weight)
            seen[slot] -= 1
    for i in range(slots.size):
        out[i] = of_day(base, day, seen, slots[i], otherwise)


@njit(**LEAN)
def of_week(s, week, hour):
    """What an hour of the week adds to the day's profile; 0 where it is unknown or the week is not worth believing."""
    if s[WEEK_MISS] >= WEEK_WORTH * s[DAY_MISS]:
        return 0.0
    return s[UNIT] * in_units(week[hour])


@njit(**LEAN)
def step_into(s, week, hour):
    """How far the week says that the first row of an hour is from the hour visited before it; 0 for all other rows."""
    before = int(s[HOUR]) - 1
    if before < 0 or before == hour or week[before] == 0 or week[hour] == 0:
        return 0.0
    return of_week(s, week, hour) - of_week(s, week, before)


@njit(**LEAN)
def taken_along(level, x, step):
    """A level of the last rows, gone along with a step that the week knows, as far as the value went."""
    return level + max(min(x - level, max(step, 0.0)), min(step, 0.0))


@njit(**LEAN)
def in_units(code):
    """The number that 16 bits stand for, to 0.07 %."""
    if code == 0:
        return 0.0
    size = 2.0 ** ((abs(float(code)) - ONE_UNIT) / STEPS)
    return size if code > 0 else -size


@njit(**LEAN)
def code_of(units):
    """The 16 bits that stand for a number; never 0, which stands for nothing."""
    size = abs(units)
    steps = round(STEPS * np.log2(size) + ONE_UNIT) if size > 0.0 else 1.0
    steps = min(max(steps, 1.0), MOST)
    return np.int16(steps if units >= 0.0 else -steps)


@njit(**LEAN)
def learn_day(slot, n_seen, x, miss, rows_a_day, adapt):
    """Move the profile of one slot of the day, and the scale of the misses in it; returns its new count of rows."""
    slot_rows = max(1.0, rows_a_day / N_SLOTS)
    least = 1.0 / (n_seen + 1.0)
    profile = adapt * max(1.0 - 0.5 ** (1.0 / (PROFILE_DAYS * slot_rows)), least)
    scale = adapt * max(1.0 - 0.5 ** (1.0 / (SLOT_SCALE_DAYS * slot_rows)), least)
    slot[PROFILE] += profile * (x - slot[PROFILE])
    slot[SLOT_SCALE] += scale * (abs(miss) - slot[SLOT_SCALE])
    return min(n_seen + 1, MOST_SLOT_ROWS)


@njit(**LEAN)
def learn_week(s, week, hour, away, rows_a_day, adapt):
    """Gather what a row adds to the day's profile; when its hour is over, move what is known of that hour."""
    if s[HOUR] != hour + 1.0:
        if s[HOUR] > 0.0 and s[HOUR_ROWS] > 0.0:
            _take_in(s, week, int(s[HOUR]) - 1, s[HOUR_SUM] / s[HOUR_ROWS], adapt)
        s[HOUR], s[HOUR_ROWS], s[HOUR_SUM] = hour + 1.0, 0.0, 0.0
    if week[hour] != 0:
        weight = 1.0 - 0.5 ** (1.0 / (WEEK_MISS_DAYS * rows_a_day))
        s[DAY_MISS] += weight * (abs(away) - s[DAY_MISS])
        s[WEEK_MISS] += weight * (abs(away - s[UNIT] * in_units(week[hour])) - s[WEEK_MISS])
    s[HOUR_ROWS] += 1.0
    s[HOUR_SUM] += away


@njit(**INNER)
def _take_in(s, week, hour, mean, adapt):
    """Put an hour's mean into 16 bit; the first that is not 0 is the unit of all."""
    if s[UNIT] == 0.0:
        s[UNIT] = abs(mean)
        if mean == 0.0:
            return
    old = s[UNIT] * in_units(week[hour])
    new = mean if week[hour] == 0 else old + HOUR_WEIGHT * adapt * (mean - old)
    week[hour] = code_of(new / s[UNIT])
