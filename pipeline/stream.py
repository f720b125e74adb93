"""The story: records of one partition become samples, cells, features, scores and, rarely, incidents.

Read ``PartitionStream.step`` first; everything else serves it. Nothing here touches Kafka, a clock, a file or a
random number: the same records give the same bytes, however they were polled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from models.bundle import Bundle
from pipeline.baselines import FEATURE_NAMES, Features
from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.dialect import DEFAULT, Dialect
from pipeline.events import Counts, Records, Rejected, SampleBatch, ScoreRow
from pipeline.exhaustion import Exhaustion
from pipeline.grid import Closed, Grid, Silence, Wave
from pipeline.image import Image, Table, digest, laid
from pipeline.incident import CloudEvent, Entity, Incident, ModelInForce
from pipeline.kernels.clock import FELL_SILENT, MOVED
from pipeline.lifecycle import Change, Evidence, IncidentPlan, Incidents, Life
from pipeline.meaning import Meaning, Past
from pipeline.narrative import Narrator
from pipeline.publication import Publication, reconciled
from pipeline.rules import Rule, Rules, Watch
from pipeline.scoring import Scored, Scoring

__all__ = ["Judged", "PartitionStream", "Plan", "StepResult"]

CONTRIBUTIONS_TOLD = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides, as plain values; equal plans and equal records give equal bytes."""

    formats: tuple[str, ...] = ()
    dialect: Dialect = DEFAULT
    max_series: int = 200_000
    max_future_ms: int = 3_600_000
    silence_rhythms: int = 6
    silence_least_ms: int = 60_000
    ephemeral: tuple[str, ...] = ("pod", "container", "process", "job")
    budget_per_week: float = 1.0
    utc_offset_ms: int = 0
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


@dataclass(frozen=True, slots=True)
class Judged:
    """One wave as it was judged: its feature matrix, its scores, and per group whether an incident is open after it."""

    wave: Wave
    features: npt.NDArray[np.float64]
    scored: Scored
    is_open: npt.NDArray[np.bool_]


