"""``foreshock simulate``: the telemetry of a fleet that does not exist, with faults whose truth is known."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.feeding import Create, Speed, deliver, encoder, pace_of
from pipeline.cli.options import Bootstrap, Config, Set, loaded, span_ms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.codecs.encode import Encode
    from pipeline.simulate.faults import Injection
    from pipeline.simulate.fleet import Fleet

__all__ = ["app"]

app = typer.Typer()
FILES_START = "2026-01-01"
SPARE_MS = 2_000  # between the moment when the start is chosen and the first record


Topic = Annotated[str, typer.Option("--topic", metavar="NAME", help="Send it to this topic.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Or write it to files, with labels.csv.")]
Hosts = Annotated[int, typer.Option("--hosts", min=1, metavar="N", help="How many hosts.")]
Metrics = Annotated[int, typer.Option("--metrics", min=1, metavar="N", help="How many metrics on each.")]
Step = Annotated[str, typer.Option("--step", metavar="SPAN", help="Spacing of the samples.")]
Duration = Annotated[str, typer.Option("--duration", metavar="SPAN", help="How long a time.")]
Calm = Annotated[
    str | None, typer.Option("--calm", metavar="SPAN", help="No faults at the beginning. Default: half of it.")
]
Faults = Annotated[str, typer.Option("--faults", metavar="NAMES", help="all, none, or some: disk_filling,memory_leak")]
Format = Annotated[
    str | None,
    typer.Option(
        "--format", metavar="NAME", help="Wire format (topic: otlp-proto), or for files wide (default) or long."
    ),
]
Start = Annotated[str | None, typer.Option("--start", metavar="TIME", help="First time. Default: so that it ends now.")]
Labels = Annotated[Path | None, typer.Option("--labels", metavar="FILE", help="Where the truth goes, with --topic.")]
Seed = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Equal seeds give equal telemetry.")]


@app.command()
def simulate(
    topic: Topic = "",
    out: Out = None,
    hosts: Hosts = 12,
    metrics: Metrics = 10,
    step: Step = "60s",
    duration: Duration = "2d",
    calm: Calm = None,
    faults: Faults = "all",
    speed: Speed = "max",
    format_: Format = None,
    start: Start = None,
    labels: Labels = None,
    seed: Seed = 0,
    create: Create = None,
    config: Config = None,
    overrides: Set = None,
    bootstrap: Bootstrap = None,
) -> None:
    """Simulate a fleet: seasons, correlated metrics, noise, harmless deploys, and faults of eight kinds.

    Files begin at the same time whenever they are made, so that equal options give equal files. The record time on a
    topic is now, and event time never passes it.

    Examples:

      foreshock simulate --out fleet --duration 7d --seed 3

      foreshock simulate --topic telemetry --create 1 --speed 60

      foreshock simulate --topic telemetry --faults none --hosts 1000 --step 10s --duration 10m
    """
    from pipeline.errors import SettingsError
    from pipeline.simulate.fleet import Fleet

    if bool(topic) == (out is not None):
        raise SettingsError("name one place to go to: a topic with --topic, or a folder with --out")
    fleet = Fleet(hosts, metrics, span_ms("--step", step), seed)
    n_steps, n_calm = _steps(fleet.step_ms, duration, calm)
    first_ms = _first_ms(start, n_steps * fleet.step_ms, pace_of(speed), out is not None)
    plan = _plan(fleet, faults, first_ms + n_calm * fleet.step_ms, n_steps - n_calm)
    if out is not None:
        _write(fleet, plan, (first_ms, n_steps), out, format_ or "wide")
        return
    encode, settings = encoder(format_ or "otlp-proto"), loaded(config, overrides, bootstrap).settings
    _tell(fleet, plan, labels)
    from pipeline.app import client_options

    records = _records(fleet, plan, (first_ms, n_steps), encode)
    deliver(records, client_options(settings), topic, (speed, create), n_steps * hosts)


def _steps(step_ms: int, duration: str, calm: str | None) -> tuple[int, int]:
    """How many steps there are in all, and how many of them come before the first fault may."""
    from pipeline.errors import SettingsError

    n_steps = span_ms("--duration", duration) // step_ms
    if not n_steps:
        raise SettingsError(f"--duration {duration} is shorter than one step of {step_ms / 1000:g} s")
    return n_steps, n_steps // 2 if calm is None else min(n_steps, span_ms("--calm", calm) // step_ms)


def _first_ms(start: str | None, span: int, speed: float | None, to_files: bool) -> int:
    """The first event time: as asked; for files always the same; else so that the last one is now."""
    from pipeline.errors import SettingsError
    from pipeline.kafka.source import start_time_ms

    now_ms = time.time_ns() // 1_000_000
    if start is None and not to_files:
        sending = 0 if speed is None else min(span, round(span / speed))
        return now_ms + sending - span - SPARE_MS
    first_ms = start_time_ms(start or FILES_START)
    if not to_files and first_ms + span > now_ms and speed is None:
        raise SettingsError(f"--start {start}: the time would pass now; begin earlier, or choose a --speed")
    return first_ms


def _plan(fleet: Fleet, faults: str, first_ms: int, n_steps: int) -> list[Injection]:
    from pipeline.errors import SettingsError
    from pipeline.simulate.faults import FAULTS
    from pipeline.simulate.scenario import scenario

    kinds = {"all": list(FAULTS), "none": []}.get(faults, [name.strip() for name in faults.split(",")])
    for kind in kinds:
        if kind not in FAULTS:
            raise SettingsError(f"--faults {kind}: there are all, none, {', '.join(FAULTS)}")
    return scenario(fleet, first_ms, n_steps, kinds)


def _records(
    fleet: Fleet, plan: list[Injection], span: tuple[int, int], encode: Encode
) -> Iterator[tuple[int, bytes, bytes]]:
    from pipeline.simulate.records import records_of
    from pipeline.simulate.telemetry import stretches

    for stretch in stretches(fleet, plan, *span):
        yield from records_of(stretch, encode)


def _write(fleet: Fleet, plan: list[Injection], span: tuple[int, int], out: Path, format_: str) -> None:
    """Write tables or a capture, and the truth beside them."""
    from pipeline.errors import InputError
    from pipeline.simulate.faults import INNOCENT
    from pipeline.simulate.labels import write_labels
    from pipeline.simulate.records import long_table, wide_table
    from pipeline.simulate.telemetry import telemetry

    encode = None if format_ in ("wide", "long") else encoder(format_)
    try:
        out.mkdir(parents=True, exist_ok=True)
        if encode is not None:
            from pipeline.codecs.capture import write_capture

            write_capture(out / "fleet.jsonl.gz", "telemetry", _records(fleet, plan, span, encode))
        else:
            whole = telemetry(fleet, plan, *span)
            if format_ == "long":
                long_table(whole).to_parquet(out / "fleet.parquet", index=False)
            else:
                for host in fleet.hosts:
                    wide_table(whole, host).to_parquet(out / f"{host}.parquet", index=False)
        write_labels(out / "labels.csv", [label for one in plan for label in one.labels(fleet)])
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}") from error
    files = {"wide": f"{fleet.n_hosts} tables", "long": "fleet.parquet"}.get(format_, "fleet.jsonl.gz")
    n_deploys = sum(one.kind == INNOCENT for one in plan)
    typer.echo(f"wrote {files} to {out}, and labels.csv with {len(plan) - n_deploys} faults and {n_deploys} deploys")
    typer.echo(f"next: foreshock send {out} --topic telemetry --create 1")


def _tell(fleet: Fleet, plan: list[Injection], labels: Path | None) -> None:
    """Say what will happen, and write it down where asked."""
    from pipeline.errors import InputError
    from pipeline.simulate.faults import FAULTS
    from pipeline.simulate.labels import write_labels

    for one in plan:
        when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(one.start_ms / 1000))
        typer.echo(f"{when} UTC  {one.host:<10}  {one.kind:<15}  {FAULTS[one.kind].note}")
    if labels is not None:
        try:
            write_labels(labels, [label for one in plan for label in one.labels(fleet)])
        except OSError as error:
            raise InputError(f"{labels} cannot be written: {error}") from error
        typer.echo(f"wrote {labels}")
