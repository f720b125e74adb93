"""Subscribing to incidents: ten lines, typed events, committed ones only, resumed where the group left off.

::

    from pipeline import subscribe

    with subscribe("127.0.0.1:9092", group="pager", min_severity="error") as incidents:
        for event in incidents:
            if event.data.status == "open":
                call_somebody(event.data.title)
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any, Self, get_args

import msgspec

from pipeline.errors import InputError, SettingsError
from pipeline.events import Records
from pipeline.incident import CloudEvent, Severity, Track
from pipeline.kafka.follow import Follower
from pipeline.kafka.topics import Topics

__all__ = ["Subscription", "Where", "events_of", "subscribe"]

SEVERITIES: tuple[str, ...] = get_args(Severity)
TRACKS: tuple[str, ...] = get_args(Track)
INCIDENT_TYPES = "foreshock.incident."
POLL_MS = 200


class _Type(msgspec.Struct):
    type: str


_type_of = msgspec.json.Decoder(_Type)
_event_of = msgspec.json.Decoder(CloudEvent)


@dataclass(frozen=True, slots=True)
class Where:
    """Which incidents are wanted; empty fields want all.

    Parameters
    ----------
    entity
        The entity's id; ``*`` and ``?`` stand for any letters.
    min_severity
        info, warning, error or critical: this and worse.
    track
        behaviour, silence or exhaustion.

    Raises
    ------
    SettingsError
        No such severity or track.
    """

    entity: str = ""
    min_severity: str = ""
    track: str = ""

    def __post_init__(self) -> None:
        for word, value, known in (("severity", self.min_severity, SEVERITIES), ("track", self.track, TRACKS)):
            if value and value not in known:
                raise SettingsError(f"{value!r} is not a {word}; there are {', '.join(known)}")

    def wants(self, event: CloudEvent) -> bool:
        """Whether the event passes."""
        incident = event.data
        return (
            (not self.entity or fnmatchcase(incident.entity.id, self.entity))
            and (not self.track or incident.track == self.track)
            and SEVERITIES.index(incident.severity) >= SEVERITIES.index(self.min_severity or SEVERITIES[0])
        )


def events_of(records: Records) -> Iterator[tuple[int, CloudEvent | None]]:
    """Yield (offset, event) of each record; None for events of other kinds, which later releases may add.

    Raises
    ------
    InputError
        A record is not an event: something else writes to this topic.
    """
    for offset, value in zip(records.offsets, records.values, strict=True):
        try:
            ours = value is not None and _type_of.decode(value).type.startswith(INCIDENT_TYPES)
            yield offset, _event_of.decode(value) if ours and value is not None else None
        except msgspec.DecodeError as error:
            place = f"{records.topic}, partition {records.partition}, offset {offset}"
            raise InputError(f"no incident event at {place}: {error}") from error


class Subscription:
    """Iterates over incident events, each revision one event; at least once when there is a group.

    An event counts as handled when the next one is asked for, or the ``with`` block is left without an error;
    what was handled is committed with each batch and on closing.

    Parameters
    ----------
    bootstrap_servers
        Where Kafka is, ``host:port,...``.
    group
        Remembers between runs how far it was read; "": begins anew each time.
    entity, min_severity, track
        Which incidents are wanted, see :class:`Where`.
    from_beginning
        Where a group that never read begins: at the oldest event kept, or with the next one.
    idle_seconds
        End after so long without any event; None: go on for ever.
    topic_prefix
        As in the job's ``kafka.topic_prefix``.
    client
        Any option of kafka-python, such as ``security_protocol``.

    Raises
    ------
    BrokerUnreachable, PermissionDenied
        Nobody answers; the broker refuses this user.
    SettingsError
        No such severity, track or client option.
    """

    def __init__(
        self,
        bootstrap_servers: str = "127.0.0.1:9092",
        *,
        group: str = "",
        entity: str = "",
        min_severity: str = "",
        track: str = "",
        from_beginning: bool = False,
        idle_seconds: float | None = None,
        topic_prefix: str = "foreshock",
        client: Mapping[str, Any] | None = None,
    ) -> None:
        self._where = Where(entity, min_severity, track)
        self._group, self._idle_seconds = group, idle_seconds
        self._waiting: deque[tuple[tuple[str, int], int, CloudEvent | None]] = deque()
        self._handled: dict[tuple[str, int], int] = {}
        self._in_hand: tuple[tuple[str, int], int] | None = None
        options = {**(client or {}), "bootstrap_servers": bootstrap_servers}
        self._follower = Follower(options, [Topics(topic_prefix).incidents], group, from_beginning)

    def __iter__(self) -> Iterator[CloudEvent]:
        return self

    def __next__(self) -> CloudEvent:
        """Return the next wanted event; StopIteration after ``idle_seconds`` without any."""
        self._settle()
        deadline = None if self._idle_seconds is None else time.monotonic() + self._idle_seconds
        while True:
            while self._waiting:
                place, offset, event = self._waiting.popleft()
                if event is not None and self._where.wants(event):
                    self._in_hand = place, offset + 1
                    return event
                self._handled[place] = offset + 1
            self.commit()
            for records in self._follower.poll(POLL_MS):
                place = records.topic, records.partition
                self._waiting.extend((place, offset, event) for offset, event in events_of(records))
            if self._waiting and deadline is not None and self._idle_seconds is not None:
                deadline = time.monotonic() + self._idle_seconds
            if not self._waiting and deadline is not None and time.monotonic() >= deadline:
                raise StopIteration

    def commit(self) -> None:
        """Remember what was handled so far; happens by itself with each batch and on closing."""
        if self._group and self._handled:
            self._follower.commit(self._handled)
        self._handled = {}

    def close(self) -> None:
        """Commit what was handled and leave; the event in hand counts as not handled."""
        try:
            self.commit()
        finally:
            self._follower.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave; without an error the event in hand counts as handled."""
        if kind is None:
            self._settle()
        self.close()

    def _settle(self) -> None:
        if self._in_hand is not None:
            place, offset = self._in_hand
            self._handled[place] = offset
            self._in_hand = None


subscribe = Subscription
