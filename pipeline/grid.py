"""Event time: which cell a sample belongs to, when a cell is closed, what is late, who is silent.

Every sample is judged in record order (within a record by time, then position), so nothing here depends on how
records were polled. The step of a series is learned from its first eight samples; the watermark belongs to its
entity; the partition clock serves silence only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pipeline.events import Counts, SampleBatch
from pipeline.image import Table
from pipeline.kernels import arrival
from pipeline.kernels import clock as k
from pipeline.kernels import silence as q

__all__ = ["Closed", "Grid", "GridView", "Silence", "Wave"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
LOOK_MS = 1_000  # how far the partition clock moves between two looks for silence


@dataclass(frozen=True, slots=True)
class Wave:
    """At most one step of each series and one group of each entity, so that order within does not matter.

    All arrays have shape (n_rows,) except ``bounds`` (n_groups + 1,): rows of group i are bounds[i]:bounds[i + 1].
    ``waited`` marks rows of before the step of their series was known: they come late, and without their neighbours.
    """

    series: Ints
    entity: Ints
    time_ms: Ints
    gap: Ints
    record: Ints
    waited: npt.NDArray[np.bool_]
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
class Closed:
    """What left the grid in one call: closed cells in waves, and notices of silence."""

    waves: list[Wave]
    silences: list[Silence]


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
    """

    def __init__(self, max_future_ms: int = 3_600_000, silence_rhythms: int = 6, silence_least_ms: int = 60_000):
        self.obey(max_future_ms, silence_rhythms, silence_least_ms)
        self.n_series = 0
        self.n_entities = 0
        self.n_samples = 0
        self._state = _empty_state(64, 8)
        self._out = _empty_rows(64, 64)

    def obey(self, max_future_ms: int, silence_rhythms: int, silence_least_ms: int) -> None:
        """Work by other limits from now on; parameters as at construction."""
        self.limits = (max_future_ms, silence_rhythms, silence_least_ms, LOOK_MS)

    @property
    def clock_ms(self) -> int:
        """The newest accepted event time of the partition, 0 before the first."""
        return int(self._state.clock[q.TOP])

    @property
    def silence_clock_ms(self) -> int:
        """The partition clock as silence sees it: the second newest entity's time, if there are several."""
        return int(self._state.clock[q.SECOND])

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
        return {
            **series,
            "whole": Table("series", state.whole, ((k.RANK_AT, -1), (k.RANK, 0)), (k.ENTITY, k.NEXT)),
            "entity": Table(
                "entity", state.entity, ((k.GROUP_AT, -1), (k.WAVE, 0), (k.RANK_MAX, -1)), (k.FIRST_SERIES,)
            ),
            "ears": Table("entity", state.ears),
            "clock": Table("partition", state.clock[None], (), (q.TOP_ENTITY,)),
        }

    def is_rate(self, series: int) -> bool:
        """Whether the cells of a series hold rates per second, of counters or deltas."""
        return bool(self._state.kinds[series] & k.TREATMENT)

    def adopt_series(self, entity_of: Sequence[int], ephemeral: Sequence[bool]) -> None:
        """Make room for the series and entities that the catalog has met since the last call.

        Parameters
        ----------
        entity_of
            Entity of each new series, in order of id.
        ephemeral
            For each new entity, in order of id, whether it is of a kind that comes and goes, so that nobody misses it.
        """
        n_series, n_entities = self.n_series + len(entity_of), self.n_entities + len(ephemeral)
        self._state = _grow(self._state, n_series, n_entities)
        whole, entity = self._state.whole, self._state.entity
        self._state.ears[self.n_entities : n_entities, q.EPHEMERAL] = ephemeral
        for s, e in enumerate(entity_of, start=self.n_series):
            whole[s, k.ENTITY], whole[s, k.NEXT] = e, entity[e, k.FIRST_SERIES]
            entity[e, k.FIRST_SERIES] = s
        self.n_series, self.n_entities = n_series, n_entities

    def push(self, samples: SampleBatch, record_times: Ints, counts: Counts) -> Closed:
        """Take decoded samples and hand out the cells that they close.

        Parameters
        ----------
        samples
            In record order.
        record_times
            Kafka's timestamp in ms of each record, shape (n_records,).
        counts
            The accounting, added to in place.
        """
        order = np.lexsort((samples.time, samples.record))
        columns = (samples.series_id, samples.time, samples.start, samples.value, samples.kind)
        ordered = tuple(np.ascontiguousarray(column[order]) for column in columns)
        records = samples.record[order]
        self._reset_out(len(samples))
        self.n_samples += len(samples)
        first = self.n_samples - len(samples)
        arrival.push(self._state, self.n_entities, (*ordered, record_times[records]), (*self.limits, first), self._out)
        _account(counts, self._out.counts, len(samples))
        return self._collect(first, records)

    def would_miss(self, clock_ms: int) -> bool:
        """Whether an entity would be missed if the partition clock stood at ``clock_ms``."""
        _, rhythms, least_ms, _ = self.limits
        return bool(q.count_missing(self._state, self.n_entities, clock_ms, rhythms, least_ms)[1])

    def tick(self, clock_ms: int) -> Closed:
        """Advance the partition clock without a record, and find who is missed then."""
        self._reset_out(0)
        self.n_samples += 1
        q.tick(self._state, self.n_entities, clock_ms, self.limits[1:3], self.n_samples - 1, self._out)
        return self._collect(self.n_samples - 1, np.zeros(1, np.int32))

    def call_roll(self) -> None:
        """Expect no entity until it is heard again: records may go to other partitions from now on.

        One that is not heard again has moved, which is no silence.
        """
        self._state.ears[: self.n_entities, q.UNCALLED] = 1

    def flush(self) -> Closed:
        """Close every open cell: the end of a recording, never of a live stream."""
        self._reset_out(0)
        for e in range(self.n_entities):
            k.close_due(self._state, e, 2**61, self.n_samples + e, self._out)
        return self._collect(self.n_samples, np.zeros(max(1, self.n_entities), np.int32))

    def _reset_out(self, n_samples: int) -> None:
        self._state.entity[: self.n_entities, k.WAVE] = 0
        self._state.entity[: self.n_entities, k.RANK_MAX] = -1
        # A cell that closes was open before, or filled in this call: by a sample of it, or by the samples that waited
        # for the rhythm of their series, which one of them teaches. Who falls silent twice has spoken in between.
        n_rows = n_samples + self.n_series + (k.N_LEARN - 1) * min(n_samples, self.n_series)
        n_notices = 2 * n_samples + self.n_entities
        if len(self._out.values) < n_rows or len(self._out.notices) < n_notices:
            self._out = _empty_rows(2 * n_rows, 2 * n_notices)
        self._out.used[:] = 0
        self._out.counts[:] = 0

    def _collect(self, first: int, records: npt.NDArray[np.int32]) -> Closed:
        n_rows, n_notices = (int(n) for n in self._out.used)
        rows, values = self._out.rows[:n_rows], self._out.values[:n_rows]
        rows[:, k.ROW_TRIGGER] = records[rows[:, k.ROW_TRIGGER] - first]
        notices = self._out.notices[:n_notices]
        silences = [
            Silence(int(e), int(what), int(t), int(records[at - first]), int(clock))
            for e, what, t, at, clock in notices
        ]
        return Closed(list(self._waves(rows, values)), silences)

    def _waves(self, rows: Ints, values: Floats) -> Iterator[Wave]:
        order = np.argsort(rows[:, k.ROW_WAVE], kind="stable")
        rows, values = rows[order], values[order]
        series = np.ascontiguousarray(rows[:, k.ROW_SERIES])
        entity = self._state.whole[series, k.ENTITY]
        if not len(rows):
            return
        cuts = np.flatnonzero(np.diff(rows[:, k.ROW_WAVE], prepend=-1, append=2**62))
        time_ms, gap, record = (np.ascontiguousarray(rows[:, c]) for c in (k.ROW_TIME, k.ROW_GAP, k.ROW_TRIGGER))
        waited = rows[:, k.ROW_WAITED] != 0
        # groups begin where the entity changes, and with each wave
        begins = np.diff(entity, prepend=-1) != 0
        begins[cuts[:-1]] = True
        groups = np.append(np.flatnonzero(begins), len(rows))
        first = np.searchsorted(groups, cuts)
        for i, (a, b) in enumerate(pairwise(cuts.tolist())):
            bounds = groups[first[i] : first[i + 1] + 1] - a
            part = slice(a, b)
            yield Wave(
                series[part], entity[part], time_ms[part], gap[part], record[part], waited[part], values[part], bounds
            )


