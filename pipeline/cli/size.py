"""``foreshock size``: what a fleet needs, with the formula that says so."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer()


@app.command()
def size(
    series: Annotated[int, typer.Option("--series", min=1, help="Series that are watched.")],
    step: Annotated[float, typer.Option("--step", min=0.001, help="Seconds between two samples of a series.")],
    points: Annotated[int, typer.Option("--points", min=1, help="Samples in a record.")] = 500,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Say what a fleet needs: cores, memory, partitions, disk, network.

    Figures are of the machine that the costs were measured on (``make bench``), planned for half of each core, so
    that a backlog is worked off as fast as it came in.

    Examples:

      foreshock size --series 1000000 --step 10

      foreshock size --series 20000 --step 60 --points 1
    """
    import json
    from dataclasses import asdict
    from inspect import cleandoc

    from pipeline.sizing import GB, MB, Cost, Fleet, needed

    fleet, cost = Fleet(series, step, points), Cost()
    need = needed(fleet, cost)
    if as_json:
        typer.echo(json.dumps({"fleet": asdict(fleet), "cost": asdict(cost), "need": asdict(need)}))
        return
    rows = (
        ("samples", f"{need.samples:,.0f} a second"),
        ("cores", f"{need.cores:.2f}, and {need.broker_cores:.2f} of the brokers"),
        ("processes", f"{need.processes}"),
        ("partitions", f"{need.partitions} at least"),
        (
            "memory",
            f"{need.memory_bytes / GB:.2f} GB in all, {need.memory_bytes / need.processes / GB:.2f} GB a process",
        ),
        ("disk", f"{need.disk_bytes / GB:.2f} GB of snapshots"),
        (
            "network",
            f"{need.network_in_bytes / MB:.2f} MB/s in, {need.network_out_bytes / MB:.2f} MB/s of snapshots out",
        ),
    )
    for name, told in rows:
        typer.echo(f"{name:12}{told}")
    formula = cleandoc(needed.__doc__ or "").partition("::")[2].strip("\n")
    typer.echo(f"\n{formula}\n")
    typer.echo("with " + ", ".join(f"{name} {value:,g}" for name, value in asdict(cost).items()))
