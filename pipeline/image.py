"""What a partition holds, as plain arrays and bytes: what snapshots keep, and what two states are compared by.

Every stage names its arrays in ``tables()``; nothing else needs to be known of them, so a new detector that keeps
its state so is kept over restarts without another line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

__all__ = ["Axis", "Image", "Table", "digest", "laid", "live_rows"]

Axis = Literal["series", "entity", "bounded", "partition"]


class Table(NamedTuple):
    """One array of a stage.

    Parameters
    ----------
    axis
        What a row (the first axis) stands for: a series id, an entity id, a series that has a limit, or the
        partition as a whole.
    array
        The array itself, not a copy; it may have room for more rows than there are.
    scratch
        Columns that mean nothing between two calls, with the value that they then have.
    links
        Columns that hold ids of series or entities.
    settles
        Whether late data takes rows back by a settled copy; False where they are taken back otherwise, or need not be.
    """

    axis: Axis
    array: npt.NDArray[Any]
    scratch: tuple[tuple[int, int], ...] = ()
    links: tuple[int, ...] = ()
    settles: bool = True


@dataclass(frozen=True, slots=True)
class Image:
    """A partition's whole state: live rows only.

    Parameters
    ----------
    names
        The catalog's lines, in the order in which ids were given.
    rows
        How many rows are live, by axis; of an axis not named here all are.
    tables
        By name, ``stage.array``. Views into the stages when taken, so they are valid until the stream moves on.
    told
        What is not an array (lives of incidents, settings in force), encoded.
    """

    names: bytes
    rows: Mapping[Axis, int]
    tables: dict[str, Table]
    told: bytes


def live_rows(table: Table, rows: Mapping[Axis, int]) -> npt.NDArray[Any]:
    """The rows of a table that stand for something."""
    return table.array[: rows.get(table.axis, len(table.array))]


def laid(image: Image, into: dict[str, Table]) -> list[str]:
    """Copy an image's arrays into a stream's own; returns the names that one of both lacks.

    Columns are only ever added at the end within a schema version, so what both know is copied and the rest stays
    as a new series begins.
    """
    for name in image.tables.keys() & into.keys():
        ours = live_rows(into[name], image.rows)
        theirs = image.tables[name].array
        common = tuple(slice(0, min(a, b)) for a, b in zip(ours.shape, theirs.shape, strict=True))
        ours[common] = theirs[common]
        for column, empty in into[name].scratch:
            ours[:, column] = empty
    return sorted(image.tables.keys() ^ into.keys())


def digest(image: Image, names: Mapping[Axis, Sequence[str]], told: object) -> str:
    """SHA-256 of a state, the same whatever ids its series and entities were given.

    Parameters
    ----------
    image
        The state.
    names
        Of the rows of each axis that has any; they are hashed in name order.
    told
        What is not an array, with names in place of ids.
    """
    hashed = hashlib.sha256(msgspec.json.encode([*map(sorted, names.values()), told], order="deterministic"))
    by_name = {axis: sorted(range(len(of_axis)), key=of_axis.__getitem__) for axis, of_axis in names.items()}
    for name, table in sorted(image.tables.items()):
        rows = live_rows(table, image.rows)
        rows = rows[by_name[table.axis]] if table.axis in by_name else rows
        meaningless = {column for column, _ in table.scratch} | set(table.links)
        if meaningless:
            rows = rows[:, [c for c in range(rows.shape[1]) if c not in meaningless]]
        hashed.update(name.encode())
        hashed.update(np.ascontiguousarray(rows).tobytes())
    return hashed.hexdigest()
