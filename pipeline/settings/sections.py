"""The sections: every setting with its type, default, bounds and one sentence of description."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["Section", "Settings"]

OWN_CLIENT_OPTIONS = {
    "bootstrap_servers": "kafka.bootstrap_servers",
    "group_id": "kafka.group",
    "transactional_id": "kafka.transactional_id",
}

Names = Annotated[tuple[str, ...], Field(strict=False)]


class Section(BaseModel):
    """One section: an unknown key, a wrong type and a change after loading are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Job(Section):
    """The process itself."""

    name: str = Field(default="foreshock", min_length=1, description="Name of this job: part of every incident's id")
    log_format: Literal["text", "json"] = Field(default="text", description="text for people, json for log collectors")
    summary_every_seconds: float = Field(default=60.0, ge=1, description="How often a line says in words how it goes")


class Kafka(Section):
    """The connection, and the topics that foreshock writes."""

    bootstrap_servers: str = Field(
        default="127.0.0.1:9092", min_length=1, description="Brokers to ask first, host:port,..."
    )
    client: dict[str, Any] = Field(
        default={}, description="Any option of kafka-python (security_protocol, ssl_cafile, ...)"
    )
    topic_prefix: str = Field(
        default="foreshock",
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
        description="What the names of our own topics begin with",
    )
    group: str = Field(
        default="foreshock", min_length=1, description="Consumer group; processes of one group share the work"
    )
    transactional_id: str = Field(
        default="", description="Must differ between processes; empty: made of group, host, slot"
    )
    create_topics: bool = Field(default=True, description="Create our own topics when they are missing")

    @field_validator("client")
    @classmethod
    def _client(cls, client: dict[str, Any]) -> dict[str, Any]:
        for option, key in OWN_CLIENT_OPTIONS.items():
            if option in client:
                raise ValueError(f"{option} does not belong here but into {key}")
        return client


class Source(Section):
    """The telemetry that is read."""

    topics: Names = Field(default=("telemetry",), min_length=1, description="Topics with telemetry")
    formats: Names = Field(
        default=(), description="Wire formats to expect; empty: each record is told apart by its bytes"
    )
    keyed_by_entity: bool = Field(
        default=False, description="The senders key records by entity, so several partitions are fine"
    )
    start: str = Field(default="latest", description="Where a new group begins: latest, earliest or an ISO time")
    history_hours: float = Field(
        default=24.0, ge=0, description="Hours before the start that are read muted, to warm up"
    )
    max_poll_records: int = Field(default=5000, ge=1, le=100_000, description="Most records in one transaction")
    poll_timeout_ms: int = Field(default=100, ge=1, le=10_000, description="How long one poll waits for records, in ms")

    @field_validator("start")
    @classmethod
    def _start(cls, start: str) -> str:
        if start not in ("latest", "earliest"):
            try:
                datetime.fromisoformat(start)
            except ValueError:
                raise ValueError("should be latest, earliest or an ISO time such as 2026-01-31T06:00Z") from None
        return start


class Entities(Section):
    """The things watched."""

    max_series_per_partition: int = Field(
        default=200_000, ge=1, description="Quota of series; samples beyond it are refused"
    )
    time_zone: str = Field(default="UTC", description="Time zone of daily and weekly seasons, as in Europe/Berlin")

    @field_validator("time_zone")
    @classmethod
    def _time_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("should be a time zone name such as UTC or Europe/Berlin") from None
        return name


class Grid(Section):
    """Event time."""

    max_future_seconds: float = Field(
        default=3600.0, ge=0, description="Samples further ahead of their record are refused"
    )


class Detection(Section):
    """What counts as an anomaly."""

    alert_budget_per_entity_week: float = Field(
        default=1.0, gt=0, le=1000, description="Incidents an entity may cost a week"
    )
    hold_hours: float = Field(
        default=6.0, ge=0, description="How long an incident keeps the baselines from adapting, at most"
    )


class Incidents(Section):
    """When anomalies become an incident, and when it is over."""

    open_steps: int = Field(default=2, ge=1, description="Anomalous steps in a row that open an incident")
    resolve_steps: int = Field(default=5, ge=1, description="Calm steps in a row that resolve it")
    resolve_ratio: float = Field(
        default=0.7, gt=0, le=1, description="A step is calm below this share of the threshold"
    )
    cool_down_minutes: float = Field(
        default=30.0, ge=0, description="An anomaly within this time reopens the last incident"
    )
    max_open_hours: float = Field(
        default=48.0, gt=0, description="After this the incident is resolved and learned as normal"
    )
    silence_rhythms: int = Field(default=6, ge=1, description="Missed rhythms after which an entity counts as silent")
    silence_seconds_min: float = Field(default=60.0, ge=0, description="Never silent before this many seconds")


class Scores(Section):
    """The scores topic."""

    low_mark: float = Field(default=0.3, ge=0, le=1, description="Scores at or above this are published")
    publish_all: bool = Field(default=False, description="Publish every score; much more traffic")


class Models(Section):
    """The model store."""

    name: str = Field(default="foreshock", min_length=1, description="Registered name of the model")
    uri: str = Field(default="", description="MLflow tracking address; empty: no store, the built-in detectors serve")


class Settings(Section):
    """All settings; each section is plain values."""

    job: Job = Job()
    kafka: Kafka = Kafka()
    source: Source = Source()
    entities: Entities = Entities()
    grid: Grid = Grid()
    detection: Detection = Detection()
    incidents: Incidents = Incidents()
    scores: Scores = Scores()
    models: Models = Models()
