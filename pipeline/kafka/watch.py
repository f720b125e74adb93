"""Watching how far a group has come, without joining it."""

from __future__ import annotations

from kafka import KafkaConsumer, TopicPartition

from pipeline.kafka.clients import Client, connected, translated

__all__ = ["GroupWatch"]

TIMEOUT_MS = 5_000


class GroupWatch:
    """Asks for the committed offset of a group on one partition."""

    def __init__(self, client: Client, group: str, topic: str, partition: int = 0) -> None:
        self._consumer = connected(KafkaConsumer, client, None, {"group_id": group, "enable_auto_commit": False})
        self._place = TopicPartition(topic, partition)

    def committed(self) -> int | None:
        """Return the next offset of the group; None before its first commit."""
        with translated("asking for committed offsets"):
            found = self._consumer.committed(self._place, timeout_ms=TIMEOUT_MS)
        return None if found is None or found < 0 else int(found)

    def close(self) -> None:
        """Leave; the group never knew."""
        self._consumer.close(autocommit=False, timeout_ms=1_000)
