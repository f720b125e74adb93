"""One wave's way from closed cells to verdicts: features, scores, and what changes in the lives of incidents.

Everything that adapts to its series and entities stands behind :class:`Judge`; the grid before it knows event time,
the stream after it puts changes into words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.bundle import Bundle
from models.errors import BundleRefused
from pipeline.baselines import Features
from pipeline.catalog import Catalog
from pipeline.events import ScoreRow
from pipeline.exhaustion import Exhaustion
from pipeline.grid import GridView, Rewound, Silence, Wave
from pipeline.hindsight import Hindsight
from pipeline.image import Axis, Image, Table, live_rows
from pipeline.kernels.baseline import N_ROWS
from pipeline.kernels.horizon import members
from pipeline.kernels.silence import FELL_SILENT, MOVED
from pipeline.life import Change, Life, Told
from pipeline.lifecycle import Evidence, Incidents
from pipeline.naming import Naming
from pipeline.plan import Plan
from pipeline.room import note_room
from pipeline.rules import Rules
from pipeline.scoring import Scored, Scoring
from pipeline.sets import MetricSets
from pipeline.settled import Rows, Settled

__all__ = ["Judge", "Judged", "check_priors"]

CONTRIBUTIONS_TOLD = 10

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Judged:
    """One wave as it was judged: its feature matrix, its scores, and per group whether an incident is open after it."""

    wave: Wave
    features: Floats
    scored: Scored
    is_open: npt.NDArray[np.bool_]


class Judge:
    """The adaptive state of one partition: baselines, calibration, forecasts, and the lives of its incidents.

    Parameters
    ----------
    plan
        What decides.
    catalog
        The series and entities of the partition.
    bundle
        A trained model, or None.
    """

    def __init__(self, plan: Plan, catalog: Catalog, bundle: Bundle | None) -> None:
        self.catalog = catalog
        self.rules = Rules(plan.rules, plan.watch)
        self.features = Features(plan.time_zone, note_room(plan.late_steps))
        self.scoring = Scoring(plan.budget_per_week, plan.time_zone, bundle)
        self.sets = MetricSets(bundle)
        self.exhaustion = Exhaustion(plan.exhaustion_ms)
        self.incidents = Incidents(plan.incidents, remembers=plan.late_steps > 0)
        self.hindsight = Hindsight(self.incidents)
        self._settled = Settled()
        self.naming = Naming(catalog, self.features)

    def obey(self, plan: Plan) -> None:
        """Let other settings be in force from the next wave on; what was learned is kept."""
        self.features.obey(plan.time_zone, note_room(plan.late_steps))
        self.scoring.obey(plan.budget_per_week, plan.time_zone)
        self.incidents.remembers, self._settled = plan.late_steps > 0, Settled()
        self._make_copies({"series": 0, "entity": 0, "bounded": 0})
        self.exhaustion.horizon_ms = plan.exhaustion_ms
        self.rules = Rules(plan.rules, plan.watch)
        for known in self.catalog.since(0, self.features.n_series):
            self.rules.adopt_series(known)
        self.incidents.plan = plan.incidents

    def swap(self, bundle: Bundle | None) -> None:
        """Let another bundle serve from the next wave on; what was learned is kept, windows begin anew."""
        self.scoring.swap(bundle)
        self.sets.swap(bundle)
        self.sets.adopt(self.catalog)
        self._make_copies(self.rows())

    def tables(self) -> dict[str, Table]:
        """The arrays that make up the state, by stage and name."""
        tables = self._stages()
        copies = {f"settled.{name}": table for name, table in self._settled.tables(tables).items()}
        return {**tables, **copies, "judge.still": self.naming.table()}

    def adopt(self, bundle: Bundle | None) -> None:
        """Make room for the series and entities that the catalog has met, with what a bundle knows of each."""
        catalog = self.catalog
        known = self.rows()
        for new in catalog.since(self.features.n_series):
            self.features.adopt_series([bundle.series_prior(i.entity, i.name) if bundle else None for i in new])
            self.rules.adopt_series(new)
            first = self.exhaustion.n_series
            self.exhaustion.adopt_series(new, [self.rules.of(first + i) for i in range(len(new))])
        new_entities = catalog.entities[self.scoring.n_entities :]
        self.scoring.adopt(catalog.n_series, [bundle.entity_prior(*e) if bundle else None for e in new_entities])
        self.sets.adopt(catalog)
        self.naming.adopt()
        self._make_copies(known)

    def rows(self) -> dict[Axis, int]:
        """How many rows of each axis are live."""
        n_bounded = self.exhaustion.n_bounded
        return {"series": self.features.n_series, "entity": self.scoring.n_entities, "bounded": n_bounded}

    def bind_again(self, image: Image) -> None:
        """Give the series that have limits the rows that they have in an image."""
        known = {**self.rows(), "bounded": 0}
        bounded = image.tables.get("exhaustion.series")
        if bounded is not None:
            self.exhaustion.bind_again(live_rows(bounded, image.rows)[:, 0])
            self._make_copies(known)

    def score(self, wave: Wave, grid: GridView) -> tuple[Floats, Scored]:
        """Compute feature matrix and scores of a wave, and learn from it; incidents are moved by :meth:`changes`."""
        entities = wave.entity[wave.bounds[:-1]]
        hold = self.incidents.holding(entities, wave.time_ms[wave.bounds[:-1]])
        by_row = np.repeat(hold, wave.bounds[1:] - wave.bounds[:-1])
        features = self.features.observe(wave, grid.links[2][wave.series], by_row)
        features = self.rules.bend(wave, features, self.features.expectations)
        self.naming.see(wave, features)
        window = self.sets.excess(wave, features, grid.links[2])
        return features, self.scoring.score(wave, features, grid, hold, window)

    def changes(self, wave: Wave, scored: Scored, offsets: list[int], grid: GridView) -> Iterator[Change]:
        """What a scored wave changes in the lives of incidents, each as it happens.

        Parameters
        ----------
        wave, scored
            What closed, and its scores.
        offsets
            Of the records that closed it.
        grid
            The steps of its series.
        """
        yield from self._behaviour(wave, scored, offsets, grid)
        for row, outlook in self.exhaustion.observe(wave, self.incidents.followed()):
            entity, record = int(wave.entity[row]), int(wave.record[row])
            change = self.incidents.forecast(entity, outlook, record, offsets[record])
            if change is not None:
                change.life.told = Told.of(change.life)
                yield change

    def settle(self, wave: Wave, grid: GridView) -> None:
        """Settle the entities of a judged wave that are due for it."""
        due = np.flatnonzero(wave.settled)
        if not len(due):
            return
        entities, copies = wave.entity[due], wave.settled[due] - 1
        self._settled.keep(self._settling(), self._rows(entities, copies, grid))
        busy = self.hindsight.busy()
        if busy:
            for i in np.flatnonzero(np.isin(entities, list(busy))):
                self.hindsight.settle(int(entities[i]), int(copies[i]))

    def rewind(self, rewound: Rewound, grid: GridView) -> list[list[Life]]:
        """Take entities back to where they were settled; returns what was published of the incidents of each."""
        rows = self._rows(rewound.entities, rewound.copies, grid)
        n_rows = self._settled.copy_of("features.levels", rows, "series", N_ROWS)
        self.features.rewind(rows["series"][0], n_rows)
        self._settled.restore(self._settling(), rows)
        pairs = zip(rewound.entities.tolist(), rewound.copies.tolist(), strict=True)
        return [self.hindsight.rewind(entity, copy) for entity, copy in pairs]

    def _make_copies(self, known: Mapping[Axis, int]) -> None:
        """Let all but the known rows be settled as they are now."""
        if self.incidents.remembers:
            self._settled.adopt(self._settling(), known, self.rows())

    def _stages(self) -> dict[str, Table]:
        stages = {
            "features": self.features.tables(),
            "scoring": self.scoring.tables(),
            "sets": self.sets.tables(),
            "exhaustion": self.exhaustion.tables(),
        }
        return {f"{stage}.{name}": table for stage, tables in stages.items() for name, table in tables.items()}

    def _settling(self) -> dict[str, Table]:
        return {name: table for name, table in self._stages().items() if table.settles}

    def _rows(self, entities: Ints, copies: Ints, grid: GridView) -> Rows:
        series, owner = members(grid.links[3], grid.links[1], entities, self.catalog.n_series)
        bounded = self.exhaustion.rows_of(series)
        has_row = bounded >= 0
        of_series = (series, copies[owner])
        return {
            "series": of_series,
            "entity": (entities, copies),
            "bounded": (bounded[has_row], of_series[1][has_row]),
        }

    def silence(self, silence: Silence, offsets: list[int]) -> list[Change]:
        """What a notice of silence changes in the lives of an entity's incidents."""
        at = (silence.clock_ms, silence.record, offsets[silence.record])
        if silence.what == MOVED:
            return self.incidents.leave(silence.entity, at)
        change = self.incidents.silence(silence.entity, silence.what == FELL_SILENT, silence.time_ms, at)
        return [change] if change is not None else []

    def opened(self, wave: Wave) -> npt.NDArray[np.bool_]:
        """Of which groups of a wave an incident is open now."""
        return self.incidents.open_among(wave.entity[wave.bounds[:-1]])

    def score_rows(self, wave: Wave, scored: Scored, plan: Plan, offsets: list[int]) -> list[ScoreRow]:
        """The scores that are told: those at or above the low mark, or all."""
        told = []
        worth = scored.told if plan.publish_all_scores else scored.told & (scored.score >= plan.low_mark)
        most = None if plan.publish_all_scores else CONTRIBUTIONS_TOLD
        for group in np.flatnonzero(worth):
            rows = slice(wave.bounds[group], wave.bounds[group + 1])
            entity = int(wave.entity[rows][0])
            score, threshold = float(scored.score[group]), float(scored.threshold[group])
            told.append(
                ScoreRow(
                    entity=self.catalog.entities[entity][0],
                    time_ms=int(wave.time_ms[rows].max()),
                    score=score,
                    threshold=threshold,
                    over_threshold=score >= threshold,
                    anomaly=self.incidents.is_open(entity),
                    contributions=self._contributions(wave.series[rows], scored.contribution[rows], most),
                    offset=offsets[int(wave.record[rows][0])],
                )
            )
        return told

    def _behaviour(self, wave: Wave, scored: Scored, offsets: list[int], grid: GridView) -> Iterator[Change]:
        over = (scored.score >= scored.threshold) & scored.told
        begins = wave.bounds[:-1]
        entities = wave.entity[begins]
        times = np.maximum.reduceat(wave.time_ms, begins)
        gaps = np.add.reduceat(wave.gap, begins)
        for group in self.incidents.attention(entities, over, scored.judged).tolist():
            rows = slice(*wave.bounds[group : group + 2].tolist())
            record = int(wave.record[rows.start])
            evidence = Evidence(
                int(entities[group]),
                int(times[group]),
                float(scored.score[group]) if scored.told[group] else 0.0,
                float(scored.threshold[group]),
                record,
                list(zip(wave.series[rows].tolist(), scored.contribution[rows].tolist(), strict=True)),
                int(gaps[group]),
            )
            change = self._named(self.incidents.judge(evidence, offsets[record]), evidence, grid)
            if change is not None:
                change.life.told = Told.of(change.life)
                yield change

    def _named(self, change: Change | None, evidence: Evidence, grid: GridView) -> Change | None:
        """Name the kind of an incident with what changed in it, or, now and then, because its kind became clear."""
        life = change.life if change is not None else self.incidents.lives.get((evidence.entity, "behaviour"))
        if life is None:
            return None
        n_held = life.steps if self.incidents.holds(evidence.entity, evidence.time_ms) else 0
        kind = self.naming.look(life, evidence, grid.links[2], n_held, change.what if change is not None else None)
        if change is None:
            return None if kind == life.kind else self.incidents.renamed(life, kind, evidence)
        life.kind = kind
        return change

    def _contributions(self, series: npt.NDArray[np.int64], values: Floats, most: int | None) -> dict[str, float]:
        top = np.argsort(-values, kind="stable")[:most]
        named = {
            self.catalog.identities[s].name: round(float(v), 6) for s, v in zip(series[top], values[top], strict=True)
        }
        return dict(sorted(named.items()))


def check_priors(bundle: Bundle) -> None:
    """Refuse a bundle that hands on another state than this release keeps.

    Raises
    ------
    BundleRefused
        Its rows are of another length than those that training hands on today.
    """
    n_series, n_entity = Features().pack(0).size, Scoring(1.0).pack(0).size
    sizes = {
        "series": {row.size for row in bundle.series.values()} - {n_series},
        "entities": {row.size for row in bundle.entities.values()} - {n_entity},
        "classes": {row.size for row in bundle.classes.values()} - {n_entity},
    }
    odd = ", ".join(name for name, others in sizes.items() if others)
    if odd:
        raise BundleRefused(f"what it knows of {odd} is not what this release keeps of them: train it anew")
