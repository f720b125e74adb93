"""What a partition holds, as plain arrays and bytes: what snapshots keep, and what two states are compared by.

Every stage names its arrays in ``tables()``; nothing else needs to be known of them, so a new detector that keeps
its state so is kept over restarts without another line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

__all__ = ["Axis", "Image", "Moving", "Table", "Touched", "copy_rows", "digest", "laid", "live_rows"]

Axis = Literal["series", "entity", "bounded", "partition"]
STRETCH = 16_384  # rows


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
    restless
        Whether rows move without their entity being touched: see :class:`Touched`.
    """

    axis: Axis
    array: npt.NDArray[Any]
    scratch: tuple[tuple[int, int], ...] = ()
    links: tuple[int, ...] = ()
    settles: bool = True
    restless: bool = False


@dataclass(frozen=True, slots=True)
class Image:
    """A partition's whole state: live rows only.

    Parameters
    ----------
    names
        The catalog's lines, in the order in which ids were given, in pieces to be put one after the other.
    rows
        How many rows are live, by axis; of an axis not named here all are.
    tables
        By name, ``stage.array``. Like the names views into the stages when taken: valid until the stream moves on.
    told
        What is not an array (lives of incidents, settings in force), encoded.
    """

    names: tuple[bytes | bytearray, ...]
    rows: Mapping[Axis, int]
    tables: dict[str, Table]
    told: bytes


class Touched:
    """Which entities a state was moved of since somebody asked last, and with them their series.

    Who copies a state while it moves on must know. Nobody does most of the time, and then it costs nothing.
    """

    def __init__(self) -> None:
        self._flags: npt.NDArray[np.bool_] | None = None

    @property
    def watched(self) -> bool:
        """Whether somebody wants to know."""
        return self._flags is not None

    def watch(self, n_entities: int) -> None:
        """Note from now on who is touched."""
        self._flags = np.zeros(n_entities, np.bool_)

    def rest(self) -> None:
        """Note nothing any more."""
        self._flags = None

    def mark(self, entities: npt.NDArray[np.int64]) -> None:
        """Note that these entities were moved, or one of their series."""
        if self._flags is not None and len(entities):
            self._flags = _with_room(self._flags, int(entities.max()) + 1)
            self._flags[entities] = True

    def mark_all(self) -> None:
        """Note that all were."""
        if self._flags is not None:
            self._flags[:] = True

    def flags(self, n_entities: int) -> npt.NDArray[np.bool_]:
        """Who was touched since :meth:`watch` or is new, by entity id; everybody if nobody watched."""
        if self._flags is None:
            return np.ones(n_entities, np.bool_)
        return np.concatenate([self._flags[:n_entities], np.ones(max(0, n_entities - len(self._flags)), np.bool_)])


@dataclass(frozen=True, slots=True)
class Moving:
    """A state that moves on while it is copied.

    Parameters
    ----------
    tables
        Its image, without names and what is told.
    owner
        Entity of each series, shape (n_series,).
    touched
        Which entities are moved meanwhile.
    whole
        Takes the whole image.
    """

    tables: Image
    owner: npt.NDArray[np.int64]
    touched: Touched
    whole: Callable[[], Image]


def _with_room(flags: npt.NDArray[np.bool_], n: int) -> npt.NDArray[np.bool_]:
    if n <= len(flags):
        return flags
    return np.concatenate([flags, np.ones(2 * n - len(flags), np.bool_)])


def live_rows(table: Table, rows: Mapping[Axis, int]) -> npt.NDArray[Any]:
    """The rows of a table that stand for something."""
    return table.array[: rows.get(table.axis, len(table.array))]


def copy_rows(rows: npt.NDArray[Any], into: npt.NDArray[Any]) -> None:
    """Copy rows into others of the same shape; where both are zeros nothing is written, and the memory stays free."""
    for at in range(0, len(rows), STRETCH):
        some, there = rows[at : at + STRETCH], into[at : at + STRETCH]
        if _is_written(some) or _is_written(there):
            there[...] = some


def _is_written(rows: npt.NDArray[Any]) -> bool:
    return bool(np.ascontiguousarray(rows).view(np.uint8).any())


def laid(image: Image, into: dict[str, Table]) -> list[str]:
    """Copy an image's arrays into a stream's own; returns the names that one of both lacks.

    Columns are only ever added at the end within a schema version, so what both know is copied and the rest stays
    as a new series begins.
    """
    for name in image.tables.keys() & into.keys():
        ours = live_rows(into[name], image.rows)
        theirs = image.tables[name].array
        common = tuple(slice(0, min(a, b)) for a, b in zip(ours.shape, theirs.shape, strict=True))
        copy_rows(theirs[common], ours[common])
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