def _account(counts: Counts, fates: Ints, n_samples: int) -> None:
    counts.decoded += n_samples
    counts.on_grid += int(fates[k.ON_GRID])
    counts.replaced += int(fates[k.REPLACED])
    counts.duplicate += int(fates[k.DUPLICATE])
    counts.late += int(fates[k.LATE])
    counts.first_of_counter += int(fates[k.FIRST])
    counts.stale_or_non_finite += int(fates[k.NON_FINITE])
    counts.refused += int(fates[k.REFUSED])
    counts.waiting += int(fates[k.WAITING])


def _empty_state(n_series: int, n_entities: int) -> k.GridState:
    whole = np.zeros((n_series, k.N_SERIES_COLUMNS), np.int64)
    whole[:, [k.CELL, k.CLOSED]] = k.NO_CELL
    whole[:, k.FILLED] = k.NO_CELL - 1
    whole[:, k.RANK_AT] = -1
    entity = np.zeros((n_entities, k.N_ENTITY_COLUMNS), np.int64)
    entity[:, k.DUE] = 2**62
    entity[:, [k.FIRST_SERIES, k.GROUP_AT]] = -1
    clock = np.zeros(q.N_CLOCK_COLUMNS, np.int64)
    clock[q.TOP_ENTITY] = -1
    pending = (n_series, k.N_LEARN)
    return k.GridState(
        np.zeros(n_series, np.uint8),
        whole,
        np.zeros((n_series, k.N_VALUE_COLUMNS)),
        np.zeros(pending, np.int64),
        np.zeros(pending, np.int64),
        np.zeros(pending),
        entity,
        np.zeros((n_entities, q.N_EAR_COLUMNS), np.int64),
        clock,
    )


def _grow(state: k.GridState, n_series: int, n_entities: int) -> k.GridState:
    """Double the room until it fits; what is there keeps its place."""
    had_series, had_entities = len(state.kinds), len(state.entity)
    if n_series <= had_series and n_entities <= had_entities:
        return state
    room = max(had_series, 2 * n_series if n_series > had_series else 0)
    entities = max(had_entities, 2 * n_entities if n_entities > had_entities else 0)
    grown = _empty_state(room, entities)
    for name, old in state._asdict().items():
        getattr(grown, name)[: len(old)] = old
    return grown


def _empty_rows(n_rows: int, n_notices: int) -> k.GridRows:
    return k.GridRows(
        np.zeros((n_rows, k.N_ROW_COLUMNS), np.int64),
        np.zeros(n_rows),
        np.zeros((n_notices, q.N_NOTICE_COLUMNS), np.int64),
        np.zeros(2, np.int64),
        np.zeros(8, np.int64),
    )
