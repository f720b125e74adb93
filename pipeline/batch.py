"""What goes into one transaction: all that a cycle led to, and how far it has read."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.events import Decision, Notice
from pipeline.kafka.sink import Sink
from pipeline.kafka.source import Committed, Partition
from pipeline.stream import StepResult

__all__ = ["Batch"]


@dataclass(slots=True)
class Batch:
    """What goes into one transaction."""

    results: list[StepResult] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    offsets: dict[Partition, Committed] = field(default_factory=dict)

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
