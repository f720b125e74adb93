"""What training a fleet costs: wall clock and memory of the whole process tree, alone and over two Dask workers.

usage: training.py [--entities 1000] [--metrics 20] [--days 7] [--detector baseline forest] [--dask "" local:2]
       training.py --readme

The fleet is simulated once, equal for equal arguments, into a folder that is kept; results go to training.json, and of
the whole size with ``--readme`` into the README.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from pipeline.simulate.fleet import Fleet
from pipeline.simulate.records import wide_table
from pipeline.simulate.telemetry import telemetry

T0_MS = 1_767_225_600_000
RESULTS = Path(__file__).with_name("training.json")
README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- training: made by make training -->", "<!-- /training -->"
WHOLE = "1000-entities-20-metrics-7-days, "
MOST_SECONDS, MOST_GB = 300.0, 4.0
LOOK_SECONDS = 0.5


def fleet_in(folder: Path, n_entities: int, n_metrics: int, days: int) -> Path:
    """Write the fleet's telemetry at one minute, one Parquet file an entity, unless it is there."""
    place = folder / f"{n_entities}-entities-{n_metrics}-metrics-{days}-days"
    if (place / ".whole").exists():
        return place
    place.mkdir(parents=True, exist_ok=True)
    fleet = Fleet(n_hosts=n_entities, n_metrics=n_metrics, seed=7)
    stretch = telemetry(fleet, [], T0_MS, days * 1_440)
    for host in fleet.hosts:
        wide_table(stretch, host).to_parquet(place / f"{host}.parquet", compression="none")
        del stretch.values[host]
    (place / ".whole").touch()
    return place


def trained(data: Path, detector: str, dask: str) -> dict[str, Any]:
    """Run the command that people run; wall and CPU seconds, the peak of the tree's memory in GB, the bundle's hash."""
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, "-m", "pipeline", "train", "--data", str(data), "--detector", detector, "--json"]
        command += ["--set", f"models.uri=sqlite:///{store}/mlflow.db", *(["--dask", dask] if dask else [])]
        began, peak = time.monotonic(), 0
        before = os.times()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while process.poll() is None:
            peak = max(peak, _memory(process.pid))
            time.sleep(LOOK_SECONDS)
        wall, after = time.monotonic() - began, os.times()
        assert process.stdout is not None
        told = json.loads(process.stdout.read())
    assert process.returncode == 0
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    samples = told["facts"]["samples"]
    figures = {"samples": samples, "wall_seconds": wall, "cpu_seconds": cpu, "peak_gb": peak / 1e9}
    return figures | {"sha256": told["sha256"]}


def _memory(pid: int) -> int:
    """Bytes of a process and its descendants, shared pages counted once a process that holds them."""
    try:
        process = psutil.Process(pid)
        return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)])
    except psutil.NoSuchProcess:
        return 0


def markdown(found: dict[str, dict[str, Any]]) -> str:
    """The README's table of the whole size; nothing where it was not measured."""
    lines = [
        "`make training` trains 1,000 hosts of 20 metrics over 7 days at one minute (201.6 M samples), and looks at",
        "the memory of all processes; goals are 5 minutes and 4 GB on two idle cores:",
        "",
        "| detector | over | wall clock | processor time | memory | |",
        "|---|---|---|---|---|---|",
    ]
    rows = [(name.removeprefix(WHOLE).split(", "), one) for name, one in found.items() if name.startswith(WHOLE)]
    for (detector, spread), one in rows:
        met = "✓" if one["wall_seconds"] <= MOST_SECONDS and one["peak_gb"] <= MOST_GB else "✗"
        cost = f"{one['wall_seconds']:.0f} s | {one['cpu_seconds']:.0f} s | {one['peak_gb']:.1f} GB"
        lines.append(f"| {detector} | {spread} | {cost} | {met} |")
    return "\n".join([BEGIN, *(lines if rows else []), END])


def into_readme() -> None:
    """Put the table where the README has it."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    README.write_text(before + markdown(json.loads(RESULTS.read_text())) + rest.partition(END)[2], encoding="utf-8")


def main() -> None:
    """Measure what was asked for, and put it beside what was measured before."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=1_000)
    parser.add_argument("--metrics", type=int, default=20)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--detector", nargs="+", default=["baseline", "forest"])
    parser.add_argument("--dask", nargs="+", default=["", "local:2"])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "foreshock-training")
    parser.add_argument("--readme", action="store_true")
    given = parser.parse_args()
    if given.readme:
        into_readme()
        return
    data = fleet_in(given.folder, given.entities, given.metrics, given.days)
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for detector in given.detector:
        for dask in given.dask:
            name = f"{data.name}, {detector}, {f'Dask {dask}' if dask else 'the cores of the machine'}"
            found[name] = trained(data, detector, dask)
            print(name, json.dumps(found[name]), flush=True)
            RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        bundles = {one["sha256"] for name, one in found.items() if name.startswith(f"{data.name}, {detector}, ")}
        assert len(bundles) == 1, f"{detector}: not the same bundle whoever worked on it"


if __name__ == "__main__":
    main()
