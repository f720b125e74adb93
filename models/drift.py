"""Drift: how far the features of today are from those of training, per entity class, by one named statistic.

The population stability index: sum over bins of (q - p) ln(q / p), p the shares at training and q today's (Siddiqi,
"Credit Risk Scorecards", 2006). It is the symmetric Kullback-Leibler divergence of the binned distributions. Below
0.1 nothing moved, above 0.25 much did: the customary reading, which ``retrain`` takes as its rule.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["MOVED", "N_BINS", "histogram", "quantile_edges", "stability_index"]

Floats = npt.NDArray[np.float64]
N_BINS = 10
MOVED = 0.25
# half a row of a thousand: an empty bin must not make the index infinite
FLOOR = 5e-4


def quantile_edges(rows: Floats) -> Floats:
    """Inner edges of ten equally filled bins of each column; shape (n_features, 9) of rows (n_rows, n_features)."""
    return np.quantile(rows, np.linspace(0, 1, N_BINS + 1)[1:-1], axis=0).T


def histogram(rows: Floats, edges: Floats) -> Floats:
    """Share of rows in each bin, shape (n_features, n_bins)."""
    shares = np.empty((edges.shape[0], edges.shape[1] + 1))
    for j, inner in enumerate(edges):
        bins = np.searchsorted(inner, rows[:, j], "right")
        shares[j] = np.bincount(bins, minlength=len(inner) + 1) / max(1, len(rows))
    return shares


def stability_index(reference: Floats, today: Floats) -> Floats:
    """The index of each feature, shape (n_features,), from shares of shape (n_features, n_bins)."""
    p, q = np.maximum(reference, FLOOR), np.maximum(today, FLOOR)
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    index: Floats = ((q - p) * np.log(q / p)).sum(1)
    return index
