"""Our own format: the samples of one entity as columns, as ``rekey`` writes them, with the clock of their source.

A record is ``MAGIC`` and one msgpack array: where the samples come from and how far that source has come, the
entity, its series, and one column of little-endian numbers for each of local series, time, start, value and kind.
Histograms and summaries follow, so that what is derived from them is the same behind ``rekey`` as before it. A record
without samples only tells its source's clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.catalog import Catalog
from pipeline.codecs.buckets import Buckets, Distribution, explicit
from pipeline.codecs.writer import SampleWriter
from pipeline.errors import CodecError
from pipeline.events import SampleBatch, SeriesIdentity, SourceClock

__all__ = ["MAGIC", "NAME", "EntityBatch", "Whole", "decode", "encode", "entity_batches"]

NAME = "samples"
MAGIC = b"\xf5FSB1"  # no text begins with such a byte, and no snappy block goes on so
MOST_SAMPLES = 2_000  # in one record: with long names still far below Kafka's default of 1 MB
SAMPLES_PER_BUCKET = 0.1  # what a bucket weighs beside them: 8 bytes of count, and at worst 8 of an own bound
COLUMNS = (("local", "<i4"), ("time", "<i8"), ("start", "<i8"), ("value", "<f8"), ("kind", "u1"))


class Whole(msgspec.Struct, frozen=True, array_like=True):
    """A point of a histogram or summary beside the samples of its parts.

    Parameters
    ----------
    row
        Of its count among the record's samples.
    total
        Sum of the values, None where it was not sent.
    unit
        Of the values.
    bounds
        Which of the record's sets of bounds its buckets have, -1 where it has no buckets.
    counts
        Of the buckets, little-endian float64.
    """

    row: int
    total: float | None
    unit: str
    bounds: int = -1
    counts: bytes = b""


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
    wholes
        Its histograms and summaries, in the order of their counts.
    bounds
        The different sets of bounds that they have, little-endian float64.
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
    wholes: list[Whole] = []
    bounds: list[bytes] = []


_decoder = msgspec.msgpack.Decoder(EntityBatch)
_encoder = msgspec.msgpack.Encoder()


def encode(batch: EntityBatch) -> bytes:
    """One record's bytes."""
    return MAGIC + _encoder.encode(batch)


def entity_batches(
    samples: SampleBatch, distributions: Sequence[Distribution], catalog: Catalog, source: str, clock_ms: int
) -> Iterator[tuple[EntityBatch, list[int]]]:
    """Split samples by entity, in order of its name; the order of an entity's samples is kept.

    Parameters
    ----------
    samples
        In record order.
    distributions
        Histograms and summaries among them.
    catalog
        Knows their series.
    source, clock_ms
        The source partition, and how far it has come in event time.

    Yields
    ------
    The batch, and the rows of the records that are part of it.
    """
    whole_of = {one.sample: one for one in distributions}
    weight = np.ones(len(samples))
    for row, one in whole_of.items():
        weight[row] += SAMPLES_PER_BUCKET * len(one.buckets.counts) if one.buckets else 0.0
    ids, inverse = np.unique(samples.series_id, return_inverse=True)
    entity_of = np.array([catalog.entity_of[s] for s in ids], np.int64)[inverse]
    order = np.argsort(entity_of, kind="stable")
    cuts = np.flatnonzero(np.diff(entity_of[order])) + 1
    parts = np.split(order, cuts) if len(order) else []
    for rows in sorted(parts, key=lambda rows: catalog.entities[entity_of[rows[0]]]):
        entity = catalog.entities[entity_of[rows[0]]]
        full = np.flatnonzero(np.diff((np.cumsum(weight[rows]) - 1.0) // MOST_SAMPLES)) + 1
        for part in np.split(rows, full):
            wholes = [whole_of[row]._replace(sample=n) for n, row in enumerate(part.tolist()) if row in whole_of]
            taken = samples.take(part)
            yield _batch(taken, wholes, catalog, entity, (source, clock_ms)), np.unique(taken.record).tolist()


def _batch(
    part: SampleBatch,
    distributions: Sequence[Distribution],
    catalog: Catalog,
    entity: tuple[str, str],
    origin: tuple[str, int],
) -> EntityBatch:
    ids, local = np.unique(part.series_id, return_inverse=True)
    series = [catalog.identities[s] for s in ids]
    columns: dict[str, npt.NDArray[Any]] = {
        "local": local,
        "time": part.time,
        "start": part.start,
        "value": part.value,
        "kind": part.kind,
    }
    packed: dict[str, Any] = {name: columns[name].astype(dtype).tobytes() for name, dtype in COLUMNS}
    packed["wholes"], packed["bounds"] = _wholes(distributions)
    return EntityBatch(*origin, *entity, [(one.metric, list(one.labels), one.unit) for one in series], **packed)


def _wholes(distributions: Sequence[Distribution]) -> tuple[list[Whole], list[bytes]]:
    """Histograms and summaries as they travel: bounds that many share are written once."""
    wholes, bounds = list[Whole](), dict[tuple[float, ...], int]()
    for one in distributions:
        if one.buckets is None:
            wholes.append(Whole(one.sample, one.total, one.unit))
        else:
            which = bounds.setdefault(one.buckets.bounds, len(bounds))
            wholes.append(Whole(one.sample, one.total, one.unit, which, _packed(one.buckets.counts)))
    return wholes, [_packed(one) for one in bounds]


def _packed(numbers: Sequence[float]) -> bytes:
    return np.array(numbers, "<f8").tobytes()


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
    wholes = _distributions(batch, len(local))
    places = out.extend(ids[local], columns["time"], columns["start"], columns["value"], columns["kind"])
    for one in wholes:
        if places[one.sample] >= 0:
            out.add_distribution(int(places[one.sample]), one.total, one.unit, one.buckets)


def _distributions(batch: EntityBatch, n_samples: int) -> list[Distribution]:
    """The record's histograms and summaries; ``sample`` is a row of the record."""
    found = []
    for one in batch.wholes:
        if not (0 <= one.row < n_samples and -1 <= one.bounds < len(batch.bounds)):
            raise CodecError("bad_samples", f"a histogram of row {one.row} with bounds {one.bounds}")
        buckets = None if one.bounds < 0 else _buckets(batch.bounds[one.bounds], one.counts)
        found.append(Distribution(one.row, one.total, one.unit, buckets))
    return found


def _buckets(bounds: bytes, counts: bytes) -> Buckets:
    try:
        found = explicit(np.frombuffer(bounds, "<f8").tolist(), np.frombuffer(counts, "<f8").tolist())
    except ValueError as error:
        raise CodecError("bad_samples", str(error)) from error
    if found is None:
        raise CodecError("bad_samples", f"{len(bounds)} bytes of bounds and {len(counts)} of counts are no buckets")
    return found


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
