"""OTLP metrics protobuf, as the OpenTelemetry Collector and SDKs send it by default."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2

from pipeline.codecs.buckets import Buckets, explicit, exponential
from pipeline.codecs.otlp import NO_RECORDED_VALUE, MetricWriter, Point, labels_of, source_of, sum_kind
from pipeline.codecs.writer import SampleWriter
from pipeline.errors import CodecError
from pipeline.events import Kind, Origin

__all__ = ["NAME", "buckets_of", "decode", "total_of"]

NAME = "otlp-proto"


def decode(value: bytes, out: SampleWriter, record_time_ms: int) -> None:
    """Write the samples of one record; points that are none are rejected one by one.

    Raises
    ------
    CodecError
        If the bytes are not an OTLP metrics message.
    """
    try:
        message = metrics_pb2.MetricsData.FromString(value)
    except (DecodeError, RecursionError) as error:
        raise CodecError("bad_protobuf", str(error)[:200]) from error
    for resource in message.resource_metrics:
        if not resource.scope_metrics:
            continue
        source = source_of(out.dialect, _attributes(resource.resource.attributes))
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                _write_metric(metric, MetricWriter(out, source, metric.name, metric.unit), out)


def _write_metric(metric: metrics_pb2.Metric, writer: MetricWriter, out: SampleWriter) -> None:
    shape = metric.WhichOneof("data")
    if shape is None:
        return
    data = getattr(metric, shape)
    write, kind = _SHAPES[shape](data)
    for point in data.data_points:
        try:
            write(writer, _point(point), point, kind)
        except CodecError as error:
            out.reject(error.reason, error.detail)


def _point(point: Any) -> Point:
    labels = labels_of(_attributes(point.attributes)) if point.attributes else ()
    return Point(labels, point.time_unix_nano, point.start_time_unix_nano, bool(point.flags & NO_RECORDED_VALUE))


def _number(writer: MetricWriter, point: Point, raw: Any, kind: int) -> None:
    name = raw.WhichOneof("value")
    writer.number(point, None if name is None else float(getattr(raw, name)), kind)


def _histogram(writer: MetricWriter, point: Point, raw: Any, kind: int) -> None:
    writer.distribution(point, float(raw.count), total_of(raw), kind, buckets_of(raw))


def total_of(raw: Any) -> float | None:
    """Sum of the values of a point of a histogram; None where it was not sent."""
    return raw.sum if raw.HasField("sum") else None


def buckets_of(raw: Any) -> Buckets | None:
    """Buckets of a point of a histogram of either shape."""
    if isinstance(raw, metrics_pb2.HistogramDataPoint):
        return explicit(raw.explicit_bounds, raw.bucket_counts)
    positive, negative = ((part.offset, part.bucket_counts) for part in (raw.positive, raw.negative))
    return exponential(raw.scale, float(raw.zero_count), positive, negative)


def _summary(writer: MetricWriter, point: Point, raw: Any, kind: int) -> None:
    writer.distribution(point, float(raw.count), raw.sum, kind)
    for entry in raw.quantile_values:
        writer.quantile(point, entry.quantile, entry.value)


_Write = Callable[[MetricWriter, Point, Any, int], None]
_SHAPES: dict[str, Callable[[Any], tuple[_Write, int]]] = {
    "gauge": lambda data: (_number, Kind.GAUGE),
    "sum": lambda data: (_number, sum_kind(data.is_monotonic, data.aggregation_temporality)),
    "histogram": lambda data: (_histogram, sum_kind(True, data.aggregation_temporality) | Origin.HISTOGRAM),
    "exponential_histogram": lambda data: (
        _histogram,
        sum_kind(True, data.aggregation_temporality) | Origin.HISTOGRAM,
    ),
    "summary": lambda data: (_summary, Kind.COUNTER | Origin.SUMMARY),
}


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, object]:
    return {pair.key: _any_value(pair.value) for pair in pairs}


def _any_value(value: AnyValue) -> object:
    shape = value.WhichOneof("value")
    if shape == "string_value":
        return value.string_value
    if shape is None:
        return None
    if shape == "array_value":
        return [_any_value(item) for item in value.array_value.values]
    if shape == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    if shape == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    found: object = getattr(value, shape)
    return found
