"""``foreshock train``: history in, a registered bundle out, with a run that says how good it is and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.histories import Dask, Data, Entities, Exclude, FromTopic, Last, Since, Until, Wanted, history_of
from pipeline.cli.options import AsJson, Bootstrap, Config, Set, loaded

if TYPE_CHECKING:
    from models.registry import Registry, Version
    from models.tracking import Noted
    from models.training import Trained
    from pipeline.settings import Settings

__all__ = ["app", "register", "registry_of", "trained"]

app = typer.Typer()
ALIASES = ("challenger", "none")


@app.command()
def train(
    data: Data = None,
    topic: FromTopic = "",
    since: Since = "",
    until: Until = "",
    last: Last = "",
    entities: Entities = "*",
    detector: Annotated[
        str,
        typer.Option("--detector", metavar="NAME", help="See foreshock models detectors, or package.module:Factory."),
    ] = "baseline",
    exclude: Exclude = None,
    exclude_incidents: Annotated[
        bool, typer.Option("--exclude-incidents", help="Learn nothing from published incidents.")
    ] = False,
    alias: Annotated[str, typer.Option("--alias", help="challenger or none.")] = "challenger",
    replace: Annotated[bool, typer.Option("--replace", help="Even if another challenger is on trial.")] = False,
    dask: Dask = "",
    config: Config = None,
    overrides: Set = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Train a bundle for a fleet, evaluate it on the last fifth of the time range, register it as a new version.

    Examples:

      foreshock train --data recordings/ --detector forest

      foreshock train --from-topic telemetry --since 2026-01-01 --exclude-incidents

      foreshock train --data s3://bucket/telemetry/ --entities 'db-*' --dask local:4 --alias none
    """
    from pipeline.errors import SettingsError

    if alias not in ALIASES:
        raise SettingsError(f"--alias {alias}: there are {', '.join(ALIASES)}")
    settings = loaded(config, overrides, bootstrap).settings
    wanted = Wanted(tuple(data or ()), topic, since, until, entities, exclude, exclude_incidents, dask, last)
    made = trained(settings, wanted, detector)
    registry = registry_of(settings)
    version = register(registry, made, "" if alias == "none" else alias, replace)
    if as_json:
        _tell_machines(made, registry.version(version), settings.models.name)
    else:
        _tell(made, settings.models.name, version)


def trained(settings: Settings, wanted: Wanted, detector: str) -> Trained:
    """Train as a command asks for it, with a bar for people."""
    from models.training import train as train_bundle
    from pipeline._version import __version__
    from pipeline.app import plan_of
    from pipeline.cli.progress import progress
    from pipeline.fingerprint import fingerprint

    facts: dict[str, str | float] = {"settings_hash": fingerprint(plan_of(settings)), "foreshock": __version__}
    with progress(f"training {detector}") as tell, history_of(settings, wanted, tell) as history:
        return train_bundle(history, detector, facts)


def registry_of(settings: Settings) -> Registry:
    """The registry that the settings name."""
    from models.registry import Registry

    return Registry(settings.models.name, settings.models.uri, settings.models.trusted_types)


def register(registry: Registry, made: Trained, alias: str, replace: bool = False) -> str:
    """Register what was trained, with its figures and pictures; returns the version."""
    return registry.save(made.bundle, _noted(registry, made), alias, replace)


def _noted(registry: Registry, made: Trained) -> Noted:
    from models.gate import champion_of
    from models.plots import budget_figure, drift_figure, reliability_figure, scores_figure
    from models.tracking import Noted

    champion = champion_of(registry)
    figures = {
        "alert_budget": budget_figure(made.budget, made.bundle.threshold_shift, made.bundle.card.facts),
        "scores": scores_figure(made.learned.held, made.bundle.threshold_shift),
        "calibration": reliability_figure(made.learned.held),
    }
    if champion is not None and champion.card.reference:
        figures["feature_drift"] = drift_figure(champion.card, made.learned.later)
    return Noted({"detector": made.bundle.card.detector}, made.measures, {"alert_budget": made.budget}, figures)


def _tell_machines(made: Trained, version: Version, name: str) -> None:
    import json

    told = {"name": name, "version": version.number, "sha256": version.digest}
    typer.echo(json.dumps(told | {"facts": made.bundle.card.facts, "measures": made.measures}, indent=2))


def _tell(made: Trained, name: str, version: str) -> None:
    facts: dict[str, Any] = dict(made.bundle.card.facts)
    m = made.measures
    typer.echo(
        f"{name} version {version}: {made.bundle.card.detector}, {facts['entities']:,} entities with "
        f"{facts['series']:,} series, {facts['samples']:,} samples"
    )
    typer.echo(
        f"on the {m['entity_weeks_held']:.2f} entity-weeks held back: {m['incidents_held']:.0f} incidents, "
        f"{m['incidents_per_entity_week']:.2f} an entity and week (threshold {m['threshold_shift']:+.2f} decades)"
    )
    typer.echo(f"next: foreshock models compare champion {version} --data ...; foreshock models promote {version}")
