"""``foreshock backtest``: recordings down the same road as the live job, a table of verdicts, and a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import Config, Set, loaded

if TYPE_CHECKING:
    import pandas as pd

    from models.bundle import Bundle
    from pipeline.incident import CloudEvent
    from pipeline.recordings import Recording
    from pipeline.replay import Backtest
    from pipeline.stream import Plan

__all__ = ["app"]

app = typer.Typer()


Tests = Annotated[
    list[Path], typer.Option("--test", metavar="PATH", help="Tables to score, or folders of them: CSV or Parquet.")
]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Parquet: one row for each row of the test.")]
Train = Annotated[
    list[Path] | None, typer.Option("--train", metavar="PATH", help="Tables to learn from; without them: a cold start.")
]
Cold = Annotated[bool, typer.Option("--cold", help="Learn from nothing beforehand, and say so.")]
Labels = Annotated[
    Path | None, typer.Option("--labels", metavar="FILE", help="CSV of known faults: entity, start, end, …")
]
Report = Annotated[
    Path | None, typer.Option("--report", metavar="FOLDER", help="Write index.html with its pictures here.")
]
EntityName = Annotated[str, typer.Option("--entity", help="What a single table is about; default: its name.")]


@app.command()
def backtest(
    test: Tests,
    out: Out = None,
    train: Train = None,
    cold: Cold = False,
    labels: Labels = None,
    report: Report = None,
    entity: EntityName = "",
    config: Config = None,
    overrides: Set = None,
) -> None:
    """Score recordings as the live job would have; the score at t uses rows up to t only.

    A table is wide (a column timestamp and one numeric column a metric) or long (timestamp, entity, metric, value).
    A column label is never shown to the detector.

    Examples:

      foreshock backtest --train monday.parquet --test tuesday.parquet --out scores.parquet

      foreshock backtest --test cold.csv --out scores.parquet --set incidents.open_steps=3

      foreshock backtest --cold --test recordings/ --labels labels.csv --report report/
    """
    from pipeline.app import plan_of
    from pipeline.cli.progress import progress
    from pipeline.errors import SettingsError
    from pipeline.recordings import read_recordings
    from pipeline.replay import replay

    if cold and train:
        raise SettingsError("--cold and --train contradict each other: leave one out")
    if out is None and report is None:
        raise SettingsError("nothing to write: name a file with --out, a folder with --report, or both")
    plan = plan_of(loaded(config, overrides).settings)
    recordings = read_recordings(test, entity)
    name = entity or (recordings[0].entity if len(recordings) == 1 else "")
    bundle = _learned(train, name, plan) if train else None
    with progress("scoring") as tell:
        result = replay(recordings, plan, bundle, tell)
    if out is not None:
        _write(result.tables, out)
    page = _page(report, labels, recordings, result, plan) if report is not None else None
    _tell(recordings, result.tables, result.incidents)
    for written in (out, page):
        if written is not None:
            typer.echo(f"wrote {written}")


def _learned(paths: list[Path], entity: str, plan: Plan) -> Bundle:
    """What there is to know beforehand, with a bar for people."""
    from pipeline.cli.progress import progress
    from pipeline.recordings import read_recordings
    from pipeline.replay import train

    with progress("learning") as tell:
        return train(read_recordings(paths, entity), plan, tell)


def _page(report: Path, labels: Path | None, recordings: list[Recording], result: Backtest, plan: Plan) -> Path:
    from pipeline.report import write_report
    from pipeline.simulate.labels import read_labels

    return write_report(report, recordings, result, read_labels(labels) if labels is not None else [], plan)


def _write(tables: dict[str, pd.DataFrame], out: Path) -> None:
    """One table as it is; several one below the other, with a column that says whose rows they are."""
    import pandas as pd

    from pipeline.errors import InputError

    if len(tables) == 1:
        (frame,) = tables.values()
    else:
        frame = pd.concat([table.assign(entity=name) for name, table in tables.items()], ignore_index=True)
    try:
        frame.to_parquet(out, index=False)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}") from error


def _tell(recordings: list[Recording], tables: dict[str, pd.DataFrame], events: list[CloudEvent]) -> None:
    from pipeline.cli.picture import event_line

    for event in events:
        typer.echo(event_line(event))
    opened = sum(event.data.revision == 1 for event in events)
    over = sum(int(table["over_threshold"].sum()) for table in tables.values())
    rows = sum(map(len, recordings))
    of = f" of {len(recordings)} entities" if len(recordings) > 1 else ""
    typer.echo(f"{rows:,} rows{of}, {over:,} over the threshold, {opened} incidents")
