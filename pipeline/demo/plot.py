"""What the demo plays: a calm history to learn from, then days with faults, told as records in order of time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.codecs.encode import encode_otlp_proto
from pipeline.simulate.faults import Injection
from pipeline.simulate.fleet import Fleet
from pipeline.simulate.records import records_of
from pipeline.simulate.scenario import scenario
from pipeline.simulate.telemetry import stretches

__all__ = ["Plot"]

FORGET_MS = 4 * 86_400_000  # what a deploy left has faded by then


@dataclass(slots=True)
class Plot:
    """A fleet, and when what happens to it.

    Parameters
    ----------
    fleet
        Whose telemetry.
    live_ms
        Event time at which the calm ends, ms.
    n_history, n_live
        Steps before it, and steps of one turn after it; each turn has every fault once.
    """

    fleet: Fleet
    live_ms: int
    n_history: int
    n_live: int
    plan: list[Injection] = field(default_factory=list)
    _sent: list[int] = field(default_factory=list)
    _times: list[int] = field(default_factory=list)
    _n_marked: int = 0

    def history(self) -> Iterator[tuple[int, bytes, bytes]]:
        """The calm before: nothing happens to anybody."""
        first_ms = self.live_ms - self.n_history * self.fleet.step_ms
        for stretch in stretches(self.fleet, [], first_ms, self.n_history):
            yield from self._marked(records_of(stretch, encode_otlp_proto))

    def live(self, for_ever: bool = False) -> Iterator[tuple[int, bytes, bytes]]:
        """One turn, or one after the other."""
        first_ms, turn = self.live_ms, 0
        while turn == 0 or for_ever:
            self.plan += scenario(self.fleet, first_ms, self.n_live, turn=turn)
            recent = [one for one in self.plan if one.end_ms > first_ms - FORGET_MS]
            for stretch in stretches(self.fleet, recent, first_ms, self.n_live):
                yield from self._marked(records_of(stretch, encode_otlp_proto))
            first_ms, turn = first_ms + self.n_live * self.fleet.step_ms, turn + 1

    def time_at(self, n_records: int) -> int:
        """Event time in ms of the last of so many records; 0 for none."""
        at = bisect_right(self._sent, n_records - 1)
        return self._times[at - 1] if at else 0

    def _marked(self, records: Iterator[tuple[int, bytes, bytes]]) -> Iterator[tuple[int, bytes, bytes]]:
        """Remember how many records come before each new time."""
        for record in records:
            if not self._times or record[0] != self._times[-1]:
                self._sent.append(self._n_marked)
                self._times.append(record[0])
            self._n_marked += 1
            yield record
