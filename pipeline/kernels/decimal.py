"""Decimal text to the nearest float64, exactly: what JSON calls a number, read from untrusted bytes.

Eisel and Lemire's method (D. Lemire, Number Parsing at a Gigabyte per Second, Software: Practice and Experience 51,
2021): up to 19 digits as an integer, times a power of five of 128 bits, rounded once. The few cases in which 128 bits
might not decide, more digits, and exponents that no telemetry has are ODD: for the judge.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from pipeline.kernels.layout import INNER, LEAN
from pipeline.kernels.wire import ODD

__all__ = ["number"]

MOST_DIGITS, LARGEST_EXPONENT = 19, 64
MINUS, PLUS, DOT, ZERO, NINE, EXPONENT = 45, 43, 46, 48, 57, 101  # ASCII; the exponent's letter in lower case
TEN, LOW_HALF, HALF = np.uint64(10), np.uint64(0xFFFFFFFF), np.uint64(32)
ONE, THREE, ALL = np.uint64(1), np.uint64(3), np.uint64(0xFFFFFFFFFFFFFFFF)
GUARD = np.uint64(0x1FF)  # bits below the 55 that decide
HIDDEN = np.uint64(1 << 52)  # the mantissa's bit that is not written
SIGN = np.uint64(1 << 63)


def _powers() -> npt.NDArray[np.uint64]:
    """Upper and lower 64 bits of 5^q in 128 bits, for q from -64 to 64; rounded up where q is from -27 to -1."""
    words = []
    for q in range(-LARGEST_EXPONENT, LARGEST_EXPONENT + 1):
        power = 5 ** abs(q)
        bits = power << 128 >> power.bit_length() if q >= 0 else (1 << power.bit_length() + 127) // power + (q >= -27)
        words += [bits >> 64, bits & (1 << 64) - 1]
    return np.array(words, np.uint64)


POWERS = _powers()


@njit(**INNER, forceinline=True)
def _product(a, b):
    """128 bits of a product, as two halves."""
    a0, a1, b0, b1 = a & LOW_HALF, a >> HALF, b & LOW_HALF, b >> HALF
    low = a0 * b0
    middle = a1 * b0 + (low >> HALF)
    other = a0 * b1 + (middle & LOW_HALF)
    return a1 * b1 + (middle >> HALF) + (other >> HALF), (other << HALF) | (low & LOW_HALF)


@njit(**INNER, forceinline=True)
def _leading_zeros(w):
    n = np.int64(0)
    for step in (32, 16, 8, 4, 2, 1):
        if w >> np.uint64(64 - step) == np.uint64(0):
            w <<= np.uint64(step)
            n += step
    return n


@njit(**INNER)
def _nearest(w, q):
    """Bits of the float64 nearest to w * 10^q, w > 0; and whether 128 bits decided it."""
    zeros = _leading_zeros(w)
    w <<= np.uint64(zeros)
    index = np.uint64(2 * (q + LARGEST_EXPONENT))
    high, low = _product(w, POWERS[index])
    if high & GUARD == GUARD:
        more, _ = _product(w, POWERS[index + ONE])
        low += more
        if more > low:
            high += ONE
        if low == ALL and not -27 <= q <= 55:
            return np.uint64(0), False
    upper = high >> np.uint64(63)
    shift = upper + np.uint64(9)
    mantissa = high >> shift
    exponent = np.int64((217706 * q >> 16) + 63 + 1023 - zeros) + np.int64(upper)
    if low <= ONE and -4 <= q <= 23 and mantissa & THREE == ONE and mantissa << shift == high:
        mantissa &= ~ONE  # exactly between two: to the even one
    mantissa = (mantissa + (mantissa & ONE)) >> ONE
    if mantissa >= HIDDEN << ONE:
        mantissa, exponent = HIDDEN, exponent + 1
    return (mantissa & ~HIDDEN) | np.uint64(exponent) << np.uint64(52), True


@njit(**INNER, forceinline=True)
def _digits(data, at, end, w, significant):
    """Read digits into w; returns (w, how many of them are significant, position after them)."""
    while at < end and ZERO <= data[np.uint64(at)] <= NINE:
        w = w * TEN + np.uint64(data[np.uint64(at)] - ZERO)
        significant += w != np.uint64(0)
        at += 1
    return w, significant, at


@njit(**LEAN)
def number(data, at, end):
    """Read a number as JSON's grammar has it.

    Returns
    -------
    tuple
        (bits of the float64, whether it is a whole number without exponent, position after it or ODD).
    """
    negative = at < end and data[np.uint64(at)] == MINUS
    first = at + 1 if negative else at
    w, significant, at = _digits(data, first, end, np.uint64(0), 0)
    good = at > first and (at == first + 1 or data[np.uint64(first)] != ZERO)
    q, whole = np.int64(0), True
    if at < end and data[np.uint64(at)] == DOT:
        point, whole = at + 1, False
        w, significant, at = _digits(data, point, end, w, significant)
        q = np.int64(point - at)
        good = good and at > point
    if at < end and data[np.uint64(at)] | 0x20 == EXPONENT:
        at, whole = at + 1, False
        sign = data[np.uint64(at)] if at < end else np.uint8(0)
        begin = at + 1 if sign in (PLUS, MINUS) else at
        exponent, n, at = _digits(data, begin, end, np.uint64(0), 0)
        good = good and at > begin and n < MOST_DIGITS
        q += -np.int64(exponent) if sign == MINUS else np.int64(exponent)
    if not good or significant > MOST_DIGITS or (w == np.uint64(0) and negative):
        return np.uint64(0), whole, np.int64(ODD)
    if w == np.uint64(0):
        return w, whole, np.int64(at)
    if not -LARGEST_EXPONENT <= q <= LARGEST_EXPONENT:
        return np.uint64(0), whole, np.int64(ODD)
    bits, decided = _nearest(w, q)
    return bits | SIGN if negative else bits, whole, np.int64(at) if decided else np.int64(ODD)
