"""Who is blamed, beside who was at fault: root causes of labelled events through the real stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.evaluate import hit_rate
from pipeline.errors import InputError
from pipeline.recordings import numeric_columns, read_table, recording
from pipeline.replay import replay, train
from pipeline.stream import Plan

__all__ = ["CausesResult", "evaluate_causes"]

SUFFIX = ".causes.json"


@dataclass(frozen=True, slots=True)
class CausesResult:
    """Share of the metrics at fault among as many (half as many again) of the most blamed ones, mean over entities.

    ``each`` has both shares by entity.
    """

    hit100: float
    hit150: float
    n_events: int
    each: dict[str, tuple[float, float]]


def evaluate_causes(folder: Path, plan: Plan, on_progress: Callable[[int, int], None] | None = None) -> CausesResult:
    """Blame metrics for labelled events and hold that against what is known of them.

    Parameters
    ----------
    folder
        For each entity ``NAME.causes.json``, a list of {start, end, metrics} with rows of ``NAME.test.parquet`` (end
        excluded); ``NAME.train.parquet``, if there, is learned from first.
    plan
        What decides, as for the live job.
    on_progress
        Called with (entities done, entities in all).

    Raises
    ------
    InputError
        The folder holds no causes, or not what belongs to them.
    """
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        raise InputError(f"{folder} holds no NAME{SUFFIX} beside NAME.test.parquet")
    each, n_events = {}, 0
    for done, file in enumerate(files, start=1):
        name = file.name.removesuffix(SUFFIX)
        causes = _causes(file)
        n_events += len(causes)
        each[name] = _hits(folder, name, causes, plan)
        if on_progress is not None:
            on_progress(done, len(files))
    hit100, hit150 = (float(np.nanmean([pair[i] for pair in each.values()])) for i in (0, 1))
    return CausesResult(hit100, hit150, n_events, each)


def _hits(folder: Path, name: str, causes: list[tuple[int, int, list[str]]], plan: Plan) -> tuple[float, float]:
    frame, earlier = read_table(folder / f"{name}.test.parquet"), folder / f"{name}.train.parquet"
    bundle = train([recording(read_table(earlier), name)], plan) if earlier.is_file() else None
    table = replay([recording(frame, name)], plan, bundle).tables[name]
    metrics = numeric_columns(frame)
    blame = table[[f"contribution.{metric}" for metric in metrics]].to_numpy()
    return hit_rate(blame, causes, metrics), hit_rate(blame, causes, metrics, percent=150)


def _causes(file: Path) -> list[tuple[int, int, list[str]]]:
    try:
        return [(int(one["start"]), int(one["end"]), list(one["metrics"])) for one in json.loads(file.read_text())]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is not a list of start, end and metrics: {error!r}") from error
