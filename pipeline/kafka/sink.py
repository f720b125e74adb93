"""The output: everything that one batch of input brought about, and its offsets, in one transaction."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from kafka import KafkaProducer, TopicPartition
from kafka import errors as kafka_errors
from kafka.structs import OffsetAndMetadata

from pipeline.errors import BrokerUnreachable, Fenced, ForeshockError
from pipeline.events import Decision, Notice, Rejected, ScoreRow
from pipeline.faults import reach
from pipeline.incident import CloudEvent
from pipeline.kafka.clients import Client, connected, translated
from pipeline.kafka.source import Committed, Partition, Source
from pipeline.kafka.topics import Topics

__all__ = ["REJECTED_BYTES", "Sink"]

log = logging.getLogger(__name__)

REJECTED_BYTES = 256 * 1024
TUNING = {"linger_ms": 5, "batch_size": 131_072, "compression_type": "lz4", "metrics_enabled": False}
LAW = {
    "acks": "all",
    "enable_idempotence": True,
    "transaction_timeout_ms": 10_000,
    "retry_backoff_ms": 5,  # the default of 100 makes each commit wait 100 ms
    "max_block_ms": 8_000,
}
CLOSE_SECONDS = 1.0
COMMIT_SECONDS = 8.0  # a job that is told to stop has ten in all
CONTENT_TYPE = [("content-type", b"application/cloudevents+json")]


class Sink:
    """A transactional producer. Opening it ends what a former owner of the same id left open.

    Raises
    ------
    Fenced
        From any method: another process owns the id, or the transaction's outcome is not known. The only
        way on is to drop this sink and all state, and to take over anew; a commit is never tried again.
    PermissionDenied
        This user may not write, or not use this transactional id.
    """

    def __init__(self, client: Client, transactional_id: str, topics: Topics) -> None:
        self._topics = topics
        self._under_way: _Call | None = None
        self._producer = connected(KafkaProducer, client, TUNING, {**LAW, "transactional_id": transactional_id})
        try:
            with translated(f"taking over transactional id {transactional_id}"):
                self._producer.init_transactions()
        except ForeshockError:
            self.close()
            raise

    def begin(self) -> None:
        """Begin a transaction."""
        with translated("beginning a transaction"):
            self._producer.begin_transaction()

    def send_incident(self, event: CloudEvent) -> None:
        """Send one revision to the incidents, and to the compacted view of the current ones.

        How old it is by now stands in a header, so that nobody is paged for last week when a backlog is worked off.
        """
        value, key = msgspec.json.encode(event), event.data.incident_id.encode()
        age_seconds = max(0, round(time.time() - datetime.fromisoformat(event.data.updated_at).timestamp()))
        headers = [*CONTENT_TYPE, ("age-seconds", str(age_seconds).encode())]
        self._send(self._topics.incidents, value, key, headers)
        self._send(self._topics.current, value, key, headers)

    def send_rejected(self, rejected: Rejected) -> None:
        """Send a record that could not be read: at most 256 KB of it, with the reason and origin in headers."""
        value = rejected.value or b""
        about = {
            "reason": rejected.reason,
            "detail": rejected.detail,
            "topic": rejected.topic,
            "partition": rejected.partition,
            "offset": rejected.offset,
            "time_ms": rejected.time_ms,
            "length": len(value),
            "sha256": hashlib.sha256(value).hexdigest(),
        }
        headers = [(name, str(said).encode()) for name, said in about.items()]
        self._send(self._topics.rejected, value[:REJECTED_BYTES], rejected.key, headers)

    def send_score(self, row: ScoreRow) -> None:
        """Send the score of one entity at one step."""
        self._send(self._topics.scores, msgspec.json.encode(row), row.entity.encode(), [])

    def send_decision(self, decision: Decision) -> None:
        """Send what was decided and is not in the input."""
        key = f"{decision.topic}/{decision.partition}".encode()
        self._send(self._topics.decisions, msgspec.json.encode(decision), key, [])

    def send_notice(self, notice: Notice) -> None:
        """Send something that people should know of the job itself; the last of each kind and partition stays."""
        key = f"{notice.kind}/{notice.topic}/{notice.partition}".encode()
        self._send(self._topics.heartbeat, msgspec.json.encode(notice), key, [])

    def send_samples(self, value: bytes, key: bytes | None, time_ms: int | None, partition: int | None = None) -> None:
        """Send samples of one entity to its partition, or a source's clock to the partition that is named."""
        with translated(f"writing to {self._topics.samples}"):
            self._producer.send(self._topics.samples, value, key, [], partition, time_ms)

    def commit(self, offsets: Mapping[Partition, Committed], group_metadata: Any) -> None:
        """Put the input's offsets into the transaction and commit it: all of it becomes visible, or nothing."""
        self.commit_soon(offsets, group_metadata)
        self.settle()

    def commit_soon(self, offsets: Mapping[Partition, Committed], group_metadata: Any) -> None:
        """Commit as :meth:`commit` does, but in the background: nothing may be asked of this sink before it settled."""
        rows = {TopicPartition(*one): OffsetAndMetadata(at.offset, at.metadata(), -1) for one, at in offsets.items()}

        def commit() -> None:
            with translated("committing offsets"):
                if rows:  # a notice alone moves no offset
                    self._producer.send_offsets_to_transaction(rows, group_metadata)
            reach("after-offsets")
            with translated("committing"):
                reach("in-commit")
                self._producer.commit_transaction()

        self._under_way = _Call(commit)

    @property
    def is_through(self) -> bool:
        """Whether :meth:`settle` would not wait."""
        return self._under_way is None or self._under_way.is_through

    def settle(self) -> None:
        """Wait until a commit that is under way is through.

        Raises
        ------
        Fenced
            Its outcome is not known.
        """
        call, self._under_way = self._under_way, None
        if call is not None:
            call.wait()

    def standings(self, source: Source, places: Iterable[Partition]) -> dict[Partition, Committed | None]:
        """Return where the group stands at ``places``, once no transaction is under way there.

        A broker that was killed may, once in many times, keep an offset of a former transaction of ours as pending
        for ever: it forgot the transaction, not the offset, and nobody can learn where the group stands. The marker
        of the next abort clears all that is pending in our name, so the next try finds its answer.

        Raises
        ------
        BrokerUnreachable
            There is no certain answer by now.
        """
        wanted = list(places)
        try:
            return {place: source.committed(place) for place in wanted}
        except BrokerUnreachable:
            self._loosen(wanted, source.group_metadata())
            raise

    def _loosen(self, places: list[Partition], group_metadata: Any) -> None:
        """Abort a transaction that touches the offsets of ``places``; no offset moves."""
        rows = {TopicPartition(*one): OffsetAndMetadata(0, "", -1) for one in places}
        self.begin()
        with translated("loosening offsets"):
            _Call(lambda: self._producer.send_offsets_to_transaction(rows, group_metadata)).wait()
        self.abort()

    def abort(self) -> None:
        """Take back everything since :meth:`begin`."""
        with translated("aborting a transaction"):
            _Call(self._producer.abort_transaction).wait()

    def close(self) -> None:
        """Close the producer; a transaction still open is left to the next owner to abort."""
        try:
            self._producer.close(timeout=CLOSE_SECONDS)
        except kafka_errors.KafkaTimeoutError as late:
            # Its records can no longer matter, the next owner fences them; but its thread would go on trying.
            self._producer._sender.force_close()
            log.info("closed the producer with records unsent: %s", late)

    def _send(self, topic: str, value: bytes, key: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        with translated(f"writing to {topic}"):
            self._producer.send(topic, value, key, headers)


class _Call:
    """One of the producer's calls, in a thread of its own, for it would wait for ever for a broker that is gone."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._failures: list[BaseException] = []
        self._until = time.monotonic() + COMMIT_SECONDS
        self._thread = threading.Thread(target=self._guarded, args=(call,), daemon=True)
        self._thread.start()

    @property
    def is_through(self) -> bool:
        """Whether there is nothing to wait for, however it ended."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Return when it is through, or raise what it raised.

        A failure that is not a clear refusal leaves the outcome unknown, so a time-out is :class:`Fenced`.
        """
        self._thread.join(max(0.0, self._until - time.monotonic()))
        if self._thread.is_alive():
            raise Fenced(f"no answer to a commit within {COMMIT_SECONDS:.0f} s, its outcome is unknown")
        if self._failures:
            raise self._failures[0]

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as failure:
            self._failures.append(failure)
            if not isinstance(failure, Exception):
                raise
