"""Recorded history of a fleet, gone through in groups of entities: what training learns from, models are held against.

Entities do not know of each other, so a group is as good as the whole: memory stays that of one group, and groups can
be worked on by other processes or machines with the same result. A group goes down the road of the live job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.bundle import Bundle
from models.evaluate import Span
from models.gate import Outcome
from models.training import Learned
from pipeline.baselines import FEATURE_NAMES
from pipeline.errors import InputError
from pipeline.incident import Incident, epoch_ms
from pipeline.kernels import energy as k
from pipeline.lesson import Lesson, Part, walk
from pipeline.lifecycle import Evidence, Incidents
from pipeline.recordings import Recording
from pipeline.replay import NO_SCORES
from pipeline.spread import Here, Spread
from pipeline.stream import Plan

__all__ = ["History", "newest_ns"]

# a group ends with whichever it reaches first: larger ones cost less a value, and memory
ENTITIES_A_GROUP, VALUES_A_GROUP = 100, 20_000_000
EVERYTHING = Part()
# entities that stand for the fleet where rows alone are wanted, and how many rows and windows
SCOUTS, ROWS_WANTED, WINDOWS_WANTED = 64, 200_000, 60_000
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]
WEEK_MS, DAY_MS = 604_800_000, 86_400_000


class History:
    """Recordings of a fleet, with the time that divides what is learned from what is held back.

    Parameters
    ----------
    sources
        Tables on disk, or recordings in memory.
    plan
        The same that the job runs under.
    part
        What of the recordings counts.
    held_share
        Last part of the time range, kept for threshold and evaluation; never shuffled.
    spread
        Who works on the groups.
    on_progress
        Called with (groups done, groups in all).
    """

    feature_names: tuple[str, ...] = FEATURE_NAMES

    def __init__(
        self,
        sources: Iterable[Path | Recording],
        plan: Plan,
        part: Part = EVERYTHING,
        held_share: float = 0.2,
        spread: Spread | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        self.plan = replace(plan, **NO_SCORES)  # type: ignore[arg-type]
        self._sources, self._part = list(sources), part
        self._sizes: list[int] = []
        self.first_ms, self.end_ms, self.n_rows = self._scan()
        self.n_values = sum(self._sizes)
        self._spread, self._on_progress = spread or Here(self.n_values), on_progress
        self.cut_ms = round(self.end_ms - held_share * (self.end_ms - self.first_ms))
        # levels have hours: what drift is measured against is a whole day where there are two
        self._day_ms = min(self.cut_ms, max(self.end_ms - DAY_MS, (self.first_ms + self.end_ms) // 2))
        self.budget_per_week = plan.budget_per_week

    def learn(self, bundle: Bundle | None = None) -> Learned:
        """Go through all of it with a bundle in force, None: a cold start; one pass.

        Raises
        ------
        InputError
            A table cannot be read, or nothing is left of the entities wanted.
        """
        return self._go(bundle, self.cut_ms, (self._share(ROWS_WANTED, self.n_values), 0.0))

    def scout(self, with_windows: bool = False) -> Learned:
        """Go through some entities that stand for all, evenly spaced in order of the sources, for rows to fit on.

        Raises
        ------
        InputError
            As in :meth:`learn`.
        """
        n = min(SCOUTS, len(self._sources))
        spaced = [i * len(self._sources) // n for i in range(n)]
        part = n / len(self._sources)
        windows = self._share(WINDOWS_WANTED, self.n_rows * part) if with_windows else 0.0
        shares = (self._share(ROWS_WANTED, self.n_values * part), windows)
        return self._go(None, self.cut_ms, shares, spaced)

    @staticmethod
    def _share(wanted: int, there: float) -> float:
        return min(1.0, wanted / max(1.0, there))

    def _go(
        self,
        bundle: Bundle | None,
        cut_ms: int,
        shares: tuple[float, float],
        sources: Sequence[int] = (),
    ) -> Learned:
        """One pass over some sources, or all; rows and windows are sampled before the cut, scores kept after it."""
        lessons = [
            Lesson(tuple(group), self._part, self.plan, bundle, cut_ms, self._day_ms, *shares)
            for group in self._groups(sources or range(len(self._sources)))
        ]
        whole = Learned()
        for done, learned in enumerate(self._spread.map(walk, lessons), start=1):
            whole.add(learned)
            if self._on_progress is not None:
                self._on_progress(done, len(lessons))
        if not whole.series:
            raise InputError(f"nothing is left to learn from: no entity matches {self._part.entities!r}")
        return whole

    def judge(self, bundle: Bundle | None) -> Outcome:
        """Send a model over all of it and tell what an operator would have seen; None: the untrained baselines."""
        learned = self._go(bundle, self.first_ms, (0.0, 0.0))
        scores = [held[1] for held in learned.held.values()]
        weeks = max(1, len(learned.entities)) * (self.end_ms - self.first_ms) / WEEK_MS
        whole = np.concatenate(scores) if scores else np.zeros(0)
        return Outcome(_spans(learned.events, self.end_ms), whole, learned.cpu_seconds, weeks)

    def common(self, rows: Floats) -> Floats:
        """The median calibration of entities, as of one that has not seen a step: it has a tail, and earns its own."""
        pooled: Floats = np.median(rows, axis=0)
        pooled[[k.UNREST, k.N_STEPS]] = 0.0
        pooled[k.VISIT :] = 0.0
        return pooled

    def opened(self, learned: Learned, shift: float) -> int:
        """Incidents that the held-back scores would have opened, were the threshold so many decades higher.

        The same life cycle as the job's decides; what adaptation would have done otherwise during an incident, does
        not come in.
        """
        return sum(self._opened_by(*held, shift) for held in learned.held.values())

    def _opened_by(self, times: Ints, scores: Floats, thresholds: Floats, shift: float) -> int:
        limits = np.clip(thresholds + shift / 12.0, 0.05, 1.0)
        over = np.flatnonzero(scores >= limits)
        incidents, opened, at = Incidents(self.plan.incidents), 0, 0
        cool_down = self.plan.incidents.cool_down_ms
        while at < len(times):
            life = incidents.lives.get((0, "behaviour"))
            if life is None or (life.status == "resolved" and times[at] - life.ended_ms > cool_down):
                following = over[np.searchsorted(over, at) :]
                if not len(following):
                    return opened
                at = int(following[0])
            change = incidents.judge(Evidence(0, int(times[at]), float(scores[at]), float(limits[at]), 0), 0)
            opened += change is not None and change.what == "opened"
            at += 1
        return opened

    def _scan(self) -> tuple[int, int, int]:
        """First and last time in ms, and the number of rows, of what can be told without reading values."""
        first, last, n_rows = [], [], 0
        for source in self._sources:
            times, width = _times(source)
            times = self._part.times(times)
            self._sizes.append(len(times) * width)
            if len(times):
                first.append(int(times.min()) // 1_000_000)
                last.append(int(times.max()) // 1_000_000)
                n_rows += len(times)
        if not first:
            raise InputError("there is no row in any of the tables, or none between the times wanted")
        return min(first), max(last) + 1, n_rows

    def _groups(self, sources: Sequence[int]) -> Iterator[list[Path | Recording]]:
        """The sources of those places, in groups of so many entities or values."""
        group: list[Path | Recording] = []
        n_values = 0
        for i in sources:
            if group and (len(group) >= ENTITIES_A_GROUP or n_values + self._sizes[i] > VALUES_A_GROUP):
                yield group
                group, n_values = [], 0
            group.append(self._sources[i])
            n_values += self._sizes[i]
        yield group


def newest_ns(sources: Iterable[Path | Recording]) -> int:
    """The time of the newest row of all, ns since 1970.

    Raises
    ------
    InputError
        A table cannot be read, or there is no row.
    """
    newest = max((int(times.max()) for times, _ in map(_times, sources) if len(times)), default=None)
    if newest is None:
        raise InputError("there is no row in any of the tables")
    return newest


def _times(source: Path | Recording) -> tuple[Ints, int]:
    """Times in ns of a table, and how many values stand in a row."""
    return (source.times, len(source.metrics)) if isinstance(source, Recording) else _times_on_disk(source)


def _times_on_disk(path: Path) -> tuple[Ints, int]:
    import pandas as pd
    import pyarrow.parquet as pq

    from pipeline.recordings import epoch_ns, numeric_columns

    try:
        if path.suffix == ".parquet":
            schema = pq.read_schema(path)
            frame = pd.read_parquet(path, columns=["timestamp"])
            return epoch_ns(frame["timestamp"]), max(
                1, len([n for n in schema.names if n not in ("timestamp", "label")])
            )
        frame = pd.read_csv(path)
        return epoch_ns(frame["timestamp"]), len(numeric_columns(frame))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is not a table with a column timestamp: {error}") from error


def _spans(incidents: Sequence[Incident], end_ms: int) -> list[Span]:
    """Each incident on the behaviour track once: from its start to its end, or to the end of all."""
    last = {one.incident_id: one for one in incidents if one.track == "behaviour"}
    known = {one.incident_id: epoch_ms(one.detected_at) for one in reversed(incidents)}
    ends = {id_: epoch_ms(one.ended_at) if one.ended_at else end_ms for id_, one in last.items()}
    return [Span(one.entity.id, epoch_ms(one.started_at), ends[id_], known[id_]) for id_, one in last.items()]
