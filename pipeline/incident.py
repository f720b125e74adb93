"""What is published of an incident: the types behind the events' JSON Schema.

Within v1 they only gain fields, each with a default.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

__all__ = [
    "CloudEvent",
    "ContributingMetric",
    "DataQuality",
    "Entity",
    "Forecast",
    "Incident",
    "ModelInForce",
    "Source",
    "Track",
    "epoch_ms",
]

Severity = Literal["info", "warning", "error", "critical"]
Track = Literal["behaviour", "silence", "exhaustion"]
IncidentKind = Literal[
    "spike",
    "dip",
    "level_shift",
    "trend",
    "variance",
    "flatline",
    "season",
    "correlation",
    "silence",
    "exhaustion",
]
Reason = Literal[
    "opened",
    "new_evidence",
    "severity",
    "late_data",
    "recovered",
    "timeout",
    "retracted",
    "maintenance",
    "feedback",
    "moved",
    "recurred",
]


class Entity(msgspec.Struct, frozen=True):
    """The thing watched; ``entity_class`` travels as ``class``."""

    id: str
    entity_class: str = msgspec.field(name="class")
    name: str
    labels: dict[str, str] = {}


class ContributingMetric(msgspec.Struct, frozen=True):
    """One metric's part in an incident; shares of an incident's metrics sum to 1.

    ``expected``, ``lower`` and ``upper`` are in the metric's unit; None while not yet learned.
    ``recent`` holds up to 60 last values, oldest first, for the top three metrics only.
    """

    metric: str
    unit: str
    share: float
    value: float | None
    expected: float | None
    lower: float | None
    upper: float | None
    recent: list[float | None] = []


class ModelInForce(msgspec.Struct, frozen=True):
    """The bundle whose scores made the verdict."""

    name: str
    version: str
    threshold: float


class DataQuality(msgspec.Struct, frozen=True):
    """How far to trust the verdict: share of missing cells, late samples, still warming up or not."""

    missing_share: float = 0.0
    late_samples: int = 0
    warming: bool = False


class Source(msgspec.Struct, frozen=True):
    """Where in Kafka the evidence lies."""

    topic: str
    partition: int
    first_offset: int
    last_offset: int


class Forecast(msgspec.Struct, frozen=True):
    """When a metric will reach its limit (in its unit), with a 90 % interval; times are RFC 3339 UTC."""

    limit: float
    full_at: str
    earliest_at: str
    latest_at: str


class Incident(msgspec.Struct, frozen=True):
    """One revision of an incident: the ``data`` of its event. Times are event times, RFC 3339 UTC."""

    incident_id: str
    revision: int
    track: Track
    status: Literal["open", "resolved"]
    severity: Severity
    score: float
    kind: IncidentKind
    entity: Entity
    title: str
    started_at: str
    detected_at: str
    updated_at: str
    ended_at: str | None
    contributing_metrics: list[ContributingMetric]
    model: ModelInForce
    data_quality: DataQuality
    source: Source
    reason: Reason
    links: dict[str, str] = {}
    forecast: Forecast | None = None
    rule: str | None = None


class CloudEvent(msgspec.Struct, frozen=True, omit_defaults=False):
    """CloudEvents 1.0 envelope in structured mode; ``id`` is ``<incident_id>:<revision>``."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    time: str
    subject: str
    datacontenttype: Literal["application/json"]
    data: Incident


def epoch_ms(time_text: str) -> int:
    """Read a time of an event, as ``started_at``, as ms since 1970."""
    return round(datetime.fromisoformat(time_text).timestamp() * 1000)
