"""Our own format: the samples of one entity as columns, as ``rekey`` writes them, with the clock of their source.

A record is ``MAGIC`` and one msgpack array: where the samples come from and how far that source has come, the
entity, its series, and one column of little-endian numbers for each of local series, time, start, value and kind.
A record without samples only tells its source's clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.catalog import Catalog
from pipeline.codecs.writer import SampleWriter
from pipeline.errors import CodecError
from pipeline.events import SampleBatch, SeriesIdentity, SourceClock

__all__ = ["MAGIC", "NAME", "EntityBatch", "decode", "encode", "entity_batches"]

NAME = "samples"
MAGIC = b"\xf5FSB1"  # no text begins with such a byte, and no snappy block goes on so
MOST_SAMPLES = 2_000  # in one record: with long names still far below Kafka's default of 1 MB
COLUMNS = (("local", "<i4"), ("time", "<i8"), ("start", "<i8"), ("value", "<f8"), ("kind", "u1"))


class EntityBatch(msgspec.Struct, frozen=True, array_like=True):
    """Samples of one entity from one source partition.

    Parameters
    ----------
    source
        ``topic/partition`` that the samples were read from.
    clock_ms
        The newest event time read from that source so far; 0: it has nothing to say of time (idle or empty).
    entity, entity_class
        "" where the record only tells a clock.
    series
        (metric, labels, unit) by local number.
    local, time, start, value, kind
        Columns of equal length as bytes: int32, int64 ns, int64 ns, float64, uint8, all little-endian.
    """

    source: str
    clock_ms: int
    entity: str = ""
    entity_class: str = ""
    series: list[tuple[str, list[tuple[str, str]], str]] = []
    local: bytes = b""
    time: bytes = b""
    start: bytes = b""
    value: bytes = b""
    kind: bytes = b""


_decoder = msgspec.msgpack.Decoder(EntityBatch)
_encoder = msgspec.msgpack.Encoder()


def encode(batch: EntityBatch) -> bytes:
    """One record's bytes."""
    return MAGIC + _encoder.encode(batch)


def entity_batches(
    samples: SampleBatch, catalog: Catalog, source: str, clock_ms: int
) -> Iterator[tuple[EntityBatch, list[int]]]:
    """Split samples by entity, in order of its name; the order of an entity's samples is kept.

    Parameters
    ----------
    samples
        In record order.
    catalog
        Knows their series.
    source, clock_ms
        The source partition, and how far it has come in event time.

    Yields
    ------
    The batch, and the rows of the records that are part of it.
    """
    ids, inverse = np.unique(samples.series_id, return_inverse=True)
    entity_of = np.array([catalog.entity_of[s] for s in ids], np.int64)[inverse]
    order = np.argsort(entity_of, kind="stable")
    cuts = np.flatnonzero(np.diff(entity_of[order])) + 1
    parts = np.split(order, cuts) if len(order) else []
    for rows in sorted(parts, key=lambda rows: catalog.entities[entity_of[rows[0]]]):
        entity = catalog.entities[entity_of[rows[0]]]
        for first in range(0, len(rows), MOST_SAMPLES):
            part = samples.take(rows[first : first + MOST_SAMPLES])
            yield _batch(part, catalog, entity, (source, clock_ms)), np.unique(part.record).tolist()


def _batch(part: SampleBatch, catalog: Catalog, entity: tuple[str, str], origin: tuple[str, int]) -> EntityBatch:
    ids, local = np.unique(part.series_id, return_inverse=True)
    series = [catalog.identities[s] for s in ids]
    columns: tuple[npt.NDArray[Any], ...] = (local, part.time, part.start, part.value, part.kind)
    packed = [column.astype(dtype).tobytes() for column, (_, dtype) in zip(columns, COLUMNS, strict=True)]
    return EntityBatch(*origin, *entity, [(one.metric, list(one.labels), one.unit) for one in series], *packed)


def decode(value: bytes, out: SampleWriter, record_time_ms: int) -> None:
    """Write the samples of one record, and what it says of its source's clock.

    Raises
    ------
    CodecError
        If the bytes are damaged, or columns differ in length.
    """
    try:
        batch = _decoder.decode(memoryview(value)[len(MAGIC) :])
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise CodecError("bad_samples", str(error)[:200]) from error
    columns = _columns(batch)
    out.tell_clock(SourceClock(batch.source, batch.clock_ms))
    if len(columns["local"]) == 0:
        return
    ids = np.array([out.series(identity) for identity in _identities(batch)], np.int32)
    local = columns["local"]
    if len(ids) == 0 or local.min() < 0 or local.max() >= len(ids):
        raise CodecError("bad_samples", f"a sample of a series that is not among the record's {len(ids)}")
    out.extend(ids[local], columns["time"], columns["start"], columns["value"], columns["kind"])


def _columns(batch: EntityBatch) -> dict[str, npt.NDArray[Any]]:
    try:
        found = {name: np.frombuffer(getattr(batch, name), dtype) for name, dtype in COLUMNS}
    except ValueError as error:
        raise CodecError("bad_samples", str(error)) from error
    if len({len(column) for column in found.values()}) != 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in found.items())
        raise CodecError("bad_samples", f"columns differ in length: {lengths}")
    return found


def _identities(batch: EntityBatch) -> list[SeriesIdentity]:
    entity, entity_class = batch.entity, batch.entity_class
    return [SeriesIdentity(entity, entity_class, metric, tuple(labels), unit) for metric, labels, unit in batch.series]
