"""The source partitions of a rekeyed topic: one hours behind another must not make its entities look silent."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pipeline.events import SourceClock
from pipeline.kernels.layout import NOWHERE

__all__ = ["NO_CLOCK", "Sources"]

NO_CLOCK = int(NOWHERE)
"""Later than any time: what does not hold up the partition clock."""


class Sources:
    """How far in event time each source has come that said so.

    Attributes
    ----------
    clocks
        By source, in ms since 1970; without those that fell idle, for they hold up nobody.
    """

    def __init__(self) -> None:
        self.clocks: dict[str, int] = {}

    def follow(self, told: Iterable[tuple[int, SourceClock]], n_records: int) -> npt.NDArray[np.int64]:
        """Take what records say of their sources; returns the clock of the slowest source at each record.

        Parameters
        ----------
        told
            (row of the record, clock), in order of the records.
        n_records
            How many records there are.
        """
        least = np.full(n_records, min(self.clocks.values(), default=NO_CLOCK), np.int64)
        for row, (source, time_ms) in told:
            if time_ms > 0:
                self.clocks[source] = max(time_ms, self.clocks.get(source, 0))
            else:
                self.clocks.pop(source, None)
            least[row:] = min(self.clocks.values(), default=NO_CLOCK)
        return least
