"""``foreshock doctor``: what is right and what is wrong, with the cure beside it; and who must be allowed what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import AsJson, Bootstrap, Config, Set, loaded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.operate.doctor import Finding
    from pipeline.settings import Settings

__all__ = ["app"]

app = typer.Typer()
MARKS = {"ok": "✓", "warn": "!", "wrong": "✗"}
AMISS = 1


@app.command()
def doctor(
    create: Annotated[bool, typer.Option("--create", help="Create those of our topics that are missing.")] = False,
    acls: Annotated[bool, typer.Option("--acls", help="Only list what each job must be allowed to do.")] = False,
    principal: Annotated[
        str, typer.Option("--principal", metavar="NAME", help="Whom --acls is for.")
    ] = "User:foreshock",
    n_records: Annotated[
        int, typer.Option("--records", min=1, metavar="N", help="How many of the last records to look at.")
    ] = 1000,
    config: Config = None,
    overrides: Set = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Look over configuration, broker, topics, permissions, telemetry and stores, and name the cure of what is wrong.

    The exit status is 1 where something is wrong. Nothing is changed, but for topics with --create.

    Examples:

      foreshock doctor --bootstrap-servers kafka:9092 --set source.topics=telemetry

      foreshock doctor --config foreshock.yaml --create

      foreshock doctor --acls --principal User:watcher
    """
    found = loaded(config, overrides, bootstrap)
    if acls:
        _tell_permissions(found.settings, principal)
        return
    from pipeline.checkup import checkup

    findings = list(_told(checkup(found, create, n_records), as_json))
    if as_json:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps([asdict(one) for one in findings], indent=2, ensure_ascii=False))
    if any(one.state == "wrong" for one in findings):
        raise typer.Exit(AMISS)


def _told(findings: Iterable[Finding], as_json: bool) -> Iterable[Finding]:
    """Pass findings on, each printed as it is made, unless they are printed as JSON in the end."""
    for one in findings:
        if not as_json:
            typer.echo(f"{MARKS[one.state]} {one.what:<28} {one.said}")
            if one.cure:
                typer.echo(f"  {'':<28} → {one.cure}")
        yield one


def _tell_permissions(settings: Settings, principal: str) -> None:
    from pipeline.app import topics_of
    from pipeline.operate.permissions import JOBS, command_of, permissions

    inputs, topics, group = settings.source.topics, topics_of(settings), settings.kafka.group
    for job in JOBS:
        typer.echo(f"# {job}")
        for one in permissions(job, inputs, topics, group, settings.kafka.create_topics):
            typer.echo(command_of(one, principal, settings.kafka.bootstrap_servers))
