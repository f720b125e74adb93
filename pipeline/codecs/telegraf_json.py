"""Telegraf's JSON: ``{"fields":{"usage_idle":97.1},"name":"cpu","tags":{"host":"a"},"timestamp":1458229140}``.

Alone, or many under ``metrics``. Named like Influx lines: the metric is ``measurement.field``, the tag that names the
host is the entity, all other tags are labels. Text fields are no samples: they are skipped and counted.
"""

from __future__ import annotations

from typing import Any

from pipeline.codecs.clock import time_ns
from pipeline.codecs.json_input import parsed, texts
from pipeline.codecs.scalars import number
from pipeline.codecs.units import unit_of
from pipeline.codecs.writer import SampleWriter
from pipeline.errors import CodecError
from pipeline.events import SeriesIdentity

__all__ = ["NAME", "decode"]

NAME = "telegraf-json"


def decode(value: bytes, out: SampleWriter, record_time_ms: int) -> None:
    """Write the samples of one record; objects and fields that are none are rejected one by one.

    Raises
    ------
    CodecError
        If the bytes are not JSON, or hold no Telegraf metric.
    """
    whole = parsed(value)
    several = whole.get("metrics") if isinstance(whole, dict) and "fields" not in whole else [whole]
    if not isinstance(several, list):
        raise CodecError("no_fields", repr(whole)[:60])
    out.each(several, _write)


def _write(row: Any, out: SampleWriter) -> None:
    if not isinstance(row, dict) or not isinstance(row.get("fields"), dict) or not isinstance(row.get("name"), str):
        raise CodecError("no_fields", repr(row)[:60])
    moment = time_ns(row.get("timestamp"))
    entity, entity_class, labels = out.dialect.split(texts(row.get("tags") or {}, "bad_tag"))
    for field, amount in row["fields"].items():
        if isinstance(amount, str):
            out.skip("text_field")
            continue
        if isinstance(amount, bool):
            out.note("boolean_as_number")
        metric = f"{row['name']}.{field}"
        try:
            identity = SeriesIdentity(entity, entity_class, metric, labels, unit_of(metric))
            kind = out.dialect.kind_of(metric)
            out.add_or_stale(out.series(identity), moment, None if amount is None else number(amount), kind)
        except CodecError as error:
            out.reject(error.reason, error.detail)
