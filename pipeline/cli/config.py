"""``foreshock config``: a settings file to begin with, what is in force and where it came from, the events' schema."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import AsJson, Bootstrap, Config, Set, loaded

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

__all__ = ["app", "default_yaml"]

app = typer.Typer(help="Write, show and check the settings.", no_args_is_help=True)


@app.command()
def init(
    path: Annotated[Path | None, typer.Argument(help="Where to write; - prints. Default: foreshock.yaml.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write the default settings, every key with its comment.

    Examples:

      foreshock config init

      foreshock config init - | less
    """
    from pipeline.errors import SettingsError
    from pipeline.settings import DEFAULT_FILE

    path = path or Path(DEFAULT_FILE)
    if str(path) == "-":
        typer.echo(default_yaml(), nl=False)
        return
    if path.exists() and not force:
        raise SettingsError(f"{path} is there already; --force overwrites it")
    try:
        path.write_text(default_yaml(), encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error}") from error
    typer.echo(f"wrote {path}; next: foreshock config show --config {path}")


@app.command()
def show(config: Config = None, overrides: Set = None, bootstrap: Bootstrap = None, as_json: AsJson = False) -> None:
    """Show what is in force and where each value came from; secrets are masked.

    Examples:

      foreshock config show

      FORESHOCK_KAFKA__GROUP=mine foreshock config show --set source.topics=metrics,logs
    """
    rows = loaded(config, overrides, bootstrap).rows()
    if as_json:
        import json

        table = {key: {"value": value, "from": origin} for key, value, origin in rows}
        typer.echo(json.dumps(table, indent=2))
        return
    keys = max(len(key) for key, _, _ in rows)
    shown = [_yaml(value) for _, value, _ in rows]
    values = max(len(text) for text in shown)
    for (key, _, origin), text in zip(rows, shown, strict=True):
        typer.echo(f"{key:<{keys}}  {text:<{values}}  {origin}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the incident events.

    Examples:

      foreshock config schema > incident.schema.json
    """
    from pipeline.schema import schema_text

    sys.stdout.write(schema_text())


def default_yaml() -> str:
    """Return the default settings as YAML, every key with its comment."""
    from pipeline.settings import PREFIX, Section, Settings

    lines = [
        "# The settings of foreshock, all at their defaults.",
        f"# The environment ({PREFIX}KAFKA__BOOTSTRAP_SERVERS=...) wins over this file, --set key=value over both.",
    ]
    for name, section in Settings.model_fields.items():
        model = section.annotation
        if isinstance(model, type) and issubclass(model, Section):
            lines += ["", f"# {model.__doc__}", f"{name}:"]
            for key, field in model.model_fields.items():
                lines += [f"  # {field.description}{_choices(field)}", f"  {key}: {_yaml(field.default)}"]
    return "\n".join(lines) + "\n"


def _choices(field: FieldInfo) -> str:
    from typing import Literal, get_args, get_origin

    return f" ({', '.join(get_args(field.annotation))})" if get_origin(field.annotation) is Literal else ""


def _yaml(value: Any) -> str:
    import yaml

    plain = list(value) if isinstance(value, tuple) else value
    return str(yaml.safe_dump(plain, default_flow_style=True, width=10_000)).removesuffix("...\n").strip()
