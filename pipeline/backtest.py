"""Recorded samples down the same road: a job with an empty store and, if there was training data, its bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.bundle import Bundle
from pipeline.events import CloudEvent, InputError, SampleBatch, SeriesIdentity
from pipeline.stream import PartitionStream, Plan, StepResult

__all__ = ["backtest", "numeric_columns", "train"]

CHUNK_ROWS = 2_000
NOT_METRICS = ("timestamp", "label")


def backtest(
    test: pd.DataFrame,
    train_frame: pd.DataFrame | None,
    plan: Plan,
    entity: str = "entity",
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[pd.DataFrame, list[CloudEvent]]:
    """Score a wide frame: ``timestamp`` (naive times are UTC) and one numeric column a metric.

    Parameters
    ----------
    test
        Scored row by row; the score at t uses rows up to t only. A ``label`` column is never shown to the detector.
    train_frame
        Learned from beforehand, or None for a cold start.
    plan
        The same that the job runs under.
    entity
        Name of the thing that the frame is about.
    on_progress
        Called with (rows done, rows in all).

    Returns
    -------
    frame
        One row for each row of ``test``: timestamp, score, threshold, over_threshold, anomaly (inside an incident as
        known at that step) and ``contribution.<metric>``; score is NaN during warm-up and where no cell closed.
    incidents
        The events a job would have published.
    """
    bundle = None if train_frame is None else train(train_frame, plan, entity)
    stream = PartitionStream(replace(plan, publish_all_scores=True), "backtest", 0, bundle)
    metrics, events, rows = numeric_columns(test), [], []
    for done, result in _run(stream, test, metrics, entity):
        events += result.incidents
        rows += result.scores
        if on_progress is not None:
            on_progress(done, len(test))
    return _frame(test, metrics, rows), events


def train(frame: pd.DataFrame, plan: Plan, entity: str = "entity") -> Bundle:
    """Learn from a wide frame; the bundle is all that is handed on."""
    stream = PartitionStream(replace(plan, low_mark=2.0), "training", 0)
    for _ in _run(stream, frame, numeric_columns(frame), entity):
        continue
    return stream.learned("trained", "0")


def numeric_columns(frame: pd.DataFrame) -> list[str]:
    """The metrics of a wide frame, without timestamp and label.

    Raises
    ------
    InputError
        If there is no ``timestamp`` column or no numeric one.
    """
    if "timestamp" not in frame:
        raise InputError(f"no column 'timestamp' among {', '.join(map(str, frame.columns))}")
    metrics = [str(c) for c in frame.select_dtypes("number").columns if c not in NOT_METRICS]
    if not metrics:
        raise InputError(f"no numeric column besides the timestamp among {', '.join(map(str, frame.columns))}")
    return metrics


def epoch_ns(times: pd.Series) -> npt.NDArray[np.int64]:
    """Event times in ns since 1970; naive ones are UTC."""
    return pd.to_datetime(times, utc=True).dt.tz_localize(None).to_numpy("datetime64[ns]").astype(np.int64)


def _run(
    stream: PartitionStream, frame: pd.DataFrame, metrics: list[str], entity: str
) -> Iterator[tuple[int, StepResult]]:
    times, values = epoch_ns(frame["timestamp"]), frame[metrics].to_numpy(np.float64)
    ids = [stream.catalog.series_id(SeriesIdentity(entity, "host", metric)) for metric in metrics]
    for start in range(0, len(frame), CHUNK_ROWS):
        end = min(len(frame), start + CHUNK_ROWS)
        samples = _samples(np.array(ids, np.int32), times[start:end], values[start:end])
        yield end, stream.advance(samples, (times[start:end] // 1_000_000).tolist(), list(range(start, end)))
    yield len(frame), stream.flush(len(frame) - 1)


def _samples(ids: npt.NDArray[np.int32], times: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> SampleBatch:
    n_rows, n_metrics = values.shape
    n = n_rows * n_metrics
    record = np.repeat(np.arange(n_rows, dtype=np.int32), n_metrics)
    return SampleBatch(
        np.tile(ids, n_rows), times[record], values.ravel(), np.zeros(n, np.uint8), np.zeros(n, np.int64), record
    )


def _frame(test: pd.DataFrame, metrics: list[str], rows: list) -> pd.DataFrame:  # type: ignore[type-arg]
    out = pd.DataFrame({"timestamp": test["timestamp"].to_numpy()})
    times = epoch_ns(test["timestamp"]) // 1_000_000
    at = np.searchsorted(times, np.array([row.time_ms for row in rows], np.int64))
    at = np.minimum(at, len(times) - 1)
    for name, of in (("score", np.float64), ("threshold", np.float64), ("over_threshold", bool), ("anomaly", bool)):
        column = np.full(len(test), np.nan) if of is np.float64 else np.zeros(len(test), bool)
        column[at] = [getattr(row, name) for row in rows]
        out[name] = column
    contributions = np.zeros((len(test), len(metrics)))
    contributions[at] = [[row.contributions.get(metric, 0.0) for metric in metrics] for row in rows]
    return out.assign(**{f"contribution.{metric}": contributions[:, i] for i, metric in enumerate(metrics)})
