"""Incidents in the terminal: one line an event, bars of the metrics to blame, a plot of the last values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pipeline.incident import CloudEvent, ContributingMetric

__all__ = ["bars", "event_line", "life_lines", "plot", "sparkline"]

COLOURS = {"info": "cyan", "warning": "yellow", "error": "red", "critical": "bright_red"}
BLOCKS = "▁▂▃▄▅▆▇█"
BAR_WIDTH, PLOT_HEIGHT = 30, 9


def event_line(event: CloudEvent) -> str:
    """One event as one line: when, what became of it, how bad, in words, a sparkline of the top metric."""
    incident = event.data
    what = event.type.removeprefix("foreshock.incident.").removesuffix(".v1")
    severity = typer.style(f"{incident.severity:<8}", fg=COLOURS[incident.severity])
    top = incident.contributing_metrics[0].recent if incident.contributing_metrics else []
    spark = f"  {sparkline(top)}" if what in ("opened", "reopened") and len(top) > 1 else ""
    head = f"{_short_time(incident.updated_at)}  {what:<8}  {severity}"
    return f"{head}  {incident.title}{spark}  [{incident.incident_id[:8]}]"


def life_lines(events: Sequence[CloudEvent]) -> Iterator[str]:
    """An incident's whole story: head, life, metrics to blame, the window around the worst of them."""
    last = events[-1].data
    yield typer.style(last.title, bold=True)
    until = last.ended_at or "still open"
    yield f"{last.incident_id}  {last.entity.entity_class} {last.entity.id}, {last.kind} on the {last.track} track"
    yield f"from {last.started_at} to {until}, detected {last.detected_at}, score {last.score:.3f}"
    model, quality = last.model, last.data_quality
    warming = ", still warming up" if quality.warming else ""
    yield (
        f"model {model.name} {model.version}, threshold {model.threshold:.3f}; "
        f"{quality.missing_share:.0%} of cells missing, {quality.late_samples} late samples{warming}"
    )
    yield (
        f"evidence in {last.source.topic}, partition {last.source.partition}, "
        f"offsets {last.source.first_offset} to {last.source.last_offset}"
    )
    yield from (f"{name}: {link}" for name, link in sorted(last.links.items()))
    yield ""
    for event in events:
        one = event.data
        state = f"{one.status:<8}  {one.severity:<8}  {one.score:.3f}"
        yield f"  {one.revision:>3}  {one.updated_at}  {state}  {one.reason}"
    # The last revision may tell of the recovery; the worst one tells what it was about.
    worst = max((event.data for event in events), key=lambda one: (bool(one.contributing_metrics), one.score))
    if worst.contributing_metrics:
        yield ""
        yield from bars(worst.contributing_metrics)
    if worst.contributing_metrics and len(worst.contributing_metrics[0].recent) > 1:
        yield ""
        yield from plot(worst.contributing_metrics[0])


def bars(metrics: Sequence[ContributingMetric]) -> Iterator[str]:
    """One bar a metric, as long as its share, with its value and what was expected."""
    width = max(len(one.metric) for one in metrics)
    for one in metrics:
        filled = round(one.share * BAR_WIDTH)
        unit = "" if one.unit in ("", "1") else f" {one.unit}"
        value = "no value" if one.value is None else f"{one.value:.6g}{unit}"
        band = "" if one.lower is None or one.upper is None else f", expected {one.lower:.6g} to {one.upper:.6g}{unit}"
        yield f"  {one.metric:<{width}}  {'█' * filled}{'░' * (BAR_WIDTH - filled)} {one.share:>4.0%}  {value}{band}"


def plot(metric: ContributingMetric) -> Iterator[str]:
    """The last values as dots in front of the expected band; gaps stay gaps."""
    values = [one for one in metric.recent if one is not None]
    if not values:
        return
    band = [one for one in (metric.lower, metric.upper) if one is not None]
    low, high = min(values + band), max(values + band)
    span = (high - low) or 1.0
    yield f"  {metric.metric}, last {len(metric.recent)} values (● value, ░ expected)"
    for row in range(PLOT_HEIGHT, -1, -1):
        level = low + span * row / PLOT_HEIGHT
        label = f"{level:.5g}" if row in (0, PLOT_HEIGHT // 2, PLOT_HEIGHT) else ""
        half = span / PLOT_HEIGHT / 2
        inside = len(band) == 2 and band[0] - half <= level <= band[1] + half
        dots = "".join(
            "●" if one is not None and round((one - low) / span * PLOT_HEIGHT) == row else "░" if inside else " "
            for one in metric.recent
        )
        yield f"  {label:>11} ┤{dots}".rstrip()


def sparkline(values: Sequence[float | None]) -> str:
    """The values as blocks of eight heights; a gap is a space."""
    known = [one for one in values if one is not None]
    low, span = min(known, default=0.0), (max(known, default=0.0) - min(known, default=0.0)) or 1.0
    return "".join(" " if one is None else BLOCKS[int((one - low) / span * 7.999)] for one in values)


def _short_time(time: str) -> str:
    return time[:19].replace("T", " ")
