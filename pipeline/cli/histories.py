"""Where history comes from: options that train, compare and retrain share, and the history that they name."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import pandas as pd

    from models.evaluate import Span
    from pipeline.history import History
    from pipeline.settings import Settings
    from pipeline.simulate.labels import Label

__all__ = [
    "Dask",
    "Data",
    "Entities",
    "Exclude",
    "FromTopic",
    "Labels",
    "Last",
    "Since",
    "Until",
    "Wanted",
    "history_of",
]

Data = Annotated[
    list[str] | None,
    typer.Option("--data", metavar="PATH|URL", help="Tables, or a folder of them; may be given several times."),
]
FromTopic = Annotated[str, typer.Option("--from-topic", metavar="NAME", help="Read history back from this topic.")]
Since = Annotated[str, typer.Option("--since", metavar="TIME", help="Leave out what is older (UTC).")]
Until = Annotated[str, typer.Option("--until", metavar="TIME", help="Leave out what is newer (UTC).")]
Last = Annotated[
    str,
    typer.Option(
        "--last", metavar="SPAN", help="Only the newest stretch, as 24h or 7d: before now, in files before their end."
    ),
]
Entities = Annotated[str, typer.Option("--entities", metavar="GLOB", help="Only entities that match.")]
Exclude = Annotated[
    Path | None, typer.Option("--exclude", metavar="LABELS.CSV", help="Learn nothing from these stretches.")
]
Labels = Annotated[
    Path | None, typer.Option("--labels", metavar="LABELS.CSV", help="Known faults, to count what is found and missed.")
]
Dask = Annotated[
    str, typer.Option("--dask", metavar="ADDRESS|local[:N]", help="Spread the work over Dask (extra: dask).")
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a command was asked to go through."""

    data: tuple[str, ...] = ()
    topic: str = ""
    since: str = ""
    until: str = ""
    entities: str = "*"
    exclude: Path | None = None
    exclude_incidents: bool = False
    dask: str = ""
    last: str = ""


@contextmanager
def history_of(
    settings: Settings, wanted: Wanted, on_progress: Callable[[int, int], None] | None = None
) -> Iterator[History]:
    """The history that was named; fetched files and workers are gone afterwards.

    Raises
    ------
    SettingsError
        Neither data nor a topic is named, or both; or both a beginning and a span.
    InputError
        What is named is not there or no telemetry.
    """
    from pipeline.app import plan_of
    from pipeline.errors import SettingsError
    from pipeline.frames import to_recordings
    from pipeline.history import History
    from pipeline.lesson import Part
    from pipeline.spread import over_dask

    if bool(wanted.data) == bool(wanted.topic):
        raise SettingsError("name either files with --data or a topic with --from-topic")
    if wanted.since and wanted.last:
        raise SettingsError(f"--since {wanted.since} and --last {wanted.last}: name one of them")
    excluded = tuple(_excluded(settings, wanted))
    with ExitStack() as stack:
        spread = stack.enter_context(over_dask(wanted.dask)) if wanted.dask else None
        files = list(_files(wanted.data, stack))
        between = _between(wanted, files)
        sources = files or to_recordings(_from_topic(settings, wanted, between))
        part = Part(wanted.entities, excluded, *between)
        yield History(sources, plan_of(settings), part, spread=spread, on_progress=on_progress)


def _between(wanted: Wanted, files: list[Path]) -> tuple[int, int]:
    """First time wanted, and the first that is not, ns since 1970."""
    import pandas as pd

    from pipeline.cli.options import span_ms
    from pipeline.history import newest_ns
    from pipeline.lesson import Part
    from pipeline.recordings import epoch_ns

    begin, end = Part().since_ns, Part().until_ns
    if wanted.since:
        begin = int(epoch_ns(pd.Series([wanted.since]))[0])
    if wanted.last:
        begin = (newest_ns(files) if files else time.time_ns()) - 1_000_000 * span_ms("--last", wanted.last)
    if wanted.until:
        end = int(epoch_ns(pd.Series([wanted.until]))[0])
    return begin, end


def events_of(labels: Path | None) -> list[Span]:
    """Labelled faults, as the gate counts them."""
    from models.evaluate import Span
    from pipeline.simulate.labels import read_labels

    if labels is None:
        return []
    return [Span(one.entity, one.start_ms, one.end_ms) for one in read_labels(labels) if one.is_fault]


def _files(data: tuple[str, ...], stack: ExitStack) -> Iterator[Path]:
    """Single tables; a folder gives its own, a URL is copied next to us first."""
    from pipeline.recordings import tables_in

    for place in data:
        path = _fetched(place, stack) if "://" in place else Path(place)
        yield from tables_in([path])


def _fetched(url: str, stack: ExitStack) -> Path:
    import fsspec

    from pipeline.errors import InputError

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    try:
        system, inside = fsspec.core.url_to_fs(url)
        target = folder / Path(inside).name
        system.get(inside, str(target), recursive=True)
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"{url} cannot be fetched: {error}") from error
    return target


def _from_topic(settings: Settings, wanted: Wanted, between: tuple[int, int]) -> pd.DataFrame:
    import pandas as pd

    from pipeline.errors import InputError
    from pipeline.lesson import Part
    from pipeline.notebook import read_samples

    ends = (Part().since_ns, Part().until_ns)
    since, until = (None if ns in ends else pd.Timestamp(ns, tz="UTC") for ns in between)
    given = {"kafka.bootstrap_servers": settings.kafka.bootstrap_servers}
    found = read_samples(wanted.topic, since=since, until=until, entities=wanted.entities, settings=given)
    if not len(found):
        raise InputError(f"{wanted.topic} holds no samples between these times")
    return found


def _excluded(settings: Settings, wanted: Wanted) -> list[Label]:
    from pipeline.simulate.labels import Label, read_labels

    labels = [] if wanted.exclude is None else read_labels(wanted.exclude)
    if wanted.exclude_incidents:
        from pipeline.notebook import incidents

        given = {
            "kafka.bootstrap_servers": settings.kafka.bootstrap_servers,
            "kafka.topic_prefix": settings.kafka.topic_prefix,
        }
        told = incidents(settings=given)
        ends = told["ended_at"].fillna(told["updated_at"])
        starts_ms, ends_ms = (times.dt.as_unit("ms").astype("int64") for times in (told["started_at"], ends))
        labels += [Label(*row) for row in zip(told["entity"], starts_ms, ends_ms, strict=True)]
    return labels
