"""``foreshock models``: what there is, how two compare, which serves; promote, roll back, retire."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.histories import Data, Entities, FromTopic, Labels, Last, Since, Until, Wanted, events_of, history_of
from pipeline.cli.options import AsJson, Bootstrap, Config, Set, loaded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.gate import Comparison, Rule
    from models.registry import Registry, Version
    from pipeline.settings import Settings

__all__ = ["app", "compared"]

app = typer.Typer(help="List, compare, promote and take back models.", no_args_is_help=True)

Which = Annotated[str, typer.Argument(metavar="VERSION", help="A number, or champion, challenger, previous.")]
RuleFile = Annotated[
    Path | None, typer.Option("--rule", metavar="FILE", help="The written rule; default: configs/promotion.yaml's.")
]


@app.command("list")
def list_(config: Config = None, overrides: Set = None, as_json: AsJson = False) -> None:
    """List all versions, newest first.

    Examples:

      foreshock models list

      foreshock models list --json
    """
    versions = _registry(loaded(config, overrides).settings).versions()
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in versions], indent=2))
        return
    if not versions:
        typer.echo("no model is registered yet; train one: foreshock train --data FOLDER")
        return
    rows = [
        (v.number, ", ".join(v.aliases) or ("retired" if v.is_retired else ""), v.detector, _when(v), _load(v))
        for v in versions
    ]
    _table(("version", "alias", "detector", "trained", "incidents an entity and week"), rows)


@app.command()
def show(which: Which, config: Config = None, overrides: Set = None, as_json: AsJson = False) -> None:
    """Load one version with every check, and tell what it is.

    Examples:

      foreshock models show champion

      foreshock models show 3 --json
    """
    registry = _registry(loaded(config, overrides).settings)
    version, bundle = registry.version(which), registry.load(which)
    told = asdict(version) | {"facts": bundle.card.facts, "feature_names": bundle.card.feature_names}
    told |= {"threshold_shift": bundle.threshold_shift, "classes": sorted(bundle.classes)}
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    plain = {key: value for key, value in told.items() if not isinstance(value, dict)}
    for key, value in (plain | told["facts"] | told["measures"] | told["tags"]).items():
        typer.echo(f"{key:<28} {value}")


@app.command()
def compare(
    champion: Annotated[str, typer.Argument(metavar="A", help="Version, alias, or untrained.")],
    challenger: Annotated[str, typer.Argument(metavar="B", help="Version or alias.")],
    data: Data = None,
    topic: FromTopic = "",
    since: Since = "",
    until: Until = "",
    last: Last = "",
    entities: Entities = "*",
    labels: Labels = None,
    config: Config = None,
    overrides: Set = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Send two models over the same recorded stretch; the result is kept on B for promote.

    Examples:

      foreshock models compare champion challenger --data last-week/ --labels labels.csv

      foreshock models compare untrained 1 --from-topic telemetry --last 24h
    """
    settings = loaded(config, overrides, bootstrap).settings
    wanted = Wanted(tuple(data or ()), topic, since, until, entities, last=last)
    told = compared(settings, _registry(settings), (champion, challenger), wanted, labels)
    if as_json:
        typer.echo(json.dumps(asdict(told), indent=2))
        return
    _tell_comparison(told)


def compared(
    settings: Settings, registry: Registry, pair: tuple[str, str], wanted: Wanted, labels: Path | None
) -> Comparison:
    """Compare two versions over what was named, and leave the result on the second."""
    from models.gate import NOBODY, remember_comparison
    from models.gate import compare as compare_models
    from pipeline.cli.progress import progress

    champion = None if pair[0] == NOBODY else registry.load(pair[0])
    challenger = registry.load(pair[1])
    with progress("comparing") as tell, history_of(settings, wanted, tell) as stretch:
        told = compare_models(champion, challenger, stretch, events_of(labels))
    told = replace(told, trial=registry.trial(told.champion, told.challenger))
    remember_comparison(registry, told)
    return told


@app.command()
def promote(
    which: Which,
    rule: RuleFile = None,
    force: Annotated[bool, typer.Option("--force", help="Pass over the rule; needs --because.")] = False,
    because: Annotated[str, typer.Option("--because", metavar="WHY", help="Written on the version.")] = "",
    config: Config = None,
    overrides: Set = None,
    as_json: AsJson = False,
) -> None:
    """Let a version serve if its comparison with the champion meets the written rule; running jobs follow.

    Refused: exit status 3, and the reasons.

    Examples:

      foreshock models promote challenger

      foreshock models promote 4 --force --because "the labels of May are wrong"
    """
    from models.gate import promote as promote_model
    from pipeline.errors import SettingsError

    if force and not because:
        raise SettingsError('--force needs --because "...": it is written on the version')
    registry = _registry(loaded(config, overrides).settings)
    version = promote_model(registry, which, _rule(rule), None, because if force else "")
    _tell_version(version, f"{registry.name} version {version.number} is champion; back: models rollback", as_json)


