"""Who is quiet: a partition without records for long, or the whole input.

This is the one place of the job where time passes by itself. What follows from it is a decision, recorded with its
place, so a replay needs no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

__all__ = ["Idle"]

Place = TypeVar("Place", bound=tuple[str, int])


class Idle(Generic[Place]):
    """Remembers when each partition was last heard.

    Parameters
    ----------
    idle_seconds
        A partition that brought nothing for so long is idle.

    Attributes
    ----------
    input_silent
        Whether no partition of the input brought anything for so long: then the input has stopped, not its entities.
    """

    def __init__(self, idle_seconds: float) -> None:
        self.input_silent = False
        self._seconds = idle_seconds
        self._heard: dict[Place, float] = {}
        self._ends: dict[Place, tuple[int, float]] = {}
        self._looked = 0.0

    def hear(self, places: Iterable[Place], now: float) -> None:
        """Note that partitions brought records or a tick at ``now``, in seconds of a clock that never jumps."""
        for place in places:
            self._heard[place] = now

    def forget(self, places: Iterable[Place]) -> None:
        """Drop partitions that went to somebody else."""
        for place in places:
            self._heard.pop(place, None)

    def is_due(self, now: float) -> bool:
        """Whether it is time for a look: one of ours is quiet, and the last look is a while ago."""
        if now - self._looked < self._seconds / 4:
            return False
        return self.input_silent or any(now - heard >= self._seconds / 2 for heard in self._heard.values())

    def look(self, ends: Mapping[Place, int], now: float) -> dict[Place, int]:
        """Compare the ends of all partitions of the input with those of the last look.

        Returns
        -------
        dict
            Our partitions that are idle while others are not, and for how long, in ms.
        """
        self._looked = now
        for place, end in ends.items():
            before = self._ends.get(place)
            if before is None or before[0] != end:
                self._ends[place] = (end, now)
        moved = max((at for place, (_, at) in self._ends.items() if place in ends), default=now)
        self.input_silent = now - moved >= self._seconds
        if self.input_silent or len(ends) < 2:
            return {}
        quiet = {place: now - heard for place, heard in self._heard.items()}
        return {place: round(1000 * seconds) for place, seconds in quiet.items() if seconds >= self._seconds}
