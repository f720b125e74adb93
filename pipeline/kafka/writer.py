"""A plain writer for people's commands and tests: records to a topic, without a transaction."""

from __future__ import annotations

from typing import Any

from kafka import KafkaProducer

from pipeline.errors import BrokerUnreachable
from pipeline.kafka.clients import Client, connected, translated

__all__ = ["Writer"]

TUNING = {"linger_ms": 20, "batch_size": 131_072, "compression_type": "lz4", "max_block_ms": 10_000}


class Writer:
    """Writes records; :meth:`flush` says whether all of them arrived."""

    def __init__(self, client: Client) -> None:
        self._producer = connected(KafkaProducer, client, TUNING)
        self._failures: list[Exception] = []

    def write(self, topic: str, value: bytes | None, key: bytes | None = None, time_ms: int | None = None) -> Any:
        """Queue one record; ``time_ms`` is its record time (None: now). Returns the future that will know its place.

        Raises
        ------
        BrokerUnreachable, PermissionDenied, BrokerError
            This record cannot be queued, or an earlier one did not arrive.
        """
        with translated(f"writing to {topic}"):
            if self._failures:
                raise self._failures[0]
            sent = self._producer.send(topic, value, key, timestamp_ms=time_ms)
        return sent.add_errback(self._failures.append)

    def flush(self, timeout_seconds: float = 30.0) -> None:
        """Wait until everything queued is in Kafka.

        Raises
        ------
        BrokerUnreachable, PermissionDenied, BrokerError
            A record did not arrive.
        """
        with translated("writing"):
            self._producer.flush(timeout_seconds)
            if self._failures:
                raise self._failures[0]

    def close(self, timeout_seconds: float = 10.0) -> None:
        """Flush and close; raises as :meth:`flush` does."""
        try:
            self.flush(timeout_seconds)
        except BrokerUnreachable:
            timeout_seconds = 0.0  # nobody answers: do not wait a second time
            raise
        finally:
            self._producer.close(timeout=timeout_seconds)
