"""How many samples of an entity came late, by event time: what the data quality of its incidents tells.

A sample counts whether it could still be taken back or not. An incident counts those of its own time that came with
records before the one at which it is told; what it tells does not depend on how records were polled.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

__all__ = ["Late", "Lateness"]

MOST_TIMES = 64  # of an entity; of a longer stretch of late samples the newest times count

Late = dict[int, int]  # number of samples by event time in ms


class Lateness:
    """The late samples of one partition.

    Attributes
    ----------
    known
        By entity, of all records before those that are being judged.
    """

    def __init__(self) -> None:
        self.known: dict[int, Late] = {}
        self._now: dict[int, list[tuple[int, int]]] = {}

    def hear(self, late: npt.NDArray[np.int64]) -> None:
        """Take late samples of the records that are being judged: rows of (entity, event time in ms, record)."""
        for entity, time_ms, record in late.tolist():
            self._now.setdefault(entity, []).append((time_ms, record))

    def count(self, entity: int, since_ms: int, until_ms: int, record: int) -> int:
        """How many samples of [``since_ms``, ``until_ms``] came late with records before ``record``."""
        if entity not in self.known and entity not in self._now:
            return 0
        late = self._with(entity, (time_ms for time_ms, at in self._now.get(entity, []) if at < record))
        return sum(n for time_ms, n in late.items() if since_ms <= time_ms <= until_ms)

    def settle(self) -> None:
        """Note that the records have been judged."""
        for entity, late in self._now.items():
            self.known[entity] = self._with(entity, (time_ms for time_ms, _ in late))
        self._now.clear()

    def _with(self, entity: int, times_ms: Iterable[int]) -> Late:
        late = dict(self.known.get(entity, {}))
        for time_ms in times_ms:
            late[time_ms] = late.get(time_ms, 0) + 1
        return {time_ms: late[time_ms] for time_ms in sorted(late)[-MOST_TIMES:]}
