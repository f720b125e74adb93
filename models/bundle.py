"""A bundle: detector, calibration, feature names and version, immutable as released."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from models.alone import scorer_of
from models.card import Card
from models.compiled import Scorer
from models.metric_sets import MetricSet

__all__ = ["Bundle"]

Floats = npt.NDArray[np.float64]
# features are in scales of their series: beyond this a row is odd, however far beyond
FEATURE_CAP, EXCESS_CAP = 50.0, 50.0


@dataclass(frozen=True, slots=True)
class Bundle:
    """What training hands on to the job; nothing else flows from one to the other.

    Parameters
    ----------
    name, version
        As in the registry; both stand in every incident.
    series
        What was learned of each series, by (entity, series name): one row of baselines.
    entities
        What was learned of each entity's calibration, by entity.
    threshold_shift
        Decades added to the threshold that follows from the alert budget.
    card
        From what it was trained, and what it must answer when it is loaded.
    classes
        By entity class the calibration that an entity begins with which training has not seen.
    estimator
        A fitted scikit-learn estimator that scores rows beside the baselines, or None.
    centre, spread
        Score of the estimator above which rows count as odd, and the unit in which they do.
    sets
        By entity class a fitted detector of windows of all metrics of an entity.

    Attributes
    ----------
    scorer_kind
        How the estimator serves: ``compiled``, ``row by row``, or "" where there is none.
    """

    name: str
    version: str
    series: dict[tuple[str, str], Floats] = field(default_factory=dict)
    entities: dict[str, Floats] = field(default_factory=dict)
    threshold_shift: float = 0.0
    card: Card = field(default_factory=Card)
    classes: dict[str, Floats] = field(default_factory=dict)
    estimator: Any = None
    centre: float = 0.0
    spread: float = 1.0
    sets: dict[str, MetricSet] = field(default_factory=dict)
    _scorer: Scorer | None = field(default=None, init=False, repr=False, compare=False)
    scorer_kind: str = field(default="", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.estimator is not None:
            scorer, kind = scorer_of(self.estimator)
            object.__setattr__(self, "_scorer", scorer)
            object.__setattr__(self, "scorer_kind", kind)

    @property
    def has_detector(self) -> bool:
        """Whether a trained estimator scores rows beside the baselines."""
        return self._scorer is not None

    def score(self, features: Floats) -> Floats:
        """The estimator's score of each row, shape (n_rows,); higher is more anomalous: the sign is turned here."""
        if self._scorer is None:
            return np.zeros(len(features))
        return self._scorer.score(np.clip(features, -FEATURE_CAP, FEATURE_CAP))

    def excess(self, features: Floats) -> Floats:
        """How far each row of a feature matrix (n_rows, n_features) is beyond what training saw, shape (n_rows,)."""
        if self._scorer is None:
            return np.zeros(len(features))
        return np.clip((self.score(features) - self.centre) / self.spread, 0.0, EXCESS_CAP)

    def series_prior(self, entity: str, name: str) -> Floats | None:
        """What is known of a series, or None."""
        return self.series.get((entity, name))

    def entity_prior(self, entity: str, entity_class: str = "") -> Floats | None:
        """What is known of an entity's calibration; of one never seen what its class has in common; or None."""
        known = self.entities.get(entity)
        return known if known is not None else self.classes.get(entity_class)
