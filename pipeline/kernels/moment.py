"""Event times as text to int64 ns: RFC 3339, and numbers whose unit their magnitude tells; the odd is for the judge.

::

    2026-01-05T00:00:00.123456789+01:00      fraction and zone may be absent; without a zone it is UTC
    1767571200 or 1767571200.123             s, up to 10^11; then ms, µs, ns: each up to a thousandfold
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels.columns import MAX_TIME_NS
from pipeline.kernels.layout import INNER, LEAN
from pipeline.kernels.wire import ODD

__all__ = ["epoch", "rfc3339"]

ZERO, NINE, DOT, DASH, COLON, PLUS, BLANK = 48, 57, 46, 45, 58, 43, 32  # ASCII
T, Z, LOWER = 0x74, 0x7A, 0x20  # letters in lower case, and the bit that makes them so
MOST_DIGITS = 18
SECOND = 1_000_000_000
LIMITS = (100_000_000_000, 100_000_000_000_000, 100_000_000_000_000_000)  # of s, ms, µs
UNBLURRED_SECONDS, UNBLURRED_DIGITS = 1 << 32, 6  # a float64 of such size tells all decimals of a µs apart
EXACT_DIGITS = 15  # that a float64 always holds
LONGEST_DATE = 19  # characters to the whole second
THIRTY = (4, 6, 9, 11)


@njit(**INNER, forceinline=True)
def _scale(whole):
    return SECOND if whole < LIMITS[0] else 1_000_000 if whole < LIMITS[1] else 1_000 if whole < LIMITS[2] else 1


@njit(**INNER, forceinline=True)
def _digits(data, at, end, most):
    """Read up to ``most`` digits; returns (their number, position after them)."""
    found, last = np.int64(0), min(end, at + most)
    while at < last and ZERO <= data[np.uint64(at)] <= NINE:
        found = found * 10 + (np.int64(data[np.uint64(at)]) - ZERO)
        at += 1
    return found, at


@njit(**LEAN)
def epoch(data, at, end):
    """Read a number since 1970, of s, ms, µs or ns.

    Returns
    -------
    tuple of int64
        (ns, position after it or ODD).
    """
    whole, after = _digits(data, at, end, MOST_DIGITS + 1)
    n = after - at
    if not 0 < n <= MOST_DIGITS + 1 or whole < 0 or (n > 1 and data[np.uint64(at)] == ZERO):
        return np.int64(0), np.int64(ODD)
    scale = _scale(whole)
    if whole > MAX_TIME_NS // scale:
        return np.int64(0), np.int64(ODD)
    ns = whole * scale
    if after < end and data[np.uint64(after)] == DOT:
        parts, last = _digits(data, after + 1, end, MOST_DIGITS)
        k = last - after - 1
        blurred = n + k > EXACT_DIGITS and (k > UNBLURRED_DIGITS or whole >= UNBLURRED_SECONDS)
        if k == 0 or blurred:
            return np.int64(0), np.int64(ODD)
        for _ in range(k):
            scale, parts = scale // 10, parts if scale >= 10 else parts // 10
        ns, after = ns + parts * max(scale, 1), last
    return ns, np.int64(after)


@njit(**INNER, forceinline=True)
def _days(year, month, day):
    """Days from 1970-01-01 to a date of the Gregorian calendar, whose years here begin in March."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


@njit(**INNER, forceinline=True)
def _is_date(year, month, day):
    leap = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
    longest = 30 if month in THIRTY else 31 if month != 2 else 29 if leap else 28
    return 1 <= month <= 12 and 1 <= day <= longest


@njit(**INNER)
def _zone(data, at, end):
    """Seconds by which a zone is ahead of UTC, and the position after it or ODD."""
    letter = data[np.uint64(at)] if at < end else np.uint8(0)
    if letter | LOWER == Z:
        return np.int64(0), np.int64(at + 1)
    if letter not in (PLUS, DASH):
        return np.int64(0), np.int64(at)
    hours, middle = _digits(data, at + 1, end, 2)
    begin = middle + 1 if middle < end and data[np.uint64(middle)] == COLON else middle
    minutes, after = _digits(data, begin, end, 2)
    if middle != at + 3 or after != begin + 2:
        return np.int64(0), np.int64(ODD)
    ahead = hours * 3600 + minutes * 60
    return -ahead if letter == DASH else ahead, np.int64(after)


@njit(**LEAN)
def rfc3339(data, at, end):
    """Read a date with a time.

    Returns
    -------
    tuple of int64
        (ns, position after it or ODD).
    """
    year, a = _digits(data, at, end, 4)
    month, b = _digits(data, a + 1, end, 2)
    day, c = _digits(data, b + 1, end, 2)
    hour, d = _digits(data, c + 1, end, 2)
    minute, e = _digits(data, d + 1, end, 2)
    second, after = _digits(data, e + 1, end, 2)
    if after != at + LONGEST_DATE or b != at + 7 or c != at + 10 or d != at + 13 or e != at + 16 or a != at + 4:
        return np.int64(0), np.int64(ODD)
    marks = data[np.uint64(a)] == DASH and data[np.uint64(b)] == DASH
    marks = marks and data[np.uint64(d)] == COLON and data[np.uint64(e)] == COLON
    between = data[np.uint64(c)]
    if not marks or not (between | LOWER == T or between == BLANK):
        return np.int64(0), np.int64(ODD)
    if not _is_date(year, month, day) or hour > 23 or minute > 59 or second > 59:
        return np.int64(0), np.int64(ODD)
    fraction = np.int64(0)
    if after < end and data[np.uint64(after)] == DOT:
        begin = after + 1
        fraction, after = _digits(data, begin, end, 9)
        if after == begin or (after < end and ZERO <= data[np.uint64(after)] <= NINE):
            return np.int64(0), np.int64(ODD)
        for _ in range(9 - (after - begin)):
            fraction *= 10
    ahead, after = _zone(data, after, end)
    seconds = _days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - ahead
    if not 0 <= seconds < MAX_TIME_NS // SECOND:
        return np.int64(0), np.int64(ODD)
    return seconds * SECOND + fraction, after
