"""collectd's JSON: an array of value lists whose ``values``, ``dstypes`` and ``dsnames`` run in parallel.

With StoreRates (collectd's default) a derive is a rate already, and the first one null; the record does not say which,
the setting ``codecs.collectd_rates`` does.
"""

from __future__ import annotations

from typing import Any

from pipeline.codecs.clock import time_ns
from pipeline.codecs.collectd import MOST_SOURCES, metric_of
from pipeline.codecs.json_input import objects
from pipeline.codecs.scalars import label_text, number
from pipeline.codecs.units import unit_of
from pipeline.codecs.writer import SampleWriter
from pipeline.errors import CodecError
from pipeline.events import Kind, SeriesIdentity

__all__ = ["NAME", "decode"]

NAME = "collectd-json"
_NAMES = ("plugin", "plugin_instance", "type", "type_instance")
_RISING, _DELTA = ("derive", "counter"), "absolute"


def decode(value: bytes, out: SampleWriter, record_time_ms: int) -> None:
    """Write the samples of one record; value lists and values that are none are rejected one by one.

    Raises
    ------
    CodecError
        If the bytes are not JSON.
    """
    out.each(objects(value), _write)


def _write(row: Any, out: SampleWriter) -> None:
    if not isinstance(row, dict):
        raise CodecError("not_an_object", repr(row)[:60])
    values, types, sources = (row.get(key) for key in ("values", "dstypes", "dsnames"))
    if not (isinstance(values, list) and isinstance(types, list) and len(types) == len(values)):
        raise CodecError("bad_value_list", repr(row)[:60])
    if len(values) > MOST_SOURCES:
        raise CodecError("too_many_values", f"{len(values)}")
    if not isinstance(sources, list) or len(sources) != len(values):
        sources = ["value"] if len(values) == 1 else [str(place) for place in range(len(values))]
    parts = [row.get(key) or "" for key in _NAMES]
    if not all(isinstance(part, str) for part in [*parts, *sources]) or not parts[0] or not parts[2]:
        raise CodecError("no_metric_name", repr(parts)[:60])
    moment = time_ns(row.get("time"))
    entity, entity_class, _ = out.dialect.entity_of({"host": label_text(row.get("host"))})
    for amount, source_type, source in zip(values, types, sources, strict=True):
        metric = metric_of(parts[0], parts[1], parts[2], parts[3], source)
        identity = SeriesIdentity(entity, entity_class, metric, (), unit_of(metric))
        try:
            kind = _kind(source_type, out.dialect.collectd_rates)
            out.add_or_stale(out.series(identity), moment, None if amount is None else number(amount), kind)
        except CodecError as error:
            out.reject(error.reason, error.detail)


def _kind(source_type: object, rates: bool) -> Kind:
    if rates or source_type == "gauge":
        return Kind.GAUGE
    if source_type in _RISING:
        return Kind.COUNTER
    return Kind.DELTA if source_type == _DELTA else Kind.GAUGE
