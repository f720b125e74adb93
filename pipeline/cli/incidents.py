"""``foreshock incidents``: watch them come, list those there are, look at one closely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import AsJson, Bootstrap, Config, Set, loaded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.incident import CloudEvent
    from pipeline.settings import Settings

__all__ = ["app"]

app = typer.Typer(help="Watch, list and show incidents.", no_args_is_help=True)

Entity = Annotated[
    str, typer.Option("--entity", metavar="NAME", help="Only this entity; * and ? stand for any letters.")
]
MinSeverity = Annotated[
    str, typer.Option("--min-severity", metavar="SEVERITY", help="info, warning, error or critical: this and worse.")
]


@app.command()
def watch(
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Begin with the oldest event kept.")] = False,
    entity: Entity = "",
    min_severity: MinSeverity = "",
    until_idle: Annotated[
        float | None, typer.Option("--until-idle", metavar="SECONDS", min=0, help="End after so long without events.")
    ] = None,
    config: Config = None,
    overrides: Set = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Print each event as it comes; Ctrl-C ends it.

    Examples:

      foreshock incidents watch --min-severity error

      foreshock incidents watch --from-beginning --until-idle 5 --json | jq .data.title
    """
    from pipeline.cli.picture import event_line
    from pipeline.subscriber import subscribe

    kafka = loaded(config, overrides, bootstrap).settings.kafka
    with subscribe(
        kafka.bootstrap_servers,
        entity=entity,
        min_severity=min_severity,
        from_beginning=from_beginning,
        idle_seconds=until_idle,
        topic_prefix=kafka.topic_prefix,
        client=kafka.client,
    ) as events:
        for event in events:
            typer.echo(_json(event) if as_json else event_line(event))


@app.command(name="list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    entity: Entity = "",
    min_severity: MinSeverity = "",
    config: Config = None,
    overrides: Set = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """List the incidents that are open now.

    Examples:

      foreshock incidents list

      foreshock incidents list --all --entity 'db-*'
    """
    from pipeline.subscriber import Where

    where = Where(entity, min_severity)
    last = {event.data.incident_id: event for event in _events(loaded(config, overrides, bootstrap).settings, True)}
    kept = [event for event in last.values() if where.wants(event) and (everything or event.data.status == "open")]
    for event in sorted(kept, key=lambda one: (one.data.started_at, one.id)):
        one = event.data
        line = f"{one.incident_id[:8]}  {one.status:<8}  {one.severity:<8}  {one.started_at}  {one.title}"
        typer.echo(_json(event) if as_json else line)
    if not kept and not as_json:
        typer.echo("no incidents" if everything else "no open incidents; --all lists resolved ones too")


@app.command()
def show(
    incident: Annotated[str, typer.Argument(metavar="ID", help="The incident's id, or its beginning.")],
    config: Config = None,
    overrides: Set = None,
    bootstrap: Bootstrap = None,
    as_json: AsJson = False,
) -> None:
    """Show one incident: its life, the metrics to blame, and the window as a plot.

    Examples:

      foreshock incidents show 1f0c9a3e
    """
    from pipeline.cli.picture import life_lines
    from pipeline.errors import InputError

    settings = loaded(config, overrides, bootstrap).settings
    found: dict[str, list[CloudEvent]] = {}
    # The stream of events is kept for a while, the compacted view for ever: an old incident has its last revision.
    for current in (False, True):
        for event in () if found else _events(settings, current):
            if event.data.incident_id.startswith(incident):
                found.setdefault(event.data.incident_id, []).append(event)
    if not found:
        raise InputError(f"no incident whose id begins with {incident}; foreshock incidents list --all lists them")
    if len(found) > 1:
        raise InputError(f"{incident} is the beginning of {len(found)} ids: {', '.join(sorted(found))}")
    (events,) = found.values()
    for line in map(_json, events) if as_json else life_lines(events):
        typer.echo(line)


def _events(settings: Settings, current: bool) -> Iterator[CloudEvent]:
    """Read the events there are now: of the compacted view, or the stream of all revisions."""
    from pipeline.app import client_options, topics_of
    from pipeline.kafka.follow import read_all
    from pipeline.subscriber import events_of

    topics = topics_of(settings)
    for records in read_all(client_options(settings), topics.current if current else topics.incidents):
        yield from (event for _, event in events_of(records) if event is not None)


def _json(event: CloudEvent) -> str:
    import msgspec

    return msgspec.json.encode(event).decode()
