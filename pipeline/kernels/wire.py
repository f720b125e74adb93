"""Reading protobuf's wire format from untrusted bytes: every step is checked against the end of its message.

Whatever is unusual (groups, overlong tags and lengths, a cut field) ends as ``next == ODD``: the caller hands the
record to the official library, which knows every rule.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels.layout import INNER, LEAN

__all__ = [
    "FIXED32",
    "FIXED64",
    "LENGTH",
    "ODD",
    "VARINT",
    "field",
    "fixed64",
    "varint",
]

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
ODD = -1
LARGEST = (1 << 31) - 1  # of a tag or a length
ONE_BYTE = 0x80


@njit(**LEAN, forceinline=True)
def varint(data, at, end):
    """Read a varint at ``at``; returns (value as int64, position after it or ODD)."""
    value = np.int64(0)
    for shift in range(0, 70, 7):
        if at >= end:
            return value, ODD
        byte = np.int64(data[np.uint64(at)])
        at += 1
        if shift == 63 and byte > 1:
            return value, ODD
        value |= (byte & 0x7F) << shift
        if byte < ONE_BYTE:
            return value, at
    return value, ODD


@njit(**LEAN, forceinline=True)
def fixed64(data, at):
    """Read eight little-endian bytes as uint64; the caller has checked that they are there."""
    i = np.uint64(at)
    value = np.uint64(data[i])
    for k in range(1, 8):
        value |= np.uint64(data[i + np.uint64(k)]) << np.uint64(8 * k)
    return value


@njit(**INNER, forceinline=True)
def field(data, at, end):
    """Read the tag at ``at`` and find where its field ends.

    Returns
    -------
    tuple of int64
        (field number, wire type, where its content begins, position after it or ODD).
    """
    byte = np.int64(data[np.uint64(at)])
    if byte < ONE_BYTE:
        tag, body = byte, at + 1
    else:
        tag, body = varint(data, at, min(end, at + 5))
        if body == ODD or tag > LARGEST:
            return 0, 0, at, ODD
    number, wire = tag >> 3, tag & 7
    after = np.int64(ODD)
    if wire == LENGTH:
        length, body = varint(data, body, min(end, body + 5))
        if body != ODD and length <= LARGEST:
            after = body + length
    elif wire == FIXED64:
        after = body + 8
    elif wire == VARINT:
        _, after = varint(data, body, end)
    elif wire == FIXED32:
        after = body + 4
    if number == 0 or after > end:
        after = np.int64(ODD)
    return number, wire, body, after
