"""Recorded telemetry as the records it once was, or could have been: captures unchanged, tables put into a format."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

from pipeline.codecs.encode import Encode, Row
from pipeline.events import Kind, Records
from pipeline.recordings import Recording

__all__ = ["Timed", "merged", "of_capture", "of_recording"]

Timed = tuple[int, bytes | None, bytes | None]
"""A record to be sent: event time in ms (of a capture: record time), key, value."""

CHUNK_ROWS = 10_000


def of_recording(recording: Recording, encode: Encode) -> Iterator[Timed]:
    """Yield one record a row, keyed by the entity; empty cells are not sent."""
    entity, key = recording.entity, recording.entity.encode()
    for start in range(0, len(recording), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        times, chunk = recording.times[part].tolist(), recording.values[part].tolist()
        for when, values in zip(times, chunk, strict=True):
            pairs = zip(recording.metrics, values, strict=True)
            rows: list[Row] = [(entity, metric, (), when, one, Kind.GAUGE) for metric, one in pairs if one == one]
            if rows:
                yield when // 1_000_000, key, encode(rows, {})


def of_capture(records: Records) -> Iterator[Timed]:
    """Yield a capture's records, bytes unchanged and keys kept, in the order of the file."""
    yield from zip(records.times, records.keys, records.values, strict=True)


def merged(parts: Sequence[Iterable[Timed]]) -> Iterator[Timed]:
    """Put several recordings into one stream, by time; each keeps its own order."""
    return heapq.merge(*parts, key=lambda record: record[0])
