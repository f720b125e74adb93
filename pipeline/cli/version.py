"""``foreshock version``: which release this is, and what it runs on."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline._version import __version__

__all__ = ["Version", "app"]

app = typer.Typer()


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
    import sys
    from importlib.metadata import version as version_of

    names = ("kafka-python", "numpy", "numba", "scikit-learn", "pandas")
    found = {"foreshock": __version__, "python": sys.version.split()[0]} | {name: version_of(name) for name in names}
    typer.echo(json.dumps(found))


def _print(asked: bool) -> None:
    if asked:
        version(as_json=False)
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_print, is_eager=True, help="Print the version.")]
