"""Influx lines: a record's bytes to columns in one walk, for series that are known.

A line's measurement with its tags is one entry, each field's name another below it. Comments, numbers that are none,
and whatever was never seen before stop the walk at that record, which is left without a trace for the judge. Texts and
booleans are counted as the judge counts them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels.columns import BOOLEANS, MAX_TIME_NS, TEXTS, TOLD, emit, entry_of
from pipeline.kernels.decimal import number
from pipeline.kernels.identity import NO_ENTRY, copy
from pipeline.kernels.layout import INNER
from pipeline.kernels.moment import epoch
from pipeline.kernels.wire import ODD

__all__ = ["write_record"]

ROOT = -2
LONGEST_KEY = 8192
NEWLINE, RETURN, TAB, BLANK, QUOTE, HASH, COMMA, EQUALS, BACKSLASH = 10, 13, 9, 32, 34, 35, 44, 61, 92  # ASCII
BRACES = (0x5B, 0x5D, 0x7B, 0x7D)
ZERO, NINE, INTEGER, UNSIGNED = 48, 57, 0x69, 0x75
LOWER = 0x20
TRUE, FALSE = 0x65757274, 0x736C6166  # "true" and "fals", read backwards
ONE = np.uint64(0x3FF0000000000000)  # bits of 1.0
NS_OF_MS = 1_000_000


@njit(**INNER, forceinline=True)
def _is_digit(byte):
    return ZERO <= byte <= NINE


@njit(**INNER, forceinline=True)
def _is_blank(byte):
    return byte in (BLANK, TAB, RETURN)


@njit(**INNER, forceinline=True)
def _key_end(data, at, end):
    """Position of the space that ends measurement and tags, or ODD."""
    first = data[np.uint64(at)]
    if first in BRACES or first in (QUOTE, HASH):
        return np.int64(ODD)
    while at < end and data[np.uint64(at)] != BLANK:
        escapes = data[np.uint64(at)] == BACKSLASH and at + 1 < end and data[np.uint64(at + 1)] == BLANK
        at += 2 if escapes else 1
    return np.int64(at) if at < end else np.int64(ODD)


@njit(**INNER, forceinline=True)
def _name_end(data, at, end):
    """Position of the sign that ends a field's name, or ODD."""
    begin = at
    while at < end:
        byte = data[np.uint64(at)]
        if byte == EQUALS:
            return np.int64(at) if at > begin else np.int64(ODD)
        if byte in (COMMA, BLANK, QUOTE):
            return np.int64(ODD)
        if byte == BACKSLASH and at + 1 < end and data[np.uint64(at + 1)] in (COMMA, EQUALS, BLANK, QUOTE):
            at += 1
        at += 1
    return np.int64(ODD)


@njit(**INNER, forceinline=True)
def _text_end(data, at, end):
    """Position behind the quote that ends a text, or ODD."""
    while at < end:
        byte = data[np.uint64(at)]
        if byte == QUOTE:
            return np.int64(at + 1)
        at += 2 if byte == BACKSLASH else 1
    return np.int64(ODD)


@njit(**INNER)
def _boolean(data, at, end):
    """Read a boolean that ends where its field does; returns (its bits, position after it or ODD)."""
    word, n = np.int64(0), np.int64(0)
    while at + n < end and n < 6 and np.uint8(0x61) <= data[np.uint64(at + n)] | LOWER <= np.uint8(0x7A):
        if n < 4:
            word |= np.int64(data[np.uint64(at + n)] | LOWER) << 8 * n
        n += 1
    is_true = (n == 4 and word == TRUE) or (n == 1 and word == TRUE & 0xFF)
    last_is_e = n == 5 and data[np.uint64(at + 4)] | LOWER == TRUE >> 24
    is_false = (last_is_e and word == FALSE) or (n == 1 and word == FALSE & 0xFF)
    if not is_true and not is_false:
        return np.uint64(0), np.int64(ODD)
    return ONE if is_true else np.uint64(0), np.int64(at + n)


@njit(**INNER, forceinline=True)
def _time(data, start, end, record_ms):
    """Find a line's time at its end.

    Returns
    -------
    tuple of int64
        (ns or ODD, where the fields end at the latest).
    """
    while end > start and data[np.uint64(end - 1)] in (BLANK, RETURN):
        end -= 1
    at = end
    while at > start and _is_digit(data[np.uint64(at - 1)]):
        at -= 1
    if at in (end, start) or data[np.uint64(at - 1)] != BLANK:
        return np.int64(record_ms * NS_OF_MS), np.int64(end)
    ns, after = epoch(data, at, end)
    if after != end:
        return np.int64(ODD), np.int64(end)
    while at > start and data[np.uint64(at - 1)] == BLANK:
        at -= 1
    return ns, np.int64(at)


@njit(**INNER, forceinline=True)
def _write_fields(data, at, end, time, key, stores):
    """Write a line's fields, of which the last one must end at ``end``; returns False where the judge is needed."""
    table, out, taught = stores
    while True:
        begin, at = at, _name_end(data, at, end)
        if at == ODD or at + 1 >= end:
            return False
        name_end, at = at, at + 1
        first = data[np.uint64(at)]
        if first == QUOTE:
            at = _text_end(data, at + 1, end)
            out.used[TEXTS] += 1
        else:
            if first == 0x2D or _is_digit(first):
                bits, whole, at = number(data, at, end)
                if at != ODD and whole and at < end and data[np.uint64(at)] in (INTEGER, UNSIGNED):
                    at += 1
            else:
                bits, at = _boolean(data, at, end)
                out.used[BOOLEANS] += 1
            if at == ODD:
                return False
            n = copy(data, begin, name_end + 1, table, 0)
            if emit(table, key, n, (time, np.int64(0), bits, np.int64(TOLD)), out, taught) == ODD:
                return False
        if at == end:
            return True
        if at == ODD or data[np.uint64(at)] != COMMA:
            return False
        at += 1


@njit(**INNER, forceinline=True)
def write_record(data, first, last, record_ms, table, out, taught):
    """Write one record, line by line; returns False where the judge is needed."""
    while first < last:
        end = first
        while end < last and data[np.uint64(end)] != NEWLINE:
            end += 1
        at, first = first, end + 1
        while at < end and _is_blank(data[np.uint64(at)]):
            at += 1
        if at == end:
            continue
        begin, at = at, _key_end(data, at, end)
        if at == ODD:
            return False
        time, end = _time(data, at, end, record_ms)
        # with the sign behind it, for keys end in zeros, as a name may
        key = entry_of(table, np.int64(ROOT), copy(data, begin, at + 1, table, 0), taught)
        while at < end and data[np.uint64(at)] == BLANK:
            at += 1
        if key == NO_ENTRY or not 0 < time < MAX_TIME_NS or at >= end or at - begin > LONGEST_KEY:
            return False
        if not _write_fields(data, at, end, time, key, (table, out, taught)):
            return False
    return True
