"""Taking over partitions: from what Kafka and the snapshots hold to where their former owner left them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import msgspec

from models.bundle import Bundle
from models.errors import BundleRefused
from pipeline.errors import BrokerUnreachable, SettingsError, StoreFailed
from pipeline.events import Decision
from pipeline.incident import Incident
from pipeline.kafka.sink import Sink
from pipeline.kafka.source import Committed, Partition, Source
from pipeline.state.bundles import Bundles
from pipeline.state.snapshot import Mark
from pipeline.state.snapshots import Snapshots
from pipeline.stream import PartitionStream, Plan
from pipeline.work import Work

__all__ = ["JobPlan", "Parts", "TakeOver"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """How the job opens what it works with; after a failure it opens source and sink anew.

    ``published`` returns the last published revision of every incident, ``decisions`` every decision taken.
    """

    source: Callable[[], Source]
    sink: Callable[[], Sink]
    published: Callable[[], list[Incident]]
    decisions: Callable[[], list[Decision]]
    snapshots: Snapshots
    bundles: Bundles
    plan: Plan


@dataclass(frozen=True, slots=True)
class JobPlan:
    """How the job reads its input: plain values from the settings."""

    start: str = "latest"
    history_ms: int = 86_400_000
    keyed_by_entity: bool = False
    max_poll_records: int = 20_000
    poll_timeout_ms: int = 100
    idle_seconds: float = 60.0
    summary_every_seconds: float = 60.0
    drift_ms: int = 86_400_000


@dataclass(frozen=True, slots=True)
class _Standing:
    """What Kafka holds of a partition: where its group stands, what was decided and what was published."""

    at: Committed
    decisions: list[Decision]
    published: list[Incident]


class TakeOver:
    """Brings partitions to where their former owner left them.

    1. the sink is open: what a former owner with our id left open is aborted;
    2. the committed offset, once no transaction on it is under way; a new group's start is committed at once;
    3. what was published and decided, to its end: all this is the ``survey``, of all partitions that come at once;
    4. the newest valid snapshot at or before that offset, or all input since the state began: this is ``work``,
       of one partition at a time, while others go on;
    5. the records between go through the stream, muted: see ``Work.listen``;
    6. there the published incidents win, and it is live.

    Parameters
    ----------
    parts, plan
        The job's.
    source, sink
        Open.
    tell
        Gives a notice: its kind, the partition, and what is to be told.
    """

    def __init__(
        self, parts: Parts, plan: JobPlan, source: Source, sink: Sink, tell: Callable[[str, Partition, str], None]
    ) -> None:
        self._parts, self._plan, self._source, self._sink, self._tell = parts, plan, source, sink, tell
        self._standings: dict[Partition, _Standing] = {}

    def survey(self, places: list[Partition]) -> None:
        """Find out where partitions stand that were assigned just now.

        Raises
        ------
        SettingsError
            The input has several partitions, and nobody vouches that entities stay on theirs.
        """
        self._refuse_scattered(self._source.partitions())
        committed = self._sink.standings(self._source, places)
        decisions, published = self._parts.decisions(), self._parts.published()
        begun = {place: self._start(place, decisions) for place, at in committed.items() if at is None}
        if begun:
            self._sink.begin()
            self._sink.commit(begun, self._source.group_metadata())
        for place in places:
            at = _still_there(place, committed[place] or begun[place], self._source.bounds(place))
            mine = {one.sequence: one for one in decisions if (one.topic, one.partition) == place}
            told = [one for one in published if (one.source.topic, one.source.partition) == place]
            self._standings[place] = _Standing(at, [mine[n] for n in sorted(mine)], told)

    def work(self, place: Partition) -> Work:
        """Load a surveyed partition's state and begin to read it."""
        standing = self._standings.pop(place)
        work = self._restored(place, standing) or self._begun(place, standing)
        work.culprits = {one.value["culprit"] for one in standing.decisions if one.kind == "poison"}
        work.published, work.read_to_ms = standing.published, standing.at.time_ms
        self._source.begin(place, work.at)
        return work

    def _start(self, place: Partition, decisions: list[Decision]) -> Committed:
        """Where a partition without a past begins; one that was added to a topic we know misses nothing."""
        known = max((one.value.get("n_partitions", 0) for one in decisions if one.topic == place.topic), default=0)
        return self._source.start(place, "earliest" if 0 < known <= place.partition else self._plan.start)

    def _restored(self, place: Partition, standing: _Standing) -> Work | None:
        """The work from the newest snapshot that can be used, or None."""
        at, snapshots, begin = standing.at, self._parts.snapshots, _last_begin(standing)
        if begin is None:
            return None
        found = snapshots.newest(Mark(*place, begin.value["life"], at.offset, 0, 0))
        if at.snapshot and snapshots.last(*place) < at.snapshot:
            log.error("%s [%d]: the snapshot %s is not where snapshots lie; is the folder shared?", *place, at.snapshot)
        if found is None:
            return None
        mark, image = found
        before = [one for one in standing.decisions if one.sequence < mark.sequence]
        model = next((one.value["hash"] for one in reversed(before) if one.kind == "model"), "")
        stream = PartitionStream.of_image(image, *place, self._bundle_of(place)(model))
        work = Work(stream, mark.offset, mark.sequence, at.offset, self._bundle_of(place), model=model)
        work.ahead, work.life = deque(_from(standing, mark.sequence)), mark.life
        work.n_partitions = next(
            (one.value["n_partitions"] for one in reversed(before) if "n_partitions" in one.value), 0
        )
        log.info("%s [%d]: state kept at offset %d, live from %d", *place, mark.offset, at.offset)
        return work

    def _begun(self, place: Partition, standing: _Standing) -> Work:
        """The work without a snapshot: from where the state began if that is still there, else from what is."""
        first, _ = self._source.bounds(place)
        at, plan = standing.at, self._parts.plan
        begin = _last_begin(standing)
        if begin is not None and begin.value["listens_from"] >= first:
            former = _from(standing, begin.sequence)
            plan = next((msgspec.convert(one.value, Plan) for one in former if one.kind == "settings"), plan)
            work = self._anew(place, begin.value["listens_from"], begin.sequence, at, plan)
            work.ahead = deque(former)
            return work
        sequence = standing.decisions[-1].sequence + 1 if standing.decisions else 0
        work = self._anew(place, self._history(place, at), sequence, at, plan)
        if standing.decisions:
            told = f"no snapshot, and the input begins at offset {first}: baselines are learned anew"
            log.error("%s [%d]: state lost: %s", *place, told)
            self._tell("state.lost", place, told)
            work.stream.warm_until((at.time_ms or 0) + self._plan.history_ms)
        n_partitions = sum(topic == place.topic for topic, _ in self._source.partitions())
        value = {"listens_from": work.at, "n_partitions": n_partitions, "life": uuid4().hex[:12]}
        work.begun = [Decision(*place, at.offset, sequence, "begin", value)]
        work.obey(work.begun[0])
        return work

    def _anew(self, place: Partition, offset: int, sequence: int, at: Committed, plan: Plan) -> Work:
        return Work(PartitionStream(plan, *place), offset, sequence, at.offset, self._bundle_of(place))

    def _bundle_of(self, place: Partition) -> Callable[[str], Bundle | None]:
        """Find bundles for a partition; one that is lost is told of, and the built-in baselines serve."""

        def find(digest: str) -> Bundle | None:
            try:
                return self._parts.bundles.get(digest)
            except (BundleRefused, StoreFailed) as lost:
                log.error("%s [%d]: %s", *place, lost)
                self._tell("state.lost", place, str(lost))
                return None

        return find

    def _history(self, place: Partition, at: Committed) -> int:
        """Return the offset at which listening begins; without a known time all that is there."""
        first, _ = self._source.bounds(place)
        if at.time_ms is None:
            return first
        return max(first, min(at.offset, self._source.offset_at(place, at.time_ms - self._plan.history_ms)))

    def _refuse_scattered(self, partitions: list[Partition]) -> None:
        if len(partitions) > 1 and not self._plan.keyed_by_entity:
            raise SettingsError(
                f"the input has {len(partitions)} partitions, and an entity whose records are scattered over them "
                "would be judged in pieces: set source.keyed_by_entity: true if the senders use the entity as the "
                "record key, or gather entities first with foreshock rekey and read its samples topic"
            )


def _last_begin(standing: _Standing) -> Decision | None:
    return next((one for one in reversed(standing.decisions) if one.kind == "begin"), None)


def _from(standing: _Standing, sequence: int) -> list[Decision]:
    """The decisions from a number on that are at or before the committed offset."""
    return [one for one in standing.decisions if one.sequence >= sequence and one.offset <= standing.at.offset]


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
    return at._replace(offset=max(first, at.offset))
