"""OTLP metrics JSON: 64-bit integers as text or numbers, defaults left out, NaN and infinities as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.codecs.buckets import explicit, exponential
from pipeline.codecs.json_input import parsed
from pipeline.codecs.otlp import NO_RECORDED_VALUE, MetricWriter, Point, Source, labels_of, source_of, sum_kind
from pipeline.codecs.scalars import number
from pipeline.codecs.writer import SampleWriter
from pipeline.errors import CodecError
from pipeline.events import Kind, Origin

__all__ = ["NAME", "decode"]

NAME = "otlp-json"
_ENUMS = {"AGGREGATION_TEMPORALITY_DELTA": 1, "AGGREGATION_TEMPORALITY_CUMULATIVE": 2}  # not OTLP, but protobuf JSON


def decode(value: bytes, out: SampleWriter, record_time_ms: int) -> None:
    """Write the samples of one record; parts that are none are rejected one by one.

    Raises
    ------
    CodecError
        If the bytes are not an OTLP metrics message.
    """
    message = parsed(value)
    for resource in _list(_object(message), "resourceMetrics"):
        try:
            _write_resource(_object(resource), out)
        except CodecError as error:
            out.reject(error.reason, error.detail)


def _write_resource(resource: dict[str, Any], out: SampleWriter) -> None:
    source = source_of(out.dialect, _attributes(_object(resource.get("resource") or {})))
    for scope in _list(resource, "scopeMetrics"):
        for metric in _list(_object(scope), "metrics"):
            try:
                _write_metric(_object(metric), source, out)
            except CodecError as error:
                out.reject(error.reason, error.detail)


def _write_metric(metric: dict[str, Any], source: Source, out: SampleWriter) -> None:
    shape = next((name for name in _SHAPES if metric.get(name) is not None), None)
    if shape is None:
        return
    data = _object(metric[shape])
    writer = MetricWriter(out, source, _text(metric, "name"), _text(metric, "unit"))
    write, kind = _SHAPES[shape](data)
    for raw in _list(data, "dataPoints"):
        try:
            point = _object(raw)
            write(writer, _point(point), point, kind)
        except CodecError as error:
            out.reject(error.reason, error.detail)


def _point(raw: dict[str, Any]) -> Point:
    labels = labels_of(_attributes(raw)) if raw.get("attributes") else ()
    stale = bool(_integer(raw, "flags") & NO_RECORDED_VALUE)
    return Point(labels, _integer(raw, "timeUnixNano"), _integer(raw, "startTimeUnixNano"), stale)


def _number(writer: MetricWriter, point: Point, raw: dict[str, Any], kind: int) -> None:
    value = raw.get("asDouble")
    if value is None:
        value = raw.get("asInt")
    writer.number(point, None if value is None else number(value), kind)


def _histogram(writer: MetricWriter, point: Point, raw: dict[str, Any], kind: int) -> None:
    buckets = explicit(_numbers(raw, "explicitBounds"), _numbers(raw, "bucketCounts"))
    total = raw.get("sum")
    writer.distribution(point, number(raw.get("count", 0)), None if total is None else number(total), kind, buckets)


def _exponential(writer: MetricWriter, point: Point, raw: dict[str, Any], kind: int) -> None:
    sides = [_object(raw.get(name) or {}) for name in ("positive", "negative")]
    positive, negative = ((_integer(side, "offset"), _numbers(side, "bucketCounts")) for side in sides)
    buckets = exponential(_integer(raw, "scale"), number(raw.get("zeroCount", 0)), positive, negative)
    total = raw.get("sum")
    writer.distribution(point, number(raw.get("count", 0)), None if total is None else number(total), kind, buckets)


def _summary(writer: MetricWriter, point: Point, raw: dict[str, Any], kind: int) -> None:
    writer.distribution(point, number(raw.get("count", 0)), number(raw.get("sum", 0.0)), kind)
    for entry in _list(raw, "quantileValues"):
        given = _object(entry)
        writer.quantile(point, number(given.get("quantile", 0.0)), number(given.get("value", 0.0)))


def _monotone(data: dict[str, Any]) -> int:
    return sum_kind(True, _temporality(data)) | Origin.HISTOGRAM


_Write = Callable[[MetricWriter, Point, dict[str, Any], int], None]
_SHAPES: dict[str, Callable[[dict[str, Any]], tuple[_Write, int]]] = {
    "gauge": lambda data: (_number, Kind.GAUGE),
    "sum": lambda data: (_number, sum_kind(data.get("isMonotonic") is True, _temporality(data))),
    "histogram": lambda data: (_histogram, _monotone(data)),
    "exponentialHistogram": lambda data: (_exponential, _monotone(data)),
    "summary": lambda data: (_summary, Kind.COUNTER | Origin.SUMMARY),
}


def _temporality(data: dict[str, Any]) -> int:
    given = data.get("aggregationTemporality", 0)
    return _ENUMS[given] if isinstance(given, str) and given in _ENUMS else _integer(data, "aggregationTemporality")


def _attributes(holder: dict[str, Any]) -> dict[str, object]:
    found = {}
    for pair in _list(holder, "attributes"):
        key = _text(_object(pair), "key")
        found[key] = _any_value(_object(pair.get("value") or {}))
    return found


def _any_value(value: dict[str, Any]) -> object:
    for shape, given in value.items():
        if shape == "intValue":
            return _integer(value, "intValue")
        if shape == "doubleValue":
            return number(given)
        if shape == "arrayValue":
            return [_any_value(_object(item)) for item in _list(_object(given), "values")]
        if shape == "kvlistValue":
            return _attributes({"attributes": _object(given).get("values")})
        if shape in ("stringValue", "boolValue", "bytesValue"):
            return given
    return None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CodecError("not_an_object", repr(value)[:60])
    return value


def _list(holder: dict[str, Any], key: str) -> list[Any]:
    found = holder.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise CodecError("not_a_list", f"{key}: {found!r}"[:60])
    return found


def _numbers(holder: dict[str, Any], key: str) -> list[float]:
    return [number(one) for one in _list(holder, key)]


def _text(holder: dict[str, Any], key: str) -> str:
    found = holder.get(key, "")
    if not isinstance(found, str):
        raise CodecError("not_a_text", f"{key}: {found!r}"[:60])
    return found


def _integer(holder: dict[str, Any], key: str) -> int:
    found = holder.get(key)
    if found is None:
        return 0
    if isinstance(found, int):
        return found
    try:
        if isinstance(found, str) and len(found) <= 40:
            return int(found)
        if isinstance(found, float) and found.is_integer() and abs(found) < 2**64:
            return int(found)
    except ValueError as error:
        raise CodecError("not_an_integer", f"{key}: {found!r}"[:60]) from error
    raise CodecError("not_an_integer", f"{key}: {found!r}"[:60])
