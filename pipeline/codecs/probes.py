"""Which format bytes are, for nobody sends a content type: one table of probes, each record told by its own bytes.

::

    our own mark                                              samples
    first byte 0x0A, then a field of ResourceMetrics          otlp-proto
    a length, a snappy literal, a field of a write request    prometheus-remote-write
    { or [        the names of the first object's keys        the JSON formats
    # HELP, # TYPE ..., or the first line that is no comment  the line formats

No two probes accept the same bytes: the formats differ in what no sender of theirs leaves out.
"""

from __future__ import annotations

import re

import msgspec

from pipeline.codecs.json_input import parsed
from pipeline.codecs.json_mapped import fits
from pipeline.codecs.prometheus_remote_write import uncompressed
from pipeline.codecs.samples import MAGIC
from pipeline.dialect import Dialect
from pipeline.errors import CodecError

__all__ = ["format_of", "names_another"]

_HEAD_BYTES = 4096
_RESOURCE_METRICS, _RESOURCE_FIELDS = 0x0A, (0x0A, 0x12, 0x1A)  # resource, scope metrics, schema URL: any may be first
_REQUEST_FIELDS = (0x0A, 0x1A, 0x22, 0x2A)  # series of 1.0, metadata, symbols and series of 2.0
_EMPTY_REQUEST = b"\x00"

_BLANK = re.compile(rb"(?:[ \t\r\n]++|#[^\n]*+)*+")
_NUMBER = rb"[-+]?(?:[0-9]++\.?[0-9]*+(?:[eE][-+]?[0-9]++)?|\.[0-9]++(?:[eE][-+]?[0-9]++)?|[nN]a[nN]|[iI]nf(?:inity)?)"
_END = rb"[ \t\r]*+(?:\n|\Z)"
# What a whole first line looks like, by format.
_LINES: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("putval", re.compile(rb"PUTVAL[ \t]", re.IGNORECASE)),
    ("prometheus-text", re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:.]*+[ \t]*+\{")),
    # a time of twelve digits is in ms: Prometheus; Graphite's are in seconds
    (
        "prometheus-text",
        re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*+[ \t]++" + _NUMBER + rb"(?:[ \t]++-?[0-9]{12,})?+" + _END),
    ),
    ("graphite", re.compile(rb"[^ \t\n{}\"]++[ \t]++" + _NUMBER + rb"(?:[ \t]++-?[0-9.]++)?+" + _END)),
    ("influx", re.compile(rb'(?![{}\[\]"])(?:[^ \\\n]++|\\ ?+)++ ++(?:[^,= "\\\n]++|\\[,= "]?+)++=[^, \r\n]')),
)
_PROMETHEUS_COMMENT = re.compile(rb"#[ \t]*+(?:HELP|TYPE|UNIT|EOF)\b")
_PROMETHEUS_QUOTED = re.compile(rb'\{[ \t]*+"(?:[^"\\\n]++|\\.)*+"[ \t]*+[,}]')  # in JSON a colon would follow
_COOKIE = b"@cee:"
# What the busiest senders send, at a glance; all others are told by their keys, or by whole lines.
_BEGINNINGS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("telegraf-json", re.compile(rb'\{\s*+"fields"\s*+:\s*+\{')),
    ("otlp-json", re.compile(rb'\{\s*+"resourceMetrics"\s*+:')),
)
_PLAIN = re.compile(
    rb'\{(?:\s*+"(?:(metric)|(value)|timestamp|entity|labels|unit|kind|class)"\s*+:\s*+'
    rb'(?:"[^"\\]*+"|\{[^{}]*+\}|[^",{}\[\]]++)(?:,(?=\s*+")|(?=\s*+\})))+\s*+\}'
)
_INFLUX = re.compile(rb'(?![pP][uU][tT]|#|\xf5)[^\x00-\x20"{}\[\]\\]++ ++[^\x00-\x20,="\\]++=[^, \r\n]')
_KEYS: tuple[tuple[str, frozenset[str]], ...] = (
    ("otlp-json", frozenset({"resourceMetrics"})),
    ("collectd-json", frozenset({"dstypes", "values", "plugin"})),
    ("telegraf-json", frozenset({"fields", "name"})),
    ("telegraf-json", frozenset({"metrics"})),
    ("metricbeat", frozenset({"@timestamp", "metricset"})),
    ("json", frozenset({"metric", "value"})),
    ("prometheus-adapter", frozenset({"labels", "name", "value"})),
)
_OTHERS = re.compile(rb'"(?:resourceMetrics|dstypes|fields|metrics|metricset)"')
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_objects = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def format_of(value: bytes, dialect: Dialect) -> str | None:
    """Name of the format that the bytes are in, or None."""
    if found := _glance(value):
        return found
    if value.startswith(MAGIC):
        return "samples"
    if _is_otlp(value):
        return "otlp-proto"
    if _is_write_request(value):
        return "prometheus-remote-write"
    start = _first(value)
    if value[start : start + 1] in (b"{", b"["):
        return "prometheus-text" if _PROMETHEUS_QUOTED.match(value, start) else _json_format(value, dialect)
    return "json-mapped" if value.startswith(_COOKIE, start) else _line_format(value[start : start + _HEAD_BYTES])


