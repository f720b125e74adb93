"""What a stream judged, wave after wave, as one table an entity."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.recordings import Recording
from pipeline.stream import Judged, PartitionStream

__all__ = ["Verdicts"]

ROWS_AT_ONCE = 1_000_000
CONTRIBUTION_DIGITS = 6
NOWHERE = -1

Ints = npt.NDArray[np.int64]


class Verdicts:
    """Gathers waves and lays them down many at a time: a wave of one entity is small, numpy slow on small things.

    All rows of all recordings stand one after the other in flat arrays, and so do all cells of their contributions.

    Parameters
    ----------
    stream
        Whose ``observer`` is :meth:`see`.
    recordings
        What goes through the stream.
    ids
        Series ids of each recording's metrics, -1 where one was refused.
    """

    def __init__(self, stream: PartitionStream, recordings: Sequence[Recording], ids: Sequence[npt.NDArray[np.int32]]):
        self._stream, self._recordings = stream, recordings
        self._first_row = np.cumsum([0, *(len(one) for one in recordings)])
        self._first_cell = np.cumsum([0, *(one.values.size for one in recordings)])
        self._which = np.full(stream.catalog.n_entities, NOWHERE)
        self._column = np.zeros(stream.catalog.n_series, np.int64)
        for k, series in enumerate(ids):
            known = series[series >= 0]
            self._which[[stream.catalog.entity_of[s] for s in known]] = k
            self._column[known] = np.flatnonzero(series >= 0)
        self._score, self._threshold = (np.full(self._first_row[-1], np.nan) for _ in range(2))
        self._open = np.zeros(self._first_row[-1], bool)
        self._blame = np.zeros(self._first_cell[-1])
        self._waiting: list[Judged] = []
        self._n_waiting = 0

    def see(self, judged: Judged) -> None:
        """Take one wave."""
        self._waiting.append(judged)
        self._n_waiting += len(judged.wave.series)
        if self._n_waiting > ROWS_AT_ONCE:
            self._lay_down()

    def tables(self) -> dict[str, pd.DataFrame]:
        """One frame an entity; where a cell holds several rows its verdict stands at the last of them."""
        self._lay_down()
        tables = {}
        for k, one in enumerate(self._recordings):
            rows = slice(self._first_row[k], self._first_row[k + 1])
            score, threshold = self._score[rows], self._threshold[rows]
            blame = self._blame[self._first_cell[k] : self._first_cell[k + 1]].reshape(one.values.shape)
            verdict = {
                "timestamp": pd.to_datetime(one.times, utc=True),
                "score": score,
                "threshold": threshold,
                "over_threshold": score >= threshold,
                "anomaly": self._open[rows],
            }
            shares = dict(zip((f"contribution.{m}" for m in one.metrics), blame.T, strict=True))
            tables[one.entity] = pd.DataFrame(verdict | shares)
        return tables

    def _lay_down(self) -> None:
        if not self._waiting:
            return
        waves, scored = [one.wave for one in self._waiting], [one.scored for one in self._waiting]
        first = [wave.bounds[:-1] for wave in waves]
        sizes = np.concatenate([np.diff(wave.bounds) for wave in waves])
        entity = np.concatenate([wave.entity[at] for wave, at in zip(waves, first, strict=True)])
        times = [np.maximum.reduceat(wave.time_ms, at) for wave, at in zip(waves, first, strict=True)]
        row = self._rows(entity, np.concatenate(times))
        told = (row != NOWHERE) & np.concatenate([one.told for one in scored])
        at = self._first_row[self._which[entity]] + row
        self._score[at[told]] = np.concatenate([one.score for one in scored])[told]
        self._threshold[at[told]] = np.concatenate([one.threshold for one in scored])[told]
        self._open[at[told]] = np.concatenate([one.is_open for one in self._waiting])[told]
        self._lay_down_blame(entity, row, np.repeat(np.arange(len(row)), sizes), told)
        self._waiting, self._n_waiting = [], 0

    def _lay_down_blame(self, entity: Ints, row: Ints, group: Ints, told: npt.NDArray[np.bool_]) -> None:
        series = np.concatenate([one.wave.series for one in self._waiting])
        blame = np.concatenate([one.scored.contribution for one in self._waiting]).round(CONTRIBUTION_DIGITS)
        which = self._which[entity[group]]
        widths = np.array([len(one.metrics) for one in self._recordings])
        cell = self._first_cell[which] + row[group] * widths[which] + self._column[series]
        self._blame[cell[told[group]]] = blame[told[group]]

    def _rows(self, entity: Ints, times: Ints) -> Ints:
        """The last row of each group's cell in its recording, -1 where there is none."""
        order = np.argsort(entity, kind="stable")
        cuts = np.flatnonzero(np.diff(entity[order], prepend=NOWHERE, append=NOWHERE))
        row = np.full(len(entity), NOWHERE)
        for a, b in pairwise(cuts):
            groups = order[a:b]
            e = entity[groups[0]]
            half_step = self._stream.grid.view.rhythm_ms[e] // 2
            recorded = self._recordings[self._which[e]].times // 1_000_000
            row[groups] = np.searchsorted(recorded, times[groups] + half_step, "left") - 1
        return row
