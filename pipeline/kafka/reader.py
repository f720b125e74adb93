"""What the job has told the world and decided so far, read back when partitions are taken over."""

from __future__ import annotations

import time
from itertools import chain

import msgspec
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import OffsetSpec

from pipeline.errors import BrokerUnreachable
from pipeline.events import Decision
from pipeline.incident import CloudEvent, Incident
from pipeline.kafka.clients import Client, connected, translated

__all__ = ["decisions", "published"]

LAW = {"enable_auto_commit": False, "isolation_level": "read_committed", "group_id": None, "fetch_max_wait_ms": 50}
PATIENCE_SECONDS = 30.0
TIMEOUT_MS = 15_000

_event_of = msgspec.json.Decoder(CloudEvent)
_decision_of = msgspec.json.Decoder(Decision)


def published(client: Client, topic: str) -> list[Incident]:
    """Return the last published revision of every incident on the compacted topic ``topic``; raises as _settled."""
    incidents = (_event_of.decode(value).data for value in _settled(client, topic))
    return list({incident.incident_id: incident for incident in incidents}.values())


def decisions(client: Client, topic: str) -> list[Decision]:
    """Return every decision on ``topic`` in the order of writing; raises as _settled."""
    return [_decision_of.decode(value) for value in _settled(client, topic)]


def _settled(client: Client, topic: str) -> list[bytes]:
    """Return the committed values of a topic to its end, once every transaction on it has ended.

    A former owner's last commit may still be on its way to this topic when its offsets are committed already.
    So this reads to the end of *all* records, and waits for transactions under way to end either way.

    Raises
    ------
    BrokerUnreachable
        The topic does not exist, or a transaction does not end.
    """
    ends = _ends(client, topic)
    values: list[bytes] = []
    consumer = connected(KafkaConsumer, client, law=LAW)
    try:
        with translated(f"reading {topic}"):
            consumer.assign(list(ends))
            consumer.seek_to_beginning(*ends)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while any(consumer.position(tp, timeout_ms=TIMEOUT_MS) < end for tp, end in ends.items()):
                polled = chain.from_iterable(consumer.poll(timeout_ms=200).values())
                values += [record.value for record in polled if record.value is not None]
                if time.monotonic() > deadline:
                    raise BrokerUnreachable(f"{topic} cannot be read to its end: a transaction stays open")
    finally:
        consumer.close(autocommit=False, timeout_ms=1_000)
    return values


def _ends(client: Client, topic: str) -> dict[TopicPartition, int]:
    """Return the end of each partition, uncommitted records included."""
    admin = connected(KafkaAdminClient, client)
    try:
        with translated(f"looking for topic {topic}"):
            partitions = [one for found in admin.describe_topics([topic]) for one in found["partitions"]]
            wanted = {TopicPartition(topic, one["partition_index"]): OffsetSpec.LATEST for one in partitions}
            if not wanted:
                raise BrokerUnreachable(f"the topic {topic} does not exist")
            return {tp: int(at.offset) for tp, at in admin.list_partition_offsets(wanted).items()}
    finally:
        admin.close()