def names_another(value: bytes) -> bool:
    """Whether a name by which another JSON format is known stands anywhere in the bytes; without one it is plain."""
    return _OTHERS.search(value) is not None


def _glance(value: bytes) -> str | None:
    """The format of what can be nothing else, for nothing binary goes on as these do."""
    if not value.startswith(b"{"):
        return "influx" if _INFLUX.match(value) else None
    plain = _PLAIN.match(value)
    if plain and plain[1] and plain[2]:
        return "json"
    return next((name for name, beginning in _BEGINNINGS if beginning.match(value)), None)


def _is_otlp(value: bytes) -> bool:
    """Whether the bytes begin with a ResourceMetrics that begins with one of its three fields."""
    if value[0] != _RESOURCE_METRICS:
        return False
    inner = next((place for place in range(1, min(6, len(value))) if value[place] < 0x80), 0) + 1
    return len(value) == 2 or (1 < inner < len(value) and value[inner] in _RESOURCE_FIELDS)


def _is_write_request(value: bytes) -> bool:
    """Whether the bytes are one snappy block whose content begins like a write request."""
    if value == _EMPTY_REQUEST:
        return True
    tag = 1
    while tag < 5 and tag < len(value) and value[tag - 1] >= 0x80:
        tag += 1
    if tag >= len(value) or value[tag - 1] >= 0x80 or value[tag] & 3:  # a block begins with a literal
        return False
    longer = max(0, (value[tag] >> 2) - 59)  # bytes that its length takes beyond the tag
    content = tag + 1 + longer
    if content >= len(value) or value[content] not in _REQUEST_FIELDS:
        return False
    return not _is_text(value) or _unpacks(value)


def _is_text(value: bytes) -> bool:
    return 0x20 <= value[0] < 0x7F or value[0] in b"\t\r\n"


def _unpacks(value: bytes) -> bool:
    try:
        return bool(uncompressed(value))
    except CodecError:
        return False


def _first(value: bytes) -> int:
    """Place of the first byte that is no blank."""
    return len(value) - len(value.lstrip(b" \t\r\n"))


def _line_format(head: bytes) -> str | None:
    if _PROMETHEUS_COMMENT.match(head):
        return "prometheus-text"
    blank = _BLANK.match(head)
    start = blank.end() if blank else 0
    return next((name for name, line in _LINES if line.match(head, start)), None)


def _json_format(value: bytes, dialect: Dialect) -> str:
    """The JSON format of the first object's keys; plain JSON says what is wrong with all others."""
    keys = _keys(value)
    found = next((name for name, needed in _KEYS if needed <= keys), None)
    if found is None and dialect.mappings and keys:
        found = "json-mapped" if _is_mapped(value, dialect) else None
    return found or "json"


def _keys(value: bytes) -> frozenset[str]:
    """Names of the first object's keys, whatever is in them; none if the bytes are no JSON."""
    is_array = value.lstrip()[:1] == b"["
    for part in (value, value.lstrip().partition(b"\n")[0]):  # all of it, or its first line
        try:
            if is_array:
                return frozenset(next(iter(_objects.decode(part)), {}))
            return frozenset(_object.decode(part))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return frozenset()


def _is_mapped(value: bytes, dialect: Dialect) -> bool:
    try:
        whole = parsed(value)
    except CodecError:
        return False
    first: object = next(iter(whole), None) if isinstance(whole, list | tuple) else whole
    return fits(first, dialect.mappings) is not None
