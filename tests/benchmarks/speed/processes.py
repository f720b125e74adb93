"""One process, and two that share the input: samples a second, and what jobs and broker spend of the cores."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.speed import street
from tests.benchmarks.speed.telemetry import STEP_MS, Fleet
from tests.integration.street import RunningJob, wait_until

N_SERIES, POINTS = 20_000, 500  # of each of two partitions
LEARN_STEPS, STEPS = 15, 250
TOPICS, GROUP = ("left", "right"), "processes"
UNTIL = 0.95  # share of the records after which the clock stops: what one has left over, another may still work on


def measure(n_jobs: int) -> dict[str, float]:
    """Work two partitions off by so many processes of one group, each with exactly once on.

    All series are known and every partition has its owner before the clock starts.
    """
    with street.broker() as (bootstrap, broker_pid), tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        fleet, end_ms = Fleet(N_SERIES, POINTS), time.time_ns() // 1_000_000
        n_learn = sum(street.fill(bootstrap, topic, fleet, LEARN_STEPS, end_ms - STEPS * STEP_MS) for topic in TOPICS)
        jobs = [stack.enter_context(_job(bootstrap, folder, number)) for number in range(n_jobs)]
        for job in jobs:
            job.wait_for_line("live from offset")
        standings = [stack.enter_context(street.standing(bootstrap, topic, GROUP)) for topic in TOPICS]
        wait_until(lambda: sum(done() for done in standings) == n_learn)
        n_all = n_learn + sum(street.fill(bootstrap, topic, fleet, STEPS, end_ms) for topic in TOPICS)
        pids = [*(job.process.pid for job in jobs), broker_pid]
        return _timed(lambda: sum(done() for done in standings), pids, n_all)


def _job(bootstrap: str, folder: str, number: int) -> RunningJob:
    settings = {
        "source.topics": f"[{', '.join(TOPICS)}]",
        "source.keyed_by_entity": True,
        "source.start": "earliest",
        "source.history_hours": 0,
        "state.folder": folder,
    }
    return RunningJob(bootstrap, GROUP, Path(folder, f"log-{number}"), settings)


def _timed(done: Callable[[], int], pids: list[int], n_records: int) -> dict[str, float]:
    first, began, spent = done(), time.perf_counter(), [street.cpu_seconds(pid) for pid in pids]
    wait_until(lambda: done() >= UNTIL * n_records)
    seconds, samples = time.perf_counter() - began, (done() - first) * POINTS
    used = [street.cpu_seconds(pid) - before for pid, before in zip(pids, spent, strict=True)]
    return {
        "samples_per_second": samples / seconds,
        "job_cpu_us_per_sample": sum(used[:-1]) / samples * 1e6,
        "broker_cpu_us_per_sample": used[-1] / samples * 1e6,
        "job_cores": sum(used[:-1]) / seconds,
        "broker_cores": used[-1] / seconds,
    }
