"""Isolation trees as packed nodes, walked eight rows at a time.

A node is one 64-bit word, so that a step of a walk is one load from a table that fits the first cache::

    63            32 31        12 11       0
    [ border as key ][ left child ][ column ]      the right child lies behind the left; a leaf is its own child

Borders and values are compared as keys: the bits of a float32, reordered so that integers compare as floats do.
Rows are walked in eights because a walk is a chain of dependent loads: eight chains fill the waiting of each other.
The keys of a tile lie column by column, so that all eight are found from one address.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["MAX_FEATURES", "MAX_NODES", "Forest", "PackedTree", "pack", "score"]

COLUMN_BITS, CHILD_BITS = 12, 20
MAX_FEATURES, MAX_NODES = 1 << COLUMN_BITS, 1 << CHILD_BITS
COLUMN_MASK, CHILD_MASK = MAX_FEATURES - 1, MAX_NODES - 1
TILE = 32  # rows whose keys stay in the first cache while all trees pass by; a multiple of eight
MISSING = -(1 << 31)  # below the key of every number


class PackedTree(NamedTuple):
    """One tree, breadth first: nodes, whether a missing value goes right, path length of leaves, levels."""

    nodes: npt.NDArray[np.int64]
    missing_right: npt.NDArray[np.bool_]
    path: npt.NDArray[np.float64]
    depth: int


class Forest(NamedTuple):
    """All trees behind each other; ``scale`` is what the summed path lengths are divided by."""

    nodes: npt.NDArray[np.int64]
    missing_right: npt.NDArray[np.bool_]
    path: npt.NDArray[np.float64]
    roots: npt.NDArray[np.int64]
    depth: int
    scale: float


def pack(
    border: npt.NDArray[np.float64], child: npt.NDArray[np.int64], column: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Join borders (float64: x <= border goes left), left children and columns into words, shape (n_nodes,)."""
    with np.errstate(over="ignore"):
        single = border.astype(np.float32)
    # x is a float32, so x <= border holds exactly where x <= the largest float32 not above the border
    single = np.where(single > border, np.nextafter(single, np.float32(-np.inf)), single) + np.float32(0)
    bits = single.view(np.int32)
    keys = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits).astype(np.int64)
    words: npt.NDArray[np.int64] = keys << (CHILD_BITS + COLUMN_BITS) | child << COLUMN_BITS | column
    return words


@njit(cache=True)
def _to_keys(x, single, keys):
    """Lay rows as keys of their float32 into columns, missing values as MISSING; return whether there are any."""
    missing = False
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            single[j, i] = np.float32(x[i, j]) + np.float32(0)
            bits = keys[j, i]
            key = bits ^ 0x7FFFFFFF if bits < 0 else bits
            keys[j, i] = MISSING if np.isnan(x[i, j]) else key
            missing |= np.isnan(x[i, j])
    return missing


@njit(cache=True)
def _next(node, keys, row):
    """Return the child of a node that a row's key leads to; ``keys`` are flat."""
    key = keys[np.uint64(node & COLUMN_MASK) * np.uint64(TILE) + row]
    return np.uint64(((node >> COLUMN_BITS) & CHILD_MASK) + (key > (node >> (CHILD_BITS + COLUMN_BITS))))


@njit(cache=True)
def _walk_four(keys, first, tree, path, depth, total):
    """Add the path lengths of four rows in one tree to their totals."""
    a = b = c = d = np.uint64(0)
    i, j, k, m = np.uint64(first), np.uint64(first + 1), np.uint64(first + 2), np.uint64(first + 3)
    for _ in range(depth):
        a, b = _next(tree[a], keys, i), _next(tree[b], keys, j)
        c, d = _next(tree[c], keys, k), _next(tree[d], keys, m)
    total[first] += path[a]
    total[first + 1] += path[b]
    total[first + 2] += path[c]
    total[first + 3] += path[d]


@njit(cache=True)
def _walk_eight(keys, first, tree, path, depth, total):
    """Add the path lengths of eight rows in one tree to their totals."""
    a = b = c = d = e = f = g = h = np.uint64(0)
    i, j, k, m = np.uint64(first), np.uint64(first + 1), np.uint64(first + 2), np.uint64(first + 3)
    n, o, p, q = np.uint64(first + 4), np.uint64(first + 5), np.uint64(first + 6), np.uint64(first + 7)
    for _ in range(depth):
        a, b = _next(tree[a], keys, i), _next(tree[b], keys, j)
        c, d = _next(tree[c], keys, k), _next(tree[d], keys, m)
        e, f = _next(tree[e], keys, n), _next(tree[f], keys, o)
        g, h = _next(tree[g], keys, p), _next(tree[h], keys, q)
    total[first] += path[a]
    total[first + 1] += path[b]
    total[first + 2] += path[c]
    total[first + 3] += path[d]
    total[first + 4] += path[e]
    total[first + 5] += path[f]
    total[first + 6] += path[g]
    total[first + 7] += path[h]


@njit(cache=True)
def _walk_missing(keys, row, forest):
    """Return the summed path length of one row, sending missing values where training sent them."""
    total = 0.0
    for k in range(forest.roots.size - 1):
        at, root = 0, forest.roots[k]
        for _ in range(forest.depth):
            node = forest.nodes[root + at]
            missing = keys[(node & COLUMN_MASK) * TILE + row] == MISSING and forest.missing_right[root + at]
            right = ((node >> COLUMN_BITS) & CHILD_MASK) + 1
            at = right if missing else np.int64(_next(node, keys, np.uint64(row)))
        total += forest.path[root + at]
    return total


@njit(cache=True)
def score(x, forest, out):
    """Score rows: 2 to the power of minus the mean path length over its expectation.

    Parameters
    ----------
    x : float64[n_rows, n_features]
    forest : Forest
        Every child and column within bounds.
    out : float64[n_rows]
        Filled here; nearer to 1 = more anomalous.
    """
    n = x.shape[0]
    single = np.zeros((x.shape[1], TILE), np.float32)
    columns = single.view(np.int32)
    keys = columns.ravel()
    total = np.empty(TILE)
    for start in range(0, n, TILE):
        rows = min(TILE, n - start)
        missing = _to_keys(x[start : start + rows], single, columns)
        total[:] = 0.0
        for k in range(forest.roots.size - 1):
            tree = forest.nodes[forest.roots[k] : forest.roots[k + 1]]
            path = forest.path[forest.roots[k] : forest.roots[k + 1]]
            for first in range(0, rows - 4, 8):
                _walk_eight(keys, first, tree, path, forest.depth, total)
            if 0 < rows % 8 <= 4:  # the last few: a row alone should not wait for seven
                _walk_four(keys, rows - rows % 8, tree, path, forest.depth, total)
        for i in range(rows if missing else 0):
            total[i] = _walk_missing(keys, i, forest)
        # always the whole tile: a compiler may compute the last few of an odd number in another way
        for i in range(TILE):
            total[i] = 2.0 ** -(total[i] / forest.scale if forest.scale > 0.0 else 1.0)
        out[start : start + rows] = total[:rows]
