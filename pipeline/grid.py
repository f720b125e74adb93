"""Event time: which cell a sample belongs to, when a cell is closed, what is late, who is silent.

Every sample is judged in record order (within a record by time, then position), so nothing here depends on how
records were polled. The step of a series is learned from its first eight samples; the watermark belongs to its
entity; the partition clock serves silence only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.events import Counts, SampleBatch
from pipeline.image import Table
from pipeline.kernels import arrival
from pipeline.kernels import horizon as h
from pipeline.kernels import layout as k
from pipeline.kernels import silence as q
from pipeline.kernels.clock import close_due
from pipeline.room import begin, empty_rows, empty_state, grown

__all__ = ["Closed", "Grid", "GridView", "Rewound", "Silence", "Wave"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
LOOK_MS = 1_000  # how far the partition clock moves between two looks for silence


@dataclass(frozen=True, slots=True)
class Wave:
    """At most one step of each series and one group of each entity, so that order within does not matter.

    All arrays have shape (n_rows,) except ``bounds`` (n_groups + 1,): rows of group i are bounds[i]:bounds[i + 1].
    ``waited`` marks rows of before the step of their series was known: they come late, and without their neighbours.
    ``settled`` is 1 + the copy into which the row's entity is to be settled after this wave, 0 at most rows.
    """

    series: Ints
    entity: Ints
    time_ms: Ints
    gap: Ints
    record: Ints
    waited: npt.NDArray[np.bool_]
    settled: Ints
    value: Floats
    bounds: Ints


@dataclass(frozen=True, slots=True)
class Silence:
    """An entity spoke again, fell silent or moved (``silence.SPOKE`` ...), as row ``record`` of the batch showed."""

    entity: int
    what: int
    time_ms: int
    record: int
    clock_ms: int


@dataclass(frozen=True, slots=True)
class Rewound:
    """Entities that late samples took back, each with the settled copy, and the row of the record that did it."""

    entities: Ints
    copies: Ints
    records: Ints


@dataclass(frozen=True, slots=True)
class Closed:
    """What left the grid in one go: closed cells in waves, and notices of silence.

    Where there are rewound entities, the waves are theirs: all since they were settled, with the late samples. Rows of
    ``late`` are entity, event time in ms and row of the record of each sample that came late, taken back or not.
    """

    waves: list[Wave]
    silences: list[Silence]
    late: Ints
    rewound: Rewound | None = None

    @property
    def entities(self) -> Ints:
        """Whose cells closed, who fell silent and who spoke again; some more than once."""
        return np.concatenate([[one.entity for one in self.silences], *(one.entity for one in self.waves)]).astype(int)


@dataclass(frozen=True, slots=True)
class GridView:
    """What later stages read of the grid: links between series and entities, and steps.

    ``links`` are (entity of series, next series of the same entity, step of series in ms, first series of entity);
    ``rhythm_ms`` is the finest step of each entity.
    """

    links: tuple[Ints, Ints, Ints, Ints]
    rhythm_ms: Ints


class Grid:
    """The event-time state of one partition.

    Parameters
    ----------
    max_future_ms
        A sample further ahead of its own record's timestamp than this is refused.
    silence_rhythms, silence_least_ms
        An entity is silent once the partition clock outran its last record by so many of its rhythms, and by so much.
    horizon
        How many steps of its entity's finest rhythm a sample may be late, to be taken as if it were not; 0: none.
    """

    def __init__(
        self,
        max_future_ms: int = 3_600_000,
        silence_rhythms: int = 6,
        silence_least_ms: int = 60_000,
        horizon: int = 0,
    ) -> None:
        self.n_series = 0
        self.n_entities = 0
        self.n_samples = 0
        self._state = empty_state(64, 8, horizon)
        self.obey(max_future_ms, silence_rhythms, silence_least_ms, horizon)
        self._out = empty_rows(64, 64, 8)

    def obey(self, max_future_ms: int, silence_rhythms: int, silence_least_ms: int, horizon: int) -> None:
        """Work by other limits from now on; parameters as at construction. No late sample reaches back beyond here."""
        self.forget()
        self.horizon = horizon
        self._state = grown(self._state, self.n_series, self.n_entities, horizon)
        self.limits = (max_future_ms, silence_rhythms, silence_least_ms, LOOK_MS)

    @property
    def clock_ms(self) -> int:
        """The newest accepted event time of the partition, 0 before the first."""
        return int(self._state.clock[q.TOP])

    @property
    def silence_clock_ms(self) -> int:
        """The partition clock: the second newest entity's time, if there are several, but no later than any source."""
        return int(self._state.clock[q.NOW])

    @property
    def view(self) -> GridView:
        """What later stages read of the grid; valid until the next call that adopts series."""
        whole, entity = self._state.whole, self._state.entity
        links = (whole[:, k.ENTITY], whole[:, k.NEXT], whole[:, k.STEP], entity[:, k.FIRST_SERIES])
        return GridView(links, entity[:, k.RHYTHM])

    def tables(self) -> dict[str, Table]:
        """The arrays that make up the state; see :class:`pipeline.image.Table`."""
        state = self._state
        series = {name: Table("series", array) for name, array in state._asdict().items()}
        entity_scratch = ((k.GROUP_AT, -1), (k.WAVE, 0), (k.RANK_MAX, -1))
        return {
            **series,
            "whole": Table("series", state.whole, ((k.RANK_AT, -1), (k.RANK, 0)), (k.ENTITY, k.NEXT)),
            # every look for silence moves what is known of entities, and those that come and go move their service
            "entity": Table("entity", state.entity, entity_scratch, (k.FIRST_SERIES,), restless=True),
            "ears": Table("entity", state.ears, (), (q.SERVICE,), restless=True),
            **{name: Table("entity", getattr(state, name), restless=True) for name in ("edges", "settled_entity")},
            "clock": Table("partition", state.clock[None], (), (q.TOP_ENTITY,)),
        }

    def is_rate(self, series: int) -> bool:
        """Whether the cells of a series hold rates per second, of counters or deltas."""
        return bool(self._state.kinds[series] & k.TREATMENT)

    def adopt_series(
        self, entity_of: Sequence[int], ephemeral: Sequence[bool], services: Sequence[int | None] = ()
    ) -> None:
        """Make room for the series and entities that the catalog has met since the last call.

        Parameters
        ----------
        entity_of
            Entity of each new series, in order of id.
        ephemeral
            For each new entity, in order of id, whether it is of a kind that comes and goes, so that nobody misses it.
        services
            For each new entity the one at which it is judged instead, or None; () for none at all.
        """
        n_series, n_entities = self.n_series + len(entity_of), self.n_entities + len(ephemeral)
        self._state = grown(self._state, n_series, n_entities, self.horizon)
        begin(self._state, slice(self.n_series, n_series), slice(self.n_entities, n_entities))
        whole, entity = self._state.whole, self._state.entity
        self._state.ears[self.n_entities : n_entities, q.EPHEMERAL] = ephemeral
        for e, service in enumerate(services, start=self.n_entities):
            self._state.ears[e, q.SERVICE] = 0 if service is None else service + 1
        for s, e in enumerate(entity_of, start=self.n_series):
            whole[s, k.ENTITY], whole[s, k.NEXT] = e, entity[e, k.FIRST_SERIES]
            entity[e, k.FIRST_SERIES] = s
        self.n_series, self.n_entities = n_series, n_entities

    def push(
        self, samples: SampleBatch, record_times: Ints, counts: Counts, slowest: Ints | None = None
    ) -> Iterator[Closed]:
        """Take decoded samples and hand out the cells that they close, to be used before the next are asked for.

        1. samples are taken in order; those of an entity to which a late one came wait from the next record on;
        2. such entities go back to where they were settled, and take all their samples since in order of time;
        3. then come the samples that waited, of which some may be late again.

        Parameters
        ----------
        samples
            In record order.
        record_times
            Kafka's timestamp in ms of each record, shape (n_records,).
        counts
            The accounting, added to in place.
        slowest
            Clock in ms of the slowest source at each record, shape (n_records,); None: there are no sources.
        """
        slowest = np.full(len(record_times), k.NOWHERE) if slowest is None else slowest
        order = np.lexsort((samples.time, samples.record))
        columns = (samples.series_id, samples.time, samples.start, samples.value, samples.kind)
        ordered = tuple(np.ascontiguousarray(column[order]) for column in columns)
        records = samples.record[order]
        batch = (*ordered, record_times[records], slowest[records], records)
        n, at = len(records), 0
        first = self._begin(n)
        counts.decoded += n
        while True:
            limits = (*self.limits, self.horizon, first, at)
            at = arrival.push(self._state, self.n_entities, batch, limits, self._out)
            yield self._collect(first, records, counts)
            is_done = at == n and not self._out.used[2]
            while self._out.used[2]:
                deferred = self._out.deferred[: self._out.used[3]].copy()
                yield self._replay(counts)
                first = self._begin(n)
                arrival.resume(self._state, batch, deferred, self.horizon, first, self._out)
                yield self._collect(first, records, counts)
            if is_done:
                return
            first = self._begin(n)

    def _replay(self, counts: Counts) -> Closed:
        """Take the called entities back to where they were settled, and all their samples since again."""
        entities, by_records = self._out.called[: self._out.used[2]].T.copy()
        rewound = Rewound(entities, self._state.edges[entities, k.OLDER], by_records)
        n = int(h.count_logged(self._state, entities))
        samples, values = np.empty((n, 4), np.int64), np.empty(n)
        first = self._begin(n)
        h.rewind(self._state, entities, samples, values, self._out.counts)
        order = np.lexsort((samples[:, 1], samples[:, 3]))
        samples, values = samples[order], values[order]
        arrival.replay(self._state, samples, values, self.horizon, first, self._out)
        return replace(self._collect(first, rewound.records[samples[:, 3]], counts), rewound=rewound)

    def watermark_ms(self, entity: int) -> int:
        """The newest event time of an entity, ms since 1970."""
        return int(self._state.entity[entity, k.WATERMARK])

    def forget(self) -> None:
        """Give up all settled copies: no late sample reaches back beyond here."""
        h.forget_all(self._state, self.n_entities)

    def would_miss(self, clock_ms: int) -> bool:
        """Whether an entity would be missed if the partition clock stood at ``clock_ms``."""
        _, rhythms, least_ms, _ = self.limits
        return bool(q.count_missing(self._state, self.n_entities, clock_ms, rhythms, least_ms)[1])

    def tick(self, clock_ms: int) -> Closed:
        """Advance the partition clock without a record, and find who is missed then."""
        first = self._begin(1)
        q.tick(self._state, self.n_entities, clock_ms, (*self.limits[1:3], q.ALONE), first, self._out)
        return self._collect(first, np.zeros(1, np.int32), Counts())

    def call_roll(self) -> None:
        """Expect no entity until it is heard again: records may go to other partitions from now on.

        One that is not heard again has moved, which is no silence.
        """
        self._state.ears[: self.n_entities, q.UNCALLED] = 1

    def flush(self) -> Closed:
        """Close every open cell: the end of a recording, never of a live stream."""
        first = self._begin(self.n_entities)
        for e in range(self.n_entities):
            close_due(self._state, e, 2**61, first + e, self._out)
        return self._collect(first, np.zeros(max(1, self.n_entities), np.int32), Counts())

    def _begin(self, n_samples: int) -> int:
        """Make room for what so many samples can lead to; returns the number of the first of them."""
        self._state.entity[: self.n_entities, k.WAVE] = 0
        self._state.entity[: self.n_entities, k.RANK_MAX] = -1
        # A cell that closes was open before, or filled in this call: by a sample of it, or by the samples that waited
        # for the rhythm of their series, which one of them teaches. Who falls silent twice has spoken in between.
        n_rows = n_samples + self.n_series + (k.N_LEARN - 1) * min(n_samples, self.n_series)
        n_notices = 2 * n_samples + self.n_entities
        out = self._out
        if len(out.values) < n_rows or len(out.notices) < n_notices or len(out.called) < self.n_entities:
            self._out = empty_rows(2 * n_rows, 2 * n_notices, 2 * self.n_entities)
        self._out.used[:] = 0
        self._out.counts[:] = 0
        self.n_samples += n_samples
        return self.n_samples - n_samples

    def _collect(self, first: int, records: npt.NDArray[Any], counts: Counts) -> Closed:
        _account(counts, self._out.counts)
        n_rows, n_notices = (int(n) for n in self._out.used[:2])
        rows, values = self._out.rows[:n_rows], self._out.values[:n_rows]
        rows[:, k.ROW_TRIGGER] = records[rows[:, k.ROW_TRIGGER] - first]
        notices = self._out.notices[:n_notices]
        silences = [
            Silence(int(e), int(what), int(t), int(records[at - first]), int(clock))
            for e, what, t, at, clock in notices
        ]
        return Closed(list(self._waves(rows, values)), silences, self._out.late[: self._out.used[4]].copy())

    def _waves(self, rows: Ints, values: Floats) -> Iterator[Wave]:
        order = np.argsort(rows[:, k.ROW_WAVE], kind="stable")
        rows, values = rows[order], values[order]
        series = np.ascontiguousarray(rows[:, k.ROW_SERIES])
        entity = self._state.whole[series, k.ENTITY]
        if not len(rows):
            return
        cuts = np.flatnonzero(np.diff(rows[:, k.ROW_WAVE], prepend=-1, append=2**62))
        columns = (k.ROW_TIME, k.ROW_GAP, k.ROW_TRIGGER, k.ROW_SETTLED)
        time_ms, gap, record, settled = (np.ascontiguousarray(rows[:, c]) for c in columns)
        waited = rows[:, k.ROW_WAITED] != 0
        # groups begin where the entity changes, and with each wave
        begins = np.diff(entity, prepend=-1) != 0
        begins[cuts[:-1]] = True
        groups = np.append(np.flatnonzero(begins), len(rows))
        first = np.searchsorted(groups, cuts)
        for i, (a, b) in enumerate(pairwise(cuts.tolist())):
            bounds = groups[first[i] : first[i + 1] + 1] - a
            whole = (series[a:b], entity[a:b], time_ms[a:b], gap[a:b], record[a:b], waited[a:b], settled[a:b])
            yield Wave(*whole, values[a:b], bounds)


def _account(counts: Counts, fates: Ints) -> None:
    counts.on_grid += int(fates[k.ON_GRID])
    counts.replaced += int(fates[k.REPLACED])
    counts.duplicate += int(fates[k.DUPLICATE])
    counts.late += int(fates[k.LATE])
    counts.first_of_counter += int(fates[k.FIRST])
    counts.stale_or_non_finite += int(fates[k.NON_FINITE])
    counts.refused += int(fates[k.REFUSED])
    counts.waiting += int(fates[k.WAITING])
