"""What is usual at an hour: the profile of the day, and what an hour of the week adds to it.

The day has 96 slots of three 32-bit numbers, the week 168 hours in 16 bit, in units of the series' own (0: the hour
is not known yet). An hour of the week is taken in when it is over, so an hour says nothing about itself, and the week
is believed only where it makes the misses smaller.
"""

from __future__ import annotations

import numpy as np
from numba import njit

N_SLOTS, N_HOURS = 96, 168
PROFILE, SLOT_SCALE, SLOT_ROWS = range(3)
# columns of the week's own state: the hour being visited (from 1, 0: none) and what it gathered; the unit; the misses
# of the day's profile without and with the week
(HOUR, HOUR_ROWS, HOUR_SUM, UNIT, DAY_MISS, WEEK_MISS, N_SEASON_STATE) = range(7)
# half-lives in days of the day's profile and of the scale of misses in each of its slots
PROFILE_DAYS, SLOT_SCALE_DAYS = 2.0, 3.0
# share of what an hour shows that is learned at once, the first time all of it
HOUR_WEIGHT = 0.5
# the week is believed where it makes the usual misses so much smaller
WEEK_WORTH = 0.9
WEEK_MISS_DAYS = 3.0
MOST_UNITS = 32_000.0


@njit(cache=True)
def of_day(base, day, slot, otherwise):
    """What the day's profile says at a fractional slot, straight between slot centres; ``otherwise`` where it is mute.

    Profiles are 32 bit, so they hold distances from the series' first value: at 1e8 the values themselves are 8 apart.
    A slow series meets every fourth slot or so: where a neighbour is unknown, the slot speaks alone.
    """
    at = slot - 0.5
    left = int(np.floor(at))
    share = at - left
    a, b = day[left % N_SLOTS], day[(left + 1) % N_SLOTS]
    if a[SLOT_ROWS] > 0.0 and b[SLOT_ROWS] > 0.0:
        return base + (1.0 - share) * a[PROFILE] + share * b[PROFILE]
    own = day[int(slot)]
    return base + own[PROFILE] if own[SLOT_ROWS] > 0.0 else otherwise


@njit(cache=True)
def of_week(s, week, hour):
    """What an hour of the week adds to the day's profile; 0 where it is unknown or the week is not worth believing."""
    if s[WEEK_MISS] >= WEEK_WORTH * s[DAY_MISS]:
        return 0.0
    return s[UNIT] * week[hour]


@njit(cache=True)
def learn_day(slot, x, miss, rows_a_day, adapt):
    """Move the profile of one slot of the day, and the scale of the misses in it."""
    slot_rows = max(1.0, rows_a_day / N_SLOTS)
    least = 1.0 / (slot[SLOT_ROWS] + 1.0)
    profile = adapt * max(1.0 - 0.5 ** (1.0 / (PROFILE_DAYS * slot_rows)), least)
    scale = adapt * max(1.0 - 0.5 ** (1.0 / (SLOT_SCALE_DAYS * slot_rows)), least)
    slot[PROFILE] += profile * (x - slot[PROFILE])
    slot[SLOT_SCALE] += scale * (abs(miss) - slot[SLOT_SCALE])
    slot[SLOT_ROWS] = min(slot[SLOT_ROWS] + 1.0, 1e6)


@njit(cache=True)
def learn_week(s, week, hour, away, rows_a_day, adapt):
    """Gather what a row adds to the day's profile; when its hour is over, move what is known of that hour."""
    if s[HOUR] != hour + 1.0:
        if s[HOUR] > 0.0 and s[HOUR_ROWS] > 0.0:
            _take_in(s, week, int(s[HOUR]) - 1, s[HOUR_SUM] / s[HOUR_ROWS], adapt)
        s[HOUR], s[HOUR_ROWS], s[HOUR_SUM] = hour + 1.0, 0.0, 0.0
    if week[hour] != 0:
        weight = 1.0 - 0.5 ** (1.0 / (WEEK_MISS_DAYS * rows_a_day))
        s[DAY_MISS] += weight * (abs(away) - s[DAY_MISS])
        s[WEEK_MISS] += weight * (abs(away - s[UNIT] * week[hour]) - s[WEEK_MISS])
    s[HOUR_ROWS] += 1.0
    s[HOUR_SUM] += away


@njit(cache=True)
def _take_in(s, week, hour, mean, adapt):
    """Put an hour's mean into 16 bit; what does not fit doubles the unit of all hours."""
    old = s[UNIT] * week[hour]
    new = mean if week[hour] == 0 else old + HOUR_WEIGHT * adapt * (mean - old)
    if s[UNIT] == 0.0:
        if new == 0.0:
            return
        s[UNIT] = abs(new) / 1_000.0
    while abs(new) > MOST_UNITS * s[UNIT]:
        s[UNIT] *= 2.0
        for i in range(N_HOURS):
            week[i] = week[i] // 2
    units = np.int16(round(new / s[UNIT]))
    week[hour] = units if units != 0 else np.int16(1)
