"""``foreshock``: all commands under one name; errors of ours become one clear line and an exit status."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pipeline._version import __version__
from pipeline.cli import backtest, broker, config, decode, demo, evaluate, incidents, rekey, run, send, simulate

__all__ = ["app", "main"]

FAILED, USAGE, REFUSED, INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    name="foreshock",
    help="Watch telemetry that flows through Kafka; publish few, explained incidents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(demo.app)
app.add_typer(run.app)
app.add_typer(rekey.app)
app.add_typer(send.app)
app.add_typer(simulate.app)
app.add_typer(decode.app)
app.add_typer(backtest.app)
app.add_typer(incidents.app, name="incidents")
app.add_typer(broker.app, name="broker")
app.add_typer(config.app, name="config")
app.add_typer(evaluate.app, name="evaluate")


@app.command()
def version(
    as_json: Annotated[bool, typer.Option("--json", help="With the versions that matter for support.")] = False,
) -> None:
    """Print the version.

    Examples:

      foreshock version

      foreshock version --json
    """
    if not as_json:
        typer.echo(f"foreshock {__version__}")
        return
    import json
    from importlib.metadata import version as version_of

    names = ("kafka-python", "numpy", "numba", "scikit-learn", "pandas")
    found = {"foreshock": __version__, "python": sys.version.split()[0]} | {name: version_of(name) for name in names}
    typer.echo(json.dumps(found))


def main(arguments: list[str] | None = None) -> None:
    """Run one command; never returns.

    Exits with 0, 1 (Kafka or the model store needs a person), 2 (the settings or the command are wrong), 3 (a
    promotion was refused by the rule) or 130 (Ctrl-C).
    """
    try:
        app(args=arguments, standalone_mode=True)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        sys.exit(FAILED)
    except Exception as error:
        from models.errors import ModelError, PromotionRefused
        from pipeline.events import ForeshockError, InputError, SettingsError

        if not isinstance(error, (ForeshockError, ModelError)):
            raise
        typer.echo(f"foreshock: {error}", err=True)
        sys.exit(
            USAGE
            if isinstance(error, (InputError, SettingsError))
            else REFUSED
            if isinstance(error, PromotionRefused)
            else FAILED
        )
