"""Samples to bytes, the other way: what ``simulate`` and ``send`` put on the wire, one record a call.

A row is (entity, metric, labels, time in ns, value, kind); the order of rows is kept within one series.
Whole numbers given as ``int`` travel as integers where the format has them. ``units`` holds the unit of a metric by
its name, for the formats that carry one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import cramjam
import msgspec
from opentelemetry.proto.metrics.v1 import metrics_pb2

from pipeline.codecs.remote_write_schema import METRIC_TYPES, WriteRequest
from pipeline.events import Kind

__all__ = [
    "ENCODERS",
    "Encode",
    "Row",
    "encode_influx",
    "encode_json",
    "encode_otlp_json",
    "encode_otlp_proto",
    "encode_remote_write",
]

Row = tuple[str, str, tuple[tuple[str, str], ...], int, float, Kind]
Encode = Callable[[Iterable[Row], Mapping[str, str]], bytes]

_DELTA, _CUMULATIVE = 1, 2  # AggregationTemporality
_NO_UNITS: Mapping[str, str] = MappingProxyType({})
_NAMES = {Kind.GAUGE: "gauge", Kind.COUNTER: "counter", Kind.DELTA: "delta"}
_encoder = msgspec.json.Encoder()


def encode_json(rows: Iterable[Row], units: Mapping[str, str] = _NO_UNITS) -> bytes:
    """Plain JSON, one object a line; times as integer ns, NaN and infinities as text."""
    return b"\n".join(_encoder.encode(_json_object(row, units.get(row[1], ""))) for row in rows)


def _json_object(row: Row, unit: str) -> dict[str, Any]:
    entity, metric, labels, time_ns, value, kind = row
    found: dict[str, Any] = {"timestamp": time_ns, "entity": entity, "metric": metric, "value": _json_number(value)}
    if labels:
        found["labels"] = dict(labels)
    if kind != Kind.GAUGE:
        found["kind"] = _NAMES[kind]
    if unit:
        found["unit"] = unit
    return found


def _json_number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def encode_otlp_proto(rows: Iterable[Row], units: Mapping[str, str] = _NO_UNITS) -> bytes:
    """OTLP metrics protobuf: one resource an entity, as the OpenTelemetry Collector sends it."""
    message = metrics_pb2.MetricsData()
    for entity, metrics in _grouped(rows).items():
        resource = message.resource_metrics.add()
        resource.resource.attributes.add(key="host.name").value.string_value = entity
        scope = resource.scope_metrics.add()
        for (name, kind), points in metrics.items():
            metric = scope.metrics.add(name=name, unit=units.get(name, ""))
            if kind == Kind.GAUGE:
                target = metric.gauge.data_points
            else:
                metric.sum.is_monotonic = True
                metric.sum.aggregation_temporality = _CUMULATIVE if kind == Kind.COUNTER else _DELTA
                target = metric.sum.data_points
            for _, _, labels, time_ns, value, _ in points:
                point = target.add(time_unix_nano=time_ns)
                if isinstance(value, int):
                    point.as_int = value
                else:
                    point.as_double = value
                for key, text in labels:
                    point.attributes.add(key=key).value.string_value = text
    return bytes(message.SerializeToString())


def encode_otlp_json(rows: Iterable[Row], units: Mapping[str, str] = _NO_UNITS) -> bytes:
    """OTLP metrics JSON: 64-bit integers as text, doubles as numbers, defaults left out."""
    resources = []
    for entity, metrics in _grouped(rows).items():
        found = [_otlp_metric(name, kind, points, units) for (name, kind), points in metrics.items()]
        attributes = [{"key": "host.name", "value": {"stringValue": entity}}]
        resources.append({"resource": {"attributes": attributes}, "scopeMetrics": [{"scope": {}, "metrics": found}]})
    return _encoder.encode({"resourceMetrics": resources})


def _otlp_metric(name: str, kind: Kind, points: Sequence[Row], units: Mapping[str, str]) -> dict[str, Any]:
    head = {"name": name} | ({"unit": units[name]} if name in units else {})
    found = [_otlp_point(row) for row in points]
    if kind == Kind.GAUGE:
        return {**head, "gauge": {"dataPoints": found}}
    temporality = _CUMULATIVE if kind == Kind.COUNTER else _DELTA
    return {**head, "sum": {"dataPoints": found, "aggregationTemporality": temporality, "isMonotonic": True}}


def _otlp_point(row: Row) -> dict[str, Any]:
    _, _, labels, time_ns, value, _ = row
    point: dict[str, Any] = {"timeUnixNano": str(time_ns)}
    if labels:
        point["attributes"] = [{"key": key, "value": {"stringValue": text}} for key, text in labels]
    if isinstance(value, int):
        point["asInt"] = str(value)
    else:
        point["asDouble"] = _json_number(value)
    return point


def _grouped(rows: Iterable[Row]) -> dict[str, dict[tuple[str, Kind], list[Row]]]:
    found: dict[str, dict[tuple[str, Kind], list[Row]]] = {}
    for row in rows:
        found.setdefault(row[0], {}).setdefault((row[1], row[5]), []).append(row)
    return found


def encode_influx(rows: Iterable[Row], units: Mapping[str, str] = _NO_UNITS) -> bytes:
    """Influx lines, one a row; the metric ``cpu.usage`` is field ``usage`` of measurement ``cpu``.

    A metric without a dot becomes the field ``value``. Influx has no kinds, no units, no NaN and no empty or
    line-breaking tags: such values and tags are left out, trailing backslashes too, as Telegraf does.
    """
    return b"".join(_influx_line(row).encode() for row in rows if math.isfinite(row[4]))


def _influx_line(row: Row) -> str:
    entity, metric, labels, time_ns, value, _ = row
    measurement, _, field = metric.rpartition(".")
    if not (measurement and field):
        measurement, field = metric, "value"
    tags = sorted([*labels, ("host", entity)])
    rendered = "".join(f",{_tag(key)}={_tag(text)}" for key, text in tags if key and text and not _BREAK.search(text))
    amount = f"{value}i" if isinstance(value, int) else repr(float(value))
    return f"{_ESCAPED_NAME.sub(_BACKSLASH, measurement)}{rendered} {_tag(field)}={amount} {time_ns}\n"


_BREAK = re.compile(r"[\r\n]")
_ESCAPED_NAME, _ESCAPED, _BACKSLASH = re.compile(r"([, ])"), re.compile(r"([,= ])"), r"\\\1"


def _tag(text: str) -> str:
    return _ESCAPED.sub(_BACKSLASH, text.rstrip("\\"))


def encode_remote_write(rows: Iterable[Row], units: Mapping[str, str] = _NO_UNITS) -> bytes:
    """Prometheus remote write 2.0 in a snappy block: times in ms, kinds as metadata (a delta has none there)."""
    request, symbols = WriteRequest(), {"": 0}
    series: dict[tuple[str, str, tuple[tuple[str, str], ...], Kind], Any] = {}
    for entity, metric, labels, time_ns, value, kind in rows:
        key = (entity, metric, labels, kind)
        if key not in series:
            series[key] = request.series2.add()
            pairs = sorted([*labels, ("__name__", metric), ("host", entity)])
            texts = [text for pair in pairs for text in pair]
            series[key].label_refs.extend(symbols.setdefault(text, len(symbols)) for text in texts)
            series[key].metadata.type = METRIC_TYPES.index(_REMOTE_TYPES[kind])
            series[key].metadata.unit_ref = symbols.setdefault(units.get(metric, ""), len(symbols))
        plain = math.nan if math.isnan(value) else float(value)  # never the NaN that means stale
        series[key].samples.add(value=plain, timestamp=time_ns // 10**6)
    request.symbols.extend(symbols)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


_REMOTE_TYPES = {Kind.GAUGE: "gauge", Kind.COUNTER: "counter", Kind.DELTA: ""}

ENCODERS: dict[str, Encode] = {
    "otlp-proto": encode_otlp_proto,
    "otlp-json": encode_otlp_json,
    "influx": encode_influx,
    "json": encode_json,
    "prometheus-remote-write": encode_remote_write,
}
