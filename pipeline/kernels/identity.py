"""From raw identity bytes to ids: a hash table that compares in full, names kept in one arena.

A key is (parent entry, bytes). Keys form paths, so that what many series share is kept and compared once::

    resource ─► scope ─► metric ─► attributes of a point ─► series id

The 64-bit hash only finds the place to look; the bytes themselves decide, each time, so that no two identities ever
share an id, by chance or by design of a sender.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pipeline.kernels.layout import INNER, LEAN

__all__ = ["NO_ENTRY", "NO_ROOM", "ROOT", "SCRATCH_WORDS", "Identities", "Table", "copy", "finish", "insert", "lookup"]

ROOT, NO_ENTRY, NO_ROOM = -1, -1, -1
LOWEST = -8  # roots of other formats lie between: equal bytes of two formats are two keys
SCRATCH_WORDS = 8192  # longest key, in words of eight bytes
# of ``used``; the entry after the one found last is looked at first, for senders name their series in one order
ENTRIES, WORDS, FULL, NEXT, N_USED = range(5)
SPREAD, MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
ROTATION = np.uint64(32)


class Table(NamedTuple):
    """The arrays: slots hold entry + 1; entry i owns arena[start[i]:start[i] + length[i]].

    ``key`` and ``scratch`` are two views (bytes, words) of the key that is being put together.
    """

    slots: npt.NDArray[np.int32]
    hash: npt.NDArray[np.uint64]
    parent: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]
    length: npt.NDArray[np.int32]
    value: npt.NDArray[np.int32]
    arena: npt.NDArray[np.uint64]
    used: npt.NDArray[np.int64]
    key: npt.NDArray[np.uint8]
    scratch: npt.NDArray[np.uint64]


@njit(**LEAN, forceinline=True)
def copy(data, first, last, table, at):
    """Append data[first:last] to the key that is ``at`` bytes long; returns its new length or NO_ROOM."""
    n, key = last - first, table.key
    if at == NO_ROOM or at + n > key.size - 8:
        return NO_ROOM
    if last + 8 > data.size:
        for i in range(n):
            key[np.uint64(at + i)] = data[np.uint64(first + i)]
        return at + n
    for i in range(0, n, 8):  # eight bytes are one move; what is too much is overwritten, or cut off by `finish`
        for k in range(8):
            key[np.uint64(at + i + k)] = data[np.uint64(first + i + k)]
    return at + n


@njit(**LEAN, forceinline=True)
def finish(table, at):
    """Fill the key's last word with zeros; returns its length in words."""
    beyond = at & 7
    if beyond:
        table.scratch[np.uint64(at >> 3)] &= (np.uint64(1) << np.uint64(8 * beyond)) - np.uint64(1)
    return (at + 7) >> 3


@njit(**INNER, forceinline=True)
def _hash_of(table, parent, n_words):
    words = table.scratch
    h = (np.uint64(parent - LOWEST) ^ np.uint64(n_words)) * SPREAD
    for i in range(n_words):
        h = (h ^ words[np.uint64(i)]) * MIX
        h ^= h >> ROTATION
    return h * SPREAD


@njit(**INNER, forceinline=True)
def _is_key(table, entry, h, parent, n_words):
    """Whether an entry's parent and bytes are those of the key, whose hash is ``h``."""
    if table.hash[entry] != h or table.parent[entry] != parent or table.length[entry] != n_words:
        return False
    start, differing = np.uint64(table.start[entry]), np.uint64(0)
    for i in range(n_words):
        differing |= table.arena[start + np.uint64(i)] ^ table.scratch[np.uint64(i)]
    return differing == np.uint64(0)


