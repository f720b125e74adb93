"""Bytes to samples: one file a wire format, the format told apart for each record by its bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from pipeline.catalog import Catalog
from pipeline.codecs import (
    collectd_json,
    graphite,
    influx,
    json_mapped,
    metricbeat,
    otlp_json,
    otlp_proto,
    plain_json,
    prometheus_adapter,
    prometheus_remote_write,
    prometheus_text,
    putval,
    samples,
    telegraf_json,
)
from pipeline.codecs.buckets import Distribution
from pipeline.codecs.probes import format_of, names_another
from pipeline.codecs.walk import WALKED, Run
from pipeline.codecs.writer import Hopeless, SampleWriter
from pipeline.dialect import DEFAULT, Dialect
from pipeline.errors import CodecError
from pipeline.events import Records, Rejected, SampleBatch, SourceClock

__all__ = ["FORMATS", "Codec", "Decoded", "Dialect", "decode", "format_of"]


class Codec(Protocol):
    """What each codec module offers; ``decode`` raises CodecError for bytes that are not its format."""

    @property
    def NAME(self) -> str:
        """The format's name."""

    def decode(self, value: bytes, out: SampleWriter, record_time_ms: int) -> None:
        """Write the record's samples."""


_CODECS: tuple[Codec, ...] = (
    otlp_proto,
    otlp_json,
    influx,
    telegraf_json,
    prometheus_remote_write,
    prometheus_text,
    prometheus_adapter,
    collectd_json,
    graphite,
    putval,
    metricbeat,
    plain_json,
    json_mapped,
    samples,
)
CODECS: dict[str, Codec] = {codec.NAME: codec for codec in _CODECS}
FORMATS: tuple[str, ...] = tuple(CODECS)
PLAIN = plain_json.NAME
MAX_RECORD_BYTES = 32 * 2**20  # what a sender sends is below 1 MB; a compressed batch can unfold to anything


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a batch of records became.

    Parameters
    ----------
    samples
        In record order.
    rejected
        At most one for each record, with the first reason.
    by_format
        Records by format.
    refused
        Samples without a series, because the catalog's quota is full.
    skipped
        Values that are knowingly not samples (text fields, for instance), by reason.
    distributions
        Points of histograms and summaries, beside the samples of their parts.
    noted
        Values that became samples, but not as they were written (booleans as 0 and 1), by reason.
    cadences
        Seconds between two samples of a metric, where the sender says them.
    clocks
        What records of a rekeyed topic say of their sources, as (row of the record, clock).
    """

    samples: SampleBatch
    rejected: list[Rejected]
    by_format: dict[str, int]
    refused: int
    skipped: dict[str, int]
    clocks: list[tuple[int, SourceClock]]
    distributions: list[Distribution]
    noted: dict[str, int]
    cadences: dict[str, float]


def decode(records: Records, catalog: Catalog, formats: Sequence[str] = (), dialect: Dialect = DEFAULT) -> Decoded:
    """Decode records to samples; bytes that cannot become samples become Rejected, never an exception.

    Parameters
    ----------
    records
        From one partition, in offset order. Null and empty values are no samples and no error.
    catalog
        The partition's; new series are added to it.
    formats
        Format names to choose from, () for all. A single name is taken without looking at the bytes.
    dialect
        What the configuration says of the senders.

    Raises
    ------
    ValueError
        If a format name is unknown.
    """
    reading = _Reading(records, SampleWriter(catalog, dialect), _allowed(records.topic, formats, dialect))
    reading.read()
    out = reading.out
    return Decoded(
        samples=out.batch(),
        rejected=_rejected(records, out),
        by_format=dict(+reading.by_format),
        refused=out.refused,
        skipped=out.skipped,
        clocks=out.clocks,
        distributions=out.distributions,
        noted=out.noted,
        cadences=out.cadences,
    )


class _Reading:
    """One batch on its way through the codecs."""

    def __init__(self, records: Records, out: SampleWriter, allowed: tuple[str, ...]) -> None:
        self._records, self._allowed = records, allowed
        self.out, self.by_format = out, Counter[str]()

    def read(self) -> None:
        run, last = Run(self._records, self.out, self._judge), None
        for row, value in enumerate(self._records.values):
            # Where one was plain JSON the next will be: the walk takes nothing else for it, and asks if it is not sure.
            if value and last == PLAIN and value.startswith(b"{") and len(value) <= MAX_RECORD_BYTES:
                name: str | None = PLAIN
            elif not value or value.isspace():
                continue
            else:
                self.out.record = row
                name = self._format(value)
            if name is None:
                continue
            self.by_format[name] += 1
            last = name
            if name in WALKED:
                run.take(name, row)
                continue
            run.finish()
            self.out.record = row
            _read(name, value, self.out, self._records.times[row])
        run.finish()

    def _judge(self, guess: str, value: bytes, time_ms: int) -> bool:
        """Read what the walk could not; tells whether the record may be known by its bytes from now on."""
        name = self._format(value)
        self.by_format[guess] -= 1
        if name is not None:
            self.by_format[name] += 1
            _read(name, value, self.out, time_ms)
        return name == guess and not (name == PLAIN and names_another(value))

    def _format(self, value: bytes) -> str | None:
        """Name of a record's format; None, and the record is rejected, where it has none that is allowed."""
        allowed = self._allowed
        if len(value) > MAX_RECORD_BYTES:
            self.out.reject("too_large", f"{len(value)} bytes")
            return None
        name = allowed[0] if len(allowed) == 1 else format_of(value, self.out.dialect)
        if name is None:
            self.out.reject("unknown_format", f"begins with {value[:24]!r}")
        elif allowed and name not in allowed:
            self.out.reject("unexpected_format", f"{name}, where {', '.join(allowed)} are expected")
            return None
        return name


def _read(name: str, value: bytes, out: SampleWriter, record_time_ms: int) -> None:
    """Write one record's samples; whatever is wrong with it becomes its rejection."""
    with suppress(Hopeless):
        try:
            CODECS[name].decode(value, out, record_time_ms)
        except CodecError as error:
            out.reject(error.reason, error.detail)
        except RecursionError as error:
            out.reject("too_deep", str(error)[:200])


def _allowed(topic: str, formats: Sequence[str], dialect: Dialect) -> tuple[str, ...]:
    """Formats to choose from: the topic's own, else those given."""
    fixed = dict(dialect.topic_formats).get(topic)
    chosen = (fixed,) if fixed else tuple(formats)
    for name in chosen:
        if name not in CODECS:
            raise ValueError(f"unknown format {name!r}; known are {', '.join(FORMATS)}")
    return chosen


def _rejected(records: Records, out: SampleWriter) -> list[Rejected]:
    found = []
    for row, (reason, detail, parts) in sorted(out.rejections.items()):
        found.append(
            Rejected(
                topic=records.topic,
                partition=records.partition,
                offset=records.offsets[row],
                time_ms=records.times[row],
                reason=reason,
                detail=detail if parts == 1 else f"{detail} (and {parts - 1} more)",
                value=records.values[row],
                key=records.keys[row],
            )
        )
    return found
