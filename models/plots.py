"""Pictures of a training run: the alert budget, scores over time, how honest the scores are, how far features moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from models.drift import MOVED, histogram, stability_index

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from models.card import Card

__all__ = ["budget_figure", "drift_figure", "reliability_figure", "scores_figure"]

Floats = npt.NDArray[np.float64]
Held = Mapping[str, tuple[npt.NDArray[np.int64], Floats, Floats]]
DECADES = 12.0
MOST_POINTS = 20_000


def budget_figure(budget: pd.DataFrame, shift: float, facts: Mapping[str, str | float]) -> Figure:
    """Incidents an entity and week over the threshold, with the budget and the threshold chosen."""
    figure, axis = _panel("threshold, decades beside the built-in one", "incidents an entity and week")
    axis.plot(budget["shift"], budget["per_entity_week"], marker="o", markersize=3)
    axis.axhline(float(facts.get("budget_per_week", 1.0)), color="#c0392b", linestyle="--", label="budget")
    axis.axvline(shift, color="#7f8c8d", linestyle=":", label="chosen")
    axis.legend(frameon=False)
    return figure


def scores_figure(held: Held, shift: float) -> Figure:
    """The highest score of the fleet over the time held back, and the lowest threshold."""
    figure, axis = _panel("hours held back", "highest score of the fleet")
    if held:
        times = np.concatenate([one[0] for one in held.values()])
        scores = np.concatenate([one[1] for one in held.values()])
        order = np.argsort(times, kind="stable")
        at, first = np.unique(times[order], return_index=True)
        hours, peaks = (at - at[0]) / 3.6e6, np.maximum.reduceat(scores[order], first)
        every = max(1, len(hours) // MOST_POINTS)
        axis.plot(hours[::every], peaks[::every], linewidth=0.6)
        axis.axhline(min(one[2].min() for one in held.values()) + shift / DECADES, color="#c0392b", linestyle="--")
    axis.set_ylim(0, 1.02)
    return figure


def reliability_figure(held: Held) -> Figure:
    """Share of steps at or above each score, beside the share that the score claims: 10 to the power of -12 score."""
    figure, axis = _panel("score", "share of steps at or above it")
    scores = np.sort(np.concatenate([one[1] for one in held.values()])) if held else np.zeros(1)
    levels = np.linspace(0.05, 0.6, 40)
    axis.semilogy(
        levels, np.maximum(1 - np.searchsorted(scores, levels) / len(scores), 0.1 / len(scores)), label="seen"
    )
    axis.semilogy(levels, 10.0 ** (-DECADES * levels), linestyle="--", label="claimed")
    axis.set_ylim(0.1 / len(scores), 1.2)
    axis.legend(frameon=False)
    return figure


def drift_figure(champion: Card, later: Mapping[str, Floats]) -> Figure:
    """Population stability index of each feature: rows of this training by entity class, in the champion's bins."""
    figure, axis = _panel("population stability index against the champion's training", "entity class and feature")
    for entity_class in sorted(set(champion.reference) & set(later)):
        edges, reference = champion.edges[entity_class], champion.reference[entity_class]
        if later[entity_class].shape[1] == len(edges):
            moved = stability_index(reference, histogram(later[entity_class], edges))
            axis.barh([f"{entity_class}: {name}" for name in champion.feature_names], moved, color="#5d6d7e")
    axis.axvline(MOVED, color="#c0392b", linestyle="--", label="moved")
    axis.legend(frameon=False)
    return figure


def _panel(x: str, y: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    axis = figure.add_subplot()
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    return figure, axis
