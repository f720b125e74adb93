"""The nouns: records, samples, rejected input, incidents, and the tree of errors.

The tree of errors::

    ForeshockError
    ├── SettingsError         the configuration is wrong; nothing was connected (exit 2)
    ├── InputError            a file or folder a person named cannot be read as telemetry (exit 2)
    ├── CodecError            a record's bytes cannot become samples; becomes a Rejected
    ├── BrokerError           Kafka answered with something that needs a person (exit 1)
    │   ├── BrokerUnreachable    nobody answers; the job waits and says so
    │   └── PermissionDenied     the broker refuses this user
    ├── Fenced                another process owns the work; drop all state, take over anew
    ├── StepFailed            a mistake in the code met a record; begin anew, at last without it
    ├── SnapshotDamaged       a snapshot is not whole; an older one is used
    └── StoreFailed           the place for snapshots cannot be read or written; the job goes on without

What goes wrong with models is a tree of its own, ``models.errors.ModelError``: models know nothing of the pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

__all__ = [
    "BrokerError",
    "BrokerUnreachable",
    "CloudEvent",
    "CodecError",
    "ContributingMetric",
    "Counts",
    "DataQuality",
    "Decision",
    "Entity",
    "Fenced",
    "Forecast",
    "ForeshockError",
    "Incident",
    "InputError",
    "Kind",
    "ModelInForce",
    "Notice",
    "Origin",
    "PermissionDenied",
    "Records",
    "Rejected",
    "SampleBatch",
    "ScoreRow",
    "SeriesIdentity",
    "SettingsError",
    "SnapshotDamaged",
    "Source",
    "SourceClock",
    "StepFailed",
    "StoreFailed",
    "Track",
]


class ForeshockError(Exception):
    """The root of every error that foreshock raises itself."""


class SettingsError(ForeshockError):
    """The configuration is wrong: names file, key, value and the nearest valid one."""


class InputError(ForeshockError):
    """A file or folder that a person named cannot be read as telemetry."""


class CodecError(ForeshockError):
    """A record's bytes cannot become samples; ``reason`` is a short machine-readable word."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class BrokerError(ForeshockError):
    """Kafka answered with something that needs a person."""


class BrokerUnreachable(BrokerError):
    """Nobody answers at the bootstrap address."""


class PermissionDenied(BrokerError):
    """The broker knows this user and refuses the operation."""


class Fenced(ForeshockError):
    """Another process owns the work now, or the outcome of a commit is unknown."""


class StepFailed(ForeshockError):
    """Working on a batch failed half-way, so the state in memory is worth nothing."""


class SnapshotDamaged(ForeshockError):
    """A snapshot is cut off, changed, or of a schema that this release cannot read."""


class StoreFailed(ForeshockError):
    """The place where snapshots lie cannot be read or written."""


class Kind(IntEnum):
    """How the values of a sample combine in time (the two low bits of ``SampleBatch.kind``)."""

    GAUGE = 0
    COUNTER = 1
    DELTA = 2


class Origin(IntEnum):
    """What the sample was part of (bits 2 and 3 of ``SampleBatch.kind``); 16 marks a stale flag."""

    NUMBER = 0
    HISTOGRAM = 4
    SUMMARY = 8
    STALE = 16


class SeriesIdentity(NamedTuple):
    """What makes a series one series; ``labels`` are sorted (name, value) pairs without the host's."""

    entity: str
    entity_class: str
    metric: str
    labels: tuple[tuple[str, str], ...] = ()
    unit: str = ""

    @property
    def name(self) -> str:
        """The metric with its labels, as people read it: ``cpu.time{cpu=0,state=idle}``."""
        inner = ",".join(f"{key}={value}" for key, value in self.labels)
        return f"{self.metric}{{{inner}}}" if inner else self.metric


class SourceClock(NamedTuple):
    """How far in event time (ms) one source partition of a rekeyed topic has come; 0: it cannot say."""

    source: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Records:
    """Bytes from one partition of one topic, in offset order; parallel lists of equal length.

    ``times`` are Kafka's record timestamps in ms since 1970 (UTC).
    """

    topic: str
    partition: int
    offsets: list[int]
    times: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """Decoded samples as parallel arrays of shape (n_samples,), in record order.

    Parameters
    ----------
    series_id
        Dense id from the partition's catalog.
    time, start
        Event time and start time (0: not said) in ns since 1970, UTC.
    value
        As sent, before rates; NaN and infinities as they came.
    kind
        ``Kind | Origin``.
    record
        Row of the sample's record in the ``Records`` it was decoded from.
    """

    series_id: npt.NDArray[np.int32]
    time: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    kind: npt.NDArray[np.uint8]
    start: npt.NDArray[np.int64]
    record: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.series_id)

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> SampleBatch:
        """The samples of the given rows, in the given order."""
        return SampleBatch(
            self.series_id[rows],
            self.time[rows],
            self.value[rows],
            self.kind[rows],
            self.start[rows],
            self.record[rows],
        )


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record, or part of one, that could not become samples, with the reason."""

    topic: str
    partition: int
    offset: int
    time_ms: int
    reason: str
    detail: str
    value: bytes | None
    key: bytes | None = None


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


@dataclass(slots=True)
class Counts:
    """The accounting of a stretch of input.

    What came, ``decoded + derived``, equals what became of it: on_grid + replaced + duplicate + late +
    first_of_counter + stale_or_non_finite + refused + waiting + aside.
    """

    records: int = 0
    rejected: int = 0
    decoded: int = 0
    on_grid: int = 0
    replaced: int = 0
    duplicate: int = 0
    late: int = 0
    first_of_counter: int = 0
    stale_or_non_finite: int = 0
    refused: int = 0
    not_watched: int = 0
    waiting: int = 0
    aside: int = 0
    derived: int = 0
    by_format: dict[str, int] = field(default_factory=dict)

    def add(self, part: Counts) -> None:
        """Add what another stretch counted."""
        for one in fields(self):
            if one.name != "by_format":
                setattr(self, one.name, getattr(self, one.name) + getattr(part, one.name))
        for name, n in part.by_format.items():
            self.by_format[name] = self.by_format.get(name, 0) + n


class ScoreRow(msgspec.Struct, frozen=True):
    """The verdict on one entity at one step; ``contributions`` are shares of the step, by series name."""

    entity: str
    time_ms: int
    score: float
    threshold: float
    over_threshold: bool
    anomaly: bool
    contributions: dict[str, float]
    offset: int


class Decision(msgspec.Struct, frozen=True):
    """Something that decides and is not in the input: it holds before the record at ``offset`` is taken.

    ``sequence`` counts the decisions of a partition from 0; a replay obeys them in this order at their offsets:

    * ``begin``: a state begins, with the first record listened to, under a name of its own;
    * ``settings``: this plan is in force from here on;
    * ``model``: this bundle, known by its hash, serves from here on, with this scorer;
    * ``idle``: no record came for long, the partition clock moves to ``clock_ms``;
    * ``poison``: the record at ``culprit`` cannot be worked on and is left out;
    * ``grown``: the topic got more partitions, so entities may go elsewhere.
    """

    topic: str
    partition: int
    offset: int
    sequence: int
    kind: Literal["begin", "settings", "model", "idle", "poison", "grown"]
    value: dict[str, Any] = {}


class Notice(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that people should know of the job itself, on the heartbeat topic; decides nothing."""

    kind: Literal["state.lost", "input.silent", "input.flowing", "entity.scattered"]
    topic: str
    partition: int
    told: str
    time_ms: int
