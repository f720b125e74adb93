"""One OTLP number data point: its times, its number, and where its attributes lie.

Exemplars hold no sample and are skipped, but only those that the official library would accept without a look.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels.identity import NO_ROOM, copy
from pipeline.kernels.layout import INNER
from pipeline.kernels.wire import FIXED64, LENGTH, ODD, VARINT, field, fixed64, varint

__all__ = ["AS_INT", "point"]

START, TIME, AS_DOUBLE, EXEMPLARS, AS_INT, ATTRIBUTES, FLAGS = 2, 3, 4, 5, 6, 7, 8  # fields of a point


@njit(**INNER)
def _is_exemplar(data, first, last):
    """Whether bytes are an exemplar of numbers and ids alone; one with texts is for the judge."""
    at = first
    while at < last:
        number, wire, _, after = field(data, at, last)
        if after == ODD or not ((number in (2, 3, 6) and wire == FIXED64) or (number in (4, 5) and wire == LENGTH)):
            return False
        at = after
    return True


@njit(**INNER, forceinline=True)
def point(data, first, last, table):
    """Read one point.

    Returns
    -------
    tuple
        (length of its attributes in the key or NO_ROOM, time, start, flags, field that held the number or 0, its bits).
    """
    at, time, start, flags = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    held, bits = np.int64(0), np.uint64(0)
    place = first
    while place < last and at != NO_ROOM:
        number, wire, body, after = field(data, place, last)
        if after == ODD:
            at = np.int64(NO_ROOM)
        elif number == ATTRIBUTES and wire == LENGTH:
            at = np.int64(copy(data, place, after, table, at))
        elif number == FLAGS and wire == VARINT:
            flags, _ = varint(data, body, after)
        elif wire == FIXED64 and number == TIME:
            time = np.int64(fixed64(data, body))
        elif wire == FIXED64 and number == START:
            start = np.int64(fixed64(data, body))
        elif wire == FIXED64 and number in (AS_DOUBLE, AS_INT):
            held, bits = number, fixed64(data, body)
        elif not (number == EXEMPLARS and wire == LENGTH and _is_exemplar(data, body, after)):
            at = np.int64(NO_ROOM)
        place = after
    return at, time, start, flags, held, bits
