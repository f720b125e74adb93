"""Where walks over bytes put samples of known series, and how they are taught unknown ones by a judge.

A series' entry in the table of identities holds ``series id * 4 + kind``: formats whose bytes do not say a sample's
kind take it from there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pipeline.kernels.identity import NO_ENTRY, NO_ROOM, finish, insert, lookup
from pipeline.kernels.layout import INNER
from pipeline.kernels.wire import ODD

__all__ = [
    "BOOLEANS",
    "COUNTERS",
    "LACKS_ROOM",
    "MAX_TIME_NS",
    "ROWS",
    "STALE",
    "TEXTS",
    "TOLD",
    "WHOLES",
    "Batch",
    "Columns",
    "Taught",
    "emit",
    "entry_of",
    "mark",
    "settle",
]

MAX_TIME_NS = 7_258_118_400_000_000_000  # 2200-01-01
STALE = 16  # bit of a sample's kind
TOLD = -1  # the kind is what the entry says
ROWS, LACKS_ROOM, TEXTS, BOOLEANS, WHOLES, COUNTERS = range(6)  # of ``used``, and how many there are


class Batch(NamedTuple):
    """Records behind each other: record i is data[bounds[i]:bounds[i + 1]], with Kafka's time (ms) and its format."""

    data: npt.NDArray[np.uint8]
    bounds: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    formats: npt.NDArray[np.uint8]


class Taught(NamedTuple):
    """What the judge made of the one record to learn from, sample by sample; empty columns where nothing is taught."""

    series_id: npt.NDArray[np.int32]
    time: npt.NDArray[np.int64]
    kind: npt.NDArray[np.uint8]


class Columns(NamedTuple):
    """Room for samples: columns of shape (capacity,), ``used[ROWS]`` of them filled; ``value`` in two views.

    ``used`` also counts the texts that are no samples, the booleans that became 0 and 1, and the points of histograms
    and summaries: for each, ``whole`` has the row of its count, where its bytes begin and end, its metric's entry, and
    the field of the metric that it came in.
    """

    series_id: npt.NDArray[np.int32]
    time: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    bits: npt.NDArray[np.uint64]
    kind: npt.NDArray[np.uint8]
    record: npt.NDArray[np.int32]
    whole: npt.NDArray[np.int64]
    used: npt.NDArray[np.int64]


@njit(**INNER, forceinline=True)
def entry_of(table, parent, at, taught):
    """Look up the key of ``at`` bytes, making it while learning; NO_ENTRY where it cannot be had."""
    if at == NO_ROOM:
        return np.int64(NO_ENTRY)
    n_words = finish(table, at)
    return insert(table, parent, n_words, -1) if taught.time.size else lookup(table, parent, n_words)


@njit(**INNER, forceinline=True)
def emit(table, parent, at, sample, out, taught):
    """Write one sample of a known series; returns its row, or ODD where it is not known or there is no room.

    ``at`` is the length of the key that names the series below ``parent``, ``sample`` (time, start, bits, kind).
    """
    time, start, bits, kind = sample
    row = out.used[ROWS]
    if at == NO_ROOM or row >= out.time.size:
        out.used[LACKS_ROOM] = at != NO_ROOM
        return np.int64(ODD)
    n_words = finish(table, at)
    if taught.time.size == 0:
        entry = lookup(table, parent, n_words)
    elif row < taught.time.size and taught.time[row] == time and (kind == TOLD or taught.kind[row] == kind):
        entry = insert(table, parent, n_words, np.int64(taught.series_id[row]) << 2 | taught.kind[row] & 3)
    else:
        entry = np.int64(NO_ENTRY)
    if entry == NO_ENTRY:
        return np.int64(ODD)
    told = table.value[entry]
    out.series_id[row] = told >> 2
    out.time[row] = time
    out.start[row] = start if 0 < start < MAX_TIME_NS else 0
    out.kind[row] = told & 3 if kind == TOLD else kind
    out.bits[row] = bits
    if kind != TOLD and kind & STALE:
        out.value[row] = np.nan
    out.used[ROWS] = row + 1
    return row


@njit(**INNER, forceinline=True)
def mark(out):
    """What is used before a record, to come back to."""
    used = out.used
    return used[ROWS], used[TEXTS], used[BOOLEANS], used[WHOLES]


@njit(**INNER, forceinline=True)
def settle(good, record, before, out):
    """Say whose the rows of one record are, or take all back to where ``mark`` was asked."""
    rows, texts, booleans, wholes = before
    if good:
        for row in range(rows, out.used[ROWS]):
            out.record[row] = record
    else:
        out.used[ROWS], out.used[TEXTS], out.used[BOOLEANS], out.used[WHOLES] = rows, texts, booleans, wholes
