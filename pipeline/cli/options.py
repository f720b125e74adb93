"""Options that many commands share, how they become settings, and how an answer is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.settings import Loaded

__all__ = ["AsJson", "Bootstrap", "Config", "Set", "Start", "Topics", "answer", "loaded", "span_ms"]

SPANS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

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
Topics = Annotated[
    list[str] | None, typer.Option("--topic", metavar="NAME", help="Read this topic; may be given several times.")
]
Start = Annotated[
    str | None, typer.Option("--start", metavar="PLACE", help="Where a new group begins: latest, earliest, a time.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs instead of text for people.")]


def loaded(
    config: str | None,
    overrides: list[str] | None,
    bootstrap: str | None = None,
    topics: list[str] | None = None,
    start: str | None = None,
) -> Loaded:
    """Load the settings as the shared options say."""
    from pipeline.settings import load

    inputs = ",".join(topics) if topics else None
    short = {"kafka.bootstrap_servers": bootstrap, "source.topics": inputs, "source.start": start}
    given = [f"{key}={value}" for key, value in short.items() if value is not None]
    return load(config, [*(overrides or []), *given])


def answer(said: object, lines: Iterable[str], as_json: bool) -> None:
    """Print an answer: as JSON for programs, else its lines for people."""
    if as_json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(said), indent=2).decode())
        return
    for line in lines:
        typer.echo(line)


def span_ms(option: str, text: str) -> int:
    """Read a span of time such as ``30s``, ``10m``, ``24h`` or ``7d``, in ms.

    Raises
    ------
    SettingsError
        It is none, or not longer than nothing; names the option.
    """
    import re

    from pipeline.errors import SettingsError

    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", text.strip())
    span = round(float(found[1]) * SPANS[found[2]]) if found else 0
    if span <= 0:
        raise SettingsError(f"{option} {text}: should be a span of time such as 30s, 10m, 24h or 7d")
    return span
