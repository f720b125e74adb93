"""Plain JSON: a record's bytes to columns in one walk, for series that are known.

All members of an object but its time and its value, as they are written and in their order, name its series: equal
bytes, equal meaning. So nothing of them needs to be understood here, only where each one ends. Objects stand alone, on
lines, or in one array. Escaped names, values that are no numbers, objects over several lines, and whatever was never
seen before stop the walk at that record, which is left without a trace for the judge.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels.columns import BOOLEANS, MAX_TIME_NS, TOLD, emit
from pipeline.kernels.decimal import number
from pipeline.kernels.identity import copy
from pipeline.kernels.layout import INNER
from pipeline.kernels.moment import epoch, rfc3339
from pipeline.kernels.wire import ODD, fixed64

__all__ = ["write_record"]

ROOT = -3
NEWLINE, RETURN, TAB, BLANK, QUOTE, COMMA, COLON, BACKSLASH = 10, 13, 9, 32, 34, 44, 58, 92  # ASCII
OPEN_LIST, CLOSE_LIST, OPEN, CLOSE = 0x5B, 0x5D, 0x7B, 0x7D
WORD_SIGNS = (43, 45, 46)  # of numbers; letters and digits beside them


def _word(text: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(text, "little"))


# Names as eight bytes at a time: with their quotes, and of the longer one head and tail that overlap.
TIME_HEAD, TIME_TAIL, TIME_LENGTH = _word(b'"timesta'), _word(b'mestamp"'), 11
VALUE, VALUE_LENGTH, SEVEN_BYTES = _word(b'"value"'), 7, np.uint64((1 << 56) - 1)
TRUE, FOUR_BYTES, FALSE, FIVE_BYTES = (
    _word(b"true"),
    np.uint64((1 << 32) - 1),
    _word(b"false"),
    np.uint64((1 << 40) - 1),
)
ONE = np.uint64(0x3FF0000000000000)  # bits of 1.0


@njit(**INNER, forceinline=True)
def _after_blanks(data, at, end):
    while at < end and data[np.uint64(at)] in (BLANK, TAB):
        at += 1
    return at


@njit(**INNER, forceinline=True)
def _after_lines(data, at, end):
    while at < end and data[np.uint64(at)] in (BLANK, TAB, NEWLINE, RETURN):
        at += 1
    return at


@njit(**INNER, forceinline=True)
def _is(data, at, end, sign):
    return at < end and data[np.uint64(at)] == sign


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
def _value_end(data, at, end):
    """Position behind a value of any kind, or ODD; what lies within is compared with what the judge has seen."""
    depth, begin = np.int64(0), at
    while at < end:
        byte = data[np.uint64(at)]
        if byte == QUOTE:
            if depth == 0 and at > begin:
                return np.int64(ODD)
            at = _text_end(data, at + 1, end)
            if at == ODD or depth == 0:
                return np.int64(at)
            continue
        if byte < BLANK:
            return np.int64(ODD)
        if byte in (OPEN, OPEN_LIST):
            if depth == 0 and at > begin:
                return np.int64(ODD)
            depth += 1
        elif depth == 0 and (byte in (COMMA, CLOSE, CLOSE_LIST, BLANK)):
            return np.int64(at) if at > begin else np.int64(ODD)
        elif byte in (CLOSE, CLOSE_LIST):
            depth -= 1
            if depth == 0:
                return np.int64(at + 1)
        at += 1
    return np.int64(ODD)


@njit(**INNER, forceinline=True)
def _name_end(data, at, end):
    """Position behind the quote that ends a member's name, or ODD; escapes in names are for the judge."""
    while at < end and data[np.uint64(at)] != QUOTE:
        if data[np.uint64(at)] == BACKSLASH:
            return np.int64(ODD)
        at += 1
    return np.int64(at + 1) if at < end else np.int64(ODD)


