"""What OTLP metrics mean, whatever their encoding: entities, kinds, and the series each point becomes.

::

    gauge, non-monotonic cumulative sum   <metric>               gauge
    monotonic cumulative sum              <metric>               counter
    delta sum                             <metric>               delta
    histogram, exponential histogram      <metric>.count, .sum   counter or delta, of a histogram
    summary                               <metric>.count, .sum   counter, of a summary
                                          <metric>{quantile=q}   gauge, of a summary
    both, for the grid alone              <metric>.mean, .p50    see ``pipeline.meaning``
    point flagged "no recorded value"     NaN, stale; never 0
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from pipeline.codecs.buckets import Buckets
from pipeline.codecs.scalars import label_text
from pipeline.codecs.units import unit_of
from pipeline.codecs.writer import SampleWriter
from pipeline.dialect import Dialect
from pipeline.errors import CodecError
from pipeline.events import Kind, Origin, SeriesIdentity

__all__ = [
    "DELTA_TEMPORALITY",
    "NO_RECORDED_VALUE",
    "MetricWriter",
    "Point",
    "Source",
    "labels_of",
    "source_of",
    "sum_kind",
]

DELTA_TEMPORALITY = 1
NO_RECORDED_VALUE = 1  # bit of a point's flags

Labels = tuple[tuple[str, str], ...]


class Point(NamedTuple):
    """What every kind of data point carries; times in ns, start 0 where not said."""

    labels: Labels
    time_ns: int
    start_ns: int
    stale: bool


class Source(NamedTuple):
    """Whose metrics a resource's are: entity, class, and the labels that tell its parts apart."""

    entity: str
    entity_class: str
    labels: Labels


def source_of(dialect: Dialect, resource: Mapping[str, object]) -> Source:
    """Entity of a resource, and its attributes that become labels of every metric."""
    wanted = (*dialect.entity_attributes, *dialect.resource_labels)
    texts = {key: label_text(resource[key]) for key in wanted if key in resource}
    entity, entity_class, named_by = dialect.entity_of(texts)
    kept = [(key, texts[key]) for key in dialect.resource_labels if key != named_by and texts.get(key)]
    return Source(entity, entity_class, tuple(sorted(kept)))


def labels_of(attributes: Mapping[str, object]) -> Labels:
    """Attributes as sorted labels, values of every type as text."""
    pairs = attributes.items()
    return tuple(sorted([(key, value if type(value) is str else label_text(value)) for key, value in pairs]))


def sum_kind(monotonic: bool, temporality: int) -> Kind:
    """Kind of a sum or of a histogram's count (those are monotonic)."""
    if temporality == DELTA_TEMPORALITY:
        return Kind.DELTA
    return Kind.COUNTER if monotonic else Kind.GAUGE


class MetricWriter:
    """Writes the points of one metric of one resource.

    Parameters
    ----------
    out
        Where the samples go.
    source
        Whose metric it is.
    name, unit
        The metric's.
    """

    def __init__(self, out: SampleWriter, source: Source, name: str, unit: str) -> None:
        self._out, self._source, self._name, self._unit = out, source, name, unit_of(name, unit)

    def number(self, point: Point, value: float | None, kind: int) -> None:
        """Write a number data point; None is no value at all, an error unless the point is flagged.

        Raises
        ------
        CodecError
            If the value is missing.
        """
        if value is None and not point.stale:
            raise CodecError("no_value", self._name[:200])
        self._add(self._name, point, math.nan if value is None else value, kind)

    def distribution(
        self, point: Point, count: float, total: float | None, kind: int, buckets: Buckets | None = None
    ) -> None:
        """Write the count and, where there is one, the sum of a histogram or summary point."""
        place = len(self._out)
        self._add(f"{self._name}.count", point, count, kind, unit="1")
        if not point.stale:
            self._out.add_distribution(place, total, self._unit, buckets)
        if total is not None or point.stale:
            self._add(f"{self._name}.sum", point, math.nan if total is None else total, kind)

    def quantile(self, point: Point, quantile: float, value: float) -> None:
        """Write one quantile of a summary point."""
        text = repr(float(quantile)).removesuffix(".0")
        labels = tuple(sorted((*point.labels, ("quantile", text))))
        self._add(self._name, point._replace(labels=labels), value, Kind.GAUGE | Origin.SUMMARY)

    def _add(self, name: str, point: Point, value: float, kind: int, unit: str | None = None) -> None:
        entity, entity_class, common = self._source
        labels = _joined(common, point.labels) if common else point.labels
        identity = SeriesIdentity(entity, entity_class, name, labels, self._unit if unit is None else unit)
        series_id = self._out.series(identity)
        if point.stale:
            value, kind = math.nan, kind | Origin.STALE
        self._out.add(series_id, point.time_ns, value, kind, point.start_ns)


def _joined(common: Labels, own: Labels) -> Labels:
    """Labels of resource and point together; the point's own win."""
    return tuple(sorted({**dict(common), **dict(own)}.items()))
