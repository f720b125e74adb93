"""``foreshock broker``: a real one-node Kafka on this machine, for demos, tests and a first evening."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import AsJson

if TYPE_CHECKING:
    from pipeline.kafka.broker import EmbeddedBroker

__all__ = ["app"]

app = typer.Typer(help="A real one-node Kafka on loopback; no Java, no Docker.", no_args_is_help=True)

Data = Annotated[
    Path | None, typer.Option("--data", metavar="FOLDER", help="The broker's own folder: topics, log. Default: cache.")
]
FOLLOW_SECONDS = 0.5


@app.command()
def start(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to ask for; 0: any free one.")] = 9092,
    data: Data = None,
) -> None:
    """Start it, unless it runs already; the first time it is fetched (about 44 MB).

    Examples:

      foreshock broker start

      foreshock broker start --port 0 --data /tmp/kafka
    """
    address = _broker(data, port).start(lambda line: typer.echo(line, err=True))
    typer.echo(f"Kafka answers at {address}")


@app.command()
def stop(data: Data = None) -> None:
    """Stop it in good order; what is in its topics stays.

    Examples:

      foreshock broker stop
    """
    typer.echo("stopped" if _broker(data).stop() else "it was not running")


@app.command()
def status(data: Data = None, as_json: AsJson = False) -> None:
    """Say whether it runs, and where; the exit status is 3 when it does not.

    Examples:

      foreshock broker status

      foreshock broker status --json | jq -r .bootstrap
    """
    found = _broker(data).status()
    if as_json:
        import msgspec

        typer.echo(msgspec.json.encode(found, enc_hook=str).decode())
    elif found.running:
        typer.echo(f"Kafka {found.version} answers at {found.bootstrap} (process {found.pid})")
        typer.echo(f"data {found.data}, log {found.log}")
    else:
        typer.echo(f"not running (data {found.data}); next: foreshock broker start")
    if not found.running:
        raise typer.Exit(3)


@app.command()
def logs(
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    data: Data = None,
) -> None:
    """Print the end of its log.

    Examples:

      foreshock broker logs -n 200

      foreshock broker logs -f
    """
    broker = _broker(data)
    if not broker.log.exists():
        typer.echo(f"no log yet at {broker.log}; next: foreshock broker start", err=True)
    for line in broker.tail_log(lines):
        typer.echo(line)
    if follow and broker.log.exists():
        with broker.log.open(errors="replace") as file:
            file.seek(0, 2)
            while True:
                fresh = file.read()
                if fresh:
                    typer.echo(fresh, nl=False)
                time.sleep(FOLLOW_SECONDS)


def _broker(data: Path | None, port: int = 0) -> EmbeddedBroker:
    from pipeline.kafka.broker import EmbeddedBroker, kafka_home

    return EmbeddedBroker(kafka_home(), data, port)
