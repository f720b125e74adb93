"""Compiled scorers: scikit-learn's numbers, the same bits alone and in any batch, and no trust in a model file."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.tree._tree import Tree

from models.compiled import ScorerRefused, compile_scorer

SIZES = (1, 2, 3, 4, 5, 15, 16, 17, 31, 33, 64, 65, 130)


def rows_of(seed: int, n: int, d: int, missing: float = 0.0) -> np.ndarray:
    chance = np.random.default_rng(seed)
    rows = chance.normal(size=(n, d)) * 10.0 ** chance.integers(-3, 4, d)
    rows[chance.random((n, d)) < missing] = np.nan
    return rows


def fitted(name: str, seed: int = 0, d: int = 6) -> Any:
    made = {
        "forest": IsolationForest(n_estimators=20, max_samples=64, random_state=seed),
        "forest of few features": IsolationForest(n_estimators=20, max_samples=64, max_features=0.5, random_state=seed),
        "k-means": KMeans(n_clusters=7, n_init=1, random_state=seed),
        "mini-batch k-means": MiniBatchKMeans(n_clusters=7, n_init=1, random_state=seed),
    }
    return made[name].fit(rows_of(seed, 300, d))


def reference(estimator: Any, rows: np.ndarray) -> np.ndarray:
    if isinstance(estimator, IsolationForest):
        return np.asarray(-estimator.score_samples(rows))
    return np.asarray(estimator.transform(rows).min(axis=1))


NAMES = ("forest", "forest of few features", "k-means", "mini-batch k-means")


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_those_of_scikit_learn(name: str) -> None:
    for seed, d in ((0, 1), (1, 6), (2, 23)):
        estimator, rows = fitted(name, seed, d), rows_of(seed + 100, 500, d)
        scores = compile_scorer(estimator).score(rows)
        np.testing.assert_allclose(scores, reference(estimator, rows), rtol=1e-9, atol=1e-9)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 300),
    d=st.integers(1, 9),
    max_samples=st.integers(1, 300),
    max_features=st.floats(0.1, 1.0),
    missing=st.sampled_from([0.0, 0.2]),
)
@settings(max_examples=40, deadline=None)
def test_any_forest_scores_as_scikit_learn_does(
    seed: int, n: int, d: int, max_samples: int, max_features: float, missing: float
) -> None:
    forest = IsolationForest(
        n_estimators=5, max_samples=min(max_samples, n), max_features=max_features, random_state=seed
    )
    forest.fit(rows_of(seed, n, d, missing))
    rows = np.round(rows_of(seed + 1, 50, d, missing), 1)
    np.testing.assert_allclose(compile_scorer(forest).score(rows), reference(forest, rows), rtol=0, atol=1e-9)


def test_borders_are_compared_as_scikit_learn_compares_them() -> None:
    forest = fitted("forest")
    scorer = compile_scorer(forest)
    borders = np.concatenate([tree.tree_.threshold[tree.tree_.feature >= 0] for tree in forest.estimators_])
    around = np.concatenate([borders, borders.astype(np.float32), np.nextafter(borders.astype(np.float32), np.inf)])
    edges = np.array([0.0, -0.0, np.finfo(np.float32).max, -np.finfo(np.float32).max, np.inf, -np.inf, 5e-46])
    rows = np.repeat(np.concatenate([around, edges])[:, None], 6, axis=1)
    np.testing.assert_array_equal(scorer.score(rows).round(12), reference(forest, rows).round(12))


@pytest.mark.parametrize("name", NAMES)
def test_a_row_alone_has_the_bits_it_has_in_any_batch(name: str) -> None:
    scorer, rows = compile_scorer(fitted(name)), rows_of(5, max(SIZES), 6, missing=0.02)
    whole = scorer.score(rows)
    for size in SIZES:
        parts = [scorer.score(rows[start : start + size]) for start in range(0, len(rows), size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_give_no_scores_and_wrong_columns_are_an_error(name: str) -> None:
    scorer = compile_scorer(fitted(name))
    assert scorer.score(np.empty((0, 6))).shape == (0,)
    with pytest.raises(ValueError, match=r"rows of shape \(3, 5\) where \(n_rows, 6\) is expected"):
        scorer.score(np.zeros((3, 5)))


def test_k_means_keeps_digits_far_from_zero_and_passes_missing_values_on() -> None:
    rows = rows_of(1, 300, 4)
    centres = rows[:5] + 1e8
    estimator = KMeans(n_clusters=5, n_init=1, init=centres, max_iter=1, random_state=0).fit(rows + 1e8)
    estimator.cluster_centers_ = centres
    far = rows + 1e8
    exact = np.sqrt(((far[:, None, :] - centres) ** 2).sum(axis=2)).min(axis=1)
    scores = compile_scorer(estimator).score(far)
    np.testing.assert_allclose(scores, exact, rtol=1e-12)
    far[3, 2] = np.nan
    assert np.flatnonzero(np.isnan(compile_scorer(estimator).score(far))).tolist() == [3]


def tampered(forest: IsolationForest, **fields: tuple[int, float]) -> IsolationForest:
    """Change one node of the first tree as a damaged file would: through the state that a loader sets."""
    tree = forest.estimators_[0].tree_
    state = tree.__getstate__()
    nodes = state["nodes"].copy()
    for name, (row, value) in fields.items():
        nodes[name][row] = value
    changed = Tree(tree.n_features, np.array([1], dtype=np.intp), 1)
    changed.__setstate__({**state, "nodes": nodes})
    forest.estimators_[0].tree_ = changed
    return forest


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"left_child": (0, 10**6)}, "tree 0 has a child outside of its"),
        ({"right_child": (0, -5)}, "tree 0 has a child outside of its"),
        ({"left_child": (0, 0)}, "tree 0 has a child outside of its"),
        ({"right_child": (0, 1)}, "tree 0 (reaches a node twice|has nodes that the root does not reach)"),
        ({"feature": (0, 6)}, "tree 0 asks for feature 6 of 6"),
        ({"feature": (0, -7)}, "tree 0 asks for feature"),
        ({"threshold": (0, np.nan)}, "tree 0 has a threshold that is not finite"),
    ],
)
def test_a_tampered_tree_is_refused_with_its_reason(change: dict[str, tuple[int, float]], reason: str) -> None:
    with pytest.raises(ScorerRefused, match=reason):
        compile_scorer(tampered(fitted("forest"), **change))


def test_columns_and_centres_that_do_not_fit_are_refused() -> None:
    forest, means = fitted("forest"), fitted("k-means")
    forest.estimators_features_[3] = np.array([0, 1, 2, 3, 4, 6])
    with pytest.raises(ScorerRefused, match="tree 3 uses column 6 of 6"):
        compile_scorer(forest)
    means.cluster_centers_ = means.cluster_centers_[:, :3]
    with pytest.raises(ScorerRefused, match=r"centres of shape \(7, 3\)"):
        compile_scorer(means)
    means.cluster_centers_ = np.full((7, 6), np.inf)
    with pytest.raises(ScorerRefused, match="a centre is not finite"):
        compile_scorer(means)


def test_what_is_not_fitted_or_of_another_kind_is_refused() -> None:
    with pytest.raises(ScorerRefused, match="IsolationForest is not fitted: it has no estimators_"):
        compile_scorer(IsolationForest())
    with pytest.raises(ScorerRefused, match="KMeans is not fitted"):
        compile_scorer(KMeans())
    with pytest.raises(ScorerRefused, match="LocalOutlierFactor has no compiled scorer; there are IsolationForest"):
        compile_scorer(LocalOutlierFactor())


def test_a_job_that_serves_no_estimator_is_up_without_scikit_learn_and_pandas():
    loaded = "import sys, pipeline.app; print([name for name in ('sklearn', 'pandas') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout == "[]\n"
