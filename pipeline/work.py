"""One partition at work: its stream, the decisions that it obeys, and what it leaves out.

Before ``live_from`` a work only listens: it takes records and obeys decisions of its former life in their order, and
nobody hears what comes of it. From there on it decides itself.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from models.bundle import Bundle
from pipeline.errors import StepFailed
from pipeline.events import Decision, Records, Rejected
from pipeline.faults import taste
from pipeline.image import Image
from pipeline.incident import Incident
from pipeline.kafka.source import Partition
from pipeline.stream import PartitionStream, Plan, StepResult

__all__ = ["Work", "parts_of", "rows_of"]

log = logging.getLogger(__name__)

PART_SAMPLES = 12_500  # some ten milliseconds of work


@dataclass(slots=True)
class Work:
    """A partition between two commits.

    Parameters
    ----------
    stream
        Its state.
    at, sequence
        The next record's offset, and the number of its next decision.
    live_from
        The offset before which it only listens.
    bundle_of
        Finds a bundle by its hash.
    ahead
        Decisions of its former life that are still to be obeyed, in order.
    culprits
        Offsets of records that cannot be worked on.
    published
        What was told of its incidents, until it is live.
    careful
        A batch here failed twice: the next one is searched for the record to blame.
    n_partitions
        How many partitions the topic had when last asked; 0: not known.
    model
        Hash of the bundle that serves, "" for the built-in baselines.
    life
        The word drawn when its state began.
    read_to_ms
        Newest record time of what was taken last; None: not known.
    begun
        Decisions with which its life begins, still to be recorded.
    found
        Culprits found, still to be recorded.
    """

    stream: PartitionStream
    at: int
    sequence: int
    live_from: int
    bundle_of: Callable[[str], Bundle | None]
    ahead: deque[Decision] = field(default_factory=deque)
    culprits: set[int] = field(default_factory=set)
    published: list[Incident] = field(default_factory=list)
    careful: bool = False
    n_partitions: int = 0
    model: str = ""
    live: bool = False
    life: str = ""
    read_to_ms: int | None = None
    begun: list[Decision] = field(default_factory=list)
    found: list[int] = field(default_factory=list)

    def parts(self, records: Records, n_samples: int = PART_SAMPLES) -> Iterator[Records]:
        """Records in parts of about ``n_samples`` samples each, going by what records held so far."""
        counts, at = self.stream.counts, 0
        while at < len(records):
            n = n_samples * max(1, counts.records) // max(1, counts.decoded)
            yield rows_of(records, slice(at, at + max(1, n)))
            at += max(1, n)

    def listen(self, records: Records) -> Records:
        """Take what lies before ``live_from``, muted, with decisions at their places; return the records after."""
        if self.live:
            return records
        cut = bisect_left(records.offsets, self.live_from)
        muted = rows_of(records, slice(0, cut))
        while len(muted) and self.ahead and self.ahead[0].offset <= muted.offsets[-1]:
            decision = self.ahead.popleft()
            place = bisect_left(muted.offsets, decision.offset)
            self.step(rows_of(muted, slice(0, place)))
            self.obey(decision)
            muted = rows_of(muted, slice(place, None))
        self.step(muted)
        return rows_of(records, slice(cut, None))

    def go_live(self) -> int:
        """Obey what is left of the former life, let what was published win; returns how many incidents differed."""
        while self.ahead:
            self.obey(self.ahead.popleft())
        differed = self.stream.adopt(self.published)
        self.published, self.live = [], True
        return differed

    def step(self, records: Records) -> list[StepResult]:
        """Take records in offset order.

        Raises
        ------
        StepFailed
            For whatever reason: the state is half moved and must be dropped.
        """
        if not len(records):
            return []
        kept = self._without_culprits(records) if self.culprits else records
        results = self._searched(kept) if self.careful else [self._step(kept)] if len(kept) else []
        self.at = records.offsets[-1] + 1
        return results

    def _without_culprits(self, records: Records) -> Records:
        fit = [row for row, offset in enumerate(records.offsets) if offset not in self.culprits]
        return records if len(fit) == len(records) else _picked(records, fit)

    def decide(self, kind: str, value: dict[str, Any]) -> tuple[Decision, StepResult]:
        """Take a decision here, before the next record, and obey it."""
        place = (self.stream.topic, self.stream.partition)
        decision = Decision(*place, self.at, self.sequence, kind, value)  # type: ignore[arg-type]
        return decision, self.obey(decision)

    def obey(self, decision: Decision) -> StepResult:
        """Do what was decided, now or in a former life."""
        self.sequence = decision.sequence + 1
        value = decision.value
        match decision.kind:
            case "settings":
                self.stream.obey(msgspec.convert(value, Plan))
            case "model":
                self.model = value["hash"]
                self.stream.swap(self.bundle_of(self.model))
            case "idle":
                return self.stream.tick(value["clock_ms"], decision.offset)
            case "poison":
                self.culprits.add(value["culprit"])
            case "begin" | "grown":
                self.n_partitions, self.life = value["n_partitions"], value.get("life", self.life)
                if decision.kind == "grown":
                    self.stream.call_roll()
        return StepResult()

    def _step(self, records: Records) -> StepResult:
        try:
            result = self.stream.step(records)
            taste(records.values)
        except Exception as failure:  # whatever it was, what is in memory is half moved: only Kafka can be trusted
            where = f"{records.topic} [{records.partition}] offsets {records.offsets[0]} to {records.offsets[-1]}"
            raise StepFailed(f"{where}: {type(failure).__name__}: {failure}") from failure
        return result

    def _searched(self, records: Records) -> list[StepResult]:
        """Take records, halving what fails until the culprit stands alone, which is rejected."""
        if not len(records):
            return []
        stream, before = self.stream, _copied(self.stream.image())
        try:
            return [self._step(records)]
        except StepFailed as failure:
            self.stream = PartitionStream.of_image(before, stream.topic, stream.partition, stream.bundle)
            if len(records) > 1:
                half = len(records) // 2
                first, second = rows_of(records, slice(0, half)), rows_of(records, slice(half, None))
                return [*self._searched(first), *self._searched(second)]
            log.error("rejected as internal_error, please report it: %s", failure, exc_info=failure)
            self.culprits.add(records.offsets[0])
            self.found.append(records.offsets[0])
            return [_blamed(records, str(failure.__cause__))]


def parts_of(batches: Iterable[Records], works: Mapping[Partition, Work]) -> Iterator[Records]:
    """What was polled of partitions at work, part by part: see :meth:`Work.parts`."""
    for records in batches:
        work = works.get(Partition(records.topic, records.partition))
        if work is not None:
            yield from work.parts(records)


def rows_of(records: Records, rows: slice) -> Records:
    """A stretch of records."""
    columns = (records.offsets[rows], records.times[rows], records.keys[rows], records.values[rows])
    return Records(records.topic, records.partition, *columns)


def _picked(records: Records, rows: Iterable[int]) -> Records:
    parts = [rows_of(records, slice(row, row + 1)) for row in rows]
    columns = zip(*((one.offsets[0], one.times[0], one.keys[0], one.values[0]) for one in parts), strict=True)
    offsets, times, keys, values = ([*column] for column in columns) if parts else ([], [], [], [])
    return Records(records.topic, records.partition, offsets, times, keys, values)


def _copied(image: Image) -> Image:
    tables = {name: one._replace(array=one.array.copy()) for name, one in image.tables.items()}
    return replace(image, names=tuple(map(bytes, image.names)), tables=tables)


def _blamed(records: Records, detail: str) -> StepResult:
    result = StepResult()
    result.counts.records = result.counts.rejected = 1
    place = (records.topic, records.partition, records.offsets[0], records.times[0])
    rejected = Rejected(*place, "internal_error", detail[:500], records.values[0], records.keys[0])
    result.rejected.append(rejected)
    return result
