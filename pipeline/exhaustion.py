"""Which metrics fill up, and when they will be full: the track that looks ahead."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.events import SeriesIdentity
from pipeline.grid import Wave
from pipeline.image import Table
from pipeline.kernels import filling as k
from pipeline.names import remembered
from pipeline.room import roomy
from pipeline.rules import Rule

__all__ = ["Bound", "Exhaustion", "Outlook", "bound_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# words that name something that can run out; and words that say that the share is of time or of work, not of room
ROOM = re.compile(
    r"(^|[^a-z])(disk|filesystem|fs|df|volume|storage|mem|memory|swap|heap|inodes?|connections?|pool|quota"
    r"|descriptors?|fds?|tablespace)([^a-z]|$)"
)
NONE = -1
WORK = re.compile(r"(^|[^a-z])(io|await|busy|time|util|operations?|ops|faults?|errors?)([^a-z]|$)")
LEFT = re.compile(r"(^|[^a-z])(free|available|avail|idle|left|remaining)([^a-z]|$)")
LARGEST = {"%": 100.0, "percent": 100.0, "ratio": 1.0}
# last words of a metric that counts what is used, and of its sibling that says how much there is
USED = ("used", "usage", "in_use", "active", "open", "current")
WHOLE = ("total", "limit", "max", "capacity", "size", "quota")
LAST_WORD = re.compile(rf"^(.*[^a-z])({'|'.join((*USED, *WHOLE))})$")


class Bound(NamedTuple):
    """Where a metric ends: at ``limit``; ``left`` says that it counts what is left of it."""

    limit: float
    left: bool


UNKNOWN = Bound(np.nan, False)  # until values of its sibling have told it


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a finished block says of one series.

    Times are ms since 1970; ``full_ms`` is 0 where it is not filling or where that is uncertain. ``used`` is in the
    unit of the metric; ``left`` says that the metric counts what is left. ``ripe`` says that the growth was watched
    long enough to be told.
    """

    series: int
    time_ms: int
    used: float
    limit: float
    full_ms: int
    earliest_ms: int
    latest_ms: int
    ripe: bool
    left: bool


