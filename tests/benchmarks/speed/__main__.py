"""How fast: decoders, scorers, the road from grid to incidents, end to end on a real broker, delays, starts.

usage: python -m tests.benchmarks.speed [PART …] [--readme]      (``make bench``)

Parts are kernels, partition, start, street, processes and delay; without one all are run, in a quarter of an hour on
two idle cores. Results go to results.json beside this folder, with the hash of settings and detectors that the accuracy
table shows; ``--readme`` writes the README's table from that file and runs nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.app import plan_of
from pipeline.fingerprint import fingerprint
from pipeline.settings import load
from pipeline.stream import Plan
from pipeline.warm import compile_kernels
from tests.benchmarks.speed import delay, processes, startup, street, table
from tests.benchmarks.speed.kernels import decoders, scorers
from tests.benchmarks.speed.telemetry import Fleet

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "tests/benchmarks/results.json"
SIZES = (10_000, 100_000, 1_000_000)
RUNS = 3
LIBRARIES = ("foreshock", "numba", "numpy", "protobuf", "scikit-learn", "kafka-python")
Figures = dict[str, Any]


def kernels() -> Figures:
    """Decoders and compiled scorers."""
    decode = decoders()
    official = decode.pop("otlp-proto, official package")
    decode["otlp-proto, ratio"] = {
        name: decode["otlp-proto"][name] / official["median"] for name in ("min", "median", "max")
    }
    return {"decode": decode, "score": scorers()}


def partition() -> Figures:
    """Grid to incidents by number of series, each in a process of its own."""
    found = {}
    for n_series in SIZES:
        told = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.speed.partition", str(n_series)],
            check=True,
            capture_output=True,
            text=True,
        )
        found[f"{n_series:,}"] = json.loads(told.stdout)
    return {"grid to incidents": found}


def start() -> Figures:
    """Help, and a job until it polls; cold means without kept kernels."""
    helps = [startup.help_seconds() for _ in range(5)]
    with street.broker() as (bootstrap, _):
        cold = [startup.run_seconds(bootstrap, "cold", cold=True)]
        startup.run_seconds(bootstrap, "first", cold=False)
        warm = [startup.run_seconds(bootstrap, f"warm-{number}", cold=False) for number in range(RUNS)]
    return {"start": {"help": _spread(helps), "warm": _spread(warm), "cold": _spread(cold)}}


def end_to_end() -> Figures:
    """Topics worked off, exactly once, job and broker beside each other."""
    found: Figures = {}
    for points, n_series, steps in ((500, 20_000, 120), (100, 20_000, 80), (1, 2_000, 100)):
        with street.broker() as (bootstrap, pid):
            name = "json" if points == 1 else f"otlp-{points}"
            fleet = Fleet(n_series, points)
            n_records = street.fill(bootstrap, name, fleet, steps)
            runs = [street.throughput(bootstrap, pid, name, f"{name}-{run}", fleet, n_records) for run in range(RUNS)]
            found[name] = {key: _spread(run[key] for run in runs) for key in runs[0]}
            if points == 1:
                bare = _spread(street.bare_loop(bootstrap, name, n_records) for _ in range(RUNS))
                found["bare poll loop"] = bare
                rates = found[name]["samples_per_second"]
                found["json, ratio"] = {key: rates[key] / bare["median"] for key in rates}
    return {"end to end": found}


def by_processes() -> Figures:
    """Two partitions worked off by one process, and by two."""
    found: Figures = {}
    for n_jobs in (1, 2):
        runs = [processes.measure(n_jobs) for _ in range(RUNS)]
        found[str(n_jobs)] = {key: _spread(run[key] for run in runs) for key in runs[0]}
    return {"processes": found}


def delays() -> Figures:
    """From a closed step to an incident that can be read, at 100,000 samples a second."""
    found: Figures = {}
    with street.broker() as (bootstrap, pid):
        for name in ("aligned", "jittered"):
            one = delay.measure(bootstrap, pid, name, 100_000, 25, jittered=name == "jittered")
            found[name] = {key: dict.fromkeys(("min", "median", "max"), value) for key, value in one.items()}
    return {"delay": found}


PARTS: dict[str, Callable[[], Figures]] = {
    "kernels": kernels,
    "partition": partition,
    "start": start,
    "street": end_to_end,
    "processes": by_processes,
    "delay": delays,
}


def main() -> None:
    """Run what is asked for, keep the figures, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*PARTS, []])
    parser.add_argument("--readme", action="store_true", help="write the README's table from the last results")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped so too, it leaves nothing running
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    if not asked.readme:
        results = run(asked.parts or list(PARTS), results)
    accuracy = json.loads((ROOT / "tests/benchmarks/accuracy.json").read_text())["settings"]
    lines = table.markdown(results, accuracy)
    print("\n".join(lines))
    if asked.readme:
        write_between(ROOT / "README.md", table.BEGIN, table.END, "\n".join(lines))


def run(parts: list[str], before: Figures) -> Figures:
    """Measure parts; figures of other settings or detectors are dropped, those of other parts kept."""
    mark = fingerprint(Plan())
    figures: Figures = before.get("figures", {}) if before.get("settings") == mark else {}
    machine = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }
    results: Figures = {}
    compile_kernels(plan_of(load(None, []).settings))  # only what is called cold is to pay for it
    for part in parts:
        began = time.monotonic()
        figures.update(PARTS[part]())
        print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        versions = {name: version(name) for name in LIBRARIES}
        results = {"settings": mark, "machine": machine, "versions": versions, "figures": figures}
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    return results


def _spread(values: Iterable[float]) -> dict[str, float]:
    found = sorted(values)
    return {"min": found[0], "median": median(found), "max": found[-1]}


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def write_between(file: Path, begin: str, end: str, text: str) -> None:
    before, _, rest = file.read_text().partition(begin)
    file.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}")


if __name__ == "__main__":
    main()
