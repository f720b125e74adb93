"""What OTLP metrics mean, whatever their encoding: entities, kinds, and the series each point becomes.

::

    gauge, non-monotonic cumulative sum   <metric>               gauge
    monotonic cumulative sum              <metric>               counter
    delta sum                             <metric>               delta
    histogram, exponential histogram      <metric>.count, .sum   counter or delta, of a histogram
    summary                               <metric>.count, .sum   counter, of a summary
                                          <metric>{quantile=q}   gauge, of a summary
    point flagged "no recorded value"     NaN, stale; never 0
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from pipeline.codecs.scalars import label_text
from pipeline.codecs.writer import SampleWriter
from pipeline.events import CodecError, Kind, Origin, SeriesIdentity

__all__ = ["DELTA_TEMPORALITY", "NO_RECORDED_VALUE", "MetricWriter", "Point", "entity_of", "labels_of", "sum_kind"]

DELTA_TEMPORALITY = 1
NO_RECORDED_VALUE = 1  # bit of a point's flags

Labels = tuple[tuple[str, str], ...]


class Point(NamedTuple):
    """What every kind of data point carries; times in ns, start 0 where not said."""

    labels: Labels
    time_ns: int
    start_ns: int
    stale: bool


def entity_of(resource: Mapping[str, object]) -> tuple[str, str]:
    """Entity and class of a resource: its host, else its service, else unknown."""
    for key, entity_class in (("host.name", "host"), ("service.name", "service")):
        name = label_text(resource.get(key))
        if name:
            return name, entity_class
    return "unknown", "unknown"


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
    entity
        Entity and class.
    name, unit
        The metric's.
    """

    def __init__(self, out: SampleWriter, entity: tuple[str, str], name: str, unit: str) -> None:
        self._out, self._entity, self._name, self._unit = out, entity, name, unit

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

    def distribution(self, point: Point, count: float, total: float | None, kind: int) -> None:
        """Write the count and, where there is one, the sum of a histogram or summary point."""
        self._add(f"{self._name}.count", point, count, kind, unit="1")
        if total is not None or point.stale:
            self._add(f"{self._name}.sum", point, math.nan if total is None else total, kind)

    def quantile(self, point: Point, quantile: float, value: float) -> None:
        """Write one quantile of a summary point."""
        text = repr(float(quantile)).removesuffix(".0")
        labels = tuple(sorted((*point.labels, ("quantile", text))))
        self._add(self._name, point._replace(labels=labels), value, Kind.GAUGE | Origin.SUMMARY)

    def _add(self, name: str, point: Point, value: float, kind: int, unit: str | None = None) -> None:
        entity, entity_class = self._entity
        identity = SeriesIdentity(entity, entity_class, name, point.labels, self._unit if unit is None else unit)
        series_id = self._out.series(identity)
        if point.stale:
            value, kind = math.nan, kind | Origin.STALE
        self._out.add(series_id, point.time_ns, value, kind, point.start_ns)