@njit(**LEAN, forceinline=True)
def lookup(table, parent, n_words):
    """Find the entry whose parent and bytes are those of the key; NO_ENTRY where there is none."""
    h = _hash_of(table, parent, n_words)
    guess = table.used[NEXT]
    if guess < table.used[ENTRIES] and _is_key(table, np.uint64(guess), h, parent, n_words):
        table.used[NEXT] = guess + 1
        return guess
    slots, mask = table.slots, np.uint64(table.slots.size - 1)
    slot = (h >> ROTATION) & mask
    while slots[slot]:
        entry = np.int64(slots[slot]) - 1
        if _is_key(table, np.uint64(entry), h, parent, n_words):
            table.used[NEXT] = entry + 1
            return entry
        slot = (slot + np.uint64(1)) & mask
    return np.int64(NO_ENTRY)


@njit(**LEAN)
def insert(table, parent, n_words, value):
    """Find the key's entry or make it, with the value; NO_ENTRY, and FULL is set, where there is no room for it."""
    entry = lookup(table, parent, n_words)
    if entry == NO_ENTRY:
        h = _hash_of(table, parent, n_words)
        entry, start = table.used[ENTRIES], table.used[WORDS]
        if entry == table.hash.size or start + n_words > table.arena.size:
            table.used[FULL] = 1
            return np.int64(NO_ENTRY)
        table.hash[entry], table.parent[entry] = h, parent
        table.start[entry], table.length[entry] = start, n_words
        for i in range(n_words):
            table.arena[start + i] = table.scratch[i]
        table.used[ENTRIES], table.used[WORDS] = entry + 1, start + n_words
        mask = np.uint64(table.slots.size - 1)
        slot = (h >> ROTATION) & mask
        while table.slots[slot]:
            slot = (slot + np.uint64(1)) & mask
        table.slots[slot] = entry + 1
    table.value[entry] = value
    return entry


@njit(**LEAN)
def _fill_slots(slots, hashes):
    mask = np.uint64(slots.size - 1)
    for entry in range(hashes.size):
        slot = (hashes[entry] >> ROTATION) & mask
        while slots[slot]:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = entry + 1


class Identities:
    """Owns a table and makes room in it; past its bound it starts anew, for all of it can be learned again.

    Parameters
    ----------
    most
        Entries kept at most.

    Attributes
    ----------
    units
        Of the values of histograms and summaries, by their metric's entry.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.forget()

    def forget(self) -> None:
        """Start anew."""
        self.units: dict[int, str] = {}
        scratch = np.zeros(SCRATCH_WORDS, np.uint64)
        self.table = Table(
            slots=np.zeros(1 << 10, np.int32),
            hash=np.zeros(1 << 9, np.uint64),
            parent=np.zeros(1 << 9, np.int32),
            start=np.zeros(1 << 9, np.int64),
            length=np.zeros(1 << 9, np.int32),
            value=np.zeros(1 << 9, np.int32),
            arena=np.zeros(1 << 12, np.uint64),
            used=np.zeros(N_USED, np.int64),
            key=scratch.view(np.uint8),
            scratch=scratch,
        )

    @property
    def n_entries(self) -> int:
        """Keys that are known."""
        return int(self.table.used[ENTRIES])

    def make_room(self) -> bool:
        """If an insert found no room, grow by half and return True; at the bound start anew and return False."""
        if not self.table.used[FULL]:
            return False
        if self.n_entries >= self.most:
            self.forget()
            return False
        self.grow()
        return True

    def grow(self) -> None:
        """Make room for half as many entries again."""
        table = self.table
        filled = dict.fromkeys(("hash", "parent", "start", "length", "value"), ENTRIES) | {"arena": WORDS}
        grown: dict[str, Any] = {name: _grown(getattr(table, name), table.used[n]) for name, n in filled.items()}
        table = table._replace(**grown)
        slots = np.zeros(1 << (2 * len(table.hash) - 1).bit_length(), np.int32)
        _fill_slots(slots, table.hash[: self.n_entries])
        table.used[FULL] = 0
        self.table = table._replace(slots=slots)


def _grown(column: npt.NDArray[np.generic], n: int) -> npt.NDArray[np.generic]:
    """A column of half as much length again, with the first ``n`` numbers; what is not used yet takes no memory."""
    longer = np.zeros(len(column) + len(column) // 2, column.dtype)
    longer[:n] = column[:n]
    return longer
