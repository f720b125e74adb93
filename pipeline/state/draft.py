"""A snapshot in the making: copied slice by slice while the stream moves on, and what moved since in one short stop.

::

    first pass      all rows, a slice between two polls
    further passes  blocks of rows whose entities were touched since the pass before began
    end             once few are left: those, and what is not known by entity

Copying too much is never wrong, for what is copied stands as it is now; so blocks are coarse.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.image import Axis, Image, Moving, Table, live_rows

__all__ = ["Draft", "Placed", "room_for"]

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

BORDER = 8
BLOCK = 64  # rows
FEW_BYTES = 128 * 2**20  # are left to the stop: 15 ms
MOST_PASSES = 6  # in a backlog all is touched all the time; nobody waits for a verdict of this second then
BY_ENTITY: tuple[Axis, ...] = ("series", "entity")


class Placed(msgspec.Struct, frozen=True, array_like=True):
    """Where the rows of a table lie."""

    name: str
    axis: Axis
    dtype: str
    shape: tuple[int, ...]
    at: int


class _Slice(NamedTuple):
    """Rows of an axis that are to be copied."""

    axis: Axis
    rows: slice


class Draft:
    """The tables of one state on their way into memory of their own.

    Parameters
    ----------
    state
        Whose tables are to be copied; not the one it stands for when it is finished, but the same stream's.
    out
        Where to; at least :func:`room_for` bytes.
    begin
        How many bytes at the head of ``out`` are left free.
    """

    def __init__(self, state: Moving, out: Bytes, begin: int) -> None:
        self._out, self._begin, self.touched = out, begin, state.touched
        self._rows = _with_growth(state.tables.rows)
        self._placed, self.end = _laid_out(state.tables, self._rows, begin)
        self._left: deque[_Slice] = deque()
        self._passes = 0
        self.touched.rest()
        self._next_pass(state)

    def fits(self, state: Moving) -> bool:
        """Whether this is still the same stream, with the same tables, and no more rows than there is room for."""
        rows = state.tables.rows
        same = state.touched is self.touched and all(rows[axis] <= self._rows[axis] for axis in rows)
        return same and _laid_out(state.tables, self._rows, self._begin)[0] == self._placed

    def advance(self, state: Moving, n_bytes: int) -> bool:
        """Copy at most so many bytes; returns whether so little is left that it can be finished."""
        while self._left and n_bytes > 0:
            axis, rows = self._left.popleft()
            some = max(1, n_bytes // _row_bytes(state.tables, axis))
            cut = min(rows.stop, rows.start + some)
            if cut < rows.stop:
                self._left.appendleft(_Slice(axis, slice(cut, rows.stop)))
            self._copy(state.tables, _Slice(axis, slice(rows.start, cut)))
            n_bytes -= (cut - rows.start) * _row_bytes(state.tables, axis)
        if self._left:
            return False
        if self._passes >= MOST_PASSES or self._n_bytes(state) <= FEW_BYTES:
            return True
        self._next_pass(state)
        return False

    def finish(self, state: Moving) -> list[Placed]:
        """Copy what is left; returns where the live rows lie."""
        for one in (*self._left, *_touched(state)):
            self._copy(state.tables, one)
        for name, table in state.tables.tables.items():
            if table.axis not in BY_ENTITY or table.restless:
                rows = live_rows(table, state.tables.rows)
                self._room(self._placed[name])[: len(rows)] = rows
        self.touched.rest()
        live = state.tables.rows
        return [
            Placed(one.name, one.axis, one.dtype, (live.get(one.axis, one.shape[0]), *one.shape[1:]), one.at)
            for one in self._placed.values()
        ]

    def _next_pass(self, state: Moving) -> None:
        self._left = deque(_touched(state))
        self._passes += 1
        self.touched.watch(state.tables.rows["entity"])

    def _n_bytes(self, state: Moving) -> int:
        """How much was touched."""
        return sum((one.rows.stop - one.rows.start) * _row_bytes(state.tables, one.axis) for one in _touched(state))

    def _copy(self, image: Image, some: _Slice) -> None:
        for name, table in _by_entity(image, some.axis):
            self._room(self._placed[name])[some.rows] = table.array[some.rows]

    def _room(self, one: Placed) -> npt.NDArray[np.generic]:
        n_bytes = int(np.prod(one.shape)) * np.dtype(one.dtype).itemsize
        return self._out[one.at : one.at + n_bytes].view(one.dtype).reshape(one.shape)


def room_for(image: Image) -> int:
    """How many bytes a draft of these tables takes."""
    return _laid_out(image, _with_growth(image.rows), BORDER)[1]


def _with_growth(rows: Mapping[Axis, int]) -> dict[Axis, int]:
    """Some rows more, so that a fleet may grow while it is copied."""
    return {axis: n + n // 32 + BLOCK for axis, n in rows.items()}


def _laid_out(image: Image, rows: Mapping[Axis, int], at: int) -> tuple[dict[str, Placed], int]:
    """Places of all tables with room for so many rows, one after the other, and where they end."""
    placed = {}
    for name, table in sorted(image.tables.items()):
        at += -at % BORDER
        shape = (rows.get(table.axis, len(table.array)), *table.array.shape[1:])
        placed[name] = Placed(name, table.axis, table.array.dtype.str, shape, at)
        at += int(np.prod(shape)) * table.array.dtype.itemsize
    return placed, at


def _by_entity(image: Image, axis: Axis) -> Iterator[tuple[str, Table]]:
    return ((name, one) for name, one in image.tables.items() if one.axis == axis and not one.restless)


def _row_bytes(image: Image, axis: Axis) -> int:
    return max(1, sum(one.array.nbytes // max(1, len(one.array)) for _, one in _by_entity(image, axis)))


def _touched(state: Moving) -> Iterator[_Slice]:
    """Blocks of rows of entities that were touched, neighbours together."""
    flags = state.touched.flags(state.tables.rows["entity"])
    for axis, rows in (("series", flags[state.owner]), ("entity", flags)):
        yield from (_Slice(axis, one) for one in _blocks(rows))  # type: ignore[arg-type]


def _blocks(flags: Flags) -> Iterator[slice]:
    starts = np.arange(0, len(flags), BLOCK)
    if not len(starts):
        return
    dirty = np.logical_or.reduceat(flags, starts)
    edges = np.flatnonzero(np.diff(dirty, prepend=False, append=False))
    for first, last in edges.reshape(-1, 2):
        yield slice(int(first) * BLOCK, min(int(last) * BLOCK, len(flags)))
