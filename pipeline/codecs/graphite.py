"""Graphite plaintext: lines of ``path value time``, with tags as ``path;name=value``.

The path is the metric's name, as people type it into Graphite. The host is one of its parts: what the tag ``host`` or
the setting ``entities.graphite_pattern`` says, else the first part that is not one of the usual prefixes.
"""

from __future__ import annotations

import re

from pipeline.codecs.clock import time_ns
from pipeline.codecs.scalars import number, text_of
from pipeline.codecs.units import unit_of
from pipeline.codecs.writer import SampleWriter
from pipeline.dialect import Dialect
from pipeline.errors import CodecError
from pipeline.events import SeriesIdentity
from pipeline.names import remembered

__all__ = ["NAME", "decode"]

NAME = "graphite"
_LONGEST_PATH = 8192
_PREFIXES = frozenset(
    """
    carbon collectd dev graphite host hosts machine machines metrics node nodes one_min prod production server
    servers srv staging stats system systems telegraf test vm vms
    """.split()
)


def decode(value: bytes, out: SampleWriter, record_time_ms: int) -> None:
    """Write the samples of one record; lines that are none are rejected one by one.

    Raises
    ------
    CodecError
        If the bytes are not UTF-8.
    """
    lines = [line for line in text_of(value).splitlines() if line.strip()]
    out.each(lines, lambda line, _: _write(line, out, record_time_ms))


def _write(line: str, out: SampleWriter, record_time_ms: int) -> None:
    parts = line.split()
    if len(parts) not in (2, 3):
        raise CodecError("bad_line", repr(line[:60]))
    # -1 asks Graphite for its own time
    moment = time_ns(parts[2]) if len(parts) == 3 and parts[2] != "-1" else record_time_ms * 10**6
    identity = _identity(out.dialect, parts[0])
    out.add(out.series(identity), moment, number(parts[1]), out.dialect.kind_of(identity.metric))


@remembered
def _identity(dialect: Dialect, path: str) -> SeriesIdentity:
    if len(path) > _LONGEST_PATH:
        raise CodecError("name_too_long", f"{len(path)} characters: {path[:80]!r}")
    name, *pairs = path.split(";")
    labels = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise CodecError("bad_tag", repr(pair[:60]))
        labels[key] = text
    entity, entity_class, rest = dialect.split(labels)
    if entity_class == "unknown" or not labels:
        (entity, entity_class), name = _from_path(dialect, name)
    return SeriesIdentity(entity, entity_class, name, rest, unit_of(name))


def _from_path(dialect: Dialect, path: str) -> tuple[tuple[str, str], str]:
    """Entity with class, and metric, of a path without tags."""
    if dialect.graphite_pattern and (found := re.search(dialect.graphite_pattern, path)):
        groups = found.groupdict()
        entity = groups.get("entity")
        if entity:
            return dialect.named(entity), groups.get("metric") or path
    parts = path.split(".")
    host = next((part for part in parts[:-1] if part and part.lower() not in _PREFIXES), "")
    return (dialect.named(host) if host else (dialect.unknown, "unknown")), path
