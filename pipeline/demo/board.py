"""What the demo knows at a moment: how far it is, how fast, what is open, what was told last."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from pipeline.demo.tally import Sighting, Tally, sightings
from pipeline.incident import CloudEvent
from pipeline.narrative import iso_time
from pipeline.simulate.fleet import Fleet

__all__ = ["Board"]

RATE_SECONDS = 2.0
LATEST = 50
DAY_MS = 86_400_000


@dataclass(slots=True)
class Board:
    """Facts for the view; all of them measured.

    ``n_sent`` and ``n_read`` are records handed to Kafka and records committed by the job; ``clock_ms`` is the event
    time up to which the job has read, ``speed`` event time over real time. What is older than ``window_ms`` of event
    time is forgotten, so that a demo can go on for ever.
    """

    fleet: Fleet
    speed: float
    window_ms: int = 30 * DAY_MS
    phase: str = ""
    n_sent: int = 0
    n_read: int = 0
    clock_ms: int = 0
    tally: Tally = field(default_factory=lambda: Tally([], []))
    seen: list[Sighting] = field(default_factory=list)
    latest: deque[CloudEvent] = field(default_factory=lambda: deque(maxlen=LATEST))
    _events: list[CloudEvent] = field(default_factory=list)
    _readings: deque[tuple[float, int]] = field(default_factory=deque)

    def tell(self, events: list[CloudEvent]) -> None:
        """Take events that have just been read."""
        since = iso_time(self.since_ms)
        self._events = [one for one in (*self._events, *events) if one.data.updated_at >= since]
        self.latest.extend(events)
        if events:
            self.seen = sightings(self._events)

    def read(self, now: float, n_records: int) -> None:
        """Take a reading of the job's progress at a moment in s."""
        self.n_read = n_records
        self._readings.append((now, n_records))
        while len(self._readings) > 2 and self._readings[1][0] < now - RATE_SECONDS:
            self._readings.popleft()

    @property
    def since_ms(self) -> int:
        """Event time before which things are forgotten, ms."""
        return max(0, self.clock_ms - self.window_ms)

    @property
    def lag(self) -> int:
        """Records sent and not yet committed by the job."""
        return max(0, self.n_sent - self.n_read)

    @property
    def samples_per_second(self) -> float:
        """How many samples the job takes in, over the last seconds."""
        if len(self._readings) < 2:
            return 0.0
        (began, before), (now, after) = self._readings[0], self._readings[-1]
        return (after - before) * len(self.fleet.metrics) / max(now - began, 1e-3)

    @property
    def open(self) -> list[Sighting]:
        """Incidents that are open, latest first."""
        found = [one for one in self.seen if one.ended is None]
        return sorted(found, key=lambda one: one.first.detected_at, reverse=True)
