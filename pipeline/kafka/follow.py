"""Following topics for people and subscribers: committed records only, with or without a group."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from pipeline.errors import BrokerUnreachable
from pipeline.events import Records
from pipeline.kafka.clients import Client, connected, keep_rejoining, records_of, translated

__all__ = ["Follower", "read_all", "read_between", "read_last"]

TUNING = {"fetch_max_wait_ms": 100, "metadata_max_age_ms": 5_000, "metrics_enabled": False}
LAW = {
    "enable_auto_commit": False,
    "isolation_level": "read_committed",
    "key_deserializer": None,
    "value_deserializer": None,
}
TIMEOUT_MS = 15_000
LOOK_AGAIN_SECONDS = 1.0

Offsets = dict[TopicPartition, int]


class Follower:
    """Reads on and on.

    Parameters
    ----------
    client
        Options that all clients share.
    topics
        What to read. Without a group a topic may still be missing: it is looked for again and again.
    group
        Remembers how far it was read, and shares partitions with others of the group; "": neither.
    from_beginning
        Where a group that never committed, or no group, begins: at the first record or after the last.
    """

    def __init__(self, client: Client, topics: Sequence[str], group: str = "", from_beginning: bool = False) -> None:
        reset = "earliest" if from_beginning else "latest"
        law = {**LAW, "group_id": group or None, "auto_offset_reset": reset}
        self._consumer = connected(KafkaConsumer, client, TUNING, law)
        self._topics, self._group, self._from_beginning = list(topics), group, from_beginning
        self._missing = [] if group else list(topics)
        self._looked = -LOOK_AGAIN_SECONDS
        with translated("joining the group"):
            if group:
                self._consumer.subscribe(self._topics)
            else:
                self._look_for_missing()

    def poll(self, timeout_ms: int, max_records: int = 500) -> list[Records]:
        """Return new records by partition, each in offset order; an empty list when none came in time."""
        with translated(f"reading {', '.join(self._topics)}"):
            if self._missing:
                self._look_for_missing()
            if self._missing == self._topics:
                time.sleep(timeout_ms / 1000)
                return []
            if self._group:
                keep_rejoining(self._consumer)
            polled = self._consumer.poll(timeout_ms=timeout_ms, max_records=max_records)
        return [records_of(found) for _, found in sorted(polled.items()) if found]

    def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Remember for the group the next offset of each (topic, partition)."""
        rows = {TopicPartition(*place): OffsetAndMetadata(offset, "", -1) for place, offset in offsets.items()}
        with translated("remembering how far it was read"):
            self._consumer.commit(rows)

    def close(self) -> None:
        """Leave; nothing is committed here."""
        self._consumer.close(autocommit=False, timeout_ms=3_000)

    def _look_for_missing(self) -> None:
        """Assign the partitions of topics that have appeared; a late topic is read from its beginning."""
        if time.monotonic() - self._looked < LOOK_AGAIN_SECONDS:
            return
        first_look, self._looked = self._looked < 0, time.monotonic()
        found = {topic: _partitions(self._consumer, topic) for topic in self._missing}
        fresh = [one for partitions in found.values() for one in partitions]
        if fresh:
            self._consumer.assign([*self._consumer.assignment(), *fresh])
            ends = self._consumer.end_offsets(fresh, TIMEOUT_MS)
            begins = self._consumer.beginning_offsets(fresh, TIMEOUT_MS)
            for one in fresh:
                self._consumer.seek(one, begins[one] if self._from_beginning or not first_look else ends[one])
        self._missing = [topic for topic, partitions in found.items() if not partitions]


def read_all(client: Client, topic: str) -> Iterator[Records]:
    """Read a topic from its first record to what is its last one now.

    Raises
    ------
    BrokerUnreachable
        Nobody answers, or the topic does not exist.
    """
    yield from _bounded(client, topic, lambda consumer, begins, ends: (begins, ends))


def read_last(client: Client, topic: str, n_records: int) -> Iterator[Records]:
    """Read the last records of a topic, ``n_records`` shared evenly among its partitions; raises as read_all."""

    def span(consumer: KafkaConsumer, begins: Offsets, ends: Offsets) -> tuple[Offsets, Offsets]:
        share = -(-n_records // len(ends))
        return {one: max(begins[one], end - share) for one, end in ends.items()}, ends

    yield from _bounded(client, topic, span)


def read_between(client: Client, topic: str, since_ms: int | None, until_ms: int | None) -> Iterator[Records]:
    """Read a topic's records from one record time to before another; None: no limit; raises as read_all."""

    def span(consumer: KafkaConsumer, begins: Offsets, ends: Offsets) -> tuple[Offsets, Offsets]:
        return _at(consumer, since_ms, begins, ends), _at(consumer, until_ms, ends, ends)

    yield from _bounded(client, topic, span)


def _at(consumer: KafkaConsumer, time_ms: int | None, otherwise: Offsets, ends: Offsets) -> Offsets:
    """First offsets of a record time, the end where there is none so late."""
    if time_ms is None:
        return otherwise
    found = consumer.offsets_for_times(dict.fromkeys(ends, max(0, time_ms)), TIMEOUT_MS)
    return {one: end if found.get(one) is None else found[one].offset for one, end in ends.items()}


def _bounded(
    client: Client, topic: str, span: Callable[[KafkaConsumer, Offsets, Offsets], tuple[Offsets, Offsets]]
) -> Iterator[Records]:
    consumer = connected(KafkaConsumer, client, TUNING, {**LAW, "group_id": None})
    try:
        with translated(f"reading {topic}"):
            partitions = _partitions(consumer, topic)
            if not partitions:
                raise BrokerUnreachable(f"the topic {topic} does not exist")
            consumer.assign(partitions)
            begins = consumer.beginning_offsets(partitions, TIMEOUT_MS)
            firsts, ends = span(consumer, begins, consumer.end_offsets(partitions, TIMEOUT_MS))
            for one in partitions:
                consumer.seek(one, firsts[one])
        while any(consumer.position(one, timeout_ms=TIMEOUT_MS) < ends[one] for one in partitions):
            with translated(f"reading {topic}"):
                polled = consumer.poll(timeout_ms=500, max_records=5000)
            kept = ([record for record in found if record.offset < ends[tp]] for tp, found in sorted(polled.items()))
            yield from (records_of(found) for found in kept if found)
    finally:
        consumer.close(autocommit=False, timeout_ms=3_000)


def _partitions(consumer: KafkaConsumer, topic: str) -> list[TopicPartition]:
    numbers = consumer.partitions_for_topic(topic) or ()
    return [TopicPartition(topic, number) for number in sorted(numbers)]
