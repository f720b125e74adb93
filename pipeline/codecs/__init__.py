"""Bytes to samples: one file a wire format, the format told apart for each record by its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.catalog import Catalog
from pipeline.codecs import influx, otlp_json, otlp_proto, plain_json
from pipeline.codecs.writer import SampleWriter
from pipeline.events import CodecError, Records, Rejected, SampleBatch

__all__ = ["FORMATS", "Codec", "Decoded", "decode", "format_of"]


class Codec(Protocol):
    """What each codec module offers; ``decode`` raises CodecError for bytes that are not its format."""

    @property
    def NAME(self) -> str:
        """The format's name."""

    def sniff(self, value: bytes) -> bool:
        """Whether the bytes look like this format."""

    def decode(self, value: bytes, out: SampleWriter, record_time_ms: int) -> None:
        """Write the record's samples."""


# In the order of asking: the more telling bytes first.
CODECS: tuple[Codec, ...] = (otlp_proto, otlp_json, plain_json, influx)
FORMATS: tuple[str, ...] = tuple(codec.NAME for codec in CODECS)


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
    """

    samples: SampleBatch
    rejected: list[Rejected]
    by_format: dict[str, int]
    refused: int
    skipped: dict[str, int]


def decode(records: Records, catalog: Catalog, formats: Sequence[str] = ()) -> Decoded:
    """Decode records to samples; bytes that cannot become samples become Rejected, never an exception.

    Parameters
    ----------
    records
        From one partition, in offset order. Null and empty values are no samples and no error.
    catalog
        The partition's; new series are added to it.
    formats
        Format names to choose from, () for all. A single name is taken without looking at the bytes.

    Raises
    ------
    ValueError
        If a format name is unknown.
    """
    codecs = _chosen(formats)
    out, by_format = SampleWriter(catalog), dict[str, int]()
    for row, value in enumerate(records.values):
        if not value or value.isspace():
            continue
        out.record = row
        codec = codecs[0] if len(codecs) == 1 else format_of(value, codecs)
        if codec is None:
            out.reject("unknown_format", f"begins with {value[:24]!r}")
            continue
        by_format[codec.NAME] = by_format.get(codec.NAME, 0) + 1
        try:
            codec.decode(value, out, records.times[row])
        except CodecError as error:
            out.reject(error.reason, error.detail)
        except RecursionError as error:
            out.reject("too_deep", str(error)[:200])
    return Decoded(out.batch(), _rejected(records, out), by_format, out.refused, out.skipped)


def format_of(value: bytes, codecs: Sequence[Codec] = CODECS) -> Codec | None:
    """The first codec whose format the bytes look like, or None."""
    for codec in codecs:
        if codec.sniff(value):
            return codec
    return None


def _chosen(formats: Sequence[str]) -> Sequence[Codec]:
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise ValueError(f"unknown format {unknown[0]!r}; known are {', '.join(FORMATS)}")
    return [codec for codec in CODECS if codec.NAME in formats] if formats else CODECS


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
