"""Where codecs put what they read: growing arrays of samples, refusals, and one rejection a record."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.catalog import NEVER_SEEN, Catalog
from pipeline.codecs.buckets import Buckets, Distribution
from pipeline.dialect import DEFAULT, Dialect
from pipeline.errors import CodecError
from pipeline.events import Origin, SampleBatch, SeriesIdentity, SourceClock
from pipeline.names import MAX_LABELS, MAX_NAME_CHARS

__all__ = ["Hopeless", "SampleWriter"]

MOST_REJECTED_PARTS = 10_000  # of one record
MAX_TIME_NS = 7_258_118_400_000_000_000  # 2200-01-01: beyond it a time is a mistake, not a future
COLUMNS = (("series_id", "i"), ("time", "q"), ("value", "d"), ("kind", "B"), ("start", "q"), ("record", "i"))


class Hopeless(Exception):
    """A record of which more parts were rejected than any sender sends; what was read of it before stays."""


class SampleWriter:
    """Collects the samples of a batch of records in record order.

    Parameters
    ----------
    catalog
        Gives the series ids.
    dialect
        What the configuration says of the senders.

    Attributes
    ----------
    record
        Row of the record being decoded; the caller moves it.
    refused
        Samples without a series because the catalog's quota is full.
    skipped
        Values that are knowingly not samples (text fields, for instance), by reason.
    noted
        Values that became samples, but not as they were written (booleans as 0 and 1), by reason.
    rejections
        By record row: first reason, its detail, and how many parts were rejected.
    distributions
        Points of histograms and summaries, beside the samples of their parts.
    cadences
        Seconds between two samples of a metric, where the sender says them.
    clocks
        What records of a rekeyed topic say of their sources: (record row, clock).
    """

    def __init__(self, catalog: Catalog, dialect: Dialect = DEFAULT) -> None:
        self.catalog, self.dialect = catalog, dialect
        self.record = 0
        self.refused = 0
        self.skipped: dict[str, int] = {}
        self.noted: dict[str, int] = {}
        self.rejections: dict[int, tuple[str, str, int]] = {}
        self.cadences: dict[str, float] = {}
        self.clocks: list[tuple[int, SourceClock]] = []
        self.distributions: list[Distribution] = []
        self._parts: list[SampleBatch] = []
        self._n_in_parts = 0
        self._series_id, self._time, self._value = array("i"), array("q"), array("d")
        self._kind, self._start, self._record = array("B"), array("q"), array("i")

    def __len__(self) -> int:
        return self._n_in_parts + len(self._time)

    def series(self, identity: SeriesIdentity) -> int:
        """Dense id of the identity, -1 when refused.

        Raises
        ------
        CodecError
            If the metric has no name, or a name is longer than a name can be.
        """
        if self.dialect.dropped_labels:
            kept = tuple([pair for pair in identity.labels if not self.dialect.drops(pair[0])])
            identity = identity._replace(labels=kept)
        found = self.catalog.find(identity)
        if found != NEVER_SEEN:
            return found
        if not identity.metric:
            raise CodecError("no_metric_name", identity.entity)
        if len(identity.labels) > MAX_LABELS:
            raise CodecError("too_many_labels", f"{len(identity.labels)} on {identity.metric[:80]!r}")
        for part in (identity.metric, identity.entity, *(text for pair in identity.labels for text in pair)):
            if len(part) > MAX_NAME_CHARS:
                raise CodecError("name_too_long", f"{len(part)} characters: {part[:80]!r}")
        return self.catalog.series_id(identity)

    def add(self, series_id: int, time_ns: int, value: float, kind: int, start_ns: int = 0) -> None:
        """Append one sample; a refused series is counted, a time outside 1970 to 2200 is rejected."""
        if series_id < 0:
            self.refused += 1
            return
        if not 0 < time_ns < MAX_TIME_NS:
            self.reject("absurd_time" if time_ns else "no_time", f"{str(time_ns)[:40]} ns")
            return
        self._series_id.append(series_id)
        self._time.append(time_ns)
        self._value.append(value)
        self._kind.append(kind)
        self._start.append(start_ns if 0 < start_ns < MAX_TIME_NS else 0)
        self._record.append(self.record)

    def add_or_stale(self, series_id: int, time_ns: int, value: float | None, kind: int, start_ns: int = 0) -> None:
        """Append one sample; None is "no value recorded", which is stale and never 0."""
        if value is None:
            self.add(series_id, time_ns, math.nan, kind | Origin.STALE, start_ns)
        else:
            self.add(series_id, time_ns, value, kind, start_ns)

    def extend(
        self,
        series_id: npt.NDArray[np.int32],
        time: npt.NDArray[np.int64],
        start: npt.NDArray[np.int64],
        value: npt.NDArray[np.float64],
        kind: npt.NDArray[np.uint8],
    ) -> npt.NDArray[np.int64]:
        """Append samples of the current record as columns of shape (n_samples,); otherwise as :meth:`add`.

        Returns
        -------
        Place of each among all samples, -1 where it was left out.
        """
        absurd = (time <= 0) | (time >= MAX_TIME_NS)
        refused = series_id < 0
        self.refused += int(refused.sum())
        for at in np.flatnonzero(absurd & ~refused):
            self.reject("absurd_time" if time[at] else "no_time", f"{time[at]} ns")
        kept = ~(absurd | refused)
        start = np.where((start > 0) & (start < MAX_TIME_NS), start, 0)
        record = np.full(int(kept.sum()), self.record, np.int32)
        places = np.where(kept, len(self) + np.cumsum(kept) - 1, -1)
        self.append(SampleBatch(series_id[kept], time[kept], value[kept], kind[kept], start[kept], record))
        return places

    def append(self, samples: SampleBatch) -> None:
        """Append samples of known series with sane times, whose arrays are left to the writer."""
        self._gather()
        self._parts.append(samples)
        self._n_in_parts += len(samples)

    def since(self, first: int) -> SampleBatch:
        """Samples from row ``first`` on, as arrays."""
        self._gather()
        found, at = list[SampleBatch](), self._n_in_parts
        while self._parts and (at > first or not found):
            part = self._parts[-1 - len(found)]
            at -= len(part)
            found.append(part if at >= first else part.take(slice(first - at, None)))
        columns = [name for name, _ in COLUMNS]
        if len(found) == 1:
            return found[0]
        return SampleBatch(**{name: np.concatenate([getattr(one, name) for one in found[::-1]]) for name in columns})

    def add_distribution(self, sample: int, total: float | None, unit: str, buckets: Buckets | None) -> None:
        """Note the whole of a histogram or summary point whose count is the sample at place ``sample``.

        A count that was not appended (refused, rejected) has no place, and nothing is noted.
        """
        if sample < len(self):
            one = Distribution(sample, total, unit, buckets)
            self.distributions.append(one)
            if self.catalog.derives:
                series = self._series_at(sample)
                for part in one.parts:
                    self.catalog.derived_id(series, part, unit)

    def tell_clock(self, clock: SourceClock) -> None:
        """Note what the current record says of how far its source has come."""
        self.clocks.append((self.record, clock))

    def each(self, parts: Iterable[Any], write: Callable[[Any, SampleWriter], None]) -> None:
        """Write the parts of the current record one by one; one that is none is rejected, the others stay."""
        for part in parts:
            try:
                write(part, self)
            except CodecError as error:
                self.reject(error.reason, error.detail)

    def skip(self, reason: str, n: int = 1) -> None:
        """Count values that are knowingly not samples."""
        self.skipped[reason] = self.skipped.get(reason, 0) + n

    def note(self, reason: str, n: int = 1) -> None:
        """Count values that became samples, but not as they were written."""
        self.noted[reason] = self.noted.get(reason, 0) + n

    def reject(self, reason: str, detail: str) -> None:
        """Note that a part of the current record could not become samples; the first reason is told.

        Raises
        ------
        Hopeless
            So many parts were rejected that the rest of the record is not worth reading.
        """
        first = self.rejections.get(self.record, (reason, detail, 0))
        self.rejections[self.record] = (first[0], first[1], first[2] + 1)
        if first[2] >= MOST_REJECTED_PARTS:
            raise Hopeless

    def batch(self) -> SampleBatch:
        """Everything collected so far, as arrays of shape (n_samples,)."""
        return self.since(0)

    def _series_at(self, sample: int) -> int:
        at, parts = self._n_in_parts, reversed(self._parts)
        if sample >= at:
            return int(self._series_id[sample - at])
        while sample < at:
            part = next(parts)
            at -= len(part)
        return int(part.series_id[sample - at])

    def _gather(self) -> None:
        """Make a part of the samples that were added one by one."""
        if len(self._time) or not self._parts:
            self._n_in_parts += len(self._time)
            self._parts.append(SampleBatch(**{name: np.array(column) for name, column in self._columns()}))
            for _, column in self._columns():
                del column[:]

    def _columns(self) -> Iterable[tuple[str, array]]:  # type: ignore[type-arg]
        return ((name, getattr(self, f"_{name}")) for name, _ in COLUMNS)
