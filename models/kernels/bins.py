"""Rows into bins: counts by group and feature, where each feature of each group has bin edges of its own."""

from __future__ import annotations

from numba import njit

__all__ = ["count"]


@njit(cache=True)
def count(rows, group, edges, out):
    """Add rows to the counts of their group.

    Parameters
    ----------
    rows : float64[n, n_features]
    group : int64[n]
        A row of a negative group is passed over.
    edges : float64[n_groups, n_features, n_bins - 1]
        Ascending; a value on an edge belongs to the bin above it, NaN to the last.
    out : int64[n_groups, n_features, n_bins]
        Counted up here.
    """
    for i in range(rows.shape[0]):
        g = group[i]
        if g < 0:
            continue
        for j in range(rows.shape[1]):
            x, low, high = rows[i, j], 0, edges.shape[2]
            while low < high:
                middle = (low + high) // 2
                if x < edges[g, j, middle]:
                    high = middle
                else:
                    low = middle + 1
            out[g, j, low] += 1
