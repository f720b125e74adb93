"""A bundle: detector, calibration, feature names and version, immutable as released."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.card import Card

__all__ = ["Bundle"]

Floats = npt.NDArray[np.float64]


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
    """

    name: str
    version: str
    series: dict[tuple[str, str], Floats] = field(default_factory=dict)
    entities: dict[str, Floats] = field(default_factory=dict)
    threshold_shift: float = 0.0
    card: Card = field(default_factory=Card)

    @property
    def has_detector(self) -> bool:
        """Whether a trained estimator scores rows beside the baselines."""
        return False

    def excess(self, features: Floats) -> Floats:
        """Excess of each row of a feature matrix (n_rows, n_features) by the trained estimator, shape (n_rows,)."""
        return np.zeros(len(features))

    def series_prior(self, entity: str, name: str) -> Floats | None:
        """What is known of a series, or None."""
        return self.series.get((entity, name))

    def entity_prior(self, entity: str) -> Floats | None:
        """What is known of an entity's calibration, or None."""
        return self.entities.get(entity)
