"""The nouns: records, samples, rejected input, the accounting, scores and decisions.

What is published of an incident stands in ``pipeline.incident``, what may go wrong in ``pipeline.errors``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

__all__ = [
    "Counts",
    "Decision",
    "Kind",
    "Notice",
    "Origin",
    "Records",
    "Rejected",
    "SampleBatch",
    "ScoreRow",
    "SeriesIdentity",
    "SourceClock",
]


class Kind(IntEnum):
    """How the values of a sample combine in time (the two low bits of ``SampleBatch.kind``)."""

    GAUGE = 0
    COUNTER = 1
    DELTA = 2


class Origin(IntEnum):
    """What the sample was part of (bits 2 and 3 of ``SampleBatch.kind``); 16 marks a stale flag.

    32 marks a gauge told before, of which late data shows that there was nothing to measure; its value is NaN.
    """

    NUMBER = 0
    HISTOGRAM = 4
    SUMMARY = 8
    STALE = 16
    REVOKED = 32


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

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64] | slice) -> SampleBatch:
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


@dataclass(slots=True)
class Counts:
    """The accounting of a stretch of input.

    What came, ``decoded + derived``, equals what became of it: on_grid + replaced + duplicate + late +
    first_of_counter + stale_or_non_finite + refused + waiting + aside. Beside it, ``by_reason`` tells of values that
    are no measurement (stale, not a number, infinite, sentinels, texts) or came in another form (booleans).
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
    by_reason: dict[str, int] = field(default_factory=dict)

    def add(self, part: Counts) -> None:
        """Add what another stretch counted."""
        self._join(part, 1)

    def since(self, before: Counts) -> Counts:
        """What was counted since ``before``."""
        found = Counts()
        found._join(self, 1)
        found._join(before, -1)
        return found

    def _join(self, part: Counts, sign: int) -> None:
        for one in fields(self):
            ours, theirs = getattr(self, one.name), getattr(part, one.name)
            if isinstance(ours, int):
                setattr(self, one.name, ours + sign * theirs)
                continue
            sums = {name: ours.get(name, 0) + sign * theirs.get(name, 0) for name in {**ours, **theirs}}
            setattr(self, one.name, {name: n for name, n in sums.items() if n})


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

    kind: Literal["state.lost", "input.silent", "input.flowing", "entity.scattered", "model.drift"]
    topic: str
    partition: int
    told: str
    time_ms: int
