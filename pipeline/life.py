"""What is known of an incident: its life so far, what was told of it, and what is to be told now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any
from uuid import UUID, uuid5

from pipeline.course import Course
from pipeline.exhaustion import Outlook
from pipeline.incident import IncidentKind, Reason, Severity, Track

__all__ = ["Change", "Life", "Told", "by_name", "incident_id"]

NAMESPACE = UUID("5b3f2a7e-6c1d-5e0b-9a44-0d8f3c2b7e61")


@dataclass(frozen=True, slots=True)
class Told:
    """What the last revision of an incident said, by which it is held against what late data shows."""

    status: str
    severity: Severity
    kind: IncidentKind
    started_ms: int
    ended_ms: int
    score: float
    threshold: float
    top: int
    blame: dict[int, float]
    outlook: Outlook | None

    @classmethod
    def of(cls, life: Life) -> Told:
        """What there is to tell of a life now."""
        own = {field.name: getattr(life, field.name) for field in fields(cls)}
        return cls(**{**own, "blame": dict(life.blame)})


@dataclass(slots=True)
class Life:
    """What is known of one incident of one entity, from its first anomalous step on.

    ``course`` is that of the metric most to blame; ``came_back`` says that what stood out is the way back of something
    that had gone on before, ``stays`` of one that resolved that what it is about goes on, and stands out no more.
    """

    entity: int
    track: Track
    started_ms: int
    incident_id: str = ""
    revision: int = 0
    status: str = "quiet"
    severity: Severity = "warning"
    kind: IncidentKind = "spike"
    score: float = 0.0
    threshold: float = 0.0
    last_over_ms: int = 0
    detected_ms: int = 0
    updated_ms: int = 0
    ended_ms: int = 0
    steps: int = 0
    over: int = 0
    under: int = 0
    first_record_offset: int = -1
    last_record_offset: int = -1
    top: int = -1
    blame: dict[int, float] = field(default_factory=dict)
    outlook: Outlook | None = None
    told: Told | None = None
    cells: int = 0
    missing: int = 0
    came_back: bool = False
    stays: bool = False
    course: Course | None = None

    @property
    def missing_share(self) -> float:
        """Of the cells since it began, the share that stayed empty before a later one came; all while silent."""
        return 1.0 if self.track == "silence" else round(self.missing / max(self.cells + self.missing, 1), 6)


@dataclass(frozen=True, slots=True)
class Change:
    """Something to tell: a life at one of its turns."""

    life: Life
    what: str
    reason: Reason
    record: int


def by_name(lives: Iterable[Life], entities: Sequence[str], series: Sequence[str]) -> list[dict[str, Any]]:
    """Lives with names in place of ids, in name order: what two states are compared by."""

    def named(of: Life | Told) -> dict[str, Any]:
        blame = {series[s]: share for s, share in sorted(of.blame.items())}
        outlook = {**asdict(of.outlook), "series": series[of.outlook.series]} if of.outlook else None
        return {**asdict(of), "top": series[of.top] if of.top >= 0 else "", "blame": blame, "outlook": outlook}

    def went(course: Course) -> dict[str, Any]:
        return {**asdict(course), "series": series[course.series], "beside": [series[s] for s in course.beside]}

    told = [
        {
            **named(life),
            "entity": entities[life.entity],
            "told": named(life.told) if life.told else None,
            "course": went(life.course) if life.course else None,
        }
        for life in lives
    ]
    return sorted(told, key=lambda row: (row["entity"], row["track"], row["started_ms"], row["incident_id"]))


def incident_id(job: str, entity: str, track: str, started_ms: int) -> str:
    """The identity of an incident: UUIDv5 of job, entity, track and first published anomalous step."""
    return str(uuid5(NAMESPACE, "\x1f".join((job, entity, track, str(started_ms)))))
