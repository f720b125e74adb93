"""Feature matrix to calibrated scores: one score an entity and step, with what each series contributed.

A score is min(1, -log10 p / 12), p being the probability of such an energy in the entity's own past (before it has
one, in a built-in conservative tail). The threshold follows from the alert budget, so many incidents an entity and
week, and from what the entity's last weeks were like.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.bundle import Bundle
from pipeline.grid import GridView, Wave
from pipeline.image import Table
from pipeline.kernels import energy as k
from pipeline.kernels.blips import N_BLIPS
from pipeline.kernels.season import N_SLOTS
from pipeline.room import roomy
from pipeline.zones import DAY_MS, Zone

__all__ = ["Scored", "Scoring"]

Floats = npt.NDArray[np.float64]
DECADES = 12.0
WEEK_MS = 604_800_000
# steps above a threshold come in runs: about one run in so many steps (the extremal index of the smoothed energy) where
# runs over the common peaks are as long as usual
STEPS_A_RUN = 110.0
# faults fatten the tail that an entity shows, so that what is no fault falls off faster: a budget moves thresholds less
BUDGET_POWER = 0.85
# the fastest steps whose rareness the built-in tail tells
BELIEVED_MS = 20_000
DIGITS = 9
# no incident is made of what happens every other hour of a quiet fleet
LEAST_THRESHOLD = k.LEAST_WANTED / DECADES
# weights in the energy of the views, in the order of ``kernels.energy.excess``, and of a trained detector of windows
VIEWS = (2.0, 0.5, 1.0, 0.5, 1.4, 0.4, 1.0, 1.0)
WINDOW_WEIGHT = 0.5
# and of what a series never had, in the energy of a step alone
NEWS_WEIGHT = 30.0


@dataclass(frozen=True, slots=True)
class Scored:
    """One wave's verdict: per group score, threshold, warm-up and whether it was judged; per row its contribution.

    An entity is judged once at a time: a group that came too late for that says nothing, and is not told.
    """

    score: Floats
    threshold: Floats
    warming: npt.NDArray[np.bool_]
    judged: npt.NDArray[np.bool_]
    contribution: Floats

    @property
    def told(self) -> npt.NDArray[np.bool_]:
        """Of which groups the score may be told, shape (n_groups,)."""
        told: npt.NDArray[np.bool_] = self.judged & ~self.warming
        return told


class Scoring:
    """The calibration of all entities of one partition.

    Parameters
    ----------
    budget
        Incidents an entity and week that people are ready to read.
    time_zone
        Whose clock says which time of the day it is.
    bundle
        A trained model whose row scores join the baselines', or None.
    """

    def __init__(self, budget: float, time_zone: str = "UTC", bundle: Bundle | None = None) -> None:
        self.obey(budget, time_zone)
        self.swap(bundle)
        self._latest, self._said_at = np.zeros((64, k.N_SAID), np.float32), np.zeros(64, np.int64)
        self._state = np.zeros((8, k.N_ENERGY_STATE))
        self._habits = np.zeros((8, N_SLOTS), np.float32)
        self._blips = np.zeros((8, N_BLIPS), np.float32)
        self.n_entities = 0

    def obey(self, budget: float, time_zone: str) -> None:
        """Keep another alert budget, and go by another clock, from now on."""
        self._budget, self._zone = budget, Zone(time_zone)

    def swap(self, bundle: Bundle | None) -> None:
        """Let another bundle serve from the next wave on; what entities have earned of calibration is kept."""
        self._bundle = bundle if bundle is not None and bundle.has_detector else None
        self._shift = 0.0 if bundle is None else bundle.threshold_shift
        self._weights = np.array([*VIEWS, 1.0 if self._bundle else 0.0, WINDOW_WEIGHT, NEWS_WEIGHT])

    def tables(self) -> dict[str, Table]:
        """The arrays that make up the state."""
        entity = {"energy": Table("entity", self._state), "habits": Table("entity", self._habits)}
        entity["blips"] = Table("entity", self._blips)
        return {"latest": Table("series", self._latest), "said_at": Table("series", self._said_at), **entity}

    def adopt(self, n_series: int, priors: list[Floats | None]) -> None:
        """Make room for new series, and for new entities with what a bundle knows of each, or None."""
        self._latest, self._said_at = roomy(self._latest, n_series), roomy(self._said_at, n_series)
        self._state = roomy(self._state, self.n_entities + len(priors))
        self._habits = roomy(self._habits, self.n_entities + len(priors))
        self._blips = roomy(self._blips, self.n_entities + len(priors))
        for e, prior in enumerate(priors, start=self.n_entities):
            if prior is not None:
                parts = np.split(prior, [k.N_ENERGY_STATE, k.N_ENERGY_STATE + N_SLOTS])
                self._state[e], self._habits[e], self._blips[e] = parts
                self._state[e, k.JUDGED_AT] = 0.0
        self.n_entities += len(priors)

    def pack(self, entity: int) -> Floats:
        """Everything a bundle hands on about one entity's calibration."""
        return np.concatenate([self._state[entity], self._habits[entity], self._blips[entity]])

    def score(
        self, wave: Wave, features: Floats, grid: GridView, hold: npt.NDArray[np.bool_], window: Floats
    ) -> Scored:
        """Judge a wave and learn from it.

        Parameters
        ----------
        wave
            n_rows rows in n_groups groups, one an entity.
        features
            Feature matrix of shape (n_rows, n_features).
        grid
            Which series belong to which entity, and their steps.
        hold
            Per group: an open incident asks adaptation to wait.
        window
            Per group: how far the entity's window is beyond what training saw.
        """
        excesses = np.zeros((len(wave.series), k.N_EXCESS))
        k.excess(features, excesses)
        contribution = np.empty(len(wave.series))
        k.blame(features, contribution)
        if self._bundle is not None:
            excesses[:, k.MODEL_EXCESS] = self._bundle.excess(features)
        entities = wave.entity[wave.bounds[:-1]]
        seen = self._state[entities, k.N_STEPS]
        decades = np.empty((len(entities), 2))
        wanted = self._wanted(grid.rhythm_ms[entities])
        slots = self._zone.local_ms(wave.time_ms[wave.bounds[:-1]]) % DAY_MS * N_SLOTS // DAY_MS
        adapt = np.where(hold, 0.1, 1.0)
        groups = (wave.series, wave.time_ms, wave.waited, wave.bounds, adapt, wanted, window, slots)
        said, states = (self._latest, self._said_at), (self._state, self._habits, self._blips)
        k.combine(groups, grid.links, excesses, said, self._weights, states, decades)
        judged = ~np.isnan(decades[:, 0])
        decades[~judged] = 0.0, DECADES
        score = np.clip(decades[:, 0] / DECADES, 0.0, 1.0).round(DIGITS)
        threshold = np.clip(decades[:, 1] / DECADES, LEAST_THRESHOLD, 1.0).round(DIGITS)
        return Scored(score, threshold, seen < k.WARM_UP_STEPS, judged, contribution)

    def _wanted(self, rhythm_ms: npt.NDArray[np.int64]) -> Floats:
        """What the budget wants of steps, shape (n, 4).

        How rare, in decades, they must be, and those of an entity that nobody knows yet: no built-in tail vouches for
        what happens once in a week of seconds, so that at first fast steps count as slow ones. Then the share of a week
        that a step takes, and the incidents due in it.
        """
        rhythms = np.maximum(rhythm_ms[:, None], [1_000, BELIEVED_MS])
        runs: Floats = np.log10(WEEK_MS / rhythms / STEPS_A_RUN)
        wanted: Floats = runs - BUDGET_POWER * np.log10(self._budget) + self._shift
        week = rhythms[:, :1] / WEEK_MS
        return np.hstack([np.clip(wanted, k.LEAST_WANTED, DECADES), week, self._budget * week])
