"""``foreshock retrain``: made for cron; trains on the last window if drift or age asks for it, and says what it did."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.histories import (
    Dask,
    Data,
    Entities,
    Exclude,
    FromTopic,
    Labels,
    Last,
    Since,
    Until,
    Wanted,
    history_of,
)
from pipeline.cli.options import AsJson, Bootstrap, Config, Set, loaded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.bundle import Bundle
    from models.registry import Registry
    from pipeline.settings import Settings

__all__ = ["app"]

app = typer.Typer()
DAY_SECONDS = 86_400


@app.command()
def retrain(
    data: Data = None,
    topic: FromTopic = "",
    since: Since = "",
    until: Until = "",
    last: Last = "",
    entities: Entities = "*",
    exclude: Exclude = None,
    exclude_incidents: Annotated[
        bool, typer.Option("--exclude-incidents", help="Learn nothing from published incidents.")
    ] = False,
    labels: Labels = None,
    always: Annotated[bool, typer.Option("--always", help="Even if neither drift nor age asks for it.")] = False,
    dask: Dask = "",
    config: Config = None,
    overrides: Set = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Train on the first four fifths of a window, compare on the last, promote if the written rule allows it.

    Only if the features drifted from the champion's training (population stability index above 0.25), the champion is
    older than models.retrain_after_days, or there is none. One paragraph says what was done and why.

    Examples:

      foreshock retrain --from-topic telemetry --last 14d --exclude-incidents

      foreshock retrain --data last-month/ --labels labels.csv --always
    """
    from pipeline.cli.train import registry_of

    settings = loaded(config, overrides, bootstrap).settings
    wanted = Wanted(tuple(data or ()), topic, since, until, entities, exclude, exclude_incidents, dask, last)
    registry = registry_of(settings)
    cut_ms, reason = _asked_for(settings, registry, wanted, always)
    if not reason.startswith("because"):
        done = Done(f"Nothing was trained: {reason}.", reason)
    else:
        cut = datetime.fromtimestamp(cut_ms / 1000, UTC).isoformat()
        windows = replace(wanted, until=cut), replace(wanted, since=cut, last="")
        done = _retrained(settings, registry, windows, labels, reason)
    typer.echo(json.dumps(asdict(done), indent=2) if as_json else done.told)


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, in one paragraph and for machines; ``refused`` are the rule's reasons against the version."""

    told: str
    why: str
    version: str = ""
    promoted: bool = False
    refused: tuple[str, ...] = ()


def _retrained(
    settings: Settings, registry: Registry, windows: tuple[Wanted, Wanted], labels: Path | None, why: str
) -> Done:
    from models.errors import PromotionRefused
    from models.gate import NOBODY, Rule, champion_of, promote
    from models.registry import CHALLENGER
    from pipeline.cli.models import compared
    from pipeline.cli.train import register, trained

    champion, on_trial = champion_of(registry), registry.aliases().get(CHALLENGER)
    made = trained(settings, windows[0], champion.card.detector if champion else "baseline")
    version = register(registry, made, "" if on_trial else CHALLENGER)
    before = champion.version if champion else NOBODY
    told = compared(settings, registry, (before, version), windows[1], labels)
    said = (
        f"Trained version {version} ({made.bundle.card.detector}) {why}; over {told.entity_weeks:.2f} entity-weeks it "
        f"had {told.after.incidents} incidents, {before} had {told.before.incidents}; {told.agreement:.0%} of all "
        "overlap"
    )
    try:
        promote(registry, version, Rule(), told)
    except PromotionRefused as refused:
        stays = f"Version {on_trial} stays on trial, so it has no alias" if on_trial else "It stays challenger"
        return Done(f"{said}. {stays}: {'; '.join(refused.reasons)}.", why, version, refused=tuple(refused.reasons))
    return Done(f"{said}. It is champion now.", why, version, promoted=True)


def _asked_for(settings: Settings, registry: Registry, wanted: Wanted, always: bool) -> tuple[int, str]:
    """Where the window is cut, and why to train, beginning with ``because``, or why not to."""
    from models.drift import MOVED
    from models.gate import champion_of

    champion = champion_of(registry)
    with history_of(settings, wanted) as history:
        cut_ms = history.cut_ms
        if always or champion is None:
            return cut_ms, "because it was asked for" if always else "because there was no champion yet"
        days = (time.time() - registry.version(champion.version).created_ms / 1000) / DAY_SECONDS
        if days > settings.models.retrain_after_days:
            return cut_ms, f"because version {champion.version} is {days:.0f} days old"
        moved, where = _drift(champion, history.learn(champion).later)
    if moved > MOVED:
        return cut_ms, f"because {where} drifted from the training of version {champion.version} (PSI {moved:.2f})"
    return cut_ms, f"version {champion.version} is {days:.0f} days old and no feature moved (PSI at most {moved:.2f})"


def _drift(champion: Bundle, later: Mapping[str, NDArray[Any]]) -> tuple[float, str]:
    """The greatest drift over classes and features, and what moved."""
    from models.drift import histogram, stability_index

    found = [(0.0, "nothing")]
    for entity_class in sorted(set(champion.card.edges) & set(later)):
        today = histogram(later[entity_class], champion.card.edges[entity_class])
        index = stability_index(champion.card.reference[entity_class], today)
        name = champion.card.feature_names[int(index.argmax())]
        found.append((float(index.max()), f"{name} of class {entity_class}"))
    return max(found)
