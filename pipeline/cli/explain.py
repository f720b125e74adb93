"""``foreshock explain``: why it fired at a time, and why it did not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import AsJson, Bootstrap, Config, Set, answer, loaded

if TYPE_CHECKING:
    from pipeline.explain import Explanation
    from pipeline.settings import Settings
    from pipeline.stream import Plan

__all__ = ["app"]

app = typer.Typer()

MOST_METRICS, MOST_FEATURES = 12, 2
AROUND_MS = 7_200_000


@app.command()
def explain(
    entity: Annotated[str, typer.Argument(metavar="ENTITY", help="Who.")],
    at: Annotated[str, typer.Option("--at", metavar="TIME", help="When: an ISO time; without a zone it is UTC.")],
    data: Annotated[
        list[Path] | None,
        typer.Option("--data", metavar="PATH", help="Recordings to replay; without them: what the job published."),
    ] = None,
    train: Annotated[
        list[Path] | None, typer.Option("--train", metavar="PATH", help="Recordings to learn from beforehand.")
    ] = None,
    config: Config = None,
    overrides: Set = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Say why an incident was open at a time, or why none was: scores, thresholds, bands, rule, hold, warm-up.

    Examples:

      foreshock explain db-03 --at 2026-06-01T02:10 --data recordings/

      foreshock explain db-03 --at 2026-06-01T02:10Z --bootstrap-servers kafka:9092
    """
    from pipeline.app import plan_of

    settings, at_ms = loaded(config, overrides, bootstrap).settings, _time_ms(at)
    if data:
        said = _replayed(entity, at_ms, data, train or [], plan_of(settings))
    else:
        said = _published(entity, at_ms, settings)
    answer(said, _lines(said), as_json)


def _replayed(entity: str, at_ms: int, data: list[Path], train: list[Path], plan: Plan) -> Explanation:
    from pipeline.explain import explain as answer
    from pipeline.recordings import read_recordings
    from pipeline.replay import train as learn

    bundle = learn(read_recordings(train), plan) if train else None
    return answer(read_recordings(data), entity, at_ms, plan, bundle)


def _published(entity: str, at_ms: int, settings: Settings) -> Explanation:
    """Read the scores around the time and all incidents; both are in topics of our own."""
    import msgspec

    from pipeline.app import client_options, topics_of
    from pipeline.events import ScoreRow
    from pipeline.explain import explain_published
    from pipeline.kafka.follow import read_all
    from pipeline.subscriber import events_of

    client, topics = client_options(settings), topics_of(settings)
    rows = [
        msgspec.json.decode(value, type=ScoreRow)
        for records in read_all(client, topics.scores)
        for value in records.values
        if value is not None
    ]
    near = [row for row in rows if abs(row.time_ms - at_ms) <= AROUND_MS]
    events = [event for records in read_all(client, topics.incidents) for _, event in events_of(records) if event]
    return explain_published(entity, at_ms, near, [event.data for event in events], settings.scores.low_mark)


def _time_ms(text: str) -> int:
    from datetime import UTC, datetime

    from pipeline.errors import InputError

    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"--at {text}: should be an ISO time such as 2026-01-31T06:00 or 2026-01-31T06:00+01:00"
        ) from None
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def _lines(said: Explanation) -> list[str]:
    """The answer as text: a headline, the reasons, and a table of metrics."""
    what = "an incident was open" if said.fired else "no incident was open"
    lines = [f"{said.entity} at {said.asked_at}: {what}, because"]
    lines += [f"  - {reason}" for reason in said.reasons]
    if said.metrics:
        lines += ["", f"its step of {said.step_at}:", f"  {'share':>6}  {'value':>10}  {'usually':>23}  metric"]
    for one in said.metrics[:MOST_METRICS]:
        usually = "" if one.lower is None else f"{_short(one.lower)} – {_short(one.upper)}"
        loudest = sorted(one.features.items(), key=lambda item: -abs(item[1]))[:MOST_FEATURES]
        told = ", ".join(f"{name} {value:+.1f}" for name, value in loudest if value)
        lines.append(f"  {one.share:>6.0%}  {_short(one.value):>10}  {usually:>23}  {one.metric}  {told}".rstrip())
    if len(said.metrics) > MOST_METRICS:
        lines.append(f"  … and {len(said.metrics) - MOST_METRICS} more")
    return lines


def _short(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"
