"""``foreshock send``: recorded telemetry to Kafka, as fast as it goes or at the pace of life."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.feeding import Create, Speed, deliver, encoder, pace_of
from pipeline.cli.options import Bootstrap, Config, Set, loaded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.codecs.replay import Timed
    from pipeline.recordings import Recording

__all__ = ["app"]

app = typer.Typer()
CAPTURES = (".jsonl.gz", ".jsonl")
DEFAULT_FORMAT = "otlp-proto"


@app.command()
def send(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH", help="Tables (CSV, Parquet), captures (*.jsonl.gz), or folders.")
    ],
    topic: Annotated[str, typer.Option("--topic", metavar="NAME", help="Where to.")],
    format_: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help="Wire format for tables: otlp-proto (default), json, ..."),
    ] = None,
    speed: Speed = "max",
    entity: Annotated[str, typer.Option("--entity", help="What a wide table is about; default: the file's name.")] = "",
    create: Create = None,
    config: Config = None,
    overrides: Set = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Send recorded telemetry to a topic, several files in step with each other.

    Tables are wide (a column timestamp, one numeric column a metric, the entity from the file's name) or long
    (timestamp, entity, metric, value); each row becomes a record keyed by its entity. Captures go as they are, bytes
    unchanged and keys kept. The record time is now, the event times stay. Ctrl-C stops in good order and says how
    far it came.

    Examples:

      foreshock send web-01.csv web-02.csv --topic telemetry

      foreshock send recordings/ --topic telemetry --speed 60 --format influx

      foreshock send capture.jsonl.gz --topic telemetry --create 1
    """
    from pipeline.app import client_options

    pace_of(speed)  # a typo should not wait for the files
    parts, n_records = _parts(_files(paths), format_, entity)
    settings = loaded(config, overrides, bootstrap).settings
    from pipeline.codecs.replay import merged

    deliver(merged(parts), client_options(settings), topic, (speed, create), n_records)


def _files(paths: list[Path]) -> list[Path]:
    """Return the files named, and those in folders named that are telemetry by their suffix."""
    from pipeline.errors import InputError
    from pipeline.recordings import SUFFIXES

    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: there is no such file or folder")
        inside = [path]
        if path.is_dir():
            suffixes = (*SUFFIXES, *CAPTURES)
            inside = sorted(p for p in path.iterdir() if p.name.endswith(suffixes) and p.name != "labels.csv")
            if not inside:
                raise InputError(f"{path} holds no telemetry; wanted are files that end in {', '.join(suffixes)}")
        found += inside
    return found


def _parts(files: list[Path], format_: str | None, entity: str) -> tuple[list[Iterable[Timed]], int]:
    """Return a stream of records for each recording, and how many records there are in all."""
    from pipeline.codecs.capture import read_capture
    from pipeline.codecs.replay import of_capture, of_recording
    from pipeline.errors import SettingsError
    from pipeline.recordings import read_recordings

    encode = encoder(format_ or DEFAULT_FORMAT)
    captures = [path for path in files if path.name.endswith(CAPTURES)]
    tables = [path for path in files if path not in captures]
    if captures and format_ is not None:
        raise SettingsError(f"--format {format_}: {captures[0]} is a capture, whose bytes go as they are")
    if entity and (captures or len(tables) > 1):
        raise SettingsError(f"--entity {entity}: names one table, but {len(files)} files are to be sent")
    records = [read_capture(path) for path in captures]
    recordings = read_recordings(tables, entity)
    _refuse_future(recordings)
    parts: list[Iterable[Timed]] = [of_capture(one) for one in records]
    parts += [of_recording(one, encode) for one in recordings]
    return parts, sum(map(len, records)) + sum(map(len, recordings))


def _refuse_future(recordings: list[Recording]) -> None:
    """Refuse times that lie ahead: a job would take none of them, and a pace would wait for them."""
    import time

    from pipeline.codecs.clock import rfc3339
    from pipeline.errors import InputError

    for one in recordings:
        if len(one) and one.times[-1] > time.time_ns():
            raise InputError(f"{one.entity}: its last time is {rfc3339(int(one.times[-1]))}, which is still to come")
