"""What Prometheus conventions mean, whatever the encoding: entities, kinds by type or suffix, stale markers.

::

    counter, or *_total                   counter
    untyped *_seconds_count, *_bytes_sum  counter, and what the setting ``codecs.rising_metrics`` names
    gauge, untyped, info, state set       gauge
    histogram *_bucket *_count *_sum      counter, of a histogram (gauge histograms: gauge)
    summary   *_count *_sum               counter, of a summary
              {quantile=q}                gauge, of a summary
    the NaN with bits 7ff0000000000002    stale; never 0
"""

from __future__ import annotations

import struct
from collections.abc import Hashable, Mapping
from contextlib import suppress

from pipeline.codecs.buckets import from_cumulative
from pipeline.codecs.units import unit_of
from pipeline.codecs.writer import SampleWriter
from pipeline.dialect import Dialect
from pipeline.errors import CodecError
from pipeline.events import Kind, Origin, SeriesIdentity

__all__ = ["STALE_BITS", "Histograms", "family_of", "identity_of", "is_stale", "kind_of", "unstale"]

STALE_BITS = 0x7FF0000000000002
_PARTS = ("_bucket", "_count", "_sum")
# Of a family whose type was not sent: a number of seconds or bytes that is itself counted is a histogram or summary.
_RISING = ("_total", *(f"_{unit}_{part}" for unit in ("seconds", "bytes", "milliseconds") for part in ("count", "sum")))
_TYPES = {
    "counter": Kind.COUNTER,
    "gauge": Kind.GAUGE,
    "histogram": Kind.COUNTER | Origin.HISTOGRAM,
    "gaugehistogram": Kind.GAUGE | Origin.HISTOGRAM,
    "summary": Kind.COUNTER | Origin.SUMMARY,
}


def is_stale(value: float) -> bool:
    """Whether the value is the marker that says "this series has ended"."""
    return value != value and struct.unpack("<Q", struct.pack("<d", value))[0] == STALE_BITS


def unstale(value: float) -> float | None:
    """The value, None for the stale marker."""
    return None if is_stale(value) else value


def kind_of(dialect: Dialect, metric: str, labels: Mapping[str, str], family_type: str = "") -> int:
    """Kind of a sample by its family's type, or, where none was sent, by the conventions of its name."""
    if not family_type or family_type in ("unknown", "untyped"):
        if metric.endswith("_bucket") and "le" in labels:
            return Kind.COUNTER | Origin.HISTOGRAM
        return Kind.COUNTER if metric.endswith(_RISING) else dialect.kind_of(metric)
    kind = _TYPES.get(family_type, Kind.GAUGE)
    if kind & Origin.SUMMARY and "quantile" in labels:
        return Kind.GAUGE | Origin.SUMMARY
    return int(kind)


def identity_of(dialect: Dialect, labels: Mapping[str, str], metric: str = "", unit: str = "") -> SeriesIdentity:
    """Series of a set of labels; the label ``__name__`` is the metric where none is given.

    Raises
    ------
    CodecError
        If nothing names the metric.
    """
    name = metric or labels.get("__name__", "")
    if not name:
        raise CodecError("no_metric_name", f"labels {sorted(labels)[:10]}"[:200])
    entity, entity_class, rest = dialect.split({key: text for key, text in labels.items() if key != "__name__"})
    return SeriesIdentity(entity, entity_class, name, rest, unit_of(name, unit))


class Histograms:
    """Gathers the parts of the histograms and summaries of one record; a histogram's buckets come line by line."""

    def __init__(self) -> None:
        self._counts: dict[Hashable, tuple[int, str]] = {}
        self._sums: dict[Hashable, float] = {}
        self._buckets: dict[Hashable, list[tuple[float, float]]] = {}

    def part(self, identity: SeriesIdentity, time_ns: int, value: float, kind: int, sample: int) -> None:
        """Take note of a sample of a histogram or summary, appended at place ``sample``."""
        if not kind & (Origin.HISTOGRAM | Origin.SUMMARY) or kind & 3 != Kind.COUNTER:
            return
        base, _, what = identity.metric.rpartition("_")
        if what == "bucket":
            labels = tuple(pair for pair in identity.labels if pair[0] != "le")
            upper = dict(identity.labels).get("le", "")
            key: Hashable = (identity.entity, base, labels, time_ns)
            with suppress(ValueError):
                self._buckets.setdefault(key, []).append((float(upper), value))
            return
        key = (identity.entity, base, identity.labels, time_ns)
        if what == "count":
            self._counts[key] = (sample, unit_of(base))
        elif what == "sum":
            self._sums[key] = value

    def tell(self, out: SampleWriter) -> None:
        """Hand over all points whose count came."""
        for key, (sample, unit) in self._counts.items():
            buckets = from_cumulative(self._buckets[key]) if key in self._buckets else None
            out.add_distribution(sample, self._sums.get(key), unit, buckets)


def family_of(metric: str, types: Mapping[str, str]) -> str:
    """Name of the family that a sample belongs to, of those whose type is known; else the metric itself."""
    if metric in types:
        return metric
    for suffix in (*_PARTS, "_total", "_created", "_gsum", "_gcount"):
        if metric.endswith(suffix) and metric.removesuffix(suffix) in types:
            return metric.removesuffix(suffix)
    return metric
