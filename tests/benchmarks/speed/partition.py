"""One partition's road from grid to incidents: rate, memory, and the share of a core that a steady fleet takes.

usage: python -m tests.benchmarks.speed.partition N_SERIES      (a process of its own, for its memory is measured)
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time

import numpy as np

import pipeline.app  # noqa: F401  a job has loaded it
from pipeline.image import live_rows
from tests.benchmarks.speed.street import resident_bytes
from tests.benchmarks.speed.telemetry import METRICS, STEP_MS, Series, rate

LEARN_STEPS = 12  # a series learns its rhythm with the eighth sample
STEPS = 5


def measure(n_series: int) -> dict[str, object]:
    """Rates and shares of a core over some steps, and bytes a series by part, growth and all buffers included."""
    small = Series(METRICS)
    for number in range(LEARN_STEPS):
        small.step(number)
    gc.collect()
    before = resident_bytes(os.getpid())
    fleet = Series(n_series)
    named = resident_bytes(os.getpid())
    for number in range(LEARN_STEPS):
        fleet.step(number)
    aligned = [_cpu(fleet, LEARN_STEPS + number, None) for number in range(STEPS)]
    offsets = np.repeat(np.random.default_rng(1).integers(0, STEP_MS - 100, -(-n_series // METRICS)), METRICS)[
        :n_series
    ]
    last = LEARN_STEPS + STEPS
    _cpu(fleet, last, offsets)
    jittered = [_cpu(fleet, last + 1 + number, offsets) for number in range(STEPS)]
    after = resident_bytes(os.getpid())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    image = fleet.stream.image()
    parts: dict[str, float] = {"names": (named - before) / n_series}
    for name, table in image.tables.items():
        part = name.partition(".")[0]
        parts[part] = parts.get(part, 0.0) + live_rows(table, image.rows).nbytes / n_series
    return {
        "aligned": rate(n_series, _spread(aligned)),
        "jittered": rate(n_series, _spread(jittered)),
        "aligned, share of a core": _shares(aligned),
        "jittered, share of a core": _shares(jittered),
        "bytes a series": {"min": (after - before) / n_series, "median": after / n_series, "max": peak / n_series},
        "bytes a series by part": parts,
    }


def _cpu(fleet: Series, number: int, offsets: np.ndarray | None) -> float:
    began = time.process_time()
    fleet.step(number, offsets)
    return time.process_time() - began


def _spread(spent: list[float]) -> dict[str, float]:
    return {"min": min(spent), "median": float(np.median(spent)), "max": max(spent)}


def _shares(spent: list[float]) -> dict[str, float]:
    return {name: seconds * 1_000 / STEP_MS for name, seconds in _spread(spent).items()}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
