"""The input: one member of a consumer group, whose comings and goings of partitions are plain values."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import MemberToRemove
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

from pipeline.errors import BrokerError, BrokerUnreachable, Fenced, SettingsError
from pipeline.events import Records
from pipeline.kafka.clients import Client, connected, keep_rejoining, records_of, translated
from pipeline.kafka.slot import Slot

log = logging.getLogger(__name__)

__all__ = ["Change", "Committed", "Partition", "Source", "start_time_ms"]

TUNING = {
    "session_timeout_ms": 15_000,
    "heartbeat_interval_ms": 3_000,
    "fetch_max_wait_ms": 100,
    # A topic made a moment ago may be missing from the first answer, and new partitions are seen no sooner than this.
    "metadata_max_age_ms": 5_000,
    "metrics_enabled": False,
}
LAW = {
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "isolation_level": "read_committed",
    "key_deserializer": None,
    "value_deserializer": None,
}
TIMEOUT_MS = 5_000
JOINING_MS = 500


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Committed(NamedTuple):
    """Where a group stands: the next offset, the record time (ms) up to which it has read (None: not known), and the
    name of the last snapshot at or before it ("": none)."""

    offset: int
    time_ms: int | None
    snapshot: str = ""

    def metadata(self) -> str:
        """What travels with the offset."""
        return json.dumps({"time_ms": self.time_ms, "snapshot": self.snapshot})

    @classmethod
    def read(cls, offset: int, metadata: str) -> Committed:
        """The standing of an offset and what travelled with it; whatever somebody else wrote there is ignored."""
        try:
            told = json.loads(metadata)
            return cls(offset, told["time_ms"], told["snapshot"])
        except (ValueError, TypeError, KeyError):
            return cls(offset, None)


class Change(NamedTuple):
    """Partitions came to this member, or went."""

    kind: Literal["assigned", "revoked", "lost"]
    partitions: list[Partition]


class Source:
    """A consumer for the job: explicit offsets only, nothing committed behind its back.

    A partition just assigned is silent until :meth:`begin` says from where it is read.

    Parameters
    ----------
    client
        Options that all clients share.
    topics
        What to read.
    group
        Whose members share the partitions.
    instance
        A name that a static member keeps over a restart, or "" for a dynamic one: see ``kafka.group_instance_id``.
    slot
        Where a dynamic member is noted, and its former life is found.
    """

    def __init__(
        self, client: Client, topics: Sequence[str], group: str, instance: str = "", slot: Slot | None = None
    ) -> None:
        self._client, self._topics, self._group = client, list(topics), group
        self._slot = None if instance else slot
        self._dead = self._slot.member if self._slot else ""
        law = {**LAW, "group_id": group, "partition_assignment_strategy": [CooperativeStickyAssignor()]}
        if instance:
            law["group_instance_id"] = instance
        self._consumer = connected(KafkaConsumer, client, TUNING, law)
        self._changes: deque[Change] = deque()
        with translated("joining the group"):
            self._consumer.subscribe(self._topics, listener=_Queueing(self._consumer, self._changes))

    def poll(self, timeout_ms: int, max_records: int) -> list[Records]:
        """Return new records by partition, each in offset order; an empty list when none came in time.

        While this member joins its group nothing can come, and a poll takes half a second however short it should be.
        """
        with translated("reading the input"):
            joining = keep_rejoining(self._consumer)
            patience_ms = max(timeout_ms, JOINING_MS) if joining else timeout_ms
            polled = self._consumer.poll(timeout_ms=patience_ms, max_records=max_records)
        if self._slot is not None:
            self._follow_former(self._slot, joining and keep_rejoining(self._consumer))
        return [records_of(found) for _, found in sorted(polled.items()) if found]

    def changes(self) -> list[Change]:
        """Return the assignment changes since the last call, oldest first."""
        return [self._changes.popleft() for _ in range(len(self._changes))]

    def begin(self, partition: Partition, offset: int) -> None:
        """Read an assigned partition from ``offset`` on."""
        self._consumer.seek(TopicPartition(*partition), offset)
        self._consumer.resume(TopicPartition(*partition))

    def position(self, partition: Partition) -> int:
        """Return the offset that the next poll would begin with."""
        with translated("asking for the position"):
            return int(self._consumer.position(TopicPartition(*partition), timeout_ms=TIMEOUT_MS))

    def committed(self, partition: Partition) -> Committed | None:
        """Return where the group stands, waiting for transactions under way; None if it never committed."""
        with translated("asking for committed offsets"):
            found = self._consumer.committed(TopicPartition(*partition), metadata=True, timeout_ms=TIMEOUT_MS)
        if found is None or found.offset < 0:
            return None
        return Committed.read(found.offset, found.metadata)

    def group_metadata(self) -> Any:
        """Return what a transaction needs to commit offsets in this member's name.

        Raises
        ------
        Fenced
            The group counts us as gone, and the client has noted it already: it would ask in nobody's name, and in a
            transaction Kafka lets anybody commit who names no member.
        """
        told = self._consumer.group_metadata()
        if told.generation_id < 0:
            raise Fenced(f"fell out of group {self._group}")
        return told

    def generation(self) -> int:
        """Return the number of the group's last rebalance that this member took part in."""
        return int(self.group_metadata().generation_id)

    def ends(self) -> dict[Partition, int]:
        """Return the offset after the last record of every partition of the input, assigned or not."""
        wanted = [TopicPartition(*one) for one in self.partitions()]
        with translated("asking for the ends of the input"):
            found = self._consumer.end_offsets(wanted, TIMEOUT_MS)
        return {Partition(*tp): int(end) for tp, end in sorted(found.items())}

    def bounds(self, partition: Partition) -> tuple[int, int]:
        """Return the first offset still there and the one after the last."""
        tp = TopicPartition(*partition)
        with translated("asking for the partition's bounds"):
            first = self._consumer.beginning_offsets([tp], TIMEOUT_MS)[tp]
            return int(first), int(self._consumer.end_offsets([tp], TIMEOUT_MS)[tp])

    def offset_at(self, partition: Partition, time_ms: int) -> int:
        """Return the first offset whose record time is ``time_ms`` or later; the end if there is none."""
        tp = TopicPartition(*partition)
        with translated("asking for offsets by time"):
            found = self._consumer.offsets_for_times({tp: max(0, time_ms)}, TIMEOUT_MS)[tp]
        return int(found.offset) if found is not None else self.bounds(partition)[1]

    def start(self, partition: Partition, start: str) -> Committed:
        """Return where a group that never committed begins: ``latest``, ``earliest`` or an ISO time."""
        first, end = self.bounds(partition)
        if start == "earliest":
            return Committed(first, 0)
        if start == "latest":
            return Committed(end, time.time_ns() // 1_000_000)
        time_ms = start_time_ms(start)
        return Committed(self.offset_at(partition, time_ms), time_ms)

    def partitions(self) -> list[Partition]:
        """Return all partitions of all input topics.

        Raises
        ------
        BrokerUnreachable
            An input topic does not exist (yet).
        """
        found: list[Partition] = []
        for topic in self._topics:
            with translated(f"looking for topic {topic}"):
                numbers = self._consumer.partitions_for_topic(topic)
            if not numbers:
                raise BrokerUnreachable(f"the input topic {topic} does not exist")
            found.extend(Partition(topic, number) for number in sorted(numbers))
        return found

    def lag(self) -> dict[Partition, int]:
        """Return by assigned partition how many offsets are still to be read."""
        assigned = self._consumer.assignment()
        with translated("asking for the lag"):
            ends = self._consumer.end_offsets(list(assigned), TIMEOUT_MS) if assigned else {}
        return {Partition(*tp): max(0, end - self.position(Partition(*tp))) for tp, end in sorted(ends.items())}

    def _follow_former(self, slot: Slot, joining: bool) -> None:
        """Note who we are; while the group waits for our former life, take its leave.

        Not before we wait in the group ourselves: one without members would begin with Kafka's initial delay.
        """
        if not joining:
            slot.note(self.group_metadata().member_id)
            self._dead = ""
        elif self._dead:
            dead, self._dead = self._dead, ""
            _take_leave(self._client, self._group, dead)

    def close(self) -> None:
        """Leave the group; nothing is committed here."""
        try:
            self._consumer.close(autocommit=False, timeout_ms=1_000)
        except kafka_errors.KafkaError as late:  # the broker notices by itself when the session ends
            log.info("left the group without a word: %s", late)


class _Queueing(ConsumerRebalanceListener):  # type: ignore[misc]
    """Runs on the client's I/O thread, so it only queues; what to do is decided in the main loop."""

    def __init__(self, consumer: KafkaConsumer, changes: deque[Change]) -> None:
        self._consumer = consumer
        self._changes = changes

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        # A position keeps the client from asking for one; paused, it reads nothing before `begin`.
        for tp in assigned:
            self._consumer.seek(tp, 0)
            self._consumer.pause(tp)
        self._queue("assigned", assigned)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._queue("revoked", revoked)

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self._queue("lost", lost)

    def _queue(self, kind: Literal["assigned", "revoked", "lost"], partitions: Iterable[TopicPartition]) -> None:
        found = sorted(Partition(*tp) for tp in partitions)
        if found:
            self._changes.append(Change(kind, found))


def _take_leave(client: Client, group: str, dead: str) -> None:
    """Tell the group that a member is gone for good, so that it need not wait for its session to end."""
    try:
        admin = connected(KafkaAdminClient, client)
        try:
            with translated("taking leave for a dead member"):
                said = admin.remove_group_members(group, [MemberToRemove(member_id=dead)])
        finally:
            admin.close()
    except (BrokerError, Fenced) as trouble:  # it costs time only: the session ends by itself
        log.info("%s: the group waits for a dead member's session: %s", group, trouble)
    else:
        log.info("%s: took leave for %s: %s", group, dead, ", ".join(one.__name__ for one in said.values()))


def start_time_ms(start: str) -> int:
    """Return an ISO time as ms since 1970; a time without a zone is UTC.

    Raises
    ------
    SettingsError
        It is neither ``latest`` nor ``earliest`` nor a time.
    """
    try:
        when = datetime.fromisoformat(start)
    except ValueError as wrong:
        raise SettingsError(f"source.start: {start!r} is not latest, earliest or an ISO time") from wrong
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)
