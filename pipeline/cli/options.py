"""Options that many commands share, and how they become settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.settings import Loaded

__all__ = ["AsJson", "Bootstrap", "Config", "Set", "loaded"]

Config = Annotated[
    str | None,
    typer.Option("--config", metavar="FILE", help="Settings as YAML. Else FORESHOCK_CONFIG, else ./foreshock.yaml."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting, as in kafka.group=mine; wins over everything."),
]
Bootstrap = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", metavar="HOST:PORT", help="Short for --set kafka.bootstrap_servers=."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs instead of text for people.")]


def loaded(config: str | None, overrides: list[str] | None, bootstrap: str | None = None) -> Loaded:
    """Load the settings as the shared options say."""
    from pipeline.settings import load

    short = [] if bootstrap is None else [f"kafka.bootstrap_servers={bootstrap}"]
    return load(config, [*(overrides or []), *short])
