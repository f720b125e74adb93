"""An incident in words: its kind, the metrics to blame, and a title that a person can read at 3 a.m."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from pipeline.amounts import amount, band, number, rate_of
from pipeline.baselines import Features
from pipeline.catalog import Catalog
from pipeline.codecs.units import bounds_of
from pipeline.exhaustion import Outlook
from pipeline.grid import Grid
from pipeline.incident import ContributingMetric
from pipeline.life import Life
from pipeline.rules import Rules

__all__ = ["Narrator", "iso_time"]

MOST_METRICS = 10
WITH_HISTORY = 3
BAND_WIDTH = 3.0
PHRASES: dict[str, str] = {
    "spike": "jumped to",
    "dip": "fell to",
    "level_shift": "moved to a new level of",
    "trend": "is drifting, now",
    "variance": "is unusually restless, now",
    "flatline": "is stuck at",
    "season": "broke its daily rhythm at",
}
# hours in a minute, an hour and a day, and below how many hours each is used
SPANS = ((1 / 60, "min", 3.0), (1.0, "h", 72.0), (24.0, "d", float("inf")))


def iso_time(time_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds, for ms since 1970."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Narrator:
    """Puts lives into words, with what catalog, features and grid know of their series."""

    catalog: Catalog
    features: Features
    rules: Rules
    grid: Grid

    def metrics(self, life: Life) -> list[ContributingMetric]:
        """The metrics to blame, most first; their shares sum to 1."""
        blamed = [s for s in life.blame if life.blame[s] > 0.0] or list(life.blame)
        ranked = sorted(blamed, key=lambda s: (-life.blame[s], self.catalog.identities[s].name))[:MOST_METRICS]
        total = sum(life.blame[s] for s in ranked) or 1.0
        return [self._metric(s, life.blame[s] / total, rank < WITH_HISTORY) for rank, s in enumerate(ranked)]

    def rule(self, life: Life) -> str | None:
        """The rules in force for what carries the incident."""
        return self.rules.named(s for s, blame in life.blame.items() if blame > 0.0)

    def title(self, life: Life, metrics: list[ContributingMetric]) -> str:
        """What, where, how much and since when, in one line."""
        entity = self.catalog.entities[life.entity][0]
        since = datetime.fromtimestamp(life.started_ms / 1000, UTC).strftime("%H:%M")
        if life.track == "silence":
            return f"{entity}: no telemetry since {since} UTC"
        if life.outlook is not None and metrics:
            return f"{entity}: {metrics[0].metric} {_outlook(life.outlook)}"
        if not metrics:
            return f"{entity}: unusual behaviour since {since} UTC"
        top = metrics[0]
        text = f"{entity}: {top.metric} {PHRASES[life.kind]} {amount(top.value, top.unit)} since {since} UTC"
        if top.lower is not None:
            text += f", usually {band(top.lower, top.upper, top.unit)} at this hour"
        others = len(metrics) - 1
        return f"{text} (and {others} more metric{'s' if others > 1 else ''})" if others else text

    def _metric(self, series: int, share: float, with_history: bool) -> ContributingMetric:
        identity = self.catalog.identities[series]
        expected, scale = self.features.expected(series)
        rate = self.grid.is_rate(series)
        smallest, largest = bounds_of(identity.unit, expected) if not rate else (0.0, np.inf)
        return ContributingMetric(
            metric=identity.name,
            unit=rate_of(identity.unit) if rate else identity.unit,
            share=round(share, 6),
            value=_rounded(self.features.value(series)),
            expected=_rounded(expected),
            lower=_rounded(max(expected - BAND_WIDTH * scale, smallest)),
            upper=_rounded(min(expected + BAND_WIDTH * scale, largest)),
            recent=[_rounded(x) for x in self.features.recent(series).tolist()] if with_history else [],
        )


def _outlook(outlook: Outlook) -> str:
    """``full in 6 h (4–11 h), now 82 %``: shares are of the limit; what counts down is used up instead of full."""
    end = "used up" if outlook.left else "full"
    now = f"now {number(100.0 * outlook.used / outlook.limit)} %{' left' if outlook.left else ''}"
    if outlook.full_ms <= outlook.time_ms:
        return f"is {end}, {now}"
    hours = [(at - outlook.time_ms) / 3.6e6 for at in (outlook.full_ms, outlook.earliest_ms, outlook.latest_ms)]
    size, sign = next((size, sign) for size, sign, most in SPANS if hours[0] < most)
    middle, low, high = (round(one / size) for one in hours)
    return f"{end} in {middle} {sign} ({low}–{high} {sign}), {now}"


def _rounded(value: float) -> float | None:
    """Nine significant digits: what an event shows must not hang on the last bits."""
    return None if not np.isfinite(value) else float(f"{value:.9g}")
