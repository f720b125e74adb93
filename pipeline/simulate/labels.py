"""Ground truth: ``labels.csv`` with entity, start, end, metric, kind, note; one loader for all of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.errors import InputError

__all__ = ["Label", "read_labels", "write_labels"]

COLUMNS = ("entity", "start", "end", "metric", "kind", "note")
NEEDED = ("entity", "start", "end")


@dataclass(frozen=True, slots=True)
class Label:
    """A stretch of time at one entity: ``start_ms`` to before ``end_ms``; kind ``innocent`` is not a fault."""

    entity: str
    start_ms: int
    end_ms: int
    metric: str = ""
    kind: str = ""
    note: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether an incident is expected."""
        return self.kind != "innocent"


def write_labels(path: Path, labels: list[Label]) -> None:
    """Write labels as CSV, times as RFC 3339 in UTC."""
    rows = [
        (x.entity, _iso(x.start_ms), _iso(x.end_ms), x.metric, x.kind, x.note)
        for x in sorted(labels, key=lambda x: (x.start_ms, x.entity))
    ]
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(path, index=False)


def read_labels(path: Path) -> list[Label]:
    """Read labels; naive times are UTC.

    Raises
    ------
    InputError
        If the file is not there, lacks a column that is needed, or holds a time that cannot be read.
    """
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error
    missing = [column for column in NEEDED if column not in frame]
    if missing:
        raise InputError(f"{path}: no column {missing[0]!r}; needed are {', '.join(NEEDED)}")
    return [_label(path, {str(name): str(value) for name, value in row.items()}) for row in frame.to_dict("records")]


def _label(path: Path, row: dict[str, str]) -> Label:
    try:
        start, end = (round(pd.to_datetime(row[name], utc=True).timestamp() * 1000) for name in ("start", "end"))
    except ValueError as error:
        raise InputError(f"{path}: {row['start']!r} or {row['end']!r} is not a time: {error}") from error
    return Label(row["entity"], start, end, row.get("metric", ""), row.get("kind", ""), row.get("note", ""))


def _iso(time_ms: int) -> str:
    return str(pd.Timestamp(time_ms, unit="ms", tz="UTC").isoformat())
