"""Plain JSON: one object, an array or lines of objects with timestamp, entity, metric, value and labels.

An object looks like this; ``labels``, ``kind`` (gauge, counter, delta), ``unit`` and ``class`` are optional::

    {"timestamp": "2026-01-05T00:00:00Z", "entity": "db-03", "metric": "disk.used", "value": 61.2,
     "labels": {"device": "vda"}, "kind": "gauge", "unit": "%"}
"""

from __future__ import annotations

from typing import Any

import msgspec

from pipeline.codecs.clock import time_ns
from pipeline.codecs.scalars import label_text, number
from pipeline.codecs.units import unit_of
from pipeline.codecs.writer import SampleWriter
from pipeline.dialect import Dialect
from pipeline.errors import CodecError
from pipeline.events import Kind, SeriesIdentity

__all__ = ["NAME", "decode"]

NAME = "json"
_KINDS = {"gauge": Kind.GAUGE, "counter": Kind.COUNTER, "delta": Kind.DELTA}
_decoder = msgspec.json.Decoder()


def decode(value: bytes, out: SampleWriter, record_time_ms: int) -> None:
    """Write the samples of one record; objects that are none are rejected one by one.

    Raises
    ------
    CodecError
        If the bytes are not JSON at all.
    """
    out.each(_rows(value, out), _write)


def _rows(value: bytes, out: SampleWriter) -> list[Any]:
    try:
        whole = _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if b"\n" not in value.strip():
            raise CodecError("bad_json", str(error)[:200]) from error
        return _lines(value, out)
    return whole if isinstance(whole, list) else [whole]


def _lines(value: bytes, out: SampleWriter) -> list[Any]:
    rows = []
    for line in value.splitlines():
        try:
            if line.strip():
                rows.append(_decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            out.reject("bad_json", str(error)[:200])
    return rows


def _write(row: Any, out: SampleWriter) -> None:
    if not isinstance(row, dict):
        raise CodecError("not_an_object", type(row).__name__)
    metric = row.get("metric")
    if not isinstance(metric, str):
        raise CodecError("no_metric_name", f"keys {sorted(row)[:10]}"[:200])
    kind = _KINDS.get(str(row.get("kind", "gauge")))
    if kind is None:
        raise CodecError("bad_kind", repr(row["kind"])[:60])
    if "value" not in row:
        raise CodecError("no_value", metric[:200])
    amount = None if row["value"] is None else number(row["value"])
    if isinstance(row["value"], bool):
        out.note("boolean_as_number")
    moment = time_ns(row.get("timestamp"))
    out.add_or_stale(out.series(_identity(row, metric, out.dialect)), moment, amount, kind)


def _identity(row: dict[str, Any], metric: str, dialect: Dialect) -> SeriesIdentity:
    labels = row.get("labels") or {}
    if not isinstance(labels, dict):
        raise CodecError("bad_labels", type(labels).__name__)
    sent = label_text(row.get("entity"))
    entity, entity_class = dialect.named(sent) if sent else (dialect.unknown, "unknown")
    pairs = tuple(sorted((key, label_text(text)) for key, text in labels.items()))
    unit = unit_of(metric, label_text(row.get("unit")))
    return SeriesIdentity(entity, label_text(row.get("class")) or entity_class, metric, pairs, unit)
