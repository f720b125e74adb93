"""The Prometheus Kafka adapter's JSON: one sample a record, its value as text, its time in whole seconds.

::

    {"labels":{"__name__":"up","instance":"a:9100"},"name":"up","timestamp":"2026-01-05T00:00:00Z","value":"1"}
"""

from __future__ import annotations

from typing import Any

from pipeline.codecs.clock import time_ns
from pipeline.codecs.json_input import objects, texts
from pipeline.codecs.prometheus import identity_of, kind_of
from pipeline.codecs.scalars import number
from pipeline.codecs.writer import SampleWriter
from pipeline.errors import CodecError

__all__ = ["NAME", "decode"]

NAME = "prometheus-adapter"


def decode(value: bytes, out: SampleWriter, record_time_ms: int) -> None:
    """Write the sample of one record (or of each of an array); objects that are none are rejected one by one.

    Raises
    ------
    CodecError
        If the bytes are not JSON.
    """
    out.each(objects(value), _write)


def _write(row: Any, out: SampleWriter) -> None:
    if not isinstance(row, dict):
        raise CodecError("not_an_object", repr(row)[:60])
    if row.get("value") is None:
        raise CodecError("no_value", repr(row)[:60])
    labels = texts(row.get("labels") or {}, "bad_labels")
    name = row.get("name", "")
    metric = labels.get("__name__", "") or (name if isinstance(name, str) else "")
    identity = identity_of(out.dialect, labels, metric)
    series_id = out.series(identity)
    out.add(series_id, time_ns(row.get("timestamp")), number(row["value"]), kind_of(out.dialect, metric, labels))
