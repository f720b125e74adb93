"""What goes into one transaction: all that some records led to, and how far they were read; and how it gets there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from pipeline.errors import Fenced
from pipeline.events import Decision, Notice
from pipeline.faults import reach
from pipeline.kafka.sink import Sink
from pipeline.kafka.source import Committed, Partition, Source
from pipeline.stream import StepResult

__all__ = ["Batch", "Outbox"]


@dataclass(slots=True)
class Batch:
    """What goes into one transaction; ``begins`` says with which offset its records of a partition begin."""

    results: list[StepResult] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    offsets: dict[Partition, Committed] = field(default_factory=dict)
    begins: dict[Partition, int] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not self.offsets and not self.notices

    @property
    def has_news(self) -> bool:
        """Whether somebody waits for what is in it."""
        return any(result.incidents for result in self.results)

    def send(self, sink: Sink) -> None:
        """Send all but the offsets, which the commit takes."""
        for result in self.results:
            for event in result.incidents:
                sink.send_incident(event)
            for rejected in result.rejected:
                sink.send_rejected(rejected)
            for score in result.scores:
                sink.send_score(score)
        for decision in self.decisions:
            sink.send_decision(decision)
        for notice in self.notices:
            sink.send_notice(notice)


class Outbox:
    """Where batches leave, one transaction after the other; one may be under way while the next is filled.

    Records are polled and judged meanwhile. That is no danger: the broker takes a commit only from a member of the
    group's present generation, and tells nobody where a partition stands while a transaction on it is under way.
    Outside of a ``with`` block nothing is under way, however it ends.

    Parameters
    ----------
    source, sink
        Whose offsets are committed, and where batches go.
    on_committed
        Is told of each batch that is committed for certain.

    Attributes
    ----------
    batch
        What is being filled. It must be empty when partitions change hands: see :meth:`hand_over`.
    """

    def __init__(self, source: Source, sink: Sink, on_committed: Callable[[Batch], None]) -> None:
        self._source, self._sink, self._on_committed = source, sink, on_committed
        self._under_way: Batch | None = None
        self.batch = Batch()

    @property
    def is_at_rest(self) -> bool:
        """Whether all work is committed, as far as that can be told without waiting."""
        return self.batch.is_empty and self._is_free

    def publish_news(self, all_else: bool) -> None:
        """Publish if somebody waits for it, unless the commit before is under way yet; or all else too."""
        if self._is_free and (self.batch.has_news or (all_else and not self.batch.is_empty)):
            self._publish()

    def rest(self) -> None:
        """Publish all, and wait until it is committed.

        Raises
        ------
        Fenced
            The outcome of a commit is not known.
        """
        if not self.batch.is_empty:
            self._publish()
        self._settle()

    def hand_over(self) -> None:
        """Wait for what is under way, and begin a batch anew, for partitions changed hands.

        Raises
        ------
        Fenced
            There is work that was not published before: its partitions may be somebody else's by now.
        """
        self._settle()
        if not self.batch.is_empty:
            raise Fenced("partitions changed hands before their work was published")
        self.batch = Batch()

    @property
    def _is_free(self) -> bool:
        return self._under_way is None or self._sink.is_through

    def _publish(self) -> None:
        """Send the batch, and begin to commit it, as soon as the one before is committed."""
        reach("after-step")
        self._settle()
        batch, self.batch = self.batch, Batch()
        self._sink.begin()
        batch.send(self._sink)
        reach("after-send")
        self._under_way = batch
        self._sink.commit_soon(batch.offsets, self._source.group_metadata())

    def _settle(self) -> None:
        batch, self._under_way = self._under_way, None
        if batch is not None:
            self._sink.settle()
            reach("after-commit")
            self._on_committed(batch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._settle()
