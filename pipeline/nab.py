"""The Numenta Anomaly Benchmark through the real stream: each series alone and cold, as the benchmark prescribes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.evaluate import finite
from models.nab import PROFILES, Rewards, nab_score, rewards
from pipeline.errors import InputError
from pipeline.recordings import read_table, recording
from pipeline.replay import replay
from pipeline.stream import Plan

__all__ = ["NabResult", "alarms", "evaluate_nab"]

# what an operator of servers would have: cloud metrics, and the two known causes that are servers
SYSTEM_FILES = (
    "realAWSCloudwatch/",
    "realKnownCause/cpu_utilization_asg_misconfiguration",
    "realKnownCause/ec2_request_latency_system_failure",
)
# an alarm is news as far as it is louder than what was heard before, which fades with this power of the rows seen: who
# has watched for long forgets slowly
FADING = 2.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class NabResult:
    """Scores by profile on the whole corpus, the standard score on system files alone, and what others published.

    ``system`` is under the threshold of the whole corpus, NaN where it has no such files. ``published`` has scores by
    detector and profile.
    """

    scores: dict[str, float]
    thresholds: dict[str, float]
    system: float
    published: dict[str, dict[str, float]]


def evaluate_nab(
    folder: Path, plan: Plan, jobs: int = 2, on_progress: Callable[[int, int], None] | None = None
) -> NabResult:
    """Run the corpus and score it.

    Parameters
    ----------
    folder
        A copy of the benchmark: ``data/*/*.csv`` and ``labels/combined_windows.json``.
    plan
        What decides, as for the live job.
    jobs
        Processes.
    on_progress
        Called with (series done, series in all).

    Raises
    ------
    InputError
        The folder does not hold the benchmark.
    """
    windows = _json(folder / "labels/combined_windows.json")
    files = sorted(windows)
    one = partial(_one_series, folder / "data", plan)
    found: list[tuple[Rewards, Floats]] = []
    with ProcessPoolExecutor(jobs, get_context("spawn")) if jobs > 1 else nullcontext() as pool:
        for result in (pool.map if pool else map)(one, files, [windows[file] for file in files]):
            found.append(result)
            if on_progress is not None:
                on_progress(len(found), len(files))
    laid_out, scores = [layout for layout, _ in found], [score for _, score in found]
    outcomes = {name: nab_score(laid_out, scores, profile) for name, profile in PROFILES.items()}
    standard = outcomes["standard"]
    mine = [i for i, file in enumerate(files) if file.startswith(SYSTEM_FILES)]
    alone = (_at(laid_out, mine), _at(scores, mine), PROFILES["standard"], standard.threshold)
    published = folder / "published.json"
    return NabResult(
        {name: outcome.score for name, outcome in outcomes.items()},
        {name: outcome.threshold for name, outcome in outcomes.items()},
        nab_score(*alone).score if any(windows[files[i]] for i in mine) else float("nan"),
        _json(published)["scores"] if published.is_file() else {},
    )


def alarms(score: npt.ArrayLike) -> Floats:
    """Scores as alarms: a row speaks only as far as it is higher than any row before, which is forgotten slowly.

    The benchmark pays for the first alarm of a window and fines every other, so that what is no news is left unsaid.

    Parameters
    ----------
    score
        One series', withheld ones NaN, shape (n_rows,).
    """
    given = finite(score)
    seen = np.arange(1.0, len(given) + 1.0) ** FADING
    heard = np.maximum.accumulate(given * seen)
    before = np.concatenate([[0.0], heard])[: len(given)] / seen
    loud: Floats = np.maximum(given - before, 0.0)
    return loud


def _one_series(data: Path, plan: Plan, file: str, windows: list[list[str]]) -> tuple[Rewards, Floats]:
    frame = read_table(data / file)
    times = pd.to_datetime(frame["timestamp"])
    rows = {time: i for i, time in reversed(list(enumerate(times)))}
    spans = [(rows[pd.Timestamp(first)], rows[pd.Timestamp(last)]) for first, last in windows]
    one = recording(frame, file)
    return rewards(len(frame), spans), alarms(replay([one], plan).tables[file]["score"])


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not there or not JSON: {error}; wanted is a copy of the benchmark") from error


def _at(values: list[Any], places: Iterable[int]) -> list[Any]:
    return [values[i] for i in places]
