"""Fitted estimators as compiled scorers: the numbers of scikit-learn, the same bits alone and in any batch.

A served scorer is asked for one row as often as for thousands. scikit-learn answers for one row in milliseconds, and
its k-means changes bits with the size of the batch, because matrix products do. The scorers here read the fitted
arrays once, check every index in them (a model file is input like any other) and never call scikit-learn again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from models.kernels import forest as trees
from models.kernels import nearest

if TYPE_CHECKING:
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.ensemble import IsolationForest

__all__ = ["CompiledForest", "CompiledKMeans", "Scorer", "ScorerRefused", "compile_scorer"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class ScorerRefused(ValueError):
    """The estimator cannot be compiled: it is of another kind, or (``known_kind``) its arrays contradict themselves."""

    def __init__(self, reason: str, known_kind: bool = True) -> None:
        super().__init__(reason)
        self.known_kind = known_kind


class Scorer(Protocol):
    """What serves: rows in, scores out, higher = more anomalous."""

    @property
    def n_features(self) -> int:
        """Columns that a row must have."""

    def score(self, x: Floats) -> Floats:
        """Score rows (n_rows, n_features); shape (n_rows,)."""


@dataclass(frozen=True, slots=True)
class CompiledForest:
    """An isolation forest (Liu, Ting & Zhou, 2008): ``-score_samples`` of the estimator it was made of."""

    n_features: int
    forest: trees.Forest

    def score(self, x: Floats) -> Floats:
        """Score rows (n_rows, n_features) between 0 and 1; a missing value goes where training sent it."""
        rows = _rows(x, self.n_features)
        out = np.empty(len(rows))
        trees.score(rows, self.forest, out)
        return out


@dataclass(frozen=True, slots=True)
class CompiledKMeans:
    """Distance to the nearest centre, by differences: exact where scikit-learn's ``transform`` cancels digits.

    ``centres`` has shape (n_centres, n_features padded with zeros to a multiple of four).
    """

    n_features: int
    centres: Floats

    def score(self, x: Floats) -> Floats:
        """Score rows (n_rows, n_features); a row with a missing value scores NaN."""
        rows = _rows(x, self.n_features)
        out = np.empty(len(rows))
        nearest.distance(rows, self.centres, out)
        return out

    def score_known(self, x: Floats) -> Floats:
        """As :meth:`score`, but what a row misses is left out of its distance, and the rest carries its weight."""
        out = self.score(x)
        holes = np.isnan(out)
        if holes.any():
            known = np.empty(int(holes.sum()))
            nearest.distance_known(_rows(x[holes], self.n_features), self.centres, known)
            out[holes] = known
        return out


def compile_scorer(estimator: Any) -> Scorer:
    """Compile a fitted isolation forest or k-means.

    Raises
    ------
    ScorerRefused
        If the estimator is of another kind or not fitted, or an index in it points outside of its arrays.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans  # late: a job that serves no estimator is up a second sooner
    from sklearn.ensemble import IsolationForest

    if isinstance(estimator, IsolationForest):
        return _compiled_forest(estimator)
    if isinstance(estimator, KMeans | MiniBatchKMeans):
        return _compiled_kmeans(estimator)
    raise ScorerRefused(
        f"{type(estimator).__name__} has no compiled scorer; there are IsolationForest, KMeans and MiniBatchKMeans",
        known_kind=False,
    )


