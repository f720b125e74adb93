"""Feeding telemetry to a topic at a pace: record time is now, and event time never passes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pipeline.kafka.writer import Writer

__all__ = ["Fed", "Pace", "feed"]

TELL_SECONDS = 0.2
LONGEST_NAP_SECONDS = 0.5


@dataclass(slots=True)
class Pace:
    """When a record is due.

    Parameters
    ----------
    speed
        Event time over real time: 1 as it happened, 60 an hour a minute; None: at once. A record is never due before
        its own event time.
    now, nap
        The clock (seconds since 1970) and how to wait (seconds); tests drive them by hand.
    """

    speed: float | None = None
    now: Callable[[], float] = time.time
    nap: Callable[[float], None] = time.sleep
    _first: tuple[float, float] | None = field(default=None, init=False)

    def wait(self, event_ms: int, wanted: Callable[[], bool] = lambda: True) -> None:
        """Wait until a record of this event time is due, or is no longer ``wanted``."""
        event = event_ms / 1000
        if self._first is None:
            self._first = self.now(), event
        began, first = self._first
        due = event if self.speed is None else max(event, began + (event - first) / self.speed)
        while wanted():
            ahead = due - self.now()
            if ahead <= 0:
                return
            self.nap(min(ahead, LONGEST_NAP_SECONDS))


@dataclass(slots=True)
class Fed:
    """How far it came: records handed to Kafka, and the event time in ms of the last one (0: none)."""

    n_records: int = 0
    event_ms: int = 0
    stopped: bool = False

    def stop(self) -> None:
        """End before the next record; safe in a signal handler and from another thread."""
        self.stopped = True


def feed(
    records: Iterable[tuple[int, bytes | None, bytes | None]],
    writer: Writer,
    topic: str,
    pace: Pace,
    fed: Fed,
    on_progress: Callable[[Fed], None] = lambda fed: None,
) -> None:
    """Send records, each (event time in ms, key, value), until there are no more or ``fed`` is stopped.

    Parameters
    ----------
    records
        In the order in which they are sent.
    writer, topic
        Where to; everything handed over is in Kafka when this returns.
    pace
        When each is due.
    fed
        Kept up to date.
    on_progress
        Called a few times a second.

    Raises
    ------
    BrokerUnreachable, PermissionDenied, BrokerError
        A record did not arrive.
    """
    told = pace.now()
    for event_ms, key, value in records:
        pace.wait(event_ms, lambda: not fed.stopped)
        if fed.stopped:
            break
        writer.write(topic, value, key)
        fed.n_records, fed.event_ms = fed.n_records + 1, event_ms
        if pace.now() - told >= TELL_SECONDS:
            told = pace.now()
            on_progress(fed)
    writer.flush()
    on_progress(fed)
