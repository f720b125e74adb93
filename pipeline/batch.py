"""What goes into one transaction: all that some records led to, and how far they were read; and how it gets there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

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

    Nothing is under way outside of a ``with`` block, however it ends.

    Parameters
    ----------
    source, sink
        Whose offsets are committed, and where batches go.
    on_committed
        Is told of each batch that is committed for certain.
    """

    def __init__(self, source: Source, sink: Sink, on_committed: Callable[[Batch], None]) -> None:
        self._source, self._sink, self._on_committed = source, sink, on_committed
        self._under_way: Batch | None = None

    @property
    def is_free(self) -> bool:
        """Whether a batch can be published now without waiting for the one before."""
        return self._under_way is None or self._sink.is_through

    def publish(self, batch: Batch) -> None:
        """Send a batch, and begin to commit it, as soon as the one before is committed."""
        reach("after-step")
        self._settle()
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
