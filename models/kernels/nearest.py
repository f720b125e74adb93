"""Distance to the nearest centre, by differences, summed in the order of the features whatever the batch."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["UNROLLED", "distance", "distance_known"]

UNROLLED = 4  # features added to a running sum between its load and its store
TILE = 64  # rows side by side, so that one feature of all of them is one vector
FEW = 16  # below so many rows the centres lie side by side instead


@njit(cache=True)
def _add_four(total, x, c):
    """Add the squared differences of four features, one after the other."""
    e0, e1, e2, e3 = x[0] - c[0], x[1] - c[1], x[2] - c[2], x[3] - c[3]
    return (((total + e0 * e0) + e1 * e1) + e2 * e2) + e3 * e3


@njit(cache=True)
def _few(x, centres, out):
    """Take one row at a time, all centres abreast."""
    n_centres, padded = centres.shape
    columns = np.ascontiguousarray(centres.T)
    row, total = np.zeros(padded), np.empty(n_centres)
    for i in range(x.shape[0]):
        row[: x.shape[1]] = x[i]
        total[:] = 0.0
        for j in range(0, padded, UNROLLED):
            x0, x1, x2, x3 = row[j], row[j + 1], row[j + 2], row[j + 3]
            c0, c1, c2, c3 = columns[j], columns[j + 1], columns[j + 2], columns[j + 3]
            for k in range(n_centres):
                total[k] = _add_four(total[k], (x0, x1, x2, x3), (c0[k], c1[k], c2[k], c3[k]))
        out[i] = np.sqrt(total.min())


@njit(cache=True)
def _many(x, centres, out):
    """Take one centre at a time, a tile of rows abreast."""
    n, d = x.shape
    tile = np.zeros((centres.shape[1], TILE))
    total, best = np.empty(TILE), np.empty(TILE)
    for start in range(0, n, TILE):
        rows = min(TILE, n - start)
        for i in range(rows):
            for j in range(d):
                tile[j, i] = x[start + i, j]
        best[:] = np.inf
        for centre in centres:
            total[:] = 0.0
            for j in range(0, centres.shape[1], UNROLLED):
                c = (centre[j], centre[j + 1], centre[j + 2], centre[j + 3])
                x0, x1, x2, x3 = tile[j], tile[j + 1], tile[j + 2], tile[j + 3]
                for i in range(TILE):
                    total[i] = _add_four(total[i], (x0[i], x1[i], x2[i], x3[i]), c)
            for i in range(TILE):
                best[i] = min(best[i], total[i])
        for i in range(rows):
            out[start + i] = np.sqrt(best[i])


@njit(cache=True)
def distance(x, centres, out):
    """Euclidean distance of each row to the nearest centre.

    Parameters
    ----------
    x : float64[n_rows, n_features]
    centres : float64[n_centres, n_features padded with zeros to a multiple of UNROLLED]
    out : float64[n_rows]
        Filled here; NaN for a row that misses a value.
    """
    if x.shape[0] < FEW:
        _few(x, centres, out)
    else:
        _many(x, centres, out)
    for i in range(x.shape[0]):
        for value in x[i]:
            if np.isnan(value):
                out[i] = np.nan


@njit(cache=True)
def distance_known(x, centres, out):
    """As :func:`distance`, over the values that are known; squares are scaled up for those that are missing.

    Parameters
    ----------
    x : float64[n_rows, n_features]
    centres : float64[n_centres, at least n_features]
    out : float64[n_rows]
        Filled here; NaN for a row that knows nothing.
    """
    for i in range(x.shape[0]):
        n_known, best = 0, np.inf
        for value in x[i]:
            n_known += not np.isnan(value)
        for centre in centres:
            total = 0.0
            for j in range(x.shape[1]):
                if not np.isnan(x[i, j]):
                    total += (x[i, j] - centre[j]) ** 2
            best = min(best, total)
        out[i] = np.sqrt(best * (x.shape[1] / n_known)) if n_known > 0 else np.nan
