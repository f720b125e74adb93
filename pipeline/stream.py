"""The story: records of one partition become samples, cells, features, scores and, rarely, incidents.

Read ``PartitionStream.step`` first; everything else serves it. Nothing here touches Kafka, a clock, a file or a
random number: the same records give the same bytes, however they were polled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from models.bundle import Bundle
from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.cumulative import Past
from pipeline.events import Counts, Records, SampleBatch
from pipeline.grid import Closed, Grid, Rewound, Wave
from pipeline.hindsight import Settling
from pipeline.image import Axis, Image, Moving, Table, Touched, digest, laid
from pipeline.incident import CloudEvent, Entity, Incident, ModelInForce
from pipeline.judging import Judge, Judged
from pipeline.lateness import Late, Lateness
from pipeline.life import Change, Life, by_name
from pipeline.lifecycle import Incidents
from pipeline.meaning import Meaning
from pipeline.names import service_of
from pipeline.narrative import Narrator
from pipeline.plan import Plan, StepResult
from pipeline.publication import Publication, reconciled
from pipeline.sources import Sources

__all__ = ["Judged", "PartitionStream", "Plan", "StepResult"]

SERVICE_CLASS = "service"  # of what pods are judged at


@dataclass(slots=True)
class _Told:
    """What of a state is not an array.

    Settings in force, lives of incidents, how long to say ``warming``, last points of histograms; of incidents also
    those that are over, and settled copies; clocks of sources; late samples.
    """

    plan: Plan
    lives: list[Life]
    warming_until_ms: int
    past: dict[int, list[Past]] = field(default_factory=dict)
    gone: dict[int, list[Life]] = field(default_factory=dict)
    settled: dict[int, list[Settling]] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)
    late: dict[int, Late] = field(default_factory=dict)


class PartitionStream:
    """One partition's whole state and the only way to move it.

    Parameters
    ----------
    plan
        What decides.
    topic, partition
        Where the records come from; named in every incident.
    bundle
        A trained model with what it knows of series and entities, or None for recursive baselines alone.
    catalog
        The series and entities of an earlier life, or None to begin with none.

    Attributes
    ----------
    observer
        Is shown every wave after it was judged, for tables and explanations; it can change nothing.
    """

    def __init__(
        self, plan: Plan, topic: str, partition: int, bundle: Bundle | None = None, catalog: Catalog | None = None
    ) -> None:
        self.plan, self.topic, self.partition, self.bundle = plan, topic, partition, bundle
        self.counts = Counts()
        self.observer: Callable[[Judged], None] | None = None
        self.catalog = catalog or Catalog(plan.max_series)
        self.meaning = Meaning(self.catalog, plan.late_steps)
        self.sources = Sources()
        self.lateness = Lateness()
        self.touched = Touched()
        self.grid = Grid(plan.max_future_ms, plan.silence_rhythms, plan.silence_least_ms, plan.late_steps)
        self.judge = Judge(plan, self.catalog, bundle)
        self._publication = Publication(
            job=plan.incidents.job,
            topic=topic,
            partition=partition,
            model=_in_force(bundle),
            narrator=Narrator(self.catalog, self.judge.features, self.judge.rules, self.grid),
        )
        self._adopt_new_series()

    def step(self, records: Records) -> StepResult:
        """Take records in offset order and tell what they led to.

        1. bytes become samples, or are rejected with a reason;
        2. of the samples what means something is kept, and histograms become series;
        3. samples fill cells of event time, and watermarks close them;
        4. closed cells become features, features become scores, scores move incidents, wave after wave.
        """
        decoded = decode(records, self.catalog, self.plan.formats, self.plan.dialect)
        watched = self.meaning.watch(decoded.samples, decoded.distributions)
        slowest = self.sources.follow(decoded.clocks, len(records))
        result = self.advance(watched.samples, records.times, records.offsets, slowest)
        result.rejected = decoded.rejected
        result.counts.records, result.counts.rejected = len(records), len(decoded.rejected)
        result.counts.aside, result.counts.derived = watched.n_aside, watched.n_derived
        result.counts.decoded += decoded.refused + watched.n_aside - watched.n_derived
        result.counts.refused += decoded.refused
        result.counts.by_format = decoded.by_format
        result.counts.by_reason = {**watched.gaps, **decoded.noted, **decoded.skipped}
        self.counts.add(result.counts)
        return result

    def advance(
        self, samples: SampleBatch, times: list[int], offsets: list[int], slowest: npt.NDArray[np.int64] | None = None
    ) -> StepResult:
        """Take decoded samples whose records have the given timestamps (ms), offsets and slowest sources' clocks."""
        result = StepResult()
        self._adopt_new_series()
        samples = self.judge.rules.watched(samples, result.counts)
        if self.touched.watched:
            self.touched.mark(self.grid.view.links[0][samples.series_id[samples.series_id >= 0]])
        parts = self.grid.push(samples, np.asarray(times, np.int64), result.counts, slowest)
        return self._judge(parts, offsets, result)

    def flush(self, offset: int) -> StepResult:
        """Close and judge every open cell: the end of a recording, never of a live stream."""
        self.touched.mark_all()
        return self._judge([self.grid.flush()], [offset], StepResult())

    def tick(self, clock_ms: int, offset: int) -> StepResult:
        """Move the partition clock without a record, and tell who is missed; ``offset`` is the next record's."""
        return self._judge([self.grid.tick(clock_ms)], [offset], StepResult())

    def would_miss(self, clock_ms: int) -> bool:
        """Whether a tick to ``clock_ms`` would tell of anybody."""
        return self.grid.would_miss(clock_ms)

    def call_roll(self) -> None:
        """Note that records may go to other partitions from here on: who is not heard again has moved."""
        self.touched.mark_all()
        self.grid.call_roll()

    def swap(self, bundle: Bundle | None) -> None:
        """Let another bundle serve from the next record on.

        Kept: grid, baselines, windows, open incidents and each entity's own calibration. The bundle brings its
        threshold and detectors, and what it knows of series and entities that come later.
        """
        self.bundle = bundle
        self._forget()
        self.touched.mark_all()
        self.judge.swap(bundle)
        self._publication.model = _in_force(bundle)

    def obey(self, plan: Plan) -> None:
        """Let other settings be in force from the next record on; what was learned is kept."""
        self.plan = plan
        self._forget()
        self.catalog.max_series = plan.max_series
        self.meaning.points.obey(plan.late_steps)
        self.grid.obey(plan.max_future_ms, plan.silence_rhythms, plan.silence_least_ms, plan.late_steps)
        self.judge.obey(plan)
        self._publication.narrator.rules = self.judge.rules
        self._publication.job = plan.incidents.job

    def adopt(self, published: list[Incident]) -> int:
        """Let what was published win over what a replay found; returns how many incidents differed.

        Parameters
        ----------
        published
            Revisions of this partition's incidents, resolved ones included; the last of each track counts.
        """
        ordered = sorted(published, key=lambda i: (i.entity.id, i.track, i.started_at, i.revision))
        last = {(self._entity(i.entity), i.track): i for i in ordered}
        cool_down_ms = self.plan.incidents.cool_down_ms
        self.incidents.lives, differed = reconciled(self.incidents.lives, last, self.clock_ms, cool_down_ms)
        if differed:
            self._forget()
        self._adopt_new_series()
        return differed

    def warm_until(self, time_ms: int) -> None:
        """Say ``warming`` in incidents up to ``time_ms``, because what was known before is lost."""
        self._publication.warming_until_ms = time_ms

    def image(self) -> Image:
        """The whole state as it stands; valid until the stream moves on."""
        lives, past = list(self.incidents.lives.values()), self.meaning.points.of
        hindsight = (self.incidents.gone, self.judge.hindsight.settled)
        seen = (self.sources.clocks, self.lateness.known)
        told = _Told(self.plan, lives, self._publication.warming_until_ms, past, *hindsight, *seen)
        return Image(self.catalog.written(), self.judge.rows(), self._tables(), msgspec.json.encode(told))

    def moving(self) -> Moving:
        """The state for one who copies it while it moves on; valid until it does."""
        owner = self.grid.view.links[0][: self.grid.n_series]
        return Moving(Image((), self.judge.rows(), self._tables(), b""), owner, self.touched, self.image)

    @classmethod
    def of_image(cls, image: Image, topic: str, partition: int, bundle: Bundle | None) -> PartitionStream:
        """The stream that an image was taken of, with the bundle that served it."""
        told = msgspec.json.decode(image.told, type=_Told)
        catalog = Catalog.read(image.names, told.plan.max_series)
        stream = cls(told.plan, topic, partition, bundle, catalog)
        stream.judge.bind_again(image)
        laid(image, stream._tables())
        stream.incidents.lives = {(life.entity, life.track): life for life in told.lives}
        stream.incidents.gone, stream.judge.hindsight.settled = told.gone, told.settled
        stream.meaning.points.restore(told.past)
        stream.sources.clocks, stream.lateness.known = told.sources, told.late
        stream.warm_until(told.warming_until_ms)
        return stream

    def digest(self) -> str:
        """SHA-256 of the live state in name order: equal states, equal digests, whatever the ids."""
        series = [f"{i.entity}\x1f{i.entity_class}\x1f{i.name}\x1f{i.unit}" for i in self.catalog.identities]
        entities = [f"{name}\x1f{kind}" for name, kind in self.catalog.entities]
        settled = [one for copies in self.judge.hindsight.settled.values() for one in copies]
        groups = [self.incidents.lives.values(), *self.incidents.gone.values(), *([*x.lives, *x.gone] for x in settled)]
        lives = sorted((by_name(group, entities, series) for group in groups), key=repr)
        past = {series[s]: point for s, point in self.meaning.points.of.items()}
        names: dict[Axis, list[str]] = {"series": series, "entity": entities}
        names["bounded"] = [series[s] for s in self.judge.exhaustion.bounded.tolist()]
        late = {entities[e]: sorted(times.items()) for e, times in self.lateness.known.items()}
        told = [lives, self._publication.warming_until_ms, past, self.sources.clocks, late]
        return digest(self.image(), names, told)

    def learned(self, name: str, version: str) -> Bundle:
        """What this stream has learned of its series and entities, as a bundle to hand on."""
        names = [(identity.entity, identity.name) for identity in self.catalog.identities]
        series = {key: self.judge.features.pack(s) for s, key in enumerate(names)}
        entities = {entity: self.judge.scoring.pack(e) for e, (entity, _) in enumerate(self.catalog.entities)}
        return Bundle(name, version, series, entities)

    def open_incidents(self) -> list[str]:
        """Ids of the incidents that are open now."""
        return [life.incident_id for life in self.incidents.open_lives()]

    @property
    def incidents(self) -> Incidents:
        """The lives of its incidents."""
        return self.judge.incidents

    @property
    def clock_ms(self) -> int:
        """The newest accepted event time, ms since 1970; 0 before the first."""
        return self.grid.clock_ms

    @property
    def silence_clock_ms(self) -> int:
        """The partition clock by which entities are missed, ms since 1970; 0 before the first sample."""
        return self.grid.silence_clock_ms

    def _forget(self) -> None:
        """Let late data reach back to here at most: what was judged by other rules or told otherwise stays."""
        self.touched.mark_all()
        self.grid.forget()
        self.judge.hindsight.forget()

    def _adopt_new_series(self) -> None:
        catalog, grid = self.catalog, self.grid
        if catalog.n_series > grid.n_series or catalog.n_entities > grid.n_entities:
            services = self._services(grid.n_entities)
            kinds = [kind for _, kind in catalog.entities[grid.n_entities :]]
            ephemeral = [kind in self.plan.ephemeral for kind in kinds]
            owners = catalog.entity_of[grid.n_series :]
            grid.adopt_series(owners, ephemeral, services)
            self.judge.adopt(self.bundle)
            self.touched.mark(np.asarray(owners, np.int64))

    def _services(self, first: int) -> list[int | None]:
        """The services at which entities from ``first`` on are judged, for they come and go; new ones are met here."""
        names = [
            service_of(name) if kind in self.plan.ephemeral else None for name, kind in self.catalog.entities[first:]
        ]
        return [None if name is None else self.catalog.entity_id(name, SERVICE_CLASS) for name in names]

    def _judge(self, parts: Iterable[Closed], offsets: list[int], result: StepResult) -> StepResult:
        """Judge what left the grid, part after part; events stand in order of their records, then of entities."""
        told: list[tuple[int, str, CloudEvent]] = []
        for closed in parts:
            self.lateness.hear(closed.late)
            self.touched.mark(closed.entities)
            if closed.rewound is not None:
                told += self._judge_again(closed, closed.rewound, offsets)
                continue
            for wave in closed.waves:
                told += self._judge_wave(wave, offsets, result)
            for silence in closed.silences:
                told += [self._told(change) for change in self.judge.silence(silence, offsets)]
        self.lateness.settle()
        result.incidents = [event for *_, event in sorted(told, key=lambda item: item[:2])]
        return result

    def _judge_wave(self, wave: Wave, offsets: list[int], result: StepResult) -> list[tuple[int, str, CloudEvent]]:
        judge, grid = self.judge, self.grid.view
        features, scored = judge.score(wave, grid)
        told = [self._told(change) for change in judge.changes(wave, scored, offsets, grid)]
        judge.settle(wave, grid)
        result.scores += judge.score_rows(wave, scored, self.plan, offsets)
        if self.observer is not None:
            self.observer(Judged(wave, features, scored, judge.opened(wave)))
        return told

    def _judge_again(self, closed: Closed, rewound: Rewound, offsets: list[int]) -> list[tuple[int, str, CloudEvent]]:
        """Judge entities anew from where they were settled; tell only what differs; scores that were told stay."""
        judge, grid = self.judge, self.grid.view
        published = judge.rewind(rewound, grid)
        for wave in closed.waves:
            for _ in judge.changes(wave, judge.score(wave, grid)[1], offsets, grid):
                pass
            judge.settle(wave, grid)
        told = []
        for entity, record, before in zip(rewound.entities.tolist(), rewound.records.tolist(), published, strict=True):
            at = (self.grid.watermark_ms(entity), record, offsets[record])
            changes = judge.hindsight.revise(entity, before, at, self._publication.name)
            told += [self._told(change, record + 1) for change in changes]
        return told

    def _told(self, change: Change, before: int | None = None) -> tuple[int, str, CloudEvent]:
        """Put a change into words; what late samples its incident counts came with records before ``before``."""
        life, record = change.life, change.record
        half = int(self.grid.view.rhythm_ms[life.entity]) // 2
        until = life.ended_ms + half if life.ended_ms else 2**62
        late = self.lateness.count(life.entity, life.started_ms - half, until, record if before is None else before)
        return record, self.catalog.entities[life.entity][0], self._publication.event(change, late)

    def _tables(self) -> dict[str, Table]:
        return {**{f"grid.{name}": table for name, table in self.grid.tables().items()}, **self.judge.tables()}

    def _entity(self, entity: Entity) -> int:
        return self.catalog.entity_id(entity.id, entity.entity_class)


def _in_force(bundle: Bundle | None) -> ModelInForce:
    return ModelInForce(bundle.name, bundle.version, 0.0) if bundle else ModelInForce("baseline", "built-in", 0.0)
