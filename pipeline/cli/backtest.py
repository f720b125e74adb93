"""``foreshock backtest``: a recording down the same road as the live job, and a table of verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import Config, Set, loaded

__all__ = ["app"]

app = typer.Typer()


@app.command()
def backtest(
    test: Annotated[Path, typer.Option("--test", metavar="FILE", help="Wide table to score: CSV or Parquet.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Parquet: one row for each row of the test.")],
    train: Annotated[
        Path | None, typer.Option("--train", metavar="FILE", help="Wide table to learn from; without it: a cold start.")
    ] = None,
    entity: Annotated[str, typer.Option("--entity", help="What the table is about; default: the file's name.")] = "",
    config: Config = None,
    overrides: Set = None,
) -> None:
    """Score a wide table, a column timestamp and one numeric column a metric; the score at t uses rows up to t only.

    A column label is never shown to the detector.

    Examples:

      foreshock backtest --train monday.parquet --test tuesday.parquet --out scores.parquet

      foreshock backtest --test cold.csv --out scores.parquet --set incidents.open_steps=3
    """
    from pipeline.app import plan_of
    from pipeline.cli.picture import event_line
    from pipeline.events import InputError
    from pipeline.recordings import read_table
    from pipeline.replay import backtest as run

    plan = plan_of(loaded(config, overrides).settings)
    train_frame = None if train is None else read_table(train)
    frame, events = run(read_table(test), train_frame, plan, entity or test.stem, None)
    try:
        frame.to_parquet(out, index=False)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}") from error
    for event in events:
        typer.echo(event_line(event))
    opened = sum(event.data.revision == 1 for event in events)
    typer.echo(f"{len(frame):,} rows, {int(frame['over_threshold'].sum()):,} over the threshold, {opened} incidents")
    typer.echo(f"wrote {out}")
