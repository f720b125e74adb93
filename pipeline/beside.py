"""What a job watches beside its verdicts: a challenger on trial, and how far features moved from training.

Nothing here decides or is published as a verdict. It is shown what streams judged, counts, and what it counted counts
once the work is committed. Whatever fails in it ends the watching, never the job.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from models.bundle import Bundle
from models.trial import Trial
from pipeline.drifting import Drift, Drifting, DriftWindow, Reference
from pipeline.errors import WatchFailed
from pipeline.judging import Judged
from pipeline.kafka.source import Partition
from pipeline.shadow import Shadow
from pipeline.stream import PartitionStream
from pipeline.work import Work

__all__ = ["Beside"]

log = logging.getLogger(__name__)
Done = TypeVar("Done")


class _Onlooker(Protocol):
    def see(self, judged: Judged) -> None: ...


class _Watch:
    """Shows what one stream judged to a shadow and a drift count, until one of them fails."""

    def __init__(self, stream: PartitionStream, challenger: Bundle | None, reference: Reference | None) -> None:
        self.of = (stream, stream.bundle, stream.plan, challenger)
        self.failure: WatchFailed | None = None
        self.shadow = None if challenger is None else Shadow(stream, challenger)
        self.drifting = None if reference is None else Drifting(stream, reference)
        self.onlookers: list[_Onlooker] = [one for one in (self.shadow, self.drifting) if one is not None]

    def see(self, judged: Judged) -> None:
        """Take one wave."""
        if self.failure is not None:
            return
        try:
            for one in self.onlookers:
                _tried(lambda one=one: one.see(judged))  # type: ignore[misc]
        except WatchFailed as failure:
            self.failure = failure


class Beside:
    """All that is watched beside the verdicts of one process.

    Parameters
    ----------
    window_ms
        Event time after which drift is told; 0: it is not watched.

    Attributes
    ----------
    trials
        What challengers did beside champions, by pair of versions, since the process began.
    drift
        What the last window said of each entity class.
    n_failures
        How often watching ended in trouble.
    """

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self._challenger: Bundle | None = None
        self._broken: Bundle | None = None
        self._watches: dict[Partition, _Watch] = {}
        self._window: DriftWindow | None = None
        self._moved: tuple[str, ...] = ()
        self.trials: dict[tuple[str, str], Trial] = {}
        self.drift: list[Drift] = []
        self.n_failures = 0

    def try_out(self, challenger: Bundle | None) -> None:
        """Let a bundle run beside the one that serves, or none any more; may be called from any thread."""
        self._challenger = challenger

    def follow(self, works: Mapping[Partition, Work]) -> None:
        """Watch the streams at work, each from where it stands; call it when all that was stepped is committed."""
        for place in set(self._watches) - set(works):
            del self._watches[place]
        try:
            for place, work in works.items():
                self._follow(place, work.stream)
        except WatchFailed as failure:
            self._end(failure)

    def _follow(self, place: Partition, stream: PartitionStream) -> None:
        challenger = self._challenger if self._challenger is not self._broken else None
        watch = self._watches.get(place)
        if watch is not None and watch.failure is not None:
            raise watch.failure
        now = (stream, stream.bundle, stream.plan, challenger)
        if watch is None or any(a is not b for a, b in zip(watch.of, now, strict=True)):
            _tried(lambda: self._begin(place, stream, challenger))

    def settle(self) -> list[str]:
        """Let what was counted count, for it is committed now; returns what is to be told of drift."""
        try:
            return _tried(self._settle)
        except WatchFailed as failure:
            self._end(failure)
            return []

    def _settle(self) -> list[str]:
        told: list[str] = []
        for watch in self._watches.values():
            if watch.shadow is not None:
                trial = watch.shadow.taken()
                pair = (trial.champion, trial.challenger)
                self.trials.setdefault(pair, Trial(*pair)).add(trial)
            if watch.drifting is not None and self._window is not None:
                told += self._moved_anew(self._window.add(watch.drifting.taken()))
        return told

    def _begin(self, place: Partition, stream: PartitionStream, challenger: Bundle | None) -> None:
        watch = self._watches[place] = _Watch(stream, challenger, self._reference(stream.bundle))
        stream.observer = watch.see if watch.onlookers else None

    def _reference(self, bundle: Bundle | None) -> Reference | None:
        """Bins of the training of the bundle that serves; counts of another bundle's window are dropped."""
        if bundle is None or not self._window_ms or not bundle.card.score_edges:
            return None
        if self._window is None or self._window.reference.version != bundle.version:
            self._window = DriftWindow(Reference(bundle), self._window_ms)
        return self._window.reference

    def _moved_anew(self, found: list[Drift]) -> list[str]:
        """What to say when other classes moved than were told of before."""
        if not found:
            return []
        self.drift = found
        moved = tuple(one.entity_class for one in found if one.has_moved)
        if moved == self._moved:
            return []
        self._moved = moved
        return ["; ".join(one.in_words() for one in found if one.has_moved or not moved)]

    def _end(self, failure: WatchFailed) -> None:
        log.error("nothing is watched beside the verdicts of this model any more: %s", failure, exc_info=failure)
        self.n_failures += 1
        self._broken, self._window_ms, self._window = self._challenger, 0, None
        for watch in self._watches.values():
            watch.of[0].observer = None
        self._watches.clear()


def _tried(work: Callable[[], Done]) -> Done:
    try:
        return work()
    except Exception as failure:  # whatever it was, the job must not stop for what it only watches
        raise WatchFailed(f"{type(failure).__name__}: {failure}") from failure
