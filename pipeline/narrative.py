"""An incident in words: its kind, the metrics to blame, and a title that a person can read at 3 a.m."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf, isfinite

from pipeline.amounts import rate_of
from pipeline.baselines import Features
from pipeline.catalog import Catalog
from pipeline.codecs.units import bounds_of, unit_told
from pipeline.events import SeriesIdentity
from pipeline.grid import Grid
from pipeline.incident import ContributingMetric, Reason
from pipeline.life import Life
from pipeline.rules import Rules
from pipeline.titles import title_of

__all__ = ["Narrator", "iso_time"]

MOST_METRICS = 10
WITH_HISTORY = 3
BAND_WIDTH = 3.0


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
        least = min(sorted(life.blame[s] for s in blamed)[-MOST_METRICS:], default=0.0)
        # to look an identity up is dear: only of those that may be told
        known = {s: self.catalog.identities[s] for s in blamed if life.blame[s] >= least}
        ranked = sorted(known, key=lambda s: (-life.blame[s], known[s].name))[:MOST_METRICS]
        total = sum(life.blame[s] for s in ranked) or 1.0
        return [self._metric(s, known[s], life.blame[s] / total, n < WITH_HISTORY) for n, s in enumerate(ranked)]

    def rule(self, life: Life) -> str | None:
        """The rules in force for what carries the incident."""
        return self.rules.named(s for s, blame in life.blame.items() if blame > 0.0)

    def title(self, life: Life, metrics: list[ContributingMetric], reason: Reason) -> str:
        """What, where, how much and since when, in one line."""
        return title_of(self.catalog.entities[life.entity][0], life, metrics, reason)

    def _metric(self, series: int, identity: SeriesIdentity, share: float, with_history: bool) -> ContributingMetric:
        expected, scale = self.features.expected(series)
        rate = self.grid.is_rate(series)
        unit = rate_of(identity.unit) if rate else unit_told(identity.metric, identity.unit, expected)
        smallest, largest = bounds_of(unit, expected) if not rate else (0.0, inf)
        if self.features.lowest(series) >= 0.0:
            smallest = max(smallest, 0.0)
        return ContributingMetric(
            metric=identity.name,
            unit=unit,
            share=round(share, 6),
            value=_rounded(self.features.value(series)),
            expected=_rounded(expected),
            lower=_rounded(max(expected - BAND_WIDTH * scale, smallest)),
            upper=_rounded(min(expected + BAND_WIDTH * scale, largest)),
            recent=[_rounded(x) for x in self.features.told(series).tolist()] if with_history else [],
        )


def _rounded(value: float) -> float | None:
    """Nine significant digits: what an event shows must not hang on the last bits."""
    return None if not isfinite(value) else float(f"{value:.9g}")
