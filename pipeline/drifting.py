"""How far features and scores of today are from those of training: counted from what streams judge, per entity class.

Counts of a window of event time are held against the shares at training by the population stability index (see
``models.drift``). Decides nothing: what moved is told, as drift is not an incident.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.bundle import Bundle
from models.card import Card
from models.drift import MOVED, stability_index
from models.kernels import bins
from pipeline.judging import Judged
from pipeline.stream import PartitionStream
from pipeline.thinning import chosen

__all__ = ["Drift", "DriftWindow", "Drifting"]

Counts = npt.NDArray[np.int64]
# share of the steps whose features are looked at (all scores are); a class with fewer rows or scores says nothing
SHARE, LEAST_ROWS = 0.1, 500
SCORE = "score"
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Drift:
    """What a window says of one entity class: the stability index of each feature and of the score."""

    version: str
    entity_class: str
    rows: int
    hours: float
    index: dict[str, float]

    @property
    def most(self) -> tuple[str, float]:
        """What moved most, and by how much."""
        name = max(self.index, key=lambda one: self.index[one])
        return name, self.index[name]

    @property
    def has_moved(self) -> bool:
        """Whether anything moved by more than the customary limit."""
        return self.most[1] > MOVED

    def in_words(self) -> str:
        """One sentence for people."""
        name, index = self.most
        moved = "moved" if self.has_moved else "moved little"
        return (
            f"{name} of class {self.entity_class} {moved} from the training of version {self.version} "
            f"(PSI {index:.2f} in {self.rows:,} rows of {self.hours:.1f} h)"
        )


@dataclass(slots=True)
class _Seen:
    """Counts by class and feature, the times between which they were taken, and rows by class."""

    features: Counts
    scores: Counts
    first_ms: int = 0
    last_ms: int = 0

    def add(self, other: _Seen) -> None:
        self.features += other.features
        self.scores += other.scores
        if other.last_ms:
            self.first_ms = min(self.first_ms or other.first_ms, other.first_ms)
            self.last_ms = max(self.last_ms, other.last_ms)


class Drifting:
    """Counts what one stream judges into the bins of its model's training."""

    def __init__(self, stream: PartitionStream, reference: Reference) -> None:
        self._stream, self._reference = stream, reference
        self._class_of = np.zeros(0, np.int64)
        self._fresh = reference.empty()

    def see(self, judged: Judged) -> None:
        """Count the scores of one wave, and a share of its rows."""
        wave, scored, fresh = judged.wave, judged.scored, self._fresh
        if not scored.told.any():
            return
        self._adopt_new()
        first = wave.bounds[:-1]
        times = wave.time_ms[first]
        group = np.where(scored.told, self._class_of[wave.entity[first]], -1)
        bins.count(scored.score[:, None], group, self._reference.score_edges, fresh.scores)
        fresh.first_ms = min(fresh.first_ms or int(times.min()), int(times.min()))
        fresh.last_ms = max(fresh.last_ms, int(times.max()))
        looked = np.where(chosen(times, SHARE), group, -1)
        if (looked >= 0).any():
            by_row = np.repeat(looked, np.diff(wave.bounds))
            bins.count(judged.features, by_row, self._reference.edges, fresh.features)

    def taken(self) -> _Seen:
        """What was counted since this was last asked."""
        fresh, self._fresh = self._fresh, self._reference.empty()
        return fresh

    def _adopt_new(self) -> None:
        new = self._stream.catalog.entities[len(self._class_of) :]
        if new:
            classes = [self._reference.number.get(entity_class, -1) for _, entity_class in new]
            self._class_of = np.concatenate([self._class_of, np.array(classes, np.int64)])


@dataclass(slots=True)
class DriftWindow:
    """What all partitions of a process counted since the window began; at its end it tells what moved."""

    reference: Reference
    window_ms: int
    seen: _Seen = field(init=False)

    def __post_init__(self) -> None:
        self.seen = self.reference.empty()

    def add(self, counted: _Seen) -> list[Drift]:
        """Take in counts; returns what the window says of each class when it is full, else nothing."""
        self.seen.add(counted)
        if self.seen.last_ms - self.seen.first_ms < self.window_ms:
            return []
        full, self.seen = self.seen, self.reference.empty()
        return self.reference.drift(full)


class Reference:
    """Bins and shares of a bundle's training, by class, in the order of ``number``."""

    def __init__(self, bundle: Bundle) -> None:
        card = bundle.card
        self.version, self._names = bundle.version, card.feature_names
        self.number = {name: i for i, name in enumerate(sorted(set(card.edges) & set(card.score_edges)))}
        self.edges, self._shares = _stacked(card, self.number, "edges"), _stacked(card, self.number, "reference")
        self.score_edges = _stacked(card, self.number, "score_edges")
        self._score_shares = _stacked(card, self.number, "score_reference")

    def empty(self) -> _Seen:
        """Counts of nothing."""
        return _Seen(np.zeros(self._shares.shape, np.int64), np.zeros(self._score_shares.shape, np.int64))

    def drift(self, seen: _Seen) -> list[Drift]:
        """What counts say of each class that has enough of them."""
        told = []
        for entity_class, c in self.number.items():
            n_rows, n_scores = int(seen.features[c, 0].sum()), int(seen.scores[c].sum())
            if min(n_rows, n_scores) < LEAST_ROWS:
                continue
            index = stability_index(self._shares[c], seen.features[c] / n_rows).tolist()
            moved = dict(zip(self._names, index, strict=True))
            moved[SCORE] = float(stability_index(self._score_shares[c], seen.scores[c] / n_scores)[0])
            hours = (seen.last_ms - seen.first_ms) / HOUR_MS
            told.append(Drift(self.version, entity_class, n_rows, hours, moved))
        return told


def _stacked(card: Card, number: dict[str, int], name: str) -> npt.NDArray[np.float64]:
    arrays = getattr(card, name)
    return np.array([arrays[entity_class] for entity_class in number])
