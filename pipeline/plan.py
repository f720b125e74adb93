"""What goes into a stream beside its records, and what comes out: everything that decides, and what it led to."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.dialect import DEFAULT, Dialect
from pipeline.events import Counts, Rejected, ScoreRow
from pipeline.incident import CloudEvent
from pipeline.lifecycle import IncidentPlan
from pipeline.rules import Rule, Watch

__all__ = ["Plan", "StepResult"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides, as plain values; equal plans and equal records give equal bytes."""

    formats: tuple[str, ...] = ()
    dialect: Dialect = DEFAULT
    max_series: int = 200_000
    max_future_ms: int = 3_600_000
    late_steps: int = 8
    silence_rhythms: int = 6
    silence_least_ms: int = 60_000
    ephemeral: tuple[str, ...] = ("pod", "container", "process", "job")
    budget_per_week: float = 1.0
    time_zone: str = "UTC"
    exhaustion_ms: int = 259_200_000
    low_mark: float = 0.3
    publish_all_scores: bool = False
    rules: tuple[Rule, ...] = ()
    watch: Watch = field(default_factory=Watch)
    incidents: IncidentPlan = field(default_factory=IncidentPlan)


@dataclass(slots=True)
class StepResult:
    """What a batch of records led to, in the order of the records."""

    counts: Counts = field(default_factory=Counts)
    incidents: list[CloudEvent] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    scores: list[ScoreRow] = field(default_factory=list)
