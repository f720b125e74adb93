"""The second loop: telemetry whose entities are scattered over partitions becomes one topic keyed by entity.

Agents that send no record key (the OpenTelemetry Collector and Telegraf by default) spread one host over all
partitions, and ``run`` would judge it in pieces. This job reads such topics and writes every sample exactly once
to the samples topic, one record an entity, source partition and cycle, keyed by entity.

A partition of the samples topic mixes sources that may be hours apart, so each source also tells every partition
how far it has come (see ``pipeline.codecs.samples``); the reader's clock is that of its slowest source.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from pipeline.catalog import Catalog
from pipeline.codecs import Decoded, decode
from pipeline.codecs.buckets import Distribution
from pipeline.codecs.samples import EntityBatch, encode, entity_batches
from pipeline.dialect import DEFAULT, Dialect
from pipeline.events import Counts, Records, SampleBatch
from pipeline.kafka.sink import Sink
from pipeline.kafka.source import Committed, Partition, Source
from pipeline.patience import Patience

__all__ = ["Rekey", "RekeyParts", "RekeyPlan"]

log = logging.getLogger(__name__)

SILENT_CLOCK_MS = 0


@dataclass(frozen=True, slots=True)
class RekeyParts:
    """How the job opens what it works with; ``partitions`` is how many the samples topic has."""

    source: Callable[[], Source]
    sink: Callable[[], Sink]
    partitions: Callable[[], int]


@dataclass(frozen=True, slots=True)
class RekeyPlan:
    """How the job reads and what it takes: plain values from the settings."""

    start: str = "latest"
    formats: tuple[str, ...] = ()
    dialect: Dialect = DEFAULT
    max_series: int = 200_000
    max_future_ms: int = 3_600_000
    max_poll_records: int = 20_000
    poll_timeout_ms: int = 100
    idle_seconds: float = 30.0
    summary_every_seconds: float = 60.0


@dataclass(slots=True)
class _Origin:
    """One source partition: its catalog, its clock, and when it was last heard of."""

    name: str
    catalog: Catalog
    clock_ms: int = 0
    heard_at: float = field(default_factory=time.monotonic)
    is_idle: bool = False


class Rekey:
    """Writes each sample once to the partition of its entity.

    Parameters
    ----------
    parts
        How to open source and sink.
    plan
        Where and how to read.
    on_summary
        Is called with the counts since the start and the lag, every ``summary_every_seconds`` and at the end.
    """

    def __init__(
        self, parts: RekeyParts, plan: RekeyPlan, on_summary: Callable[[Counts, int], None] = lambda counts, lag: None
    ) -> None:
        self.counts = Counts()
        self._parts, self._plan, self._on_summary = parts, plan, on_summary
        self._origins: dict[Partition, _Origin] = {}
        self._patience = Patience(log)
        self._told_at = time.monotonic()

    def run(self) -> None:
        """Work until :meth:`stop`; what can heal by itself is waited for.

        Raises
        ------
        PermissionDenied
            The broker refuses this user.
        """
        self._patience.keep(self._serve)

    def stop(self) -> None:
        """Ask the job to finish its batch, commit and leave; safe in a signal handler."""
        self._patience.stopping = True

    def _serve(self) -> None:
        self._origins = {}
        with closing(self._parts.sink()) as sink, closing(self._parts.source()) as source:
            n_partitions = self._parts.partitions()
            while not self._patience.stopping:
                batches = source.poll(self._plan.poll_timeout_ms, self._plan.max_poll_records)
                for change in source.changes():
                    log.info("%s: %s", change.kind, ", ".join(f"{t} [{n}]" for t, n in change.partitions))
                    if change.kind == "assigned":
                        self._take_over(change.partitions, source, sink)
                    else:
                        for place in change.partitions:
                            self._origins.pop(place, None)
                    batches = [one for one in batches if (one.topic, one.partition) not in change.partitions]
                self._cycle(batches, source, sink, n_partitions)
                self._report(source)

    def _cycle(self, batches: list[Records], source: Source, sink: Sink, n_partitions: int) -> None:
        """Turn one poll's records into one transaction.

        1. decode each partition's records, and sort their samples by entity;
        2. send them, one record an entity, and what could not be decoded;
        3. tell every partition of the samples topic the clocks that moved, or fell idle;
        4. put the offsets of the records into the transaction, and commit.
        """
        told = [origin for origin in self._origins.values() if self._falls_idle(origin)]
        if not batches and not told:
            return
        sink.begin()
        offsets: dict[Partition, Committed] = {}
        for records in batches:
            place = Partition(records.topic, records.partition)
            told.append(self._send(self._origins[place], records, sink))
            offsets[place] = Committed(records.offsets[-1] + 1, max(records.times))
        for origin in told:
            clock_ms = SILENT_CLOCK_MS if origin.is_idle else origin.clock_ms
            for partition in range(n_partitions):
                sink.send_samples(encode(EntityBatch(origin.name, clock_ms)), None, None, partition)
        sink.commit(offsets, source.group_metadata())
        self._patience.calm()

    def _send(self, origin: _Origin, records: Records, sink: Sink) -> _Origin:
        decoded = decode(records, origin.catalog, self._plan.formats, self._plan.dialect)
        kept, wholes = _without_future(decoded, records, self._plan.max_future_ms)
        if len(kept):
            origin.clock_ms = max(origin.clock_ms, int(kept.time.max()) // 1_000_000)
        origin.heard_at, origin.is_idle = time.monotonic(), False
        for batch, rows in entity_batches(kept, wholes, origin.catalog, origin.name, origin.clock_ms):
            time_ms = max(records.times[row] for row in rows)
            sink.send_samples(encode(batch), batch.entity.encode(), time_ms)
        for rejected in decoded.rejected:
            sink.send_rejected(rejected)
        self._count(records, decoded, len(kept))
        return origin

    def _count(self, records: Records, decoded: Decoded, n_kept: int) -> None:
        part = Counts(records=len(records), rejected=len(decoded.rejected), by_format=decoded.by_format)
        part.refused = decoded.refused + len(decoded.samples) - n_kept
        part.decoded, part.on_grid = n_kept + part.refused, n_kept
        part.by_reason = {**decoded.noted, **decoded.skipped}
        self.counts.add(part)

    def _falls_idle(self, origin: _Origin) -> bool:
        """Whether a source has just been quiet for so long that its clock must hold up nobody any more."""
        falls = not origin.is_idle and time.monotonic() - origin.heard_at >= self._plan.idle_seconds
        origin.is_idle = origin.is_idle or falls
        return falls

    def _take_over(self, places: list[Partition], source: Source, sink: Sink) -> None:
        """Begin where the group stands; a new group's start is committed at once."""
        committed = sink.standings(source, places)
        begun = {place: source.start(place, self._plan.start) for place in places if committed[place] is None}
        if begun:
            sink.begin()
            sink.commit(begun, source.group_metadata())
        for place in places:
            at = committed[place] or begun[place]
            first, _ = source.bounds(place)
            if at.offset < first:
                log.error("%s [%d]: offsets %d to %d expired before they were read", *place, at.offset, first - 1)
            self._origins[place] = _Origin(f"{place.topic}/{place.partition}", Catalog(self._plan.max_series))
            source.begin(place, max(first, at.offset))

    def _report(self, source: Source) -> None:
        if time.monotonic() - self._told_at < self._plan.summary_every_seconds and not self._patience.stopping:
            return
        self._told_at = time.monotonic()
        self._on_summary(self.counts, sum(source.lag().values()))


def _without_future(decoded: Decoded, records: Records, max_future_ms: int) -> tuple[SampleBatch, list[Distribution]]:
    """Leave out samples too far ahead of their own record, whose timestamp does not travel on."""
    samples = decoded.samples
    limit = np.asarray(records.times, np.int64)[samples.record] + max_future_ms
    kept = samples.time // 1_000_000 <= limit
    place = np.cumsum(kept) - 1
    wholes = [one._replace(sample=int(place[one.sample])) for one in decoded.distributions if kept[one.sample]]
    return samples.take(kept), wholes
