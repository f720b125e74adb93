"""Prometheus text exposition and OpenMetrics: ``# TYPE`` lines and ``name{label="value"} value [time]``.

Without a time the record's own counts. A line that is none is rejected alone.
"""

from __future__ import annotations

import re

from pipeline.codecs.clock import time_ns
from pipeline.codecs.prometheus import Histograms, family_of, identity_of, kind_of
from pipeline.codecs.scalars import number, text_of
from pipeline.codecs.writer import SampleWriter
from pipeline.errors import CodecError

__all__ = ["NAME", "decode"]

NAME = "prometheus-text"
_COMMENT = re.compile(r"#[ \t]*+(TYPE|HELP|UNIT|EOF)\b(?:[ \t]++([^ \t]++)(?:[ \t]++(.*+))?+)?+", re.DOTALL)
_TEXT = r'"((?:[^"\\]++|\\.)*+)"'
_NAME = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:.]*+)[ \t]*+")
_LABEL = re.compile(r"[ \t]*+(?:([a-zA-Z_][a-zA-Z0-9_.:]*+)|" + _TEXT + r")[ \t]*+(?:=[ \t]*+" + _TEXT + r"[ \t]*+)?+")
_TAIL = re.compile(r"[ \t]*+([^ \t#]++)(?:[ \t]++(-?[0-9.eE+]++))?+[ \t]*+(?:#.*+)?+")
_UNESCAPE = re.compile(r"\\(.)", re.DOTALL)


def decode(value: bytes, out: SampleWriter, record_time_ms: int) -> None:
    """Write the samples of one record; lines that are none are rejected one by one.

    Raises
    ------
    CodecError
        If the bytes are not UTF-8.
    """
    types, units, histograms = dict[str, str](), dict[str, str](), Histograms()
    for line in text_of(value).split("\n"):
        line = line.strip(" \t\r")
        if line.startswith("#"):
            _note(line, types, units)
        elif line:
            try:
                _write(line, out, record_time_ms, types, units, histograms)
            except CodecError as error:
                out.reject(error.reason, error.detail)
    histograms.tell(out)


def _note(line: str, types: dict[str, str], units: dict[str, str]) -> None:
    found = _COMMENT.fullmatch(line)
    if found and found.group(1) in ("TYPE", "UNIT") and found.group(2):
        noted = types if found.group(1) == "TYPE" else units
        noted[found.group(2).strip('"')] = (found.group(3) or "").strip()


def _write(
    line: str,
    out: SampleWriter,
    record_time_ms: int,
    types: dict[str, str],
    units: dict[str, str],
    histograms: Histograms,
) -> None:
    metric, labels, place = _series(line)
    tail = _TAIL.fullmatch(line, place)
    if not tail:
        raise CodecError("bad_line", repr(line[:60]))
    family = family_of(metric, types)
    moment = time_ns(tail.group(2)) if tail.group(2) else record_time_ms * 10**6
    identity = identity_of(out.dialect, labels, metric, units.get(family, ""))
    amount, kind = number(tail.group(1)), kind_of(out.dialect, metric, labels, types.get(family, ""))
    histograms.part(identity, moment, amount, kind, len(out))
    out.add(out.series(identity), moment, amount, kind)


def _series(line: str) -> tuple[str, dict[str, str], int]:
    """Metric, labels, and where the value begins; a quoted name may stand within the braces."""
    name = _NAME.match(line)
    metric, place = (name.group(1), name.end()) if name else ("", 0)
    labels: dict[str, str] = {}
    if line[place : place + 1] != "{":
        return metric, labels, place
    place += 1
    while label := _LABEL.match(line, place):
        key = label.group(1) or _plain(label.group(2))
        if label.group(3) is None:
            metric = metric or key
        else:
            labels[key] = _plain(label.group(3))
        place = label.end()
        if line[place : place + 1] != ",":
            break
        place += 1
    closing = re.compile(r"[ \t]*+}").match(line, place)
    if not closing or not metric:
        raise CodecError("bad_line", repr(line[:60]))
    return metric, labels, closing.end()


def _plain(text: str) -> str:
    return (
        _UNESCAPE.sub(lambda found: "\n" if found.group(1) == "n" else found.group(1), text) if "\\" in text else text
    )
