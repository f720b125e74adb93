"""Recorded samples down the same road: a job with an empty store and, if there was training data, its bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.bundle import Bundle
from pipeline.codecs.units import unit_of
from pipeline.events import SampleBatch, SeriesIdentity
from pipeline.incident import CloudEvent
from pipeline.judging import check_priors
from pipeline.recordings import Recording, recording
from pipeline.stream import PartitionStream, Plan, StepResult
from pipeline.verdicts import Verdicts

__all__ = ["Backtest", "backtest", "replay", "run_through", "train"]

CHUNK_SAMPLES = 100_000
ENTITY_CLASS = "host"
# scores are taken from the stream as arrays: none needs to become an event
NO_SCORES = {"low_mark": 2.0, "publish_all_scores": False}

Ints = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a job would have said of recordings.

    ``tables`` has one frame an entity: see :func:`backtest`. ``incidents`` are the events in the order of publishing.
    """

    tables: dict[str, pd.DataFrame]
    incidents: list[CloudEvent]


def backtest(
    test: pd.DataFrame,
    train_frame: pd.DataFrame | None,
    plan: Plan,
    entity: str = "entity",
    on_progress: Progress | None = None,
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
    bundle = None if train_frame is None else train([recording(train_frame, entity)], plan)
    result = replay([recording(test, entity)], plan, bundle, on_progress)
    return result.tables[entity], result.incidents


def train(recordings: Sequence[Recording], plan: Plan, on_progress: Progress | None = None) -> Bundle:
    """Learn from recordings; the bundle is all that is handed on."""
    stream = PartitionStream(replace(plan, **NO_SCORES), "training", 0)  # type: ignore[arg-type]
    for _ in run_through(stream, recordings, on_progress):
        continue
    return stream.learned("trained", "0")


def replay(
    recordings: Sequence[Recording], plan: Plan, bundle: Bundle | None = None, on_progress: Progress | None = None
) -> Backtest:
    """Send recordings of many entities, merged in order of time, down the road of the live job.

    Parameters
    ----------
    recordings
        One an entity. They share a partition, as on a topic: an entity that ends early is silent beside the others.
    plan, bundle, on_progress
        As in :func:`backtest`.
    """
    if bundle is not None:
        check_priors(bundle)
    stream = PartitionStream(replace(plan, **NO_SCORES), "backtest", 0, bundle)  # type: ignore[arg-type]
    verdicts = Verdicts(stream, recordings, series_ids(stream, recordings))
    stream.observer = verdicts.see
    incidents = [event for result in run_through(stream, recordings, on_progress) for event in result.incidents]
    return Backtest(verdicts.tables(), incidents)


def run_through(
    stream: PartitionStream, recordings: Sequence[Recording], on_progress: Progress | None
) -> Iterator[StepResult]:
    """Step through all rows in order of time; rows of equal times follow the order of the recordings."""
    which = np.repeat(np.arange(len(recordings)), [len(one) for one in recordings])
    row = np.concatenate([np.arange(len(one)) for one in recordings])
    times = np.concatenate([one.times for one in recordings])
    order = np.argsort(times, kind="stable")
    ids = series_ids(stream, recordings)
    size = max(1, CHUNK_SAMPLES // max(len(one) for one in ids))
    for start in range(0, len(order), size):
        chunk = order[start : start + size]
        parts = []
        for k in np.unique(which[chunk]):
            records = np.flatnonzero(which[chunk] == k)
            parts.append(_samples(recordings[k], ids[k], row[chunk[records]], records))
        offsets = list(range(start, start + len(chunk)))
        yield stream.advance(_joined(parts), (times[chunk] // 1_000_000).tolist(), offsets)
        if on_progress is not None:
            on_progress(start + len(chunk), len(order))
    yield stream.flush(max(0, len(order) - 1))


def series_ids(stream: PartitionStream, recordings: Sequence[Recording]) -> list[npt.NDArray[np.int32]]:
    """Ids of each recording's metrics, with the units that their names tell; -1 where the quota is full."""
    return [
        np.array([stream.catalog.series_id(_identity(one.entity, metric)) for metric in one.metrics], np.int32)
        for one in recordings
    ]


def _identity(entity: str, metric: str) -> SeriesIdentity:
    """Of a column, which may be named with its labels as in events: ``disk.used{device=vda}``."""
    return SeriesIdentity(entity, ENTITY_CLASS, metric, (), unit_of(metric.partition("{")[0]))


def _samples(one: Recording, ids: npt.NDArray[np.int32], rows: Ints, records: Ints) -> SampleBatch:
    n = len(rows) * len(ids)
    kinds = np.zeros(len(ids), np.uint8) if one.kinds is None else one.kinds
    return SampleBatch(
        np.tile(ids, len(rows)),
        np.repeat(one.times[rows], len(ids)),
        one.values[rows].ravel(),
        np.tile(kinds, len(rows)),
        np.zeros(n, np.int64),
        np.repeat(records, len(ids)).astype(np.int32),
    )


def _joined(parts: list[SampleBatch]) -> SampleBatch:
    names = [one.name for one in fields(SampleBatch)]
    return SampleBatch(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
