"""Detectors by name: estimators on the scikit-learn contract that score rows or windows beside the baselines.

They keep scikit-learn's sign (lower is more anomalous); only a bundle turns it. Anyone's own estimator is named as
``package.module:Factory``: what that returns must have ``score_samples`` or ``decision_function``, and be importable
where the job runs. What cannot be compiled serves one row at a time (see ``models.alone``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from models.errors import ModelError

__all__ = ["DETECTORS", "Detector", "detector_of"]

SEED = 20_240_229


@dataclass(frozen=True, slots=True)
class Detector:
    """A named detector: what it is good at, and how an unfitted one is made (None: the baselines alone).

    ``over`` says what it is fitted on: feature rows of any series, or windows of all metrics of an entity.
    """

    name: str
    good_at: str
    make: Callable[[], Any] | None = None
    over: Literal["rows", "windows"] = "rows"


def _forest() -> Any:
    from sklearn.ensemble import IsolationForest

    return IsolationForest(n_estimators=100, max_samples=256, random_state=SEED)


def _kmeans() -> Any:
    from sklearn.cluster import KMeans

    return KMeans(n_clusters=64, n_init=1, random_state=SEED)


DETECTORS = {
    one.name: one
    for one in (
        Detector("baseline", "level shifts, trends, broken seasons; knows each series alone; the cheapest"),
        Detector("forest", "rows whose features are odd together (isolation forest, pooled over the fleet)", _forest),
        Detector(
            "kmeans",
            "minutes in which metrics move together as they never do (windows of all metrics, nearest centre)",
            _kmeans,
            "windows",
        ),
    )
}


def detector_of(name: str) -> Detector:
    """The detector of that name, or one that ``package.module:Factory`` makes.

    Raises
    ------
    ModelError
        There is none; the message names those there are.
    """
    if name in DETECTORS:
        return DETECTORS[name]
    module, colon, factory = name.partition(":")
    if not colon:
        raise ModelError(f"there is no detector {name!r}; there are {', '.join(DETECTORS)}, or package.module:Factory")
    try:
        make = getattr(import_module(module), factory)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"the detector {name!r} cannot be imported: {error}") from error
    return Detector(name, "a detector of your own", make)
