"""Recorded telemetry from files: wide tables, long tables, and folders of them, as one recording an entity.

Wide: ``timestamp`` and one numeric column a metric, the entity is the file's name (or a column ``entity``).
Long: ``timestamp, entity, metric, value``. Naive times are UTC; a column ``label`` is kept apart and never a metric.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import InputError

__all__ = ["Recording", "epoch_ns", "numeric_columns", "read_recordings", "read_table", "recording", "tables_in"]

SUFFIXES = (".parquet", ".csv", ".csv.gz")
LONG = ("timestamp", "entity", "metric", "value")
NOT_METRICS = ("timestamp", "label")
Unit = Literal["s", "ms", "us", "ns"]


@dataclass(frozen=True, slots=True)
class Recording:
    """What was recorded of one entity.

    ``times`` are ns since 1970 (UTC), ascending, shape (n_rows,); ``values`` has shape (n_rows, n_metrics), NaN where
    nothing was sent; ``label`` is 0 or 1 a row, or None where the table has none; ``kinds`` are those of the metrics
    (``events.Kind``), None where all are gauges.
    """

    entity: str
    metrics: list[str]
    times: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    label: npt.NDArray[np.int64] | None = None
    kinds: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.times)


def read_recordings(paths: Iterable[Path], entity: str = "") -> list[Recording]:
    """Read files and folders of recorded telemetry.

    Parameters
    ----------
    paths
        Tables (CSV or Parquet), or folders whose tables are read, in order of name.
    entity
        Name of what a single wide table is about; "": its file's name.

    Raises
    ------
    InputError
        A path is not there, is no table, or two tables are about one entity.
    """
    found: dict[str, Recording] = {}
    for path in tables_in(paths):
        for one in _named(path, entity or path.name.split(".")[0]):
            if one.entity in found:
                raise InputError(f"{path}: there is another table about {one.entity}; name one of them differently")
            found[one.entity] = one
    return list(found.values())


def _named(path: Path, name: str) -> list[Recording]:
    """The recordings of one file; a complaint about what is in it names it."""
    frame = read_table(path)
    try:
        return list(_recordings_of(frame, name))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_table(path: Path) -> pd.DataFrame:
    """Read one CSV or Parquet file; raises InputError if it is not one."""
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a table: {error}") from error


def recording(frame: pd.DataFrame, entity: str) -> Recording:
    """Take a wide frame as the recording of one entity; rows are sorted by time, of equal times the later wins.

    Raises
    ------
    InputError
        If there is no ``timestamp`` column or no numeric one.
    """
    metrics = numeric_columns(frame)
    times = epoch_ns(frame["timestamp"])
    if (np.diff(times) < 0).any():
        order = np.argsort(times, kind="stable")
        frame, times = frame.iloc[order], times[order]
    label = frame["label"].fillna(0).to_numpy(np.int64) if "label" in frame else None
    return Recording(entity, metrics, times, frame[metrics].to_numpy(np.float64), label)


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
    """Event times in ns since 1970; naive ones are UTC, the unit of numbers (s, ms, µs, ns) is told by their size.

    Raises
    ------
    InputError
        A value is not a time.
    """
    try:
        unit = _unit(times) if pd.api.types.is_numeric_dtype(times) else None
        known = pd.to_datetime(times, utc=True, unit=unit)
    except (ValueError, TypeError) as error:
        raise InputError(f"the column timestamp holds something that is not a time: {error}") from error
    return known.dt.tz_localize(None).to_numpy("datetime64[ns]").astype(np.int64)


def _unit(numbers: pd.Series) -> Unit:
    """The unit in which the greatest of the numbers is a time between 1973 and 5138."""
    greatest = float(numbers.abs().max())
    limits: tuple[tuple[float, Unit], ...] = ((1e11, "s"), (1e14, "ms"), (1e17, "us"))
    return next((unit for limit, unit in limits if greatest < limit), "ns")


def tables_in(paths: Iterable[Path]) -> Iterator[Path]:
    """The tables named, and those in folders named, in order of name; raises InputError for an empty folder."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        inside = sorted(file for file in path.iterdir() if file.name.endswith(SUFFIXES) and file.name != "labels.csv")
        if not inside:
            raise InputError(f"{path} holds no table; wanted are files that end in {', '.join(SUFFIXES)}")
        yield from inside


def _recordings_of(frame: pd.DataFrame, name: str) -> Iterator[Recording]:
    if all(column in frame for column in LONG):
        for entity, rows in frame.groupby("entity", sort=True, observed=True):
            wide = rows.pivot_table(index="timestamp", columns="metric", values="value", aggfunc="last", sort=True)
            wide.columns = wide.columns.astype(str)
            yield recording(wide.reset_index(), str(entity))
    elif "entity" in frame:
        for entity, rows in frame.groupby("entity", sort=True, observed=True):
            yield recording(rows.drop(columns="entity"), str(entity))
    else:
        yield recording(frame, name)
