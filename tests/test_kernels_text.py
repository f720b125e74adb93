"""Kernels that read text, against what the language itself makes of it; also run with NUMBA_DISABLE_JIT=1."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.kernels import decimal, moment
from pipeline.kernels.wire import ODD

T2200 = 7_258_118_400 * 10**9
DIGITS = st.text("0123456789", min_size=1, max_size=12)


def bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def read(kernel, text: str, before: str = "x", behind: str = ","):
    """What a kernel reads of a text in the midst of others, position counted from the text's begin."""
    data = np.frombuffer(f"{before}{text}{behind}".encode(), np.uint8)
    with np.errstate(over="ignore"):  # sums of 64 bits wrap around, which only the interpreted kernel tells
        *found, after = kernel(data, len(before), len(data))
    return *(int(one) for one in found), int(after) if after == ODD else int(after) - len(before)


def between(mantissa: int, power: int) -> str:
    """Decimal text of the number half-way between two neighbouring float64s."""
    exact = Fraction(2 * mantissa + 1) * Fraction(2) ** power
    return f"{exact.numerator}" if exact.denominator == 1 else f"{Decimal(exact.numerator) / exact.denominator}"


@settings(deadline=None, max_examples=200)
@given(st.floats(allow_nan=False, allow_infinity=False))
@example(5e-324)
@example(1.7976931348623157e308)
def test_every_float_as_python_writes_it_is_read_to_the_bit_or_is_for_the_judge(value):
    found, whole, after = read(decimal.number, repr(value))
    if after == ODD:
        assert value in (0.0, -0.0) or not 1e-40 < abs(value) < 1e60
    else:
        assert (found, after, bool(whole)) == (bits(value), len(repr(value)), False)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**19 - 1), st.integers(-64, 64), st.booleans())
def test_whole_numbers_with_exponents_are_rounded_once(digits, exponent, capital):
    text = f"{digits}{'E' if capital else 'e'}{exponent}"
    found, _, after = read(decimal.number, text)
    assert (found, after) == (bits(float(text)), len(text))


@settings(deadline=None, max_examples=200)
@given(st.integers(2**52, 2**53 - 1), st.integers(-3, 9))
def test_what_lies_between_two_floats_goes_to_the_even_one(mantissa, power):
    text = between(mantissa, power)
    if len(text.replace(".", "")) <= 19:
        assert read(decimal.number, text)[::2] == (bits(float(text)), len(text))


@pytest.mark.parametrize("text", ["-", "+1", "01", "-01", ".5", "1.", "1.e5", "1e", "1e+", "-0", "-0.0", "x", "1e99"])
def test_what_is_no_number_of_json_or_a_rare_one_is_for_the_judge(text):
    assert read(decimal.number, text)[-1] == ODD


def test_more_digits_than_an_integer_holds_are_for_the_judge_but_leading_zeros_are_none():
    assert read(decimal.number, "1" * 20)[-1] == ODD
    assert read(decimal.number, "0.000000000000000000000000123")[0] == bits(1.23e-25)
    assert read(decimal.number, "7", behind="")[::2] == (bits(7.0), 1)


@settings(deadline=None, max_examples=200)
@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 30)),
    DIGITS,
    st.none() | st.integers(-1439, 1439),
    st.sampled_from("Tt "),
    st.booleans(),
)
def test_dates_are_the_nanoseconds_that_the_calendar_says(when, fraction, zone, between, colon):
    when, fraction = when.replace(microsecond=0), fraction[:9]
    minutes = abs(zone or 0)
    sign = "-" if (zone or 0) < 0 else "+"
    suffix = "" if zone is None else f"{sign}{minutes // 60:02d}{':' if colon else ''}{minutes % 60:02d}"
    text = f"{when:%Y-%m-%d}{between}{when:%H:%M:%S}.{fraction}{suffix}"
    aware = when.replace(tzinfo=UTC if zone is None else timezone(timedelta(minutes=zone)))
    seconds = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    expected = (seconds * 10**9 + int(fraction.ljust(9, "0")), len(text))
    assert read(moment.rfc3339, text, behind='"') == (expected if seconds >= 0 else (0, ODD))


@pytest.mark.parametrize("second", range(0, 86_400 * 500, 86_400 * 13 + 4_711))
def test_days_around_leap_years_are_counted(second):
    for start in (datetime(1999, 11, 1), datetime(2023, 11, 1), datetime(2099, 11, 1)):
        when = start.replace(tzinfo=UTC) + timedelta(seconds=second)
        assert read(moment.rfc3339, f"{when:%Y-%m-%dT%H:%M:%S}Z")[0] == int(when.timestamp()) * 10**9


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2024-01-01T00:00:60Z",
        "1969-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "2024-01-01T00:00:00.Z",
        "2024-01-01T00:00:00.1234567890Z",
        "2024-01-01T00:00:00+1:00",
        "2024-01-01T00:00:00+01:0",
        "2024-01-01X00:00:00Z",
        "2024/01/01T00:00:00Z",
        "24-01-01T00:00:00Z",
        "2024-01-01T00:00",
        "",
    ],
)
def test_what_is_no_date_or_a_rare_one_is_for_the_judge(text):
    assert read(moment.rfc3339, text, behind="")[-1] == ODD


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**19 - 1))
@example(10**11 - 1)
@example(10**11)
@example(10**17)
def test_the_unit_of_a_whole_number_is_told_by_its_size(number):
    scale = 10**9 if number < 10**11 else 10**6 if number < 10**14 else 10**3 if number < 10**17 else 1
    expected = (number * scale, len(str(number))) if number * scale <= T2200 else (0, ODD)
    assert read(moment.epoch, str(number)) == expected


@settings(deadline=None, max_examples=200)
@given(st.integers(10**9, 7 * 10**9) | st.integers(10**11, 7 * 10**12), DIGITS)
def test_a_time_with_a_fraction_is_exact_or_for_the_judge(whole, fraction):
    """Senders' JSON numbers are float64s: what one of them cannot hold has no exact meaning here."""
    text = f"{whole}.{fraction}"
    ns, after = read(moment.epoch, text)
    if after != ODD:
        scale = 10**9 if whole < 10**11 else 10**6
        assert (ns, after) == (math.floor(Decimal(repr(float(text))) * scale), len(text))
    else:
        assert len(text) > 16
