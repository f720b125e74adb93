"""Detectors bound to a metric set: k-means over windows of all metrics of an entity, fitted once a class.

A set names its metrics. One that an entity lacks is neutral: it is left out of the distance, and the others carry its
weight. One that the set does not name is seen by the series view only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from models.compiled import CompiledKMeans, ScorerRefused, compile_scorer
from models.errors import ModelError

__all__ = ["CELLS", "MetricSet", "Windows", "fit_sets"]

Floats = npt.NDArray[np.float64]
# steps in a window; a set of another width is refused
CELLS = 3
EXCESS_CAP = 50.0
LEAST_WINDOWS = 500
MOST_WINDOWS = 100_000
N_GOLDEN = 16
# with fewer of a set's metrics than this an entity is not judged by it
LEAST_KNOWN = 0.5
# odd windows begin at this quantile of the training's, and count in thirds of its distance from the median
ODD, SPREADS = 0.995, 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Windows of one entity: the names of its metrics, and rows of shape (n_windows, n_metrics * CELLS)."""

    metrics: tuple[str, ...]
    rows: Floats

    def of(self, metrics: tuple[str, ...]) -> Floats:
        """The rows laid out for other metrics, NaN where the entity lacks one."""
        place = {name: i for i, name in enumerate(self.metrics)}
        out = np.full((len(self.rows), len(metrics), CELLS), np.nan)
        mine = self.rows.reshape(len(self.rows), len(self.metrics), CELLS)
        for column, name in enumerate(metrics):
            if name in place:
                out[:, column] = mine[:, place[name]]
        return out.reshape(len(self.rows), -1)


@dataclass(frozen=True, slots=True, eq=False)
class MetricSet:
    """A fitted set of one class of entities.

    Parameters
    ----------
    metrics
        Names of the series that stand in a window, in this order.
    estimator
        Fitted k-means.
    centre, spread
        Distance above which windows count as odd, and the unit in which they do.
    golden_rows, golden_excess
        Windows that must be answered so when the set is loaded.
    """

    metrics: tuple[str, ...]
    estimator: Any
    centre: float = 0.0
    spread: float = 1.0
    golden_rows: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    golden_excess: Floats = field(default_factory=lambda: np.zeros(0))
    _scorer: CompiledKMeans = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        scorer = compile_scorer(self.estimator)
        if not isinstance(scorer, CompiledKMeans):
            raise ScorerRefused(f"{type(self.estimator).__name__} cannot leave out what is missing from a window")
        if not self.metrics or scorer.n_features != CELLS * len(self.metrics):
            raise ScorerRefused(f"{len(self.metrics)} metrics in windows of {CELLS} steps are not {scorer.n_features}")
        object.__setattr__(self, "_scorer", scorer)

    def score(self, rows: Floats) -> Floats:
        """Distance of windows (n_rows, n_metrics * CELLS) to the nearest centre; NaN where too little is known."""
        known = np.isfinite(rows).mean(axis=1) if rows.shape[1] else np.zeros(len(rows))
        return np.where(known >= LEAST_KNOWN, self._scorer.score_known(rows), np.nan)

    def excess(self, rows: Floats) -> Floats:
        """How far windows are beyond what training saw, shape (n_rows,); 0 where too little is known."""
        beyond = np.clip((self.score(rows) - self.centre) / self.spread, 0.0, EXCESS_CAP)
        return np.nan_to_num(beyond, nan=0.0)


def fit_sets(
    windows: Mapping[str, Windows], classes: Mapping[str, str], make: Callable[[], Any]
) -> dict[str, MetricSet]:
    """Fit one set a class on the windows of its entities.

    Parameters
    ----------
    windows
        By entity.
    classes
        Class of each entity.
    make
        Makes an estimator that is not fitted yet.

    Raises
    ------
    ModelError
        No class has enough windows.
    """
    members: dict[str, list[Windows]] = {}
    for entity, mine in sorted(windows.items()):
        members.setdefault(classes[entity], []).append(mine)
    sets = {name: _fitted(several, make) for name, several in sorted(members.items()) if _enough(several)}
    if not sets:
        most = max((sum(len(one.rows) for one in several) for several in members.values()), default=0)
        raise ModelError(f"{most} windows are too few to fit a metric set; {LEAST_WINDOWS} of one class are needed")
    return sets


def _enough(several: list[Windows]) -> bool:
    return sum(len(one.rows) for one in several) >= LEAST_WINDOWS


def _fitted(several: list[Windows], make: Callable[[], Any]) -> MetricSet:
    """Fit on the metrics that at least half of the entities have; what an entity lacks is as quiet as can be."""
    counts = Counter(name for one in several for name in one.metrics)
    metrics = tuple(sorted(name for name, n in counts.items() if 2 * n >= len(several)))
    rows = np.concatenate([one.of(metrics) for one in several])
    rows = rows[np.lexsort(rows.T[::-1])]  # whoever worked on which entity must not show
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_WINDOWS)).astype(int)]
    bare = MetricSet(metrics, make().fit(np.nan_to_num(rows, nan=0.0)))
    scores = bare.score(rows)
    median, centre = np.nanquantile(scores, [0.5, ODD])
    spread = max(float(centre - median) / SPREADS, 1e-9)
    golden = rows[np.linspace(0, len(rows) - 1, N_GOLDEN).astype(int)]
    whole = MetricSet(metrics, bare.estimator, float(centre), spread)
    return MetricSet(metrics, bare.estimator, float(centre), spread, golden, whole.excess(golden))