@njit(**INNER, forceinline=True)
def _time(data, at, end):
    """Read the time; returns (ns, position after it or ODD)."""
    if data[np.uint64(at)] != QUOTE:
        return epoch(data, at, end)
    ns, at = rfc3339(data, at + 1, end)
    if at == ODD or not _is(data, at, end, QUOTE):
        return ns, np.int64(ODD)
    return ns, np.int64(at + 1)


@njit(**INNER, forceinline=True)
def _amount(data, at, end, out):
    """Read the value, a number or a boolean; returns (its bits, position after it or ODD)."""
    if at + 8 <= end:
        word = fixed64(data, at)
        is_true, is_false = word & FOUR_BYTES == TRUE, word & FIVE_BYTES == FALSE
        if is_true or is_false:
            out.used[BOOLEANS] += 1
            return ONE if is_true else np.uint64(0), np.int64(at + 4 if is_true else at + 5)
    bits, _, at = number(data, at, end)
    return bits, at


@njit(**INNER, forceinline=True)
def _object(data, at, end, table, out):
    """Read one object, and put the key of its series together.

    Returns
    -------
    tuple
        (length of the key, time or 0, bits of the value, position after the object or ODD).
    """
    n, time, bits, has_value = np.int64(0), np.int64(0), np.uint64(0), False
    while True:
        begin = _after_blanks(data, at + 1, end)
        if not _is(data, begin, end, QUOTE):
            return n, time, bits, np.int64(ODD)
        name_end = _name_end(data, begin + 1, end)
        at = _after_blanks(data, name_end, end)
        if name_end == ODD or not _is(data, at, end, COLON):
            return n, time, bits, np.int64(ODD)
        at = _after_blanks(data, at + 1, end)
        length = name_end - begin
        if length == TIME_LENGTH and fixed64(data, begin) == TIME_HEAD and fixed64(data, begin + 3) == TIME_TAIL:
            if time or at >= end:
                return n, time, bits, np.int64(ODD)
            time, at = _time(data, at, end)
        elif length == VALUE_LENGTH and begin + 8 <= end and fixed64(data, begin) & SEVEN_BYTES == VALUE:
            if has_value:
                return n, time, bits, np.int64(ODD)
            has_value = True
            bits, at = _amount(data, at, end, out)
        else:
            at = _value_end(data, at, end)
            if at != ODD:
                n = np.int64(copy(data, begin, at, table, n))
        if at == ODD:
            return n, time, bits, np.int64(ODD)
        at = _after_blanks(data, at, end)
        if _is(data, at, end, CLOSE):
            return n, time, bits, np.int64(at + 1) if has_value else np.int64(ODD)
        if not _is(data, at, end, COMMA):
            return n, time, bits, np.int64(ODD)


@njit(**INNER, forceinline=True)
def write_record(data, at, last, table, out, taught):
    """Write one record: an object, an array of them, or lines; returns False where the judge is needed."""
    at = _after_lines(data, at, last)
    in_list = _is(data, at, last, OPEN_LIST)
    if in_list:
        at = _after_lines(data, at + 1, last)
    while _is(data, at, last, OPEN):
        n, time, bits, at = _object(data, at, last, table, out)
        if at == ODD or not 0 < time < MAX_TIME_NS:
            return False
        if emit(table, np.int64(ROOT), n, (time, np.int64(0), bits, np.int64(TOLD)), out, taught) == ODD:
            return False
        if in_list:
            at = _after_lines(data, at, last)
            if _is(data, at, last, CLOSE_LIST):
                return _after_lines(data, at + 1, last) == last
            if not _is(data, at, last, COMMA):
                return False
            at = _after_lines(data, at + 1, last)
        else:
            while at < last and data[np.uint64(at)] in (BLANK, TAB, RETURN):
                at += 1
            if at < last and data[np.uint64(at)] != NEWLINE:
                return False
            at = _after_lines(data, at, last)
            if at == last:
                return True
    return False
