"""What a bundle says about itself: from what it was trained, and what it must answer to prove that it is whole."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Card", "schema_hash"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Card:
    """Where a bundle comes from.

    Parameters
    ----------
    detector
        Name of the detector that was trained.
    feature_names
        Columns of the feature matrix that it was trained on, in order.
    facts
        Plain values about the training: span and digest of the data, entities, series, settings hash, versions.
    golden_rows, golden_scores
        Feature rows of shape (n, n_features), and the excess of each at training, shape (n,): a bundle that does not
        answer the same when it is loaded must not serve.
    edges, reference
        By entity class: bin edges of each feature, shape (n_features, n_bins - 1), and the share of training rows in
        each bin, shape (n_features, n_bins); what drift is measured against.
    score_edges, score_reference
        The same of the scores held back, as of one feature: shapes (1, n_bins - 1) and (1, n_bins).
    """

    detector: str = "baseline"
    feature_names: tuple[str, ...] = ()
    facts: dict[str, str | float] = field(default_factory=dict)
    golden_rows: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    golden_scores: Floats = field(default_factory=lambda: np.zeros(0))
    edges: dict[str, Floats] = field(default_factory=dict)
    reference: dict[str, Floats] = field(default_factory=dict)
    score_edges: dict[str, Floats] = field(default_factory=dict)
    score_reference: dict[str, Floats] = field(default_factory=dict)


def schema_hash(feature_names: Sequence[str]) -> str:
    """Twelve hexadecimal digits that change with the names or the order of the features."""
    return hashlib.sha256("\n".join(feature_names).encode()).hexdigest()[:12]
