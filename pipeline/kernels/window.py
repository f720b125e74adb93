"""The last few cells of each series beside each other: windows of all metrics of an entity, one row an entity.

With the metrics a and b and windows of three steps a row is::

    a(t-2) a(t-1) a(t)  b(t-2) b(t-1) b(t)

NaN stands where a metric is not there, has a gap, or has said nothing for longer than its step allows.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["gather", "push"]

# a cell counts as long as no later one is overdue, as in ``energy.combine``
FRESH_STEPS = 1.5


@njit(cache=True)
def push(cells, surprises, ring, at):
    """Append cells to the rings of their series, newest last; what is missing between two cells is NaN.

    Parameters
    ----------
    cells : tuple of int64[n]
        (series, each at most once; time in ms; cells missing since its last one).
    surprises : float64[n]
        In scales of the series, signed; what is kept is their signed logarithm.
    ring : float64[n_series, n_cells]
    at : int64[n_series]
        When the newest cell of each series was, in ms.
    """
    series, times, gaps = cells
    n_cells = ring.shape[1]
    for i in range(series.size):
        row = ring[series[i]]
        shift = min(gaps[i] + 1, n_cells)
        for j in range(n_cells):
            row[j] = row[j + shift] if j + shift < n_cells else np.nan
        row[n_cells - 1] = np.sign(surprises[i]) * np.log1p(abs(surprises[i]))
        at[series[i]] = times[i]


@njit(cache=True)
def gather(members, times, steps, ring, at, out):
    """Lay the rings of each entity's series side by side.

    Parameters
    ----------
    members : int64[n, n_metrics]
        Series of each metric, -1 where the entity has none.
    times : int64[n]
        Now, in ms.
    steps : int64[n_series]
        In ms.
    ring, at
        See :func:`push`.
    out : float64[n, n_metrics * n_cells]
        Filled here.
    """
    n_cells = ring.shape[1]
    for i in range(members.shape[0]):
        for m in range(members.shape[1]):
            s = members[i, m]
            fresh = s >= 0 and at[s] > 0 and times[i] - at[s] <= FRESH_STEPS * steps[s]
            for j in range(n_cells):
                out[i, m * n_cells + j] = ring[s, j] if fresh else np.nan