@app.command()
def rollback(config: Config = None, overrides: Set = None, as_json: AsJson = False) -> None:
    """Let the previous champion serve again.

    Examples:

      foreshock models rollback
    """
    registry = _registry(loaded(config, overrides).settings)
    version = registry.rollback()
    _tell_version(version, f"{registry.name} version {version.number} is champion again", as_json)


@app.command()
def retire(which: Which, config: Config = None, overrides: Set = None, as_json: AsJson = False) -> None:
    """Take a version out of use; it loses its aliases and stays readable.

    Examples:

      foreshock models retire challenger
    """
    registry = _registry(loaded(config, overrides).settings)
    version = registry.retire(which)
    _tell_version(version, f"{registry.name} version {version.number} is retired", as_json)


@app.command()
def detectors(as_json: AsJson = False) -> None:
    """List the detectors that can be trained, and what each is good at.

    Examples:

      foreshock models detectors
    """
    from models.detectors import DETECTORS

    rows = [(one.name, one.good_at) for one in DETECTORS.values()]
    if as_json:
        typer.echo(json.dumps(dict(rows), indent=2))
        return
    _table(
        ("detector", "good at"),
        [
            *rows,
            (
                "package.module:Factory",
                "your own, with score_samples; what is not a forest or k-means scores row by row",
            ),
        ],
    )


@app.command()
def ui(
    port: Annotated[int, typer.Option("--port", help="On 127.0.0.1.")] = 5000,
    config: Config = None,
    overrides: Set = None,
) -> None:
    """Open MLflow's own pages on the store, until Ctrl-C.

    Examples:

      foreshock models ui --port 5001
    """
    import subprocess
    import sys

    registry = _registry(loaded(config, overrides).settings)
    registry.aliases()
    if registry.uri.startswith(("http://", "https://")):
        typer.echo(f"the store is a server of its own, which has its pages at {registry.uri}")
        return
    place = ["--backend-store-uri", registry.uri, "--host", "127.0.0.1", "--port", str(port)]
    subprocess.run([sys.executable, "-m", "mlflow", "ui", *place], check=False)


def _tell_version(version: Version, words: str, as_json: bool) -> None:
    typer.echo(json.dumps(asdict(version), indent=2) if as_json else words)


def _registry(settings: Settings) -> Registry:
    from pipeline.cli.train import registry_of

    return registry_of(settings)


def _rule(path: Path | None) -> Rule:
    from models.gate import Rule

    return Rule() if path is None else Rule.read(path)


def _tell_comparison(told: Comparison) -> None:
    from models.gate import Rule

    def row(name: str, pick: Any) -> tuple[str, str, str]:
        return name, pick(told.before), pick(told.after)

    def maybe(value: float | None, form: str) -> str:
        return "no labels" if value is None else format(value, form)

    rows = [
        row("incidents", lambda s: f"{s.incidents}"),
        row("an entity and week", lambda s: f"{s.per_entity_week:.2f}"),
        row("faults found", lambda s: maybe(s.event_recall, ".0%")),
        row("false incidents", lambda s: maybe(s.false, "d")),
        row("delay, s", lambda s: maybe(s.delay_seconds, ".0f")),
        row("score, 99 %", lambda s: f"{s.score_p99:.3f}"),
        row("processor, s", lambda s: f"{s.cpu_seconds:.1f}"),
        row("memory, MB", lambda s: f"{s.megabytes:.1f}"),
    ]
    _table((f"over {told.entity_weeks:.2f} entity-weeks", told.champion, told.challenger), rows)
    typer.echo(f"incidents that overlap: {told.agreement:.0%}; drift between the scores (PSI): {told.score_drift:.2f}")
    if told.trial is not None:
        t = told.trial
        typer.echo(
            f"in the shadow, over {t.entity_weeks:.2f} live entity-weeks: {t.opened_challenger} incidents would have "
            f"opened beside {t.opened_champion}; of anomalous steps both found {t.agreement:.0%}"
        )
    reasons = Rule().reasons(told)
    typer.echo("the rule would take it" if not reasons else f"the rule would refuse it: {'; '.join(reasons)}")


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in (head, *rows):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _when(version: Version) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(version.created_ms / 1000))


def _load(version: Version) -> str:
    rate = version.measures.get("incidents_per_entity_week")
    return "" if rate is None else f"{rate:.2f}"
