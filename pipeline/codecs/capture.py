"""Captures: Kafka records kept in a ``*.jsonl.gz`` file, one JSON object a line with base64 key and value."""

from __future__ import annotations

import base64
import binascii
import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pipeline.errors import InputError
from pipeline.events import Records

__all__ = ["read_capture", "write_capture"]


class _Line(msgspec.Struct):
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: str | None = None
    value: str | None = None


def read_capture(path: str | Path) -> Records:
    """Read a capture's records, in file order.

    Parameters
    ----------
    path
        A ``*.jsonl.gz`` or ``*.jsonl`` file. Its records may come from several partitions of one topic:
        topic and partition of the first one stand for all.

    Raises
    ------
    InputError
        If the file cannot be read, or a line is not a record.
    """
    path = Path(path)
    decoder = msgspec.json.Decoder(_Line)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            rows = [decoder.decode(line) for line in lines if line.strip()]
        keys, values = [_bytes(row.key) for row in rows], [_bytes(row.value) for row in rows]
    except (OSError, EOFError, zlib.error, msgspec.DecodeError, binascii.Error) as error:
        raise InputError(f"{path} is not a capture: {error}") from error
    first = rows[0] if rows else _Line("", 0, 0, 0)
    return Records(
        topic=first.topic,
        partition=first.partition,
        offsets=[row.offset for row in rows],
        times=[row.timestamp for row in rows],
        keys=keys,
        values=values,
    )


def write_capture(path: Path, topic: str, records: Iterable[tuple[int, bytes, bytes]]) -> int:
    """Write records, each (record time in ms, key, value), as a ``*.jsonl.gz``; returns how many.

    Equal records give equal bytes: the file holds no time of its own.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    encoder, n = msgspec.json.Encoder(), 0
    try:
        with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as lines:
            for n, (time_ms, key, value) in enumerate(records, start=1):
                texts = base64.b64encode(key).decode(), base64.b64encode(value).decode()
                lines.write(encoder.encode(_Line(topic, 0, n - 1, time_ms, *texts)) + b"\n")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    return n


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)
