"""Pictures of the report: scores with their threshold, and the metrics at fault, as SVG that stands in the page."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib import dates, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.recordings import Recording
from pipeline.report.story import Life
from pipeline.simulate.labels import Label

__all__ = ["metrics_picture", "score_picture"]

INK, RED, GREEN = "#34495e", "#c0392b", "#2e8b57"
SEVERITIES = {"info": "#7fb3d5", "warning": "#f5c469", "error": "#e8825d", "critical": "#c0392b"}
MOST_POINTS = 1_500
MOST_METRICS = 3

Floats = npt.NDArray[np.float64]


def score_picture(one: Recording, table: pd.DataFrame, lives: Sequence[Life], labels: Sequence[Label]) -> str:
    """The score of an entity over time, with incidents above and labels below it."""
    figure = Figure(figsize=(11, 2.2))
    axis = figure.subplots()
    days = _days(one.times // 1_000_000)
    at, score = _thinned(table["score"].to_numpy())
    axis.plot(days[at], score, linewidth=0.7, color=INK, label="score")
    axis.plot(days[at], table["threshold"].to_numpy()[at], linewidth=0.9, linestyle="--", color=RED, label="threshold")
    for label in labels:
        _mark(axis, (label.start_ms, label.end_ms), (0.0, 0.08), GREEN)
    for life in lives:
        _mark(axis, (life.started_ms, life.ended_ms), (0.08, 1.0), SEVERITIES[life.last.severity])
    axis.set_ylim(0, 1.02)
    axis.legend(loc="upper right", fontsize=7, frameon=False)
    return _svg(figure, [axis])


def metrics_picture(one: Recording, life: Life, labels: Sequence[Label]) -> str:
    """The metrics most to blame around an incident, each with the band that was expected when it was told."""
    blamed = [m for m in life.last.contributing_metrics if m.metric in one.metrics][:MOST_METRICS]
    if not blamed:
        return ""
    times = one.times // 1_000_000
    around = max((life.ended_ms - life.started_ms) * 2, 60 * _step(times))
    rows = slice(*np.searchsorted(times, [life.started_ms - around, life.ended_ms + around]))
    figure = Figure(figsize=(11, 1.5 * len(blamed)))
    axes = list(figure.subplots(len(blamed), 1, sharex=True, squeeze=False)[:, 0])
    for axis, metric in zip(axes, blamed, strict=True):
        values = one.values[rows, one.metrics.index(metric.metric)]
        axis.plot(_days(times[rows]), values, linewidth=0.8, color=INK)
        if metric.lower is not None and metric.upper is not None and life.last.track == "behaviour":
            axis.axhspan(metric.lower, metric.upper, color="#d5e8d4", alpha=0.7, linewidth=0, zorder=0)
        _mark(axis, (life.started_ms, life.ended_ms), (0.06, 1.0), SEVERITIES[life.last.severity])
        for label in labels:
            if label.end_ms >= times[rows.start] and label.start_ms <= times[rows.stop - 1]:
                _mark(axis, (label.start_ms, label.end_ms), (0.0, 0.06), GREEN)
        axis.set_xlim(*_days([times[rows.start], times[rows.stop - 1]]))
        axis.set_title(f"{metric.metric}: {metric.share:.0%} of the blame", loc="left", fontsize=8)
    return _svg(figure, axes)


def _mark(axis: Axes, span_ms: tuple[int, int], height: tuple[float, float], colour: str) -> None:
    """Colour a stretch of time between two heights, shares of the panel."""
    begin, end = _days(span_ms)
    axis.axvspan(begin, end, *height, color=colour, alpha=0.45, linewidth=0)


def _thinned(values: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """At most so many points, the highest of each stretch: no peak is lost."""
    width = -(-len(values) // MOST_POINTS)
    if width <= 1:
        return np.arange(len(values)), values
    known = np.where(np.isnan(values), -1.0, values)
    starts = np.arange(0, len(values), width)
    at = np.array([start + int(np.argmax(known[start : start + width])) for start in starts])
    return at, values[at]


def _step(times: npt.NDArray[np.int64]) -> int:
    return int(np.median(np.diff(times))) if len(times) > 1 else 60_000


def _days(times_ms: npt.ArrayLike) -> Floats:
    return np.asarray(times_ms, np.float64) / 86_400_000.0


def _svg(figure: Figure, axes: Sequence[Axes]) -> str:
    locator = dates.AutoDateLocator()  # type: ignore[no-untyped-call]
    for axis in axes:
        axis.xaxis.set_major_locator(locator)
        axis.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    out = io.StringIO()
    # a fixed salt and no date: equal backtests give equal pages
    with rc_context({"svg.hashsalt": "foreshock", "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
