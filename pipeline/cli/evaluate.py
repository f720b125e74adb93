"""``foreshock evaluate``: how good the verdicts are on published benchmarks, beside what others reached."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import AsJson, Config, Set, answer, loaded

if TYPE_CHECKING:
    from pipeline.nab import NabResult

__all__ = ["app"]

app = typer.Typer(help="Measure the verdicts on published benchmarks.", no_args_is_help=True)

MOST_OTHERS = 6


@app.callback()
def evaluate() -> None:
    """Measure the verdicts on published benchmarks."""


@app.command()
def nab(
    data: Annotated[Path, typer.Option("--data", metavar="FOLDER", help="A copy of github.com/numenta/NAB.")],
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Processes.")] = 2,
    config: Config = None,
    overrides: Set = None,
    as_json: AsJson = False,
) -> None:
    """Score the Numenta Anomaly Benchmark: each series alone and cold, one threshold for all, its three profiles.

    Examples:

      foreshock evaluate nab --data ../NAB

      foreshock evaluate nab --data ../NAB --json --set detection.hold_hours=2
    """
    from pipeline.app import plan_of
    from pipeline.cli.progress import progress
    from pipeline.nab import evaluate_nab

    plan = plan_of(loaded(config, overrides).settings)
    with progress("58 series") as tell:
        result = evaluate_nab(data, plan, jobs, tell)
    answer(result, _table(result), as_json)


@app.command()
def causes(
    data: Annotated[Path, typer.Option("--data", metavar="FOLDER", help="NAME.test.parquet and NAME.causes.json.")],
    config: Config = None,
    overrides: Set = None,
    as_json: AsJson = False,
) -> None:
    """Hold the blamed metrics against those at fault: hit@100 and hit@150 over labelled events.

    Examples:

      foreshock evaluate causes --data ../data/smd

      foreshock evaluate causes --data ../data/smd --json
    """
    from pipeline.app import plan_of
    from pipeline.causes import evaluate_causes
    from pipeline.cli.progress import progress

    plan = plan_of(loaded(config, overrides).settings)
    with progress("entities") as tell:
        result = evaluate_causes(data, plan, tell)
    hits = {**result.each, f"{result.n_events} events": (result.hit100, result.hit150)}
    answer(
        result, (f"{name}: hit@100 {at100:.3f}, hit@150 {at150:.3f}" for name, (at100, at150) in hits.items()), as_json
    )


def _table(result: NabResult) -> list[str]:
    profiles = list(result.scores)
    others = sorted(result.published.items(), key=lambda item: -item[1]["standard"])[:MOST_OTHERS]
    rows = [("foreshock", result.scores), *others]
    width = max(len(name) for name, _ in rows)
    head = f"{'':<{width}}  " + "  ".join(profiles)
    lines = [head]
    for name, scores in rows:
        lines.append(f"{name:<{width}}  " + "  ".join(f"{scores[p]:>{len(p)}.1f}" for p in profiles))
    lines.append(f"foreshock on cloud and system files alone, standard, same threshold: {result.system:.1f}")
    return lines
