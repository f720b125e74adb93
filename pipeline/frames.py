"""Long tables of samples, and their way down the stream.

A long table has ``time`` (UTC), ``entity``, ``metric``, ``labels`` (a JSON object), ``value`` and ``kind``, one row a
sample: what ``decode --out`` writes. A wide one (``timestamp`` and one column a metric) can be turned into it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.codecs.units import unit_of
from pipeline.errors import InputError
from pipeline.events import Kind, SampleBatch, SeriesIdentity
from pipeline.recordings import Recording, epoch_ns, recording
from pipeline.stream import PartitionStream, StepResult

__all__ = ["long_table", "of_recordings", "send", "to_recordings"]

COLUMNS = ("time", "entity", "metric", "labels", "value", "kind")
NEEDED = ("time", "entity", "metric", "value")
KINDS = {kind.name.lower(): int(kind) for kind in Kind}
# Their parts say no longer how they combine in time.
PARTS = ("histogram", "summary")
ENTITY_CLASS = "host"
CHUNK_SAMPLES = 100_000


def of_recordings(recordings: list[Recording]) -> pd.DataFrame:
    """The long table of recordings; values that were not sent are left out."""
    nothing = Recording("", [], np.zeros(0, np.int64), np.zeros((0, 0)))
    return pd.concat([_of_recording(one) for one in recordings or [nothing]], ignore_index=True)


def _of_recording(one: Recording) -> pd.DataFrame:
    rows, columns = np.nonzero(~np.isnan(one.values))
    return pd.DataFrame(
        {
            "time": pd.to_datetime(one.times[rows], utc=True),
            "entity": one.entity,
            "metric": np.array(one.metrics, object)[columns],
            "labels": "{}",
            "value": one.values[rows, columns],
            "kind": "gauge",
        }
    )


def to_recordings(samples: pd.DataFrame) -> Iterator[Recording]:
    """The recordings in a long table, one an entity; a column is a series, named as in events, with its kind."""
    table = long_table(samples)
    labels = {text: _labels(text) for text in table["labels"].unique()}
    names = {
        pair: SeriesIdentity("", "", pair[0], labels[pair[1]]).name
        for pair in table[["metric", "labels"]].drop_duplicates().itertuples(index=False, name=None)
    }
    table["series"] = [names[pair] for pair in zip(table["metric"], table["labels"], strict=True)]
    for entity, rows in table.groupby("entity", sort=True):
        wide = rows.pivot_table(index="time", columns="series", values="value", aggfunc="last", sort=True)
        kinds = rows.groupby("series")["kind"].last().map(KINDS)
        columns = [str(name) for name in wide.columns]
        told = np.array([kinds[name] for name in columns], np.uint8)
        times = epoch_ns(pd.Series(wide.index))
        yield Recording(str(entity), columns, times, wide.to_numpy(np.float64), None, told if told.any() else None)


def long_table(samples: pd.DataFrame, entity: str = "entity") -> pd.DataFrame:
    """A complete long table in order of time, from a long or a wide one.

    Parameters
    ----------
    samples
        Long: ``time, entity, metric, value[, labels, kind]``; parts of histograms and summaries are left out. Wide:
        ``timestamp`` and one numeric column a metric, all of one entity.
    entity
        What a wide table is about.

    Raises
    ------
    InputError
        A column is missing, or a kind is none of those that there are.
    """
    if "metric" not in samples and "timestamp" in samples:
        return _of_recording(recording(samples, entity))
    missing = [name for name in NEEDED if name not in samples]
    if missing:
        raise InputError(f"no column {missing[0]!r}; a table of samples has {', '.join(NEEDED)}")
    told = samples.assign(labels=samples.get("labels", "{}"), kind=samples.get("kind", "gauge"))
    told = told[~told["kind"].isin(PARTS)]
    unknown = sorted(set(told["kind"].unique()) - set(KINDS))
    if unknown:
        raise InputError(f"{unknown[0]!r} is not a kind of sample; there are {', '.join((*KINDS, *PARTS))}")
    return told[list(COLUMNS)].sort_values("time", kind="stable", ignore_index=True)


def send(samples: pd.DataFrame, stream: PartitionStream) -> Iterator[StepResult]:
    """Send a complete long table down a stream as if each row were a record, and close what is open at its end."""
    ids, times = _series_ids(samples, stream), epoch_ns(samples["time"])
    values = samples["value"].to_numpy(np.float64)
    kinds = samples["kind"].map(KINDS).to_numpy().astype(np.uint8)
    for start in range(0, len(samples), CHUNK_SAMPLES):
        rows = slice(start, min(start + CHUNK_SAMPLES, len(samples)))
        n = rows.stop - rows.start
        starts, records = np.zeros(n, np.int64), np.arange(n, dtype=np.int32)
        batch = SampleBatch(ids[rows], times[rows], values[rows], kinds[rows], starts, records)
        yield stream.advance(batch, (times[rows] // 1_000_000).tolist(), list(range(rows.start, rows.stop)))
    yield stream.flush(max(0, len(samples) - 1))


def _series_ids(samples: pd.DataFrame, stream: PartitionStream) -> npt.NDArray[np.int32]:
    which, names = pd.factorize(pd.MultiIndex.from_frame(samples[["entity", "metric", "labels"]]))
    ids = [
        stream.catalog.series_id(SeriesIdentity(entity, ENTITY_CLASS, metric, _labels(labels), unit_of(metric)))
        for entity, metric, labels in names
    ]
    return np.array(ids, np.int32)[which]


def _labels(text: str) -> tuple[tuple[str, str], ...]:
    try:
        return tuple(sorted(msgspec.json.decode(text, type=dict[str, str]).items()))
    except msgspec.DecodeError as error:
        raise InputError(f"the labels {text[:80]!r} are not a JSON object of texts: {error}") from error
