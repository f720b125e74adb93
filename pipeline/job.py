"""The loop: poll, step, produce, commit. No record skipped, no incident lost, none twice, whatever fails.

Read ``Job.run``, then ``_cycle`` and ``_take_over``; the rest serves them.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_left
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from pipeline.events import BrokerUnreachable, Counts, Fenced, Incident, Records, SettingsError
from pipeline.kafka.sink import Sink
from pipeline.kafka.source import Change, Committed, Partition, Source
from pipeline.stream import PartitionStream, StepResult

__all__ = ["Job", "JobPlan", "Parts", "Summary"]

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 30.0
NAP_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Parts:
    """How the job opens what it works with; after a failure it opens all of it anew.

    ``published`` returns the last published revision of every incident.
    """

    source: Callable[[], Source]
    sink: Callable[[], Sink]
    published: Callable[[], list[Incident]]
    stream: Callable[[str, int], PartitionStream]


@dataclass(frozen=True, slots=True)
class JobPlan:
    """How the job reads its input: plain values from the settings."""

    start: str = "latest"
    history_ms: int = 86_400_000
    keyed_by_entity: bool = False
    max_poll_records: int = 5000
    poll_timeout_ms: int = 100
    summary_every_seconds: float = 60.0


@dataclass(slots=True)
class Summary:
    """What the job did since it was started, and how it stands; for people, decides nothing."""

    counts: Counts = field(default_factory=Counts)
    incidents: int = 0
    commits: int = 0
    take_overs: int = 0
    mismatches: int = 0
    partitions: int = 0
    catching_up: int = 0
    open_incidents: int = 0
    series: int = 0
    entities: int = 0
    lag: int = 0


@dataclass(slots=True)
class _Work:
    """One partition: its stream, and the offset before which it only listens."""

    stream: PartitionStream
    live_from: int
    published: list[Incident] = field(default_factory=list)
    live: bool = False


class Job:
    """Watches the input and publishes incidents, for months.

    Parameters
    ----------
    parts
        How to open source, sink, published view and streams.
    plan
        Where and how to read.
    on_summary
        Is called every ``summary_every_seconds``, and once at the end.
    """

    def __init__(self, parts: Parts, plan: JobPlan, on_summary: Callable[[Summary], None] = lambda told: None) -> None:
        self.summary = Summary()
        self._parts, self._plan, self._on_summary = parts, plan, on_summary
        self._works: dict[Partition, _Work] = {}
        self._stopping = False
        self._wait = FIRST_WAIT_SECONDS
        self._told_at = time.monotonic()

    def run(self) -> None:
        """Work until :meth:`stop`; what can heal by itself is waited for.

        Fenced, or a commit whose outcome is unknown: everything is dropped and taken over anew, for only what
        Kafka holds is certain then. A commit is never tried again.

        Raises
        ------
        SettingsError
            The input has several partitions, and nobody vouches that entities stay on theirs.
        PermissionDenied
            The broker refuses this user.
        """
        while not self._stopping:
            try:
                self._serve()
            except (Fenced, BrokerUnreachable) as trouble:
                log.warning("%s; beginning anew in %.1f s", trouble, self._wait)
                self._rest()

    def stop(self) -> None:
        """Ask the job to finish its batch, commit and leave; safe in a signal handler."""
        self._stopping = True

    def _serve(self) -> None:
        """Open the clients and cycle. The sink comes first: opening it ends what a former owner left open."""
        self._works = {}
        with closing(self._parts.sink()) as sink, closing(self._parts.source()) as source:
            while not self._stopping:
                batches = source.poll(self._plan.poll_timeout_ms, self._plan.max_poll_records)
                for change in source.changes():
                    self._follow(change, source, sink)
                    # What this poll brought of them was read before they changed hands.
                    batches = [one for one in batches if (one.topic, one.partition) not in change.partitions]
                self._cycle(batches, source, sink)
                if time.monotonic() - self._told_at >= self._plan.summary_every_seconds:
                    self._report(source)
            self._report(source)

    def _cycle(self, batches: list[Records], source: Source, sink: Sink) -> None:
        """Turn one poll's records into one transaction. No work is open before or after.

        1. step each partition's records through its stream;
        2. send the incidents, rejected records and scores that came of it;
        3. put the offsets of the records into the transaction;
        4. commit: all of it becomes visible at once, or nothing.
        """
        results: list[StepResult] = []
        offsets: dict[Partition, Committed] = {}
        for records in batches:
            place = Partition(records.topic, records.partition)
            fresh = self._listen(self._works[place], records) if place in self._works else None
            if fresh:
                results.append(self._works[place].stream.step(fresh))
                offsets[place] = Committed(fresh.offsets[-1] + 1, max(fresh.times))
        for place, work in self._works.items():
            if not work.live and source.position(place) >= work.live_from:
                self._go_live(place, work)
        if not offsets:
            return
        sink.begin()
        for result in results:
            _send(result, sink)
        sink.commit(offsets, source.group_metadata())
        self._count(results, offsets)

    def _listen(self, work: _Work, records: Records) -> Records:
        """Step what lies before ``live_from`` and throw away what comes of it; return the records after."""
        if work.live:
            return records
        cut = bisect_left(records.offsets, work.live_from)
        if cut:
            work.stream.step(_rows(records, slice(0, cut)))
        if cut < len(records):
            self._go_live(Partition(records.topic, records.partition), work)
        return _rows(records, slice(cut, None))

    def _go_live(self, place: Partition, work: _Work) -> None:
        mismatches = work.stream.adopt(work.published)
        self.summary.mismatches += mismatches
        if mismatches:
            log.warning("%s [%d]: %d open incidents differ from what was published", *place, mismatches)
        log.info("%s [%d]: live from offset %d", *place, work.live_from)
        work.published, work.live = [], True

    def _follow(self, change: Change, source: Source, sink: Sink) -> None:
        """Take over partitions that came; drop the state of those that went (their work is committed)."""
        log.info("%s: %s", change.kind, ", ".join(f"{topic} [{number}]" for topic, number in change.partitions))
        if change.kind == "assigned":
            self._take_over(change.partitions, source, sink)
        else:
            for place in change.partitions:
                self._works.pop(place, None)

    def _take_over(self, places: list[Partition], source: Source, sink: Sink) -> None:
        """Bring partitions to where their former owner left them.

        1. the sink is open: what a former owner with our id left open is aborted;
        2. the committed offset, once no transaction on it is under way; a new group's start is committed at once;
        3. the published view, to its end;
        4. history before that offset goes through the stream while others work on, its output thrown away;
        5. there the stream adopts the published incidents, and is live: see ``_listen``.
        """
        self._refuse_scattered(source.partitions())
        committed = {place: source.committed(place) for place in places}
        begun = {place: source.start(place, self._plan.start) for place in places if committed[place] is None}
        if begun:
            sink.begin()
            sink.commit(begun, source.group_metadata())
        published = self._parts.published()
        for place in places:
            at = _still_there(place, committed[place] or begun[place], source.bounds(place))
            work = _Work(self._parts.stream(*place), at.offset)
            work.published = [one for one in published if (one.source.topic, one.source.partition) == place]
            self._works[place] = work
            source.begin(place, self._history(place, at, source))
            self.summary.take_overs += 1

    def _history(self, place: Partition, at: Committed, source: Source) -> int:
        """Return the offset at which listening begins; without a known time all that is there."""
        first, _ = source.bounds(place)
        if at.time_ms is None:
            return first
        return max(first, min(at.offset, source.offset_at(place, at.time_ms - self._plan.history_ms)))

    def _refuse_scattered(self, partitions: list[Partition]) -> None:
        if len(partitions) > 1 and not self._plan.keyed_by_entity:
            raise SettingsError(
                f"the input has {len(partitions)} partitions, and an entity whose records are scattered over them "
                "would be judged in pieces: set source.keyed_by_entity: true if the senders use the entity as the "
                "record key, or read a topic with one partition"
            )

    def _count(self, results: list[StepResult], offsets: dict[Partition, Committed]) -> None:
        self._wait = FIRST_WAIT_SECONDS
        self.summary.commits += 1
        for result in results:
            self.summary.counts.add(result.counts)
        self.summary.incidents += sum(len(result.incidents) for result in results)

    def _report(self, source: Source) -> None:
        self._told_at = time.monotonic()
        told, works = self.summary, self._works.values()
        told.partitions, told.catching_up = len(works), sum(not work.live for work in works)
        told.open_incidents = sum(len(work.stream.open_incidents()) for work in works)
        told.series = sum(work.stream.catalog.n_series for work in works)
        told.entities = sum(work.stream.catalog.n_entities for work in works)
        try:
            told.lag = sum(source.lag().values())
        except BrokerUnreachable as trouble:  # what is in memory stays good: go on when it answers again
            log.warning("%s; waiting", trouble)
        self._on_summary(told)

    def _rest(self) -> None:
        """Wait before beginning anew, each time longer, awake for :meth:`stop`."""
        until = time.monotonic() + self._wait
        self._wait = min(2 * self._wait, LONGEST_WAIT_SECONDS)
        while not self._stopping and time.monotonic() < until:
            time.sleep(NAP_SECONDS)


def _send(result: StepResult, sink: Sink) -> None:
    for event in result.incidents:
        sink.send_incident(event)
    for rejected in result.rejected:
        sink.send_rejected(rejected)
    for score in result.scores:
        sink.send_score(score)


def _rows(records: Records, rows: slice) -> Records:
    columns = (records.offsets[rows], records.times[rows], records.keys[rows], records.values[rows])
    return Records(records.topic, records.partition, *columns)


def _still_there(place: Partition, at: Committed, bounds: tuple[int, int]) -> Committed:
    """Return ``at``, moved on to the first record still there if retention was quicker than we.

    Raises
    ------
    BrokerUnreachable
        The partition ends before ``at``: Kafka still recovers, or somebody created the topic anew. To wait is
        right in the first case; in the second only a person can know where to go on.
    """
    first, end = bounds
    if at.offset > end:
        raise BrokerUnreachable(
            f"{place.topic} [{place.partition}] ends at offset {end}, before the committed {at.offset}; "
            "if the topic was created anew, choose a new kafka.group"
        )
    if at.offset < first:
        log.error("%s [%d]: offsets %d to %d expired before they were read", *place, at.offset, first - 1)
    return Committed(max(first, at.offset), at.time_ms)
