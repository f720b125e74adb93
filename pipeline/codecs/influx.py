"""Influx line protocol, as Telegraf sends it by default: ``cpu,host=a,cpu=cpu0 usage_idle=97.1,n=3i 1458229140``.

A metric is ``measurement.field``; the tag that names the host is the entity, all others are labels. What only counts up
the protocol does not say, the setting ``codecs.rising_metrics`` does. Text fields are no samples: they are skipped and
counted.
"""

from __future__ import annotations

import re

from pipeline.codecs.clock import epoch_ns
from pipeline.codecs.units import unit_of
from pipeline.codecs.writer import SampleWriter
from pipeline.dialect import Dialect
from pipeline.errors import CodecError
from pipeline.events import SeriesIdentity
from pipeline.names import remembered

__all__ = ["NAME", "decode"]

NAME = "influx"
# A backslash escapes the one separator after it and stands for itself before anything else.
_LONGEST_KEY = 8192
_BLANK = re.compile(rb"(?:[ \t\r\n]++|#[^\n]*+)*+")
_KEY = re.compile(rb'(?![{}\[\]"])(?:[^ \\\n]++|\\ ?+)++ ++')
_FIELD = re.compile(rb'((?:[^,= "\\\n]++|\\[,= "]?+)++)=("(?:[^"\\]++|\\.)*+"|[^", \r\n]++)', re.DOTALL)
_END = re.compile(rb"(?: ++(-?[0-9]{1,40}))?+[ \t\r]*+(?:\n|\Z)")
_SPLIT_COMMA, _SPLIT_EQUALS = re.compile(r"(?<!\\),"), re.compile(r"(?<!\\)=")
_UNESCAPE = re.compile(r"\\([, =])")
_INTEGER = re.compile(rb"[+-]?[0-9]{1,20}[iu]")
_FLOAT = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?[iI]nf|[nN]a[nN]")
_BOOLEANS = {b"t": 1.0, b"true": 1.0, b"f": 0.0, b"false": 0.0}


def decode(value: bytes, out: SampleWriter, record_time_ms: int) -> None:
    """Write the samples of one record; lines and fields that are none are rejected one by one."""
    place = _after_blanks(value, 0)
    while place < len(value):
        try:
            place = _write_line(value, place, out, record_time_ms)
        except CodecError as error:
            out.reject(error.reason, error.detail)
            place = value.find(b"\n", place) + 1 or len(value)
        place = _after_blanks(value, place)


def _after_blanks(value: bytes, place: int) -> int:
    found = _BLANK.match(value, place)
    return found.end() if found else place


def _write_line(value: bytes, start: int, out: SampleWriter, record_time_ms: int) -> int:
    """Write one line that begins at ``start``; return where the next one begins."""
    key = _KEY.match(value, start)
    place = key.end() if key else start
    if place - start > _LONGEST_KEY:
        raise CodecError("name_too_long", f"{place - start} bytes: {value[start : start + 60]!r}")
    fields = []
    while field := _FIELD.match(value, place):
        fields.append(field.group(1, 2))
        place = field.end()
        if value[place : place + 1] != b",":
            break
        place += 1
    end = _END.match(value, place)
    if not key or not field or not end:
        raise CodecError("bad_line", repr(value[max(start, place - 20) : place + 40]))
    time_ns = epoch_ns(int(end.group(1))) if end.group(1) else record_time_ms * 10**6
    for name, text in fields:
        try:
            _write_field(key.group().rstrip(b" "), name, text, time_ns, out)
        except CodecError as error:
            out.reject(error.reason, error.detail)
    return end.end()


def _write_field(key: bytes, name: bytes, text: bytes, time_ns: int, out: SampleWriter) -> None:
    if text.startswith(b'"'):
        out.skip("text_field")
        return
    amount = _BOOLEANS.get(text.lower())
    if amount is not None:
        out.note("boolean_as_number")
    else:
        if not (_INTEGER.fullmatch(text) or _FLOAT.fullmatch(text)):
            raise CodecError("bad_value", repr(text[:60]))
        amount = float(text.rstrip(b"iu")) if text[-1:] in b"iu" else float(text)
    try:
        measurement, entity, entity_class, labels = _source(out.dialect, key.decode())
        metric = f"{measurement}.{_plain(name.decode())}"
    except UnicodeDecodeError as error:
        raise CodecError("not_utf8", repr(key[:60])) from error
    identity = SeriesIdentity(entity, entity_class, metric, labels, unit_of(metric))
    out.add(out.series(identity), time_ns, amount, out.dialect.kind_of(metric))


@remembered
def _source(dialect: Dialect, key: str) -> tuple[str, str, str, tuple[tuple[str, str], ...]]:
    """Measurement, entity, class and labels of what stands before a line's fields."""
    measurement, *tags = _SPLIT_COMMA.split(key)
    labels = {}
    for tag in tags:
        tag_key, *rest = _SPLIT_EQUALS.split(tag, maxsplit=1)
        if not rest or not tag_key:
            raise CodecError("bad_tag", repr(tag[:60]))
        labels[_plain(tag_key)] = _plain(rest[0])
    return _plain(measurement), *dialect.split(labels)


def _plain(text: str) -> str:
    return _UNESCAPE.sub(r"\1", text)
