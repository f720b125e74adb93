"""collectd's Command format: ``PUTVAL host/plugin-instance/type-instance interval=5.000 time:value[:value...]``.

Values are raw whatever StoreRates says; which count up the type tells. Several values of one type are numbered from 0,
for their names are not sent. A value ``U`` is none.
"""

from __future__ import annotations

import re

from pipeline.codecs.clock import time_ns
from pipeline.codecs.collectd import MOST_SOURCES, RISING_TYPES, metric_of
from pipeline.codecs.scalars import number, text_of
from pipeline.codecs.units import unit_of
from pipeline.codecs.writer import SampleWriter
from pipeline.errors import CodecError
from pipeline.events import Kind, SeriesIdentity

__all__ = ["NAME", "decode"]

NAME = "putval"
_LINE = re.compile(
    r'PUTVAL[ \t]++(?:"((?:[^"\\]++|\\.)*+)"|([^ \t"]++))'  # identifier
    r"(?:[ \t]++[A-Za-z_:]++=[^ \t]++)*+((?:[ \t]++[^ \t=]++)++)[ \t]*+",  # options, value lists
    re.IGNORECASE,
)
_UNESCAPE = re.compile(r"\\(.)")


def decode(value: bytes, out: SampleWriter, record_time_ms: int) -> None:
    """Write the samples of one record; lines that are none are rejected one by one.

    Raises
    ------
    CodecError
        If the bytes are not UTF-8.
    """
    lines = [line.strip() for line in text_of(value).splitlines() if line.strip()]
    out.each(lines, lambda line, _: _write(line, out, record_time_ms))


def _write(line: str, out: SampleWriter, record_time_ms: int) -> None:
    found = _LINE.fullmatch(line)
    if not found:
        raise CodecError("bad_line", repr(line[:60]))
    identifier = _UNESCAPE.sub(r"\1", found.group(1)) if found.group(1) is not None else found.group(2)
    host, plugin, type_name = _parts(identifier)
    for value_list in found.group(3).split():
        when, *values = value_list.split(":")
        if len(values) > MOST_SOURCES:
            raise CodecError("too_many_values", f"{len(values)} in {line[:60]!r}")
        if not values:
            raise CodecError("no_value", repr(line[:60]))
        moment = record_time_ms * 10**6 if when == "N" else time_ns(when)
        _write_values((host, plugin, type_name), moment, values, out)


def _write_values(parts: tuple[str, str, str], moment: int, values: list[str], out: SampleWriter) -> None:
    host, plugin, typed = parts
    base = typed.partition("-")[0]
    names = ["value"] if len(values) == 1 else [str(place) for place in range(len(values))]
    entity, entity_class, _ = out.dialect.entity_of({"host": host})
    kind = Kind.COUNTER if base in RISING_TYPES else Kind.GAUGE
    for name, amount in zip(names, values, strict=True):
        metric = metric_of(plugin, "", typed, "", name)
        series_id = out.series(SeriesIdentity(entity, entity_class, metric, (), unit_of(metric)))
        out.add_or_stale(series_id, moment, None if amount == "U" else number(amount), kind)


def _parts(identifier: str) -> tuple[str, str, str]:
    parts = identifier.split("/", 2)
    if len(parts) != 3 or not all(parts):
        raise CodecError("bad_identifier", repr(identifier[:60]))
    return parts[0], parts[1], parts[2]
