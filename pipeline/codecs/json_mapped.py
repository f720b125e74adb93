"""Home-grown JSON, read as the mappings of the setting ``codecs.json`` say; the first that fits an object reads it.

Every number under a mapping's ``values`` is a sample, named by its keys joined with dots. Texts are skipped and
counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from pipeline.codecs.clock import time_ns
from pipeline.codecs.json_input import found_at, objects
from pipeline.codecs.scalars import label_text, number
from pipeline.codecs.units import unit_of
from pipeline.codecs.writer import SampleWriter
from pipeline.dialect import JsonMapping
from pipeline.errors import CodecError
from pipeline.events import Kind, SeriesIdentity
from pipeline.names import remembered

__all__ = ["NAME", "decode", "fits"]

NAME = "json-mapped"
_COOKIE = b"@cee:"  # what syslog puts before JSON
_MOST_DEEP = 32


def fits(body: object, mappings: tuple[JsonMapping, ...]) -> JsonMapping | None:
    """The first mapping whose required paths an object has, or None."""
    if not isinstance(body, dict):
        return None
    return next((one for one in mappings if all(found_at(body, path) is not None for path in one.requires)), None)


def decode(value: bytes, out: SampleWriter, record_time_ms: int) -> None:
    """Write the samples of one record (an object or an array of them); objects that no mapping fits are rejected.

    Raises
    ------
    CodecError
        If the bytes are not JSON.
    """
    bodies = objects(value.strip().removeprefix(_COOKIE))
    out.each(bodies, lambda body, _: _write(body, out, record_time_ms))


def _write(body: Any, out: SampleWriter, record_time_ms: int) -> None:
    mapping = fits(body, out.dialect.mappings)
    if mapping is None:
        raise CodecError("no_mapping", repr(body)[:60])
    moment = time_ns(found_at(body, mapping.time)) if mapping.time else record_time_ms * 10**6
    name = label_text(found_at(body, mapping.entity)) if mapping.entity else ""
    entity, entity_class = out.dialect.named(name) if name else (out.dialect.unknown, "unknown")
    prefix = label_text(found_at(body, mapping.metric)) if mapping.metric else ""
    labels = tuple(sorted((path.rpartition(".")[2], label_text(found_at(body, path))) for path in mapping.labels))
    for path, amount in _leaves("", found_at(body, mapping.values), 0):
        if _is_named(path, mapping):
            continue
        if isinstance(amount, str | list | None):
            out.skip("null_field" if amount is None else "text_field" if isinstance(amount, str) else "list_field")
            continue
        if isinstance(amount, bool):
            out.note("boolean_as_number")
        metric = ".".join(part for part in (prefix, path.removeprefix(mapping.strip)) if part)
        kind = _kind(mapping.counters, metric)
        try:
            identity = SeriesIdentity(entity, entity_class, metric, labels, unit_of(metric))
            out.add(out.series(identity), moment, number(amount), kind)
        except CodecError as error:
            out.reject(error.reason, error.detail)


def _leaves(path: str, part: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > _MOST_DEEP:
        raise CodecError("too_deep", path[:200])
    if isinstance(part, dict):
        for key, inner in part.items():
            yield from _leaves(f"{path}.{key}" if path else key, inner, depth + 1)
    elif path:
        yield path, part


def _is_named(path: str, mapping: JsonMapping) -> bool:
    """Whether the leaf already serves as time, entity, metric or label, or is to be ignored."""
    whole = f"{mapping.values}.{path}" if mapping.values else path
    if whole in (mapping.time, mapping.entity, mapping.metric, *mapping.labels):
        return True
    return any(fnmatchcase(path, pattern) for pattern in mapping.ignored)


@remembered
def _kind(counters: tuple[str, ...], metric: str) -> Kind:
    return Kind.COUNTER if any(fnmatchcase(metric, pattern) for pattern in counters) else Kind.GAUGE