@dataclass(slots=True)
class _Told:
    """What of a state is not an array.

    Settings in force, lives of incidents, how long to say ``warming``, last points of histograms.
    """

    plan: Plan
    lives: list[Life]
    warming_until_ms: int
    past: dict[int, Past] = field(default_factory=dict)


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
        self.meaning = Meaning(self.catalog)
        self.grid = Grid(plan.max_future_ms, plan.silence_rhythms, plan.silence_least_ms)
        self.rules = Rules(plan.rules, plan.watch)
        self.features = Features(plan.utc_offset_ms)
        self.scoring = Scoring(plan.budget_per_week, bundle)
        self.exhaustion = Exhaustion(plan.exhaustion_ms)
        self.incidents = Incidents(plan.incidents)
        self._publication = Publication(
            job=plan.incidents.job,
            topic=topic,
            partition=partition,
            model=_in_force(bundle),
            narrator=Narrator(self.catalog, self.features, self.rules, self.grid),
        )
        self._last_features = np.zeros((64, len(FEATURE_NAMES)))
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
        result = self.advance(watched.samples, records.times, records.offsets)
        result.rejected = decoded.rejected
        result.counts.records, result.counts.rejected = len(records), len(decoded.rejected)
        result.counts.aside, result.counts.derived = watched.n_aside, watched.n_derived
        result.counts.decoded += decoded.refused + watched.n_aside - watched.n_derived
        result.counts.refused += decoded.refused
        result.counts.by_format = decoded.by_format
        self.counts.add(result.counts)
        return result

    def advance(self, samples: SampleBatch, times: list[int], offsets: list[int]) -> StepResult:
        """Take decoded samples whose records have the given timestamps (ms) and offsets."""
        result = StepResult()
        self._adopt_new_series()
        samples = self.rules.watched(samples, result.counts)
        closed = self.grid.push(samples, np.asarray(times, np.int64), result.counts)
        return self._judge(closed, offsets, result)

    def flush(self, offset: int) -> StepResult:
        """Close and judge every open cell: the end of a recording, never of a live stream."""
        return self._judge(self.grid.flush(), [offset], StepResult())

    def tick(self, clock_ms: int, offset: int) -> StepResult:
        """Move the partition clock without a record, and tell who is missed; ``offset`` is the next record's."""
        return self._judge(self.grid.tick(clock_ms), [offset], StepResult())

    def would_miss(self, clock_ms: int) -> bool:
        """Whether a tick to ``clock_ms`` would tell of anybody."""
        return self.grid.would_miss(clock_ms)

    def call_roll(self) -> None:
        """Note that records may go to other partitions from here on: who is not heard again has moved."""
        self.grid.call_roll()

    def swap(self, bundle: Bundle | None) -> None:
        """Let another bundle serve from the next record on.

        Kept: grid, baselines, windows, open incidents and each entity's own calibration. The bundle brings its
        threshold and detectors, and what it knows of series and entities that come later.
        """
        self.bundle = bundle
        self.scoring.swap(bundle)
        self._publication.model = _in_force(bundle)

    def obey(self, plan: Plan) -> None:
        """Let other settings be in force from the next record on; what was learned is kept."""
        self.plan = plan
        self.catalog.max_series = plan.max_series
        self.grid.obey(plan.max_future_ms, plan.silence_rhythms, plan.silence_least_ms)
        self.features.obey(plan.utc_offset_ms)
        self.scoring.obey(plan.budget_per_week)
        self.exhaustion.horizon_ms = plan.exhaustion_ms
        self.rules = self._publication.narrator.rules = Rules(plan.rules, plan.watch)
        self.rules.adopt_series(self.catalog.identities[: self.features.n_series])
        self.incidents.plan = plan.incidents
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
        self._adopt_new_series()
        return differed

    def warm_until(self, time_ms: int) -> None:
        """Say ``warming`` in incidents up to ``time_ms``, because what was known before is lost."""
        self._publication.warming_until_ms = time_ms

    def image(self) -> Image:
        """The whole state as it stands; valid until the stream moves on."""
        lives, past = list(self.incidents.lives.values()), self.meaning.past
        told = _Told(self.plan, lives, self._publication.warming_until_ms, past)
        catalog = self.catalog
        return Image(catalog.written(), catalog.n_series, catalog.n_entities, self._tables(), msgspec.json.encode(told))

    @classmethod
    def of_image(cls, image: Image, topic: str, partition: int, bundle: Bundle | None) -> PartitionStream:
        """The stream that an image was taken of, with the bundle that served it."""
        told = msgspec.json.decode(image.told, type=_Told)
        catalog = Catalog.read(image.names, told.plan.max_series)
        stream = cls(told.plan, topic, partition, bundle, catalog)
        laid(image, stream._tables())
        stream.incidents.lives = {(life.entity, life.track): life for life in told.lives}
        stream.meaning.restore(told.past)
        stream.warm_until(told.warming_until_ms)
        return stream

    def digest(self) -> str:
        """SHA-256 of the live state in name order: equal states, equal digests, whatever the ids."""
        series = [f"{i.entity}\x1f{i.entity_class}\x1f{i.name}\x1f{i.unit}" for i in self.catalog.identities]
        entities = [f"{name}\x1f{kind}" for name, kind in self.catalog.entities]
        lives = self.incidents.by_name(entities, series)
        past = {series[s]: point for s, point in self.meaning.past.items()}
        return digest(self.image(), series, entities, [lives, self._publication.warming_until_ms, past])

    def learned(self, name: str, version: str) -> Bundle:
        """What this stream has learned of its series and entities, as a bundle to hand on."""
        names = [(identity.entity, identity.name) for identity in self.catalog.identities]
        series = {key: self.features.pack(s) for s, key in enumerate(names)}
        entities = {entity: self.scoring.pack(e) for e, (entity, _) in enumerate(self.catalog.entities)}
        return Bundle(name, version, series, entities)

    def open_incidents(self) -> list[str]:
        """Ids of the incidents that are open now."""
        return [life.incident_id for life in self.incidents.open_lives()]

    @property
    def clock_ms(self) -> int:
        """The newest accepted event time, ms since 1970; 0 before the first."""
        return self.grid.clock_ms

    @property
    def silence_clock_ms(self) -> int:
        """The partition clock by which entities are missed, ms since 1970; 0 before the first sample."""
        return self.grid.silence_clock_ms

    def _adopt_new_series(self) -> None:
        catalog, bundle = self.catalog, self.bundle
        new_series = catalog.identities[self.features.n_series :]
        new_entities = catalog.entities[self.scoring.n_entities :]
        if not new_series and not new_entities:
            return
        self.grid.adopt_series(catalog.entity_of, [kind in self.plan.ephemeral for _, kind in catalog.entities])
        self.features.adopt_series([bundle.series_prior(i.entity, i.name) if bundle else None for i in new_series])
        self.rules.adopt_series(new_series)
        first = self.exhaustion.n_series
        self.exhaustion.adopt_series(new_series, [self.rules.of(first + i) for i in range(len(new_series))])
        self.scoring.adopt(catalog.n_series, [bundle.entity_prior(*e) if bundle else None for e in new_entities])
        if catalog.n_series > len(self._last_features):
            grown = np.zeros((2 * catalog.n_series, len(FEATURE_NAMES)))
            grown[: len(self._last_features)] = self._last_features
            self._last_features = grown

    def _judge(self, closed: Closed, offsets: list[int], result: StepResult) -> StepResult:
        told: list[tuple[int, str, CloudEvent]] = []
        for wave in closed.waves:
            features, scored = self._score(wave)
            told += self._move_incidents(wave, scored, offsets)
            told += self._move_exhaustion(wave, offsets)
            self._tell_scores(wave, scored, offsets, result)
            if self.observer is not None:
                is_open = np.array([self.incidents.is_open(int(e)) for e in wave.entity[wave.bounds[:-1]]], bool)
                self.observer(Judged(wave, features, scored, is_open))
        for silence in closed.silences:
            told += self._move_silence(silence, offsets)
        result.incidents = [event for *_, event in sorted(told, key=lambda item: item[:2])]
        return result

    def _score(self, wave: Wave) -> tuple[npt.NDArray[np.float64], Scored]:
        grid = self.grid.view
        entities = wave.entity[wave.bounds[:-1]]
        hold = self.incidents.holding(entities, wave.time_ms[wave.bounds[:-1]])
        by_row = np.repeat(hold, wave.bounds[1:] - wave.bounds[:-1])
        features = self.features.observe(wave, grid.links[2][wave.series], by_row)
        features = self.rules.bend(wave, features, self.features.expectations)
        self._last_features[wave.series] = features
        return features, self.scoring.score(wave, features, grid, hold)

    def _move_incidents(self, wave: Wave, scored: Scored, offsets: list[int]) -> list[tuple[int, str, CloudEvent]]:
        told = []
        over = (scored.score >= scored.threshold) & ~scored.warming
        entities = wave.entity[wave.bounds[:-1]]
        for group in self.incidents.attention(entities, over):
            rows = slice(wave.bounds[group], wave.bounds[group + 1])
            record = int(wave.record[rows][0])
            blame = list(zip(wave.series[rows].tolist(), scored.contribution[rows].tolist(), strict=True))
            score = float(scored.score[group]) if not scored.warming[group] else 0.0
            evidence = Evidence(
                int(entities[group]),
                int(wave.time_ms[rows].max()),
                score,
                float(scored.threshold[group]),
                record,
                blame,
            )
            change = self.incidents.judge(evidence, offsets[record])
            if change is not None:
                told.append((record, self._entity_name(evidence.entity), self._event(change)))
        return told

    def _move_exhaustion(self, wave: Wave, offsets: list[int]) -> list[tuple[int, str, CloudEvent]]:
        told = []
        for row, outlook in self.exhaustion.observe(wave, self.incidents.followed()):
            entity, record = int(wave.entity[row]), int(wave.record[row])
            change = self.incidents.forecast(entity, outlook, record, offsets[record])
            if change is not None:
                told.append((record, self._entity_name(entity), self._event(change)))
        return told

    def _move_silence(self, silence: Silence, offsets: list[int]) -> list[tuple[int, str, CloudEvent]]:
        at = (silence.clock_ms, silence.record, offsets[silence.record])
        if silence.what == MOVED:
            changes = self.incidents.leave(silence.entity, at)
        else:
            change = self.incidents.silence(silence.entity, silence.what == FELL_SILENT, silence.time_ms, at)
            changes = [change] if change is not None else []
        return [(silence.record, self._entity_name(silence.entity), self._event(change)) for change in changes]

    def _event(self, change: Change) -> CloudEvent:
        life = change.life
        if life.track == "behaviour" and life.top >= 0 and change.what != "resolved":
            life.kind = self._publication.narrator.kind(life, self._last_features[life.top])
        return self._publication.event(change)

    def _tables(self) -> dict[str, Table]:
        stages = {
            "grid": self.grid.tables(),
            "features": self.features.tables(),
            "scoring": self.scoring.tables(),
            "exhaustion": self.exhaustion.tables(),
        }
        tables = {f"{stage}.{name}": table for stage, named in stages.items() for name, table in named.items()}
        return {**tables, "stream.last_features": Table("series", self._last_features)}

    def _entity(self, entity: Entity) -> int:
        return self.catalog.entity_id(entity.id, entity.entity_class)

    def _entity_name(self, entity: int) -> str:
        return self.catalog.entities[entity][0]

    def _tell_scores(self, wave: Wave, scored: Scored, offsets: list[int], result: StepResult) -> None:
        told = np.ones(len(scored.score), bool) if self.plan.publish_all_scores else scored.score >= self.plan.low_mark
        for group in np.flatnonzero(told & ~scored.warming):
            rows = slice(wave.bounds[group], wave.bounds[group + 1])
            entity = int(wave.entity[rows][0])
            score, threshold = float(scored.score[group]), float(scored.threshold[group])
            result.scores.append(
                ScoreRow(
                    entity=self._entity_name(entity),
                    time_ms=int(wave.time_ms[rows].max()),
                    score=score,
                    threshold=threshold,
                    over_threshold=score >= threshold,
                    anomaly=self.incidents.is_open(entity),
                    contributions=self._contributions(wave.series[rows], scored.contribution[rows]),
                    offset=offsets[int(wave.record[rows][0])],
                )
            )

    def _contributions(self, series: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> dict[str, float]:
        top = np.argsort(-values, kind="stable")[: None if self.plan.publish_all_scores else CONTRIBUTIONS_TOLD]
        named = {
            self.catalog.identities[s].name: round(float(v), 6) for s, v in zip(series[top], values[top], strict=True)
        }
        return dict(sorted(named.items()))


def _in_force(bundle: Bundle | None) -> ModelInForce:
    return ModelInForce(bundle.name, bundle.version, 0.0) if bundle else ModelInForce("baseline", "built-in", 0.0)
