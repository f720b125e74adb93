"""Blips, unusual runs that are over in a few steps: how strong those are that an entity shows again and again.

A metric that stands still but for one step every few hours makes runs that its common values call as unlikely as a
fault. So runs are counted by their strength, the score that would have opened an incident: peaks over a threshold,
declustered by runs (Coles, An Introduction to Statistical Modeling of Extreme Values, 2001), in event time and with a
half-life of a week. Where blips of about the same strength come several times as often as the alert budget allows, the
threshold of blips goes up to where no more of them would open than it allows. What lasts is no blip: after a few steps
the entity's own threshold holds, and a blip that is stronger than those is told at once.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# columns of the state: decades of the step before; of the run that lasts its strength in decades, how many steps came
# near that, and how many in a row are calm; what a count weighs now, incidents that were due, and the energy up to
# which blips are usual; COUNTS starts those by strength, in bins of energy that grow by RATIO from LEAST_ENERGY on
BEFORE, STRENGTH, LASTED, CALM, WEIGHT, DUE, USUAL, COUNTS = range(8)
N_LEVELS, LEAST_ENERGY, RATIO = 48, 0.5, 1.1
N_BLIPS = COUNTS + N_LEVELS
# a single step opens an incident at so many times the threshold; a run is over after so many steps under so large a
# share of its strength: as incidents are by default
STRONG, OVER_AFTER, OVER_BELOW = 1.5, 7.0, 0.7
# in a blip no more steps than these come so near to its strength
BRIEF, NEAR = 8.0, 0.9
# runs that come to a smaller share of the threshold are not followed
FOLLOWED = 0.7
# blips are usual where so many times as many as the budget allows are about as strong, within so many bins; that of so
# many weeks is granted beforehand
OFTEN, ALIKE, GRANTED = 3.0, 2, 1.0
MOST_WEIGHT = 1e6


@njit(cache=True)
def follow(row, decades, allowed, week):
    """Take a step into the run that lasts; returns the strength of the blip that is over with it, or 0.

    ``decades`` are those of the step, ``allowed`` those of the threshold; ``week`` is (share of a week that a step
    takes, incidents due in it). That older counts weigh less is done by letting new ones weigh more.
    """
    row[WEIGHT] = max(row[WEIGHT], 1.0) * (1.0 + np.log(2.0) * week[0])
    row[DUE] += row[WEIGHT] * week[1]
    strength = max(min(decades, row[BEFORE]), decades / STRONG)
    row[BEFORE] = decades
    if row[STRENGTH] == 0.0 and strength < FOLLOWED * allowed:
        return 0.0
    row[STRENGTH] = max(row[STRENGTH], strength)
    if decades >= NEAR * row[STRENGTH]:
        row[LASTED] += 1.0
    row[CALM] = row[CALM] + 1.0 if decades < OVER_BELOW * row[STRENGTH] else 0.0
    if row[CALM] < OVER_AFTER:
        return 0.0
    blip = row[STRENGTH] if row[LASTED] <= BRIEF else 0.0
    row[STRENGTH] = row[LASTED] = row[CALM] = 0.0
    return blip


@njit(cache=True)
def _bin(energy):
    """The bin of an energy; the last takes all that is higher."""
    return min(int(np.log(max(energy, LEAST_ENERGY) / LEAST_ENERGY) / np.log(RATIO)), N_LEVELS - 1)


@njit(cache=True)
def count(row, energy):
    """Count a blip that was as strong as an energy."""
    row[COUNTS + _bin(energy)] += row[WEIGHT]
    if row[WEIGHT] > MOST_WEIGHT:
        row[DUE] /= row[WEIGHT]
        for column in range(COUNTS, N_BLIPS):
            row[column] /= row[WEIGHT]
        row[WEIGHT] = 1.0


@njit(cache=True)
def solve(row, threshold):
    """Work out up to which energy blips are usual, where the entity's own threshold is an energy of ``threshold``.

    Faults are of all sizes, so that few are alike; what a metric does by habit is. Its blips are usual up to the bin
    over which no more of them are left than the budget allows.
    """
    allowed = row[DUE] + GRANTED * row[WEIGHT]
    level = row[USUAL] = 0.0
    for j in range(N_LEVELS - 1, _bin(threshold) - 1, -1):
        alike = 0.0
        for k in range(j, min(j + ALIKE, N_LEVELS)):
            alike += row[COUNTS + k]
        if alike <= allowed:
            level = 0.0
        elif level == 0.0:
            level = LEAST_ENERGY * RATIO ** (j + 1.0)
        if alike > OFTEN * allowed:
            row[USUAL] = level
            return


@njit(cache=True)
def usual(row):
    """The energy up to which the run that lasts is a usual blip; 0 where there are none, or when it has lasted."""
    return row[USUAL] if row[LASTED] <= BRIEF else 0.0
