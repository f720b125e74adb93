"""What ``send`` and ``simulate`` share: the topic, the pace, the progress, and leaving in good order on Ctrl-C."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.run import stop_on_signals

if TYPE_CHECKING:
    from pipeline.codecs.encode import Encode
    from pipeline.codecs.replay import Timed
    from pipeline.kafka.feed import Fed

__all__ = ["Create", "Speed", "deliver", "encoder", "pace_of"]

Create = Annotated[
    int | None,
    typer.Option("--create", metavar="PARTITIONS", min=1, help="Create the topic, if it is missing, with so many."),
]
Speed = Annotated[
    str,
    typer.Option("--speed", metavar="SPEED", help="1: as it happened; 60: an hour a minute; max: at once."),
]
INTERRUPTED = 130
TELL_SECONDS = 5.0


def pace_of(speed: str) -> float | None:
    """Read ``--speed``; None is as fast as it goes."""
    from pipeline.errors import SettingsError

    try:
        factor = None if speed == "max" else float(speed.removesuffix("x"))
    except ValueError:
        factor = 0.0
    if factor is not None and not 0 < factor < float("inf"):
        raise SettingsError(f"--speed {speed}: should be a number above 0, such as 1 or 60, or max")
    return factor


def encoder(name: str) -> Encode:
    """Return the encoder of a wire format.

    Raises
    ------
    SettingsError
        There is no such format that foreshock writes.
    """
    from pipeline.codecs.encode import ENCODERS
    from pipeline.errors import SettingsError

    if name not in ENCODERS:
        raise SettingsError(f"--format {name}: foreshock writes {', '.join(ENCODERS)}")
    return ENCODERS[name]


def deliver(
    records: Iterable[Timed], client: dict[str, Any], topic: str, pace: tuple[str, int | None], n_records: int
) -> None:
    """Send records, show how far it is, and say at the end how far it came.

    Parameters
    ----------
    records
        In the order in which they are sent.
    client, topic
        Where to.
    pace
        ``--speed``, and with how many partitions the topic is created if it is missing (None: not at all).
    n_records
        How many there are, for the progress.
    """
    from pipeline.kafka.feed import Fed, Pace, feed
    from pipeline.kafka.writer import Writer

    speed, partitions = pace
    _open_topic(client, topic, partitions)
    fed, writer, began = Fed(), Writer(client), time.monotonic()
    stop_on_signals(fed.stop)
    try:
        with _Progress(topic, n_records) as progress:
            feed(records, writer, topic, Pace(pace_of(speed)), fed, progress)
    finally:
        writer.close()
    seconds = max(time.monotonic() - began, 1e-3)
    until = f", up to {_time(fed.event_ms)}" if fed.n_records else ""
    if fed.stopped:
        typer.echo(f"stopped: {fed.n_records:,} of {n_records:,} records are in {topic}{until}", err=True)
        raise typer.Exit(INTERRUPTED)
    typer.echo(f"sent {fed.n_records:,} records to {topic} in {seconds:.1f} s{until}")


def _open_topic(client: dict[str, Any], topic: str, partitions: int | None) -> None:
    from pipeline.errors import InputError
    from pipeline.kafka.topics import count_partitions, create

    if partitions is not None:
        if create(client, topic, partitions):
            typer.echo(f"created {topic} with {partitions} partition{'s' if partitions > 1 else ''}")
    elif not count_partitions(client, topic):
        raise InputError(f"the topic {topic} does not exist; --create 1 creates it with one partition")


class _Progress:
    """A bar on a terminal, a line now and then elsewhere; on standard error, so that output stays clean."""

    def __init__(self, topic: str, n_records: int) -> None:
        self._topic, self._n_records, self._told = topic, n_records, time.monotonic()
        self._update: Callable[[Fed], None] = self._line

    def __enter__(self) -> Callable[[Fed], None]:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            words = TextColumn("{task.description}")
            columns = (words, BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[at]}"), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            task = self._bar.add_task(f"to {self._topic}", total=self._n_records, at="")
            self._update = lambda fed: self._bar.update(task, completed=fed.n_records, at=_time(fed.event_ms))
            self._bar.start()
        return lambda fed: self._update(fed)

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_bar"):
            self._bar.stop()

    def _line(self, fed: Fed) -> None:
        if time.monotonic() - self._told >= TELL_SECONDS:
            self._told = time.monotonic()
            typer.echo(f"{fed.n_records:,} of {self._n_records:,} records, up to {_time(fed.event_ms)}", err=True)


def _time(event_ms: int) -> str:
    return f"{datetime.fromtimestamp(event_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}" if event_ms else ""
