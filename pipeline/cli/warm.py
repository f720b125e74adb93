"""``foreshock warm``: compile ahead of time, as when an image is built."""

from __future__ import annotations

import typer

from pipeline.cli.options import Config, Set, loaded

__all__ = ["app"]

app = typer.Typer()


@app.command()
def warm(config: Config = None, overrides: Set = None) -> None:
    """Compile what jobs need and keep it, so that a first start takes seconds: for the builds of images.

    It is kept beside the code, or in the folder that NUMBA_CACHE_DIR names.

    Examples:

      foreshock warm

      NUMBA_CACHE_DIR=/var/cache/foreshock foreshock warm
    """
    import time

    from pipeline.app import plan_of
    from pipeline.warm import compile_kernels

    plan, began = plan_of(loaded(config, overrides).settings), time.monotonic()
    compile_kernels(plan)
    typer.echo(f"compiled in {time.monotonic() - began:.1f} s")
