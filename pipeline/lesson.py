"""One group of entities sent down the road of the live job: the rows, windows, scores and incidents to learn from.

A lesson stands on its own, so that other processes or machines can take it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.bundle import Bundle
from models.training import Learned
from pipeline.baselines import FEATURE_NAMES
from pipeline.incident import epoch_ms
from pipeline.recordings import Recording, read_recordings
from pipeline.replay import run_through
from pipeline.sets import WindowSample
from pipeline.simulate.labels import Label
from pipeline.stream import Judged, PartitionStream, Plan
from pipeline.thinning import chosen

__all__ = ["Lesson", "Part", "walk"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Part:
    """What of recordings counts.

    Parameters
    ----------
    entities
        Pattern of the entities wanted.
    excluded
        Stretches that nothing is learned from: they become gaps.
    since_ns, until_ns
        First time wanted, and the first that is not, ns since 1970.
    """

    entities: str = "*"
    excluded: tuple[Label, ...] = ()
    since_ns: int = -(2**63)
    until_ns: int = 2**63 - 1

    def times(self, times: Ints) -> Ints:
        """Those of some times (ns) that are wanted."""
        return times[(times >= self.since_ns) & (times < self.until_ns)]

    def of(self, recordings: Sequence[Recording]) -> list[Recording]:
        """What counts of recordings; who has no row left is not among them."""
        wanted = [self._between(one) for one in recordings if fnmatchcase(one.entity, self.entities)]
        return [one for one in wanted if len(one)]

    def without_excluded(self, one: Recording) -> Recording:
        """The recording with gaps where nothing is to be learned."""
        mine = [label for label in self.excluded if label.entity == one.entity]
        if not mine:
            return one
        times_ms, values = one.times // 1_000_000, one.values.copy()
        for label in mine:
            values[(times_ms >= label.start_ms) & (times_ms < label.end_ms)] = np.nan
        return replace(one, values=values)

    def _between(self, one: Recording) -> Recording:
        rows = slice(*np.searchsorted(one.times, [self.since_ns, self.until_ns]))
        label = None if one.label is None else one.label[rows]
        return replace(one, times=one.times[rows], values=one.values[rows], label=label)


@dataclass(frozen=True, slots=True)
class Lesson:
    """A group of entities, and what of it is kept.

    ``cut_ms`` divides what is learned from what is held back, the rows since ``day_ms`` tell drift later; the shares
    are of feature rows and of windows.
    """

    sources: tuple[Path | Recording, ...]
    part: Part
    plan: Plan
    bundle: Bundle | None
    cut_ms: int
    day_ms: int
    sample_share: float
    window_share: float


def walk(lesson: Lesson) -> Learned:
    """Send a group down the road; keep rows of before the cut, scores and incidents of after it, and the state."""
    recordings = lesson.part.of(_read(lesson.sources))
    if not recordings:
        return Learned()
    _compiled()
    began = time.process_time()
    learned = Learned(digests={one.entity: _digest(one) for one in recordings})
    learned.n_samples = sum(int(np.isfinite(one.values).sum()) for one in recordings)
    recordings = [lesson.part.without_excluded(one) for one in recordings]
    stream = PartitionStream(lesson.plan, "training", 0, lesson.bundle)
    windows = WindowSample(stream.catalog, lesson.window_share)
    watcher = _Watcher(lesson.cut_ms, lesson.day_ms, lesson.sample_share, windows, stream)
    stream.observer = watcher.see
    for result in run_through(stream, recordings, None):
        learned.events += [event.data for event in result.incidents if epoch_ms(event.data.started_at) >= lesson.cut_ms]
    watcher.lay_down(learned, stream.catalog.entities)
    state = stream.learned("", "")
    learned.series, learned.entities = state.series, state.entities
    learned.classes = dict(stream.catalog.entities)
    learned.cpu_seconds = time.process_time() - began
    return learned


@cache
def _compiled() -> None:
    """Load the kernels of the road, once a process: that is no model's cost."""
    minutes = np.arange(60)
    made_up = Recording("a", ["disk.utilization", "load"], 60_000_000_000 * minutes, np.sin(minutes[:, None] + [0, 1]))
    for _ in run_through(PartitionStream(Plan(), "warm-up", 0), [made_up], None):
        continue


@dataclass(slots=True)
class _Watcher:
    """Keeps shares of feature rows and windows before the cut, of rows of the last day, and every later score."""

    cut_ms: int
    day_ms: int
    share: float
    windows: WindowSample
    stream: PartitionStream
    rows: list[Floats] = field(default_factory=list)
    later: list[Floats] = field(default_factory=list)
    whose: list[Ints] = field(default_factory=list)
    groups: list[Ints] = field(default_factory=list)
    scores: list[Floats] = field(default_factory=list)

    def see(self, judged: Judged) -> None:
        """Take one wave."""
        wave, scored = judged.wave, judged.scored
        first = wave.bounds[:-1]
        warm = np.repeat(~scored.warming, np.diff(wave.bounds))
        kept = chosen(wave.time_ms, self.share) & warm
        before = kept & (wave.time_ms < self.cut_ms)
        if before.any():
            self.rows.append(judged.features[before])
        after = kept & (wave.time_ms >= self.day_ms)
        if after.any():
            self.later.append(judged.features[after])
            self.whose.append(wave.entity[after])
        step_ms, times = self.stream.grid.view.links[2], wave.time_ms[first]
        self.windows.see(wave, judged.features, step_ms, scored.told & (times < self.cut_ms))
        held = scored.told & (wave.time_ms[first] >= self.cut_ms)
        if held.any():
            self.groups.append(np.column_stack([wave.entity[first][held], wave.time_ms[first][held]]))
            self.scores.append(np.column_stack([scored.score[held], scored.threshold[held]]))

    def lay_down(self, learned: Learned, entities: Sequence[tuple[str, str]]) -> None:
        """Put what was kept into arrays, the scores by entity in order of time."""
        learned.windows = self.windows.by_entity()
        learned.rows = np.concatenate(self.rows) if self.rows else np.zeros((0, len(FEATURE_NAMES)))
        if self.later:
            kinds = np.array([kind for _, kind in entities])[np.concatenate(self.whose)]
            later = np.concatenate(self.later)
            learned.later = {str(kind): later[kinds == kind] for kind in np.unique(kinds)}
        if not self.groups:
            return
        groups, scores = np.concatenate(self.groups), np.concatenate(self.scores)
        order = np.lexsort((groups[:, 1], groups[:, 0]))
        groups, scores = groups[order], scores[order]
        cuts = np.flatnonzero(np.diff(groups[:, 0], prepend=-1, append=-1))
        for a, b in pairwise(cuts):
            part = slice(a, b)
            learned.held[entities[groups[a, 0]][0]] = (groups[part, 1].copy(), *scores[part].T.copy())


def _read(sources: Sequence[Path | Recording]) -> list[Recording]:
    in_memory = [one for one in sources if isinstance(one, Recording)]
    return in_memory + read_recordings([one for one in sources if isinstance(one, Path)])


def _digest(one: Recording) -> str:
    digest = hashlib.sha256("\x1f".join([one.entity, *one.metrics]).encode())
    digest.update(one.times.tobytes())
    digest.update(one.values.tobytes())
    return digest.hexdigest()
