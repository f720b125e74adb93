"""``foreshock``: all commands under one name; errors of ours become one clear line and an exit status."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from pipeline.cli import (
    backtest,
    broker,
    config,
    decode,
    demo,
    doctor,
    evaluate,
    explain,
    incidents,
    models,
    rekey,
    retrain,
    run,
    send,
    simulate,
    size,
    train,
    version,
    warm,
)
from pipeline.cli.helptext import dress
from pipeline.cli.version import Version

__all__ = ["app", "main"]

GROUPS = {
    "Try it": ("demo", "simulate", "send", "broker"),
    "Watch": ("run", "rekey", "incidents"),
    "Look closer": ("decode", "backtest", "explain", "evaluate"),
    "Train and promote": ("train", "retrain", "models"),
    "Set up": ("config", "doctor", "warm", "size", "version"),
}
FAILED, USAGE, REFUSED, INTERRUPTED = 1, 2, 3, 130

ELSEWHERE = "start foreshock from elsewhere, in an environment of its own"

app = typer.Typer(
    name="foreshock",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(version: Version = False) -> None:
    """Watch telemetry that flows through Kafka; publish few, explained incidents."""


app.add_typer(demo.app)
app.add_typer(run.app)
app.add_typer(rekey.app)
app.add_typer(send.app)
app.add_typer(simulate.app)
app.add_typer(decode.app)
app.add_typer(backtest.app)
app.add_typer(explain.app)
app.add_typer(train.app)
app.add_typer(retrain.app)
app.add_typer(models.app, name="models")
app.add_typer(incidents.app, name="incidents")
app.add_typer(broker.app, name="broker")
app.add_typer(config.app, name="config")
app.add_typer(doctor.app)
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(warm.app)
app.add_typer(size.app)
app.add_typer(version.app)
dress(app, GROUPS)


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
        if place := _in_place_of_ours(error):
            typer.echo(f"foreshock: {place} is imported in place of ours: {ELSEWHERE}", err=True)
            sys.exit(USAGE)
        from models.errors import ModelError, PromotionRefused
        from pipeline.errors import ForeshockError, InputError, SettingsError

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


def _in_place_of_ours(error: Exception) -> str:
    """Where a package called ``models`` lies that lacks what ours has, or "" if that is not what went wrong."""
    if not isinstance(error, ImportError) or not (error.name or "").startswith("models"):
        return ""
    found = list(getattr(sys.modules.get("models"), "__path__", []))
    ours = str(Path(__file__).parents[2] / "models")
    return "" if not found or found[0] == ours else str(found[0])
