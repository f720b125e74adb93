"""Training: from a history to a bundle with its threshold, its evaluation and what a run should remember of it.

A detector is fitted first, on feature rows of before the cut, of entities that stand for the fleet: what features are
does not hang on the detector. Then one pass over the whole history with it in force, so that every calibration has
learned with it. The threshold is solved on incidents after the cut; the state at the very end is what is handed on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from models.bundle import FEATURE_CAP, Bundle
from models.card import Card
from models.compiled import ScorerRefused
from models.detectors import Detector, detector_of
from models.drift import histogram, quantile_edges
from models.errors import ModelError
from models.metric_sets import Windows, fit_sets

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Learned", "Road", "Trained", "train"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
SHIFTS = np.arange(-2.0, 4.01, 0.25)
WEEK_MS = 604_800_000
N_GOLDEN = 64
# rows to fit on; rows to find the centre by where each is scored alone
MOST_ROWS, MOST_ALONE = 200_000, 5_000


@dataclass(slots=True)
class Learned:
    """What one pass over a history, or over a group of it, leaves.

    ``series`` and ``entities`` are the state at the end, ``classes`` tells the class of each entity; ``rows`` are
    feature rows of before the cut, shape (n_rows, n_features), ``later`` those of the last whole day and more by entity
    class; ``held`` has of each entity (times in ms, scores, thresholds) after the cut, ``events`` the incidents that
    opened there; ``windows``, where they were asked for, are of each entity and of before the cut. ``cpu_seconds`` are
    those of whoever walked, without reading.
    """

    series: dict[tuple[str, str], Floats] = field(default_factory=dict)
    entities: dict[str, Floats] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    rows: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    later: dict[str, Floats] = field(default_factory=dict)
    windows: dict[str, Windows] = field(default_factory=dict)
    held: dict[str, tuple[Ints, Floats, Floats]] = field(default_factory=dict)
    events: list[Any] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    n_samples: int = 0
    cpu_seconds: float = 0.0

    def add(self, other: Learned) -> None:
        """Take in another group of the same history."""
        self.series |= other.series
        self.entities |= other.entities
        self.classes |= other.classes
        self.held |= other.held
        self.windows |= other.windows
        self.digests |= other.digests
        self.events += other.events
        self.n_samples += other.n_samples
        self.cpu_seconds += other.cpu_seconds
        for name, rows in other.later.items():
            self.later[name] = np.concatenate([self.later[name], rows]) if name in self.later else rows
        if len(other.rows):
            self.rows = np.concatenate([self.rows, other.rows]) if len(self.rows) else other.rows

    def scores_by_class(self) -> dict[str, Floats]:
        """The scores held back by entity class, each of shape (n_steps, 1)."""
        scores: dict[str, list[Floats]] = {}
        for entity, held in self.held.items():
            scores.setdefault(self.classes[entity], []).append(held[1])
        return {name: np.concatenate(found)[:, None] for name, found in scores.items()}


class Road(Protocol):
    """A history that can be gone through: ``pipeline.history.History`` is one."""

    feature_names: tuple[str, ...]
    budget_per_week: float
    first_ms: int
    cut_ms: int
    end_ms: int

    def learn(self, bundle: Bundle | None = None) -> Learned:
        """One pass with a bundle in force."""

    def scout(self, with_windows: bool = False) -> Learned:
        """A cold pass over entities that stand for all; windows of entities are gathered on demand."""

    def common(self, rows: Floats) -> Floats:
        """What entities with these calibrations, shape (n_entities, n_columns), have in common."""

    def opened(self, learned: Learned, shift: float) -> int:
        """Incidents opened after the cut, were the threshold so many decades higher."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A bundle that nobody has registered yet, with the figures of its training.

    ``budget`` has one row a candidate threshold: ``shift`` (decades), ``incidents``, ``per_entity_week``.
    """

    bundle: Bundle
    measures: dict[str, float]
    budget: pd.DataFrame
    learned: Learned


def train(road: Road, detector: str = "baseline", facts: dict[str, str | float] | None = None) -> Trained:
    """Fit, solve the threshold, evaluate.

    Parameters
    ----------
    road
        The history.
    detector
        A name out of ``models.detectors``, or ``package.module:Factory``.
    facts
        What else the card should say, as the hash of the settings.

    Raises
    ------
    ModelError
        The detector is not there, cannot score rows, or there is too little history to fit it.
    """
    chosen = detector_of(detector)
    bundle = None
    if chosen.make is not None:
        scouted = road.scout(chosen.over == "windows")
        scouted.rows = _ordered(scouted.rows)
        bundle = _fitted(chosen, scouted)
    learned = road.learn(bundle)
    learned.rows = _ordered(learned.rows)
    bundle = bundle or Bundle("", "")
    budget = _budget_curve(road, learned)
    shift = _solved(budget, road.budget_per_week)
    bundle = replace(
        bundle,
        series=learned.series,
        entities=learned.entities,
        classes=_pooled(road, learned),
        threshold_shift=shift,
        card=_card(road, learned, bundle, chosen, facts or {}),
    )
    return Trained(bundle, _measures(road, learned, budget, shift), budget, learned)


def _ordered(rows: Floats) -> Floats:
    """Rows in an order of their own: whoever worked on which group must not show."""
    ordered: Floats = rows[np.lexsort(rows.T)]
    return ordered


def _fitted(chosen: Detector, learned: Learned) -> Bundle:
    """The detector fitted on rows of before the cut; its odd rows begin at the 99.5 % quantile of these."""
    assert chosen.make is not None
    rows = learned.rows
    if chosen.over == "windows":
        return Bundle("", "", sets=fit_sets(learned.windows, learned.classes, chosen.make))
    if len(rows) < 1000:
        raise ModelError(f"{len(rows)} feature rows are too few to fit {chosen.name}; 1,000 are needed")
    spaced = np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).astype(int)
    sample = np.clip(rows[spaced], -FEATURE_CAP, FEATURE_CAP)
    try:
        bundle = Bundle("", "", estimator=chosen.make().fit(sample))
    except ScorerRefused as error:
        raise ModelError(f"{chosen.name} cannot serve: {error}") from error
    scores = bundle.score(sample if bundle.scorer_kind == "compiled" else sample[:: max(1, len(sample) // MOST_ALONE)])
    median, centre = np.quantile(scores, [0.5, 0.995])
    return replace(bundle, centre=float(centre), spread=max(float(centre - median) / 3.0, 1e-9))


def _budget_curve(road: Road, learned: Learned) -> pd.DataFrame:
    import pandas as pd

    weeks = _entity_weeks(road, learned)
    opened = [road.opened(learned, float(shift)) for shift in SHIFTS]
    return pd.DataFrame({"shift": SHIFTS, "incidents": opened, "per_entity_week": np.array(opened) / weeks})


def _solved(budget: pd.DataFrame, budget_per_week: float) -> float:
    """The lowest threshold from which on the budget is kept."""
    over = np.flatnonzero(budget["per_entity_week"].to_numpy() > budget_per_week)
    return float(budget["shift"].iloc[min(int(over[-1]) + 1 if len(over) else 0, len(budget) - 1)])


def _entity_weeks(road: Road, learned: Learned) -> float:
    return max(1, len(learned.held)) * max(1, road.end_ms - road.cut_ms) / WEEK_MS


def _pooled(road: Road, learned: Learned) -> dict[str, Floats]:
    """By class what its entities have in common: with it an entity begins that training has not seen."""
    members: dict[str, list[Floats]] = {}
    for name, entity_class in sorted(learned.classes.items()):
        members.setdefault(entity_class, []).append(learned.entities[name])
    return {entity_class: road.common(np.array(rows)) for entity_class, rows in sorted(members.items())}


def _card(road: Road, learned: Learned, bundle: Bundle, chosen: Detector, facts: dict[str, str | float]) -> Card:
    rows = learned.rows
    golden = rows[np.linspace(0, len(rows) - 1, min(N_GOLDEN, len(rows))).astype(int)] if len(rows) else rows
    edges, reference = _binned(learned.later)
    score_edges, score_reference = _binned(learned.scores_by_class())
    digest = hashlib.sha256("".join(learned.digests[name] for name in sorted(learned.digests)).encode()).hexdigest()
    told: dict[str, str | float] = {
        "data_digest": digest,
        "data_first_ms": road.first_ms,
        "data_cut_ms": road.cut_ms,
        "data_end_ms": road.end_ms,
        "entities": len(learned.entities),
        "series": len(learned.series),
        "samples": learned.n_samples,
        "budget_per_week": road.budget_per_week,
        "scorer": bundle.scorer_kind,
    }
    return Card(
        chosen.name,
        tuple(road.feature_names),
        told | facts,
        golden,
        bundle.excess(golden),
        edges,
        reference,
        score_edges,
        score_reference,
    )


def _binned(rows: dict[str, Floats]) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """By class the edges of equally filled bins, and the share of rows in each."""
    edges = {name: quantile_edges(rows[name]) for name in sorted(rows) if len(rows[name])}
    return edges, {name: histogram(rows[name], inner) for name, inner in edges.items()}


def _measures(road: Road, learned: Learned, budget: pd.DataFrame, shift: float) -> dict[str, float]:
    scores: Sequence[Floats] = [held[1] for held in learned.held.values()]
    whole = np.concatenate(scores) if scores else np.zeros(1)
    at = budget["shift"] == shift
    return {
        "threshold_shift": shift,
        "incidents_held": float(budget["incidents"][at].iloc[0]),
        "incidents_per_entity_week": float(budget["per_entity_week"][at].iloc[0]),
        "score_p50": float(np.quantile(whole, 0.5)),
        "score_p99": float(np.quantile(whole, 0.99)),
        "entity_weeks_held": _entity_weeks(road, learned),
    }
