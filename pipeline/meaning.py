"""What is watched of what was sent, between codecs and grid.

::

    a value that no measurement has (2^63 - 1, 2^64 - 1, -1 byte)     a gap
    a total beside its parts (cpu-total beside cpu0)                  stands aside
    sums and buckets of histograms, sums of summaries                 stand aside, for they become:
    histogram or summary, over the time since its last point          <metric>.mean
    histogram with buckets                                            <metric>.p50, .p95, .p99 {estimate=buckets}

A point that comes late changes what was told of the time since the one before it: that is told anew, or revoked. Their
counts are watched as rates by the grid. Names join with ``_`` where the sender's do. What was sent stays as it
is in ``decode`` and on the samples topic; this is about judgement only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.catalog import Catalog
from pipeline.codecs.buckets import QUANTILES, Distribution, quantile
from pipeline.codecs.sentinels import gaps_by_reason, sentinels
from pipeline.codecs.units import bounds_of
from pipeline.cumulative import Past, Points
from pipeline.events import Kind, Origin, SampleBatch, SeriesIdentity

__all__ = ["Meaning", "Watched"]

_PARTS = (".sum", "_sum", "_bucket", ".bucket")
_COUNTS = (".count", "_count")
_TOTALS = frozenset({"cpu-total", "_Total", "total", "all"})
_TELLING = ("cpu", "core", "instance")  # labels in which a total stands beside its parts
_COLUMNS = ("series_id", "time", "value", "kind", "start", "record")


@dataclass(frozen=True, slots=True)
class Watched:
    """Samples to put on the grid; how many of those sent stand aside or were added, or are gaps, by reason."""

    samples: SampleBatch
    n_aside: int
    n_derived: int
    gaps: dict[str, int] = field(default_factory=dict)


class Meaning:
    """Knows which series stand aside, and the last points of each histogram.

    Parameters
    ----------
    catalog
        The partition's; derived series are added to it.
    horizon
        How many steps a point may be late; 0: late ones are passed over.
    """

    def __init__(self, catalog: Catalog, horizon: int = 0) -> None:
        self._catalog = catalog
        catalog.derives = True
        self.points = Points(horizon)
        self._aside = np.zeros(0, bool)
        self._part = np.zeros(0, bool)
        self._never_negative = np.zeros(0, bool)
        self._families: dict[SeriesIdentity, list[int]] = {}
        self._adopt()

    def watch(self, samples: SampleBatch, distributions: Sequence[Distribution]) -> Watched:
        """What of these samples is to be judged, in record order."""
        self._adopt()
        derived = [row for one in distributions for row in self._derive(samples, one) if row[0] >= 0]
        self._adopt()
        ids, kinds = samples.series_id, samples.kind
        aside = self._aside[ids] | (self._part[ids] & ((kinds & (Origin.HISTOGRAM | Origin.SUMMARY)) > 0))
        none = sentinels(samples.value, kinds, self._never_negative[ids])
        gaps = gaps_by_reason(samples.value, kinds, none)
        if not aside.any() and not derived and not none.any():
            return Watched(samples, 0, 0, gaps)
        kept = replace(samples, value=np.where(none, np.nan, samples.value)).take(~aside)
        return Watched(_joined(kept, derived), int(aside.sum()), len(derived), gaps)

    def _derive(self, samples: SampleBatch, one: Distribution) -> list[tuple[int, int, float, int, int, int]]:
        """Rows that follow from one point: mean and quantiles over the time since the last one, and up to the next."""
        row = one.sample
        series, time_ns, start_ns = (int(column[row]) for column in (samples.series_id, samples.time, samples.start))
        sent = Past(time_ns, start_ns, float(samples.value[row]), one.total, one.buckets)
        is_cumulative = int(samples.kind[row]) & 3 == Kind.COUNTER
        changes = self.points.take(series, sent) if is_cumulative else [(None, sent)]
        kind = Kind.GAUGE | int(samples.kind[row]) & (Origin.HISTOGRAM | Origin.SUMMARY)
        rows = []
        for before, after in changes:
            told, holds = _told_of(before), _told_of(after)
            for name in told | holds:
                if told.get(name) != holds.get(name):
                    at, value = (after or sent).time_ns, holds.get(name, np.nan)
                    mark = kind if name in holds else kind | Origin.REVOKED
                    row_of = self._catalog.derived_id(series, name, one.unit)
                    rows.append((row_of, at, value, mark, 0, int(samples.record[row])))
        return rows

    def _adopt(self) -> None:
        """Learn of the series that the catalog has met since."""
        for new in self._catalog.since(len(self._aside)):
            had = len(self._aside)
            self._aside = np.concatenate([self._aside, np.zeros(len(new), bool)])
            self._part = np.concatenate([self._part, [i.metric.endswith(_PARTS) for i in new]])
            self._never_negative = np.concatenate([self._never_negative, [bounds_of(i.unit)[0] == 0.0 for i in new]])
            for series, identity in enumerate(new, had):
                self._pair(series, identity)

    def _pair(self, series: int, identity: SeriesIdentity) -> None:
        """Put a total aside once a part of it is known, whichever comes first."""
        for key, text in identity.labels:
            if key in _TELLING:
                rest = tuple(pair for pair in identity.labels if pair[0] != key)
                family = self._families.setdefault(identity._replace(labels=(*rest, (key, ""))), [-1, 0])
                if text in _TOTALS:
                    family[0] = series
                else:
                    family[1] += 1
                if family[0] >= 0 and family[1]:
                    self._aside[family[0]] = True


def _told_of(interval: Past | None) -> dict[str, float]:
    """Mean and quantiles of an interval, by name; nothing where nothing came, or where nobody knows what."""
    if interval is None or not 0 < interval.count < float("inf"):
        return {}
    found: dict[str, float | None] = {} if interval.total is None else {"mean": interval.total / interval.count}
    if interval.buckets is not None:
        found |= {name: quantile(interval.buckets, share) for name, share in QUANTILES.items()}
    return {name: value for name, value in found.items() if value is not None and np.isfinite(value)}


def _joined(samples: SampleBatch, rows: list[tuple[int, int, float, int, int, int]]) -> SampleBatch:
    """Samples with derived rows after them, in record order."""
    if not rows:
        return samples
    columns = dict(zip(_COLUMNS, zip(*rows, strict=True), strict=True))
    both = {
        name: np.concatenate([getattr(samples, name), np.array(columns[name], getattr(samples, name).dtype)])
        for name in _COLUMNS
    }
    order = np.argsort(both["record"], kind="stable")
    return SampleBatch(**both).take(order)
