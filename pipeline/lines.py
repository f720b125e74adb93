"""Distinct lines of text in one arena: numbered as they come, found by what they say.

A million of them cost their bytes and 16 more each; as Python objects they would cost hundreds. The arena is also
what a snapshot keeps, so keeping and restoring it is a copy.
"""

from __future__ import annotations

from array import array

import numpy as np

__all__ = ["Lines"]

UNKNOWN = -1
LEAST_SLOTS = 1 << 10
LINE_FEED = 10


class Lines:
    """Numbers distinct lines.

    An open hash table holds only numbers; the lines themselves are compared, so that no two ever share one. Its
    hashes are Python's own: keyed anew by each process, so that no sender can make names that meet in one slot.
    """

    def __init__(self) -> None:
        self.arena = bytearray()
        self._ends = array("q", [0])
        self._slots = array("i", bytes(4 * LEAST_SLOTS))  # number + 1, 0: free

    @classmethod
    def of(cls, text: bytes) -> Lines:
        """The lines of an arena that was kept, all at once; each ends with a line feed, and no two are alike."""
        lines = cls()
        lines.arena = bytearray(text)
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == LINE_FEED) + 1
        lines._ends.frombytes(ends.astype(np.int64).tobytes())
        while len(lines._slots) < 2 * len(lines):
            lines._slots *= 2
        lines._fill_slots()
        return lines

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: int) -> bytes:
        return bytes(self.arena[self._ends[number] : self._ends[number + 1] - 1])

    def text(self, first: int, last: int) -> bytes:
        """Some lines in a row, each with its line feed."""
        return bytes(self.arena[self._ends[first] : self._ends[last]])

    def find(self, line: bytes) -> int:
        """Number of a line, -1 if it was never added."""
        return self._slots[self._slot(line)] - 1

    def add(self, line: bytes) -> int:
        """Number of a line, the next one if it is new.

        Parameters
        ----------
        line
            Without a line feed in it.
        """
        slot = self._slot(line)
        if self._slots[slot]:
            return self._slots[slot] - 1
        self.arena += line
        self.arena += b"\n"
        self._ends.append(len(self.arena))
        self._slots[slot] = len(self)
        if 2 * len(self) > len(self._slots):
            self._double()
        return len(self) - 1

    def _slot(self, line: bytes) -> int:
        """The slot that holds a line, or the free one where it belongs."""
        slots, mask = self._slots, len(self._slots) - 1
        slot = hash(line) & mask
        while (number := slots[slot]) and self[number - 1] != line:
            slot = (slot + 1) & mask
        return slot

    def _double(self) -> None:
        self._slots = array("i", bytes(8 * len(self._slots)))
        self._fill_slots()

    def _fill_slots(self) -> None:
        slots, mask = self._slots, len(self._slots) - 1
        for number, line in enumerate(bytes(self.arena).split(b"\n")[:-1], start=1):
            slot = hash(line) & mask
            while slots[slot]:
                slot = (slot + 1) & mask
            slots[slot] = number