def _rows(x: Floats, n_features: int) -> Floats:
    rows = np.ascontiguousarray(x, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != n_features:
        raise ValueError(f"rows of shape {rows.shape} where (n_rows, {n_features}) is expected")
    return rows


def _fitted(estimator: Any, *names: str) -> None:
    missing = [name for name in names if not hasattr(estimator, name)]
    if missing:
        raise ScorerRefused(f"{type(estimator).__name__} is not fitted: it has no {missing[0]}")


def _compiled_kmeans(estimator: KMeans | MiniBatchKMeans) -> CompiledKMeans:
    _fitted(estimator, "cluster_centers_", "n_features_in_")
    centres, n_features = np.asarray(estimator.cluster_centers_, np.float64), int(estimator.n_features_in_)
    if centres.ndim != 2 or len(centres) == 0 or centres.shape[1] != n_features:
        raise ScorerRefused(f"centres of shape {centres.shape} where (n_centres, {n_features}) is expected")
    if not np.isfinite(centres).all():
        raise ScorerRefused("a centre is not finite")
    padding = -n_features % nearest.UNROLLED
    return CompiledKMeans(n_features, np.pad(centres, ((0, 0), (0, padding))))


def _compiled_forest(estimator: IsolationForest) -> CompiledForest:
    _fitted(estimator, "estimators_", "estimators_features_", "n_features_in_", "max_samples_")
    n_features = int(estimator.n_features_in_)
    if not 0 < n_features <= trees.MAX_FEATURES:
        raise ScorerRefused(f"{n_features} features where 1 to {trees.MAX_FEATURES} can be packed")
    if not estimator.estimators_ or len(estimator.estimators_) != len(estimator.estimators_features_):
        raise ScorerRefused(
            f"{len(estimator.estimators_)} trees with {len(estimator.estimators_features_)} sets of features"
        )
    packed = []
    pairs = zip(estimator.estimators_, estimator.estimators_features_, strict=True)
    for number, (one, features) in enumerate(pairs):
        columns = np.asarray(features, np.int64)
        if ((columns < 0) | (columns >= n_features)).any():
            raise ScorerRefused(f"tree {number} uses column {columns.max()} of {n_features}")
        packed.append(_packed_tree(one.tree_, columns, number))
    depth = max(tree.depth for tree in packed)
    roots = np.cumsum([0, *(len(tree.nodes) for tree in packed)])
    scale = len(packed) * float(_average_path_length(np.array([int(estimator.max_samples_)]))[0])
    nodes = np.concatenate([tree.nodes for tree in packed])
    missing_right = np.concatenate([tree.missing_right for tree in packed])
    path = np.concatenate([tree.path for tree in packed])
    return CompiledForest(n_features, trees.Forest(nodes, missing_right, path, roots, depth, scale))


def _packed_tree(tree: Any, columns: Ints, number: int) -> trees.PackedTree:
    """Check one tree and renumber it breadth first, so that both children of a node lie side by side."""
    left, right = np.asarray(tree.children_left, np.int64), np.asarray(tree.children_right, np.int64)
    feature, threshold = np.asarray(tree.feature, np.int64), np.asarray(tree.threshold, np.float64)
    n_samples, missing_left = np.asarray(tree.n_node_samples, np.int64), np.asarray(tree.missing_go_to_left, bool)
    arrays = (left, right, feature, threshold, n_samples, missing_left)
    if len(left) == 0 or any(len(array) != len(left) for array in arrays):
        raise ScorerRefused(f"tree {number} has arrays of different lengths")
    if len(left) > trees.MAX_NODES:
        raise ScorerRefused(f"tree {number} has {len(left)} nodes where at most {trees.MAX_NODES} can be packed")
    levels = _levels(left, right, number)
    order = np.concatenate(levels)
    inner = left[order] >= 0
    asked = feature[order][inner]
    if ((asked < 0) | (asked >= len(columns))).any():
        raise ScorerRefused(f"tree {number} asks for feature {asked.max()} of {len(columns)}")
    if not np.isfinite(threshold[order][inner]).all():
        raise ScorerRefused(f"tree {number} has a threshold that is not finite")
    child = np.arange(len(order))
    child[inner] = 1 + 2 * np.arange(inner.sum())
    column = np.zeros(len(order), np.int64)
    column[inner] = columns[asked]
    border = np.where(inner, threshold[order], np.inf)
    level = np.repeat(np.arange(len(levels)), [len(one) for one in levels])
    path = level + _average_path_length(n_samples[order])
    return trees.PackedTree(
        trees.pack(border, child, column), inner & ~missing_left[order], np.where(inner, 0.0, path), len(levels) - 1
    )


def _levels(left: Ints, right: Ints, number: int) -> list[Ints]:
    """Nodes by depth, from the root down.

    Raises
    ------
    ScorerRefused
        If a child points outside of the tree, a node has one child only or two parents, or hangs in the air.
    """
    levels, level, reached = [], np.zeros(1, np.int64), 0
    while len(level):
        levels.append(level)
        reached += len(level)
        if reached > len(left):
            raise ScorerRefused(f"tree {number} reaches a node twice")
        inner = level[(left[level] >= 0) | (right[level] >= 0)]
        level = np.column_stack((left[inner], right[inner])).ravel()
        if ((level <= 0) | (level >= len(left))).any():
            raise ScorerRefused(f"tree {number} has a child outside of its {len(left)} nodes")
    if len(np.unique(np.concatenate(levels))) != len(left):
        raise ScorerRefused(f"tree {number} has nodes that the root does not reach")
    return levels


def _average_path_length(n: Ints) -> Floats:
    """Average depth of an unsuccessful search among n samples: c(n) of Liu, Ting & Zhou (2008)."""
    many = np.maximum(n, 3).astype(np.float64)
    path = 2.0 * (np.log(many - 1.0) + np.euler_gamma) - 2.0 * (many - 1.0) / many
    return np.where(n > 2, path, np.where(n == 2, 1.0, 0.0))