class Exhaustion:
    """The bounded series of one partition; each of them has a row of its own, all others have none.

    Parameters
    ----------
    horizon_ms
        What is full later than this is not told; 0: the track is off.
    """

    def __init__(self, horizon_ms: int) -> None:
        self.horizon_ms = horizon_ms
        self.n_series = self.n_bounded = 0
        # pairs by (entity, stem of the name, labels): [the series that is used, the series that is the whole]
        self._pairs: dict[tuple[str, str, tuple[tuple[str, str], ...]], list[int]] = {}
        # by series, from 1 (0: none): its own row, and of a whole the series that is used of it
        self._row_of, self._used_of = np.zeros(64, np.int32), np.zeros(64, np.int32)
        # by row
        self._series, self._limits, self._left = np.zeros((8, 1), np.int32), np.zeros(8), np.zeros(8, bool)
        self._state = np.zeros((8, k.N_STATE))

    def tables(self) -> dict[str, Table]:
        """The arrays that make up the state."""
        settling = {"limits": self._limits, "left": self._left, "filling": self._state}
        series = Table("bounded", self._series, links=(0,), settles=False)
        return {"series": series, **{name: Table("bounded", array) for name, array in settling.items()}}

    @property
    def bounded(self) -> npt.NDArray[np.int32]:
        """The series that have rows, by row, shape (n_bounded,)."""
        return self._series[: self.n_bounded, 0]

    def rows_of(self, series: Ints) -> Ints:
        """Rows of some series, shape (n_series,); -1 for those that are not bounded."""
        rows: Ints = self._row_of[series].astype(np.int64) - 1
        return rows

    def adopt_series(self, identities: Sequence[SeriesIdentity], rules: Sequence[Rule | None]) -> None:
        """Make room for new series, and find where each ends: by its rule, by name and unit, or by its sibling."""
        n = self.n_series + len(identities)
        self._row_of, self._used_of = roomy(self._row_of, n), roomy(self._used_of, n)
        for s, (identity, rule) in enumerate(zip(identities, rules, strict=True), start=self.n_series):
            bound = bound_of(identity, rule)
            if bound is not None:
                self._bind(s, bound)
            elif rule is None or not rule.ignore:
                self._pair(s, identity)
        self.n_series = n

    def bind_again(self, series: Ints) -> None:
        """Give rows to just these series, in their order, as they had them when they were kept."""
        self._row_of[:] = self.n_bounded = 0
        for s in series.tolist():
            self._bind(s, UNKNOWN)

    def _bind(self, s: int, bound: Bound) -> None:
        """Let a series have a row, if it has none yet, and a limit."""
        row = int(self._row_of[s]) - 1
        if row == NONE:
            row, n = self.n_bounded, self.n_bounded + 1
            self._series, self._state = roomy(self._series, n), roomy(self._state, n)
            self._limits, self._left = roomy(self._limits, n), roomy(self._left, n)
            k.begin(self._state[row:n])
            self._row_of[s], self._series[row], self.n_bounded = n, s, n
        self._limits[row], self._left[row] = bound

    def _pair(self, s: int, identity: SeriesIdentity) -> None:
        """Remember half of a pair such as disk.used and disk.total, and join it when the other half is known."""
        half = _half(identity.metric.lower())
        if half is None:
            return
        pair = self._pairs.setdefault((identity.entity, half[0], identity.labels), [NONE, NONE])
        pair[int(half[1] in WHOLE)] = s
        if NONE not in pair:
            self._used_of[pair[1]] = pair[0] + 1
            self._bind(pair[0], UNKNOWN)

    def _learn_limits(self, wave: Wave) -> None:
        told = np.flatnonzero((self._used_of[wave.series] > 0) & (wave.value > 0.0))
        if len(told):
            rows = self.rows_of(self._used_of[wave.series[told]].astype(np.int64) - 1)
            self._limits[rows[rows != NONE]] = wave.value[told[rows != NONE]]

    def observe(self, wave: Wave, followed: Collection[int]) -> list[tuple[int, Outlook]]:
        """Take a wave's cells; tell of the blocks that they finish, of series that fill and of those followed.

        Parameters
        ----------
        wave
            Closed cells.
        followed
            Series of open incidents: of these every block is told.

        Returns
        -------
        list of (int, Outlook)
            Row of the wave whose sample finished the block, and what the block says.
        """
        if not self.horizon_ms or not self.n_bounded:
            return []
        self._learn_limits(wave)
        rows = self.rows_of(wave.series)
        mine = np.flatnonzero((rows != NONE) & ~np.isnan(self._limits[rows]))
        if not len(mine):
            return []
        rows, times, used = rows[mine], wave.time_ms[mine], wave.value[mine]
        used = np.where(self._left[rows], self._limits[rows] - used, used)
        self._unbind(rows, used)
        out = np.empty((len(mine), k.N_OUT))
        n = k.observe((rows, times, used), self._limits, self._state, out)
        at = mine[out[:n, k.ROW].astype(np.int64)].tolist()
        finished = zip(at, out[:n], strict=True)
        return [
            (i, self._outlook(i, wave, row)) for i, row in finished if row[k.RIPE] or int(wave.series[i]) in followed
        ]

    def _unbind(self, rows: Ints, used: Floats) -> None:
        """Give up limits that values show to be wrong: a ratio in percent gets 100, a share of cores none."""
        over = used > 1.001 * self._limits[rows]
        for row, value in zip(rows[over], used[over], strict=True):
            ratio_in_percent = self._limits[row] == 1.0 and value <= 100.0 and not self._left[row]
            self._limits[row] = 100.0 if ratio_in_percent else np.nan

    def _outlook(self, i: int, wave: Wave, row: Floats) -> Outlook:
        s = int(wave.series[i])
        now = int(wave.time_ms[i])
        told = np.isfinite(row[k.LATEST_HOURS])
        full, earliest, latest = (
            now + round(float(row[column]) * 3.6e6) if told else 0
            for column in (k.FULL_HOURS, k.EARLIEST_HOURS, k.LATEST_HOURS)
        )
        own = self._row_of[s] - 1
        limit, left, used = float(self._limits[own]), bool(self._left[own]), float(row[k.USED])
        ripe = bool(row[k.RIPE]) and full - now <= self.horizon_ms
        return Outlook(s, now, limit - used if left else used, limit, full, earliest, latest, ripe, left)


def bound_of(identity: SeriesIdentity, rule: Rule | None = None) -> Bound | None:
    """Where a metric ends, or None: as its rule says, else shares of room at 100 % or at 1, other things nowhere."""
    if rule is not None and rule.ignore:
        return None
    if rule is not None and rule.limit is not None:
        return Bound(rule.limit, bool(LEFT.search(identity.metric.lower())))
    return _by_name(identity.metric.lower(), identity.unit)


@remembered
def _by_name(name: str, unit: str) -> Bound | None:
    if not ROOM.search(name) or WORK.search(name):
        return None
    largest = LARGEST.get(unit) or (1.0 if "utilization" in name or "ratio" in name else None)
    if largest is None and ("percent" in name or "pct" in name):
        largest = 100.0
    return None if largest is None else Bound(largest, bool(LEFT.search(name)))


@remembered
def _half(name: str) -> tuple[str, str] | None:
    """Stem and last word of a metric that may be half of a pair such as disk.used and disk.total."""
    last = LAST_WORD.match(name)
    return None if last is None or not ROOM.search(name) or WORK.search(name) else (last[1], last[2])
