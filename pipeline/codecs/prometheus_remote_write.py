"""Prometheus remote write 1.0 and 2.0: a protobuf message in one snappy block (no stream header), times in ms.

Kinds come from metadata where it is sent, else from names. A series' stale marker is a gap. Native histograms give
their count and sum, and their buckets for estimates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cramjam
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from pipeline.codecs.native_histogram import buckets_of
from pipeline.codecs.prometheus import Histograms, family_of, identity_of, kind_of, unstale
from pipeline.codecs.remote_write_schema import METRIC_TYPES, WriteRequest
from pipeline.codecs.writer import SampleWriter
from pipeline.errors import CodecError
from pipeline.events import Kind, Origin, SeriesIdentity
from pipeline.names import MAX_LABELS

__all__ = ["NAME", "decode", "uncompressed"]

NAME = "prometheus-remote-write"
# A snappy copy of 64 bytes takes 3: a block cannot grow by more, whatever its head claims.
_MOST_GROWTH, _MOST_BYTES = 22, 16 * 2**20
_GAUGE_HISTOGRAM = 3  # reset hint


def uncompressed(value: bytes) -> bytes:
    """Content of one snappy block.

    Raises
    ------
    CodecError
        If the block is damaged, or claims to hold more than it can.
    """
    try:
        length = cramjam.snappy.decompress_raw_len(value)
        if length > min(_MOST_BYTES, _MOST_GROWTH * len(value) + 64):
            raise CodecError("bad_snappy", f"{len(value)} bytes claim to hold {length}")
        return bytes(cramjam.snappy.decompress_raw(value))
    except cramjam.DecompressionError as error:
        raise CodecError("bad_snappy", str(error)[:200]) from error


def decode(value: bytes, out: SampleWriter, record_time_ms: int) -> None:
    """Write the samples of one record; series that are none are rejected one by one.

    Raises
    ------
    CodecError
        If the bytes are no snappy block, or hold no write request.
    """
    try:
        request = WriteRequest.FromString(uncompressed(value))
    except (DecodeError, RecursionError) as error:
        raise CodecError("bad_protobuf", str(error)[:200]) from error
    histograms = Histograms()
    for series, labels, family_type, unit in _all_series(request, out):
        try:
            _write(series, labels, family_type, unit, out, histograms)
        except CodecError as error:
            out.reject(error.reason, error.detail)
    histograms.tell(out)


def _all_series(request: Any, out: SampleWriter) -> Iterator[tuple[Any, dict[str, str], str, str]]:
    """Each series with its labels, its family's type and unit."""
    types = {entry.family: _type_name(entry.type) for entry in request.metadata}
    units = {entry.family: entry.unit for entry in request.metadata}
    for series in request.series1:
        labels = {label.name: label.value for label in series.labels}
        family = family_of(labels.get("__name__", ""), types)
        yield series, labels, types.get(family, ""), units.get(family, "")
    symbols = list(request.symbols)
    for series in request.series2:
        refs = series.label_refs
        if len(refs) > 2 * MAX_LABELS:
            out.reject("too_many_labels", f"{len(refs)} references")
            continue
        try:
            texts = [symbols[ref] for ref in refs]
            unit = symbols[series.metadata.unit_ref] if symbols else ""
        except IndexError:
            out.reject("bad_symbol", f"a reference beyond {len(symbols)} symbols")
            continue
        if len(texts) % 2:
            out.reject("bad_labels", f"{len(texts)} references are no pairs")
            continue
        yield series, dict(zip(texts[::2], texts[1::2], strict=True)), _type_name(series.metadata.type), unit


def _type_name(number: int) -> str:
    return METRIC_TYPES[number] if 0 <= number < len(METRIC_TYPES) else ""


def _write(
    series: Any, labels: dict[str, str], family_type: str, unit: str, out: SampleWriter, histograms: Histograms
) -> None:
    identity = identity_of(out.dialect, labels, unit=unit)
    created_ms = getattr(series, "created_timestamp", 0)
    if series.samples:
        series_id, kind = out.series(identity), kind_of(out.dialect, identity.metric, labels, family_type)
        for sample in series.samples:
            histograms.part(identity, _ns(sample.timestamp), sample.value, kind, len(out))
            start_ns = _ns(sample.start_timestamp or created_ms)
            out.add_or_stale(series_id, _ns(sample.timestamp), unstale(sample.value), kind, start_ns)
    for histogram in series.histograms:
        _write_histogram(histogram, identity, created_ms, out)


def _write_histogram(histogram: Any, identity: SeriesIdentity, created_ms: int, out: SampleWriter) -> None:
    level = histogram.reset_hint == _GAUGE_HISTOGRAM
    kind = (Kind.GAUGE if level else Kind.COUNTER) | Origin.HISTOGRAM
    moment, start = _ns(histogram.timestamp), _ns(histogram.start_timestamp or created_ms)
    which = histogram.WhichOneof("_count")
    count = None if unstale(histogram.sum) is None else float(getattr(histogram, which) if which else 0)
    place = len(out)
    for part, amount, unit in (("count", count, "1"), ("sum", unstale(histogram.sum), identity.unit)):
        series_id = out.series(identity._replace(metric=f"{identity.metric}_{part}", unit=unit))
        out.add_or_stale(series_id, moment, amount, kind, start)
    if count is not None and not level:
        out.add_distribution(place, histogram.sum, identity.unit, buckets_of(histogram))


def _ns(time_ms: int) -> int:
    return time_ms * 10**6
