"""The sections: every setting with its type, default, bounds and one sentence of description."""

from __future__ import annotations

import re
import warnings
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipeline.dialect import ENTITY_ATTRIBUTES, RESOURCE_LABELS, RISING_METRICS

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
    group_instance_id: str = Field(
        default="", description="Keeps this process's partitions over a restart, but also while it is dead; empty: off"
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
    idle_seconds: float = Field(
        default=60.0, gt=0, description="A partition without records for so long is idle; its entities are missed then"
    )
    max_poll_records: int = Field(default=20_000, ge=1, le=100_000, description="Most records taken at a time")
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


class Rekey(Section):
    """The job that gathers scattered entities into one topic keyed by entity."""

    group: str = Field(default="foreshock-rekey", min_length=1, description="Its consumer group")
    partitions: int = Field(
        default=0, ge=0, le=10_000, description="Partitions of a new samples topic; 0: as many as its input has"
    )
    retention_hours: float = Field(default=48.0, gt=0, description="How long a new samples topic keeps its records")
    idle_seconds: float = Field(
        default=30.0, ge=1, description="A source partition quiet for so long holds up nobody's clock"
    )


class Entities(Section):
    """The things watched."""

    max_series_per_partition: int = Field(
        default=200_000, ge=1, description="Quota of series; samples beyond it are refused"
    )
    attributes: Names = Field(
        default=ENTITY_ATTRIBUTES,
        min_length=1,
        description="Attributes, tags or labels that name the entity; the first one that is there wins",
    )
    unknown: str = Field(default="unknown", min_length=1, description="Name of the entity where none of them is there")
    name_pattern: str = Field(
        default="", description="Regular expression: what it finds in a name (its group entity) is the entity"
    )
    graphite_pattern: str = Field(
        default="", description="Regular expression on a Graphite path with groups entity and, if wanted, metric"
    )
    classes: Names = Field(default=(), description="Classes of entities by pattern of their names, as in web-*=web")
    resource_labels: Names = Field(
        default=RESOURCE_LABELS, description="Attributes of an OTLP resource that become labels of its metrics"
    )
    dropped_labels: Names = Field(
        default=(), description="Patterns of labels to leave out; series that then look alike become one"
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

    @field_validator("name_pattern", "graphite_pattern")
    @classmethod
    def _pattern(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"should be a regular expression: {error}") from None
        return pattern

    @field_validator("classes")
    @classmethod
    def _classes(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        return _pairs(classes, "web-*=web")


class JsonMap(Section):
    """One kind of home-grown JSON: where in its body things are; paths are keys joined by dots."""

    name: str = Field(min_length=1, description="What it is, for people")
    requires: Names = Field(default=(), description="Paths that an object must have to be read by this mapping")
    values: str = Field(default="", description="Path of the object whose numbers are the values; empty: the body")
    time: str = Field(default="", description="Path of the time; empty: the record's own")
    entity: str = Field(default="", description="Path of the entity's name; empty: none is known")
    metric: str = Field(default="", description="Path of a text that metric names begin with")
    labels: Names = Field(default=(), description="Paths of texts that become labels")
    counters: Names = Field(default=(), description="Patterns of metric names that only count up")
    ignored: Names = Field(default=(), description="Patterns of names under values that are no values")
    strip: str = Field(default="", description="Prefix to take off the names under values")


with warnings.catch_warnings():  # json is the users' word; pydantic has a method of that name, long deprecated
    warnings.simplefilter("ignore", UserWarning)

    class Codecs(Section):
        """How senders are read."""

        topics: Names = Field(
            default=(), description="Formats fixed by topic, as in metrics=influx; others are told apart by their bytes"
        )
        rising_metrics: Names = Field(
            default=RISING_METRICS,
            description="Patterns of metrics that only count up, for formats that do not say it",
        )
        collectd_rates: bool = Field(
            default=True, description="collectd's StoreRates: derives in its JSON are rates already"
        )
        json: Annotated[tuple[JsonMap, ...], Field(strict=False)] = Field(  # type: ignore[assignment]
            default=(),
            description="Own JSON: name, requires, values, time, entity, metric, labels, counters, ignored, strip",
        )

        @field_validator("topics")
        @classmethod
        def _topics(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
            return _pairs(topics, "metrics=influx")


def _pairs(given: tuple[str, ...], example: str) -> tuple[str, ...]:
    for pair in given:
        left, equals, right = pair.partition("=")
        if not (left and equals and right):
            raise ValueError(f"{pair!r} should be like {example}")
    return given


class Grid(Section):
    """Event time."""

    max_future_seconds: float = Field(
        default=3600.0, ge=0, description="Samples further ahead of their record are refused"
    )
    late_steps: int = Field(
        default=8,
        ge=0,
        le=64,
        description="Samples late by at most so many steps are judged as if they had come in time; more costs memory",
    )


class Watch(Section):
    """Which series are looked at; patterns of a metric's name, or of an entity's and a metric's as in 'db-* disk.*'."""

    include: Names = Field(default=(), description="Only series that fit one of these; empty: all")
    exclude: Names = Field(default=(), description="No series that fits one of these")


class Rule(Section):
    """What people say of some series; the first rule that fits a series is its rule."""

    name: str = Field(default="", description="What incidents call the rule; empty: what it says")
    entity: str = Field(default="*", min_length=1, description="Pattern of the entity's name")
    metric: str = Field(default="*", min_length=1, description="Pattern of the metric's name, with labels or without")
    direction: Literal["both", "up", "down"] = Field(default="both", description="Only deviations this way count")
    min_change: float = Field(default=0.0, ge=0, description="Smaller deviations, in the metric's unit, do not count")
    ignore: bool = Field(default=False, description="Nothing of these series counts")
    weight: float = Field(default=1.0, ge=0, le=100, description="Factor on the deviations")
    limit: float | None = Field(default=None, gt=0, description="Where the metric runs out, in its unit")


class Detection(Section):
    """What counts as an anomaly."""

    alert_budget_per_entity_week: float = Field(
        default=1.0, gt=0, le=1000, description="Incidents an entity may cost a week"
    )
    exhaustion_hours: float = Field(
        default=72.0, ge=0, description="Warn of what will be full or used up within so many hours; 0: never"
    )
    hold_hours: float = Field(
        default=0.0,
        ge=0,
        description="How long an incident keeps the baselines from adapting, at most; 0: it never does",
    )
    rules: Annotated[tuple[Rule, ...], Field(strict=False)] = Field(
        default=(),
        description="Rules for single series: entity, metric, direction, min_change, ignore, weight, limit, name",
    )


class Incidents(Section):
    """When anomalies become an incident, and when it is over."""

    open_steps: int = Field(default=2, ge=1, description="Anomalous steps in a row that open an incident")
    resolve_steps: int = Field(default=7, ge=1, description="Calm steps in a row that resolve it")
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
    ephemeral_classes: Names = Field(
        default=("pod", "container", "process", "job"),
        description="Classes of entities that come and go: none is missed; of pods the service is, once all are gone",
    )


class Scores(Section):
    """The scores topic."""

    low_mark: float = Field(default=0.3, ge=0, le=1, description="Scores at or above this are published")
    publish_all: bool = Field(default=False, description="Publish every score; much more traffic")


class State(Section):
    """What outlives a process: snapshots, and the models that served."""

    folder: str = Field(
        default="",
        description="Folder or URL (s3://...) of snapshots, one for all hosts; empty: under ~/.cache/foreshock",
    )
    snapshot_every_seconds: float = Field(default=60.0, gt=0, description="How often each partition's state is kept")


class Models(Section):
    """The model store."""

    name: str = Field(default="foreshock", min_length=1, description="Registered name of the model")
    uri: str = Field(default="", description="MLflow tracking address; empty: an SQLite file in the user's data folder")
    trusted_types: Names = Field(
        default=(), description="Types in model files that you trust beyond the built-in list, as package.module.Class"
    )
    poll_seconds: float = Field(
        default=2.0, ge=0, description="How often the job looks for another champion; 0: never, the built-in serve"
    )
    shadow: bool = Field(
        default=False, description="Also score @challenger on live data, unheard: its counts are what compare shows"
    )
    drift_hours: float = Field(
        default=24.0, ge=0, description="Event time over which features are held against the training's; 0: never"
    )
    retrain_after_days: float = Field(default=30.0, gt=0, description="A champion older than this is retrained")


class Settings(Section):
    """All settings; each section is plain values."""

    job: Job = Job()
    kafka: Kafka = Kafka()
    source: Source = Source()
    rekey: Rekey = Rekey()
    entities: Entities = Entities()
    codecs: Codecs = Codecs()
    grid: Grid = Grid()
    watch: Watch = Watch()
    detection: Detection = Detection()
    incidents: Incidents = Incidents()
    scores: Scores = Scores()
    state: State = State()
    models: Models = Models()
