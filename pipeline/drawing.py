"""Pictures for notebooks: scores over time with their threshold, and the incidents that came of them."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.errors import InputError

__all__ = ["scores_figure"]

COLOURS = {"info": "#7fb3d5", "warning": "#f5c469", "error": "#e8825d", "critical": "#c0392b"}
PANEL_INCHES = (11.0, 1.8)
MOST_PANELS = 30


def scores_figure(scores: pd.DataFrame, incidents: pd.DataFrame, entities: Sequence[str]) -> Figure:
    """Draw one panel an entity, at most thirty.

    Parameters
    ----------
    scores, incidents
        As in ``pipeline.notebook.Verdict``.
    entities
        Which panels, from top to bottom.

    Raises
    ------
    InputError
        There is no such entity.
    """
    unknown = sorted(set(entities) - set(scores["entity"]))
    if unknown or not entities:
        told = ", ".join(sorted(scores["entity"].unique())[:10])
        raise InputError(f"no entity {unknown[0] if unknown else ''!r} among the scores; there are {told}")
    shown = entities[:MOST_PANELS]
    width, height = PANEL_INCHES
    figure, axes = plt.subplots(len(shown), 1, figsize=(width, height * len(shown)), sharex=True, squeeze=False)
    for axis, entity in zip(axes[:, 0], shown, strict=True):
        _panel(axis, scores[scores["entity"] == entity], incidents[incidents["entity"] == entity])
        axis.set_title(entity, loc="left", fontsize=9)
    figure.tight_layout()
    return figure


def _panel(axis: Axes, scores: pd.DataFrame, incidents: pd.DataFrame) -> None:
    axis.plot(scores["time"], scores["score"], linewidth=0.7, color="#34495e", label="score")
    axis.plot(scores["time"], scores["threshold"], linewidth=0.9, color="#c0392b", linestyle="--", label="threshold")
    ended = incidents["ended_at"].fillna(scores["time"].max())
    for begin, end, severity in zip(incidents["started_at"], ended, incidents["severity"], strict=True):
        axis.axvspan(begin, end, color=COLOURS[severity], alpha=0.45)
    axis.set_ylim(0, 1.02)
    axis.legend(loc="upper right", fontsize=7, frameon=False)
