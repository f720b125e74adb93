"""Help as people read it: commands in groups, docstrings as paragraphs that the terminal wraps, not the page."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence

import typer

__all__ = ["dress", "paragraphs"]

CommandInfo = typer.models.CommandInfo


def dress(app: typer.Typer, groups: Mapping[str, Sequence[str]]) -> None:
    """Give each command its help as paragraphs, and its place among the groups (heading: names of commands)."""
    heading = {name: title for title, names in groups.items() for name in names}
    for command in _commands(app):
        command.help = paragraphs(command.callback.__doc__ or "") if command.callback else None
    for inner in app.registered_groups:
        name = inner.name if isinstance(inner.name, str) else None
        inner.rich_help_panel = heading.get(name or "", inner.rich_help_panel)
        for command in inner.typer_instance.registered_commands if inner.typer_instance and not name else ():
            command.rich_help_panel = heading.get(_name(command), command.rich_help_panel)


def paragraphs(text: str) -> str:
    """Join the lines of each paragraph; indented ones, such as examples, stay as they are."""
    parts = re.split(r"\n\s*\n", inspect.cleandoc(text))
    return "\n\n".join(part if part.startswith(" ") else " ".join(part.split("\n")) for part in parts)


def _commands(app: typer.Typer) -> Iterator[CommandInfo]:
    yield from app.registered_commands
    for inner in app.registered_groups:
        if inner.typer_instance is not None:
            yield from _commands(inner.typer_instance)


def _name(command: CommandInfo) -> str:
    named = command.callback.__name__ if command.callback else ""
    return command.name or named.rstrip("_").replace("_", "-")
