"""Event times as senders write them (RFC 3339, or numbers since 1970 in s, ms, µs or ns) to int64 ns."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from pipeline.errors import CodecError

__all__ = ["epoch_ns", "rfc3339", "rfc3339_ns", "time_ns"]

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,18}))?(?:[Zz]|([+-])(\d\d):?(\d\d))?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A number below the limit is in that unit: each unit so spans 1973 (s: 1970) to the year 5138.
_BEYOND = 2**63
_UNITS = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3))


def epoch_ns(number: float) -> int:
    """Nanoseconds since 1970 of a number whose unit (s, ms, µs, ns) its magnitude tells; integers stay exact.

    Raises
    ------
    CodecError
        If the number is not finite or fits no unit.
    """
    if not abs(number) < _BEYOND:
        raise CodecError("absurd_time", "no unit makes this number a time")
    if isinstance(number, int):
        return number * _scale(number)
    # through text: 1458229140.25 s has an exact meaning in decimal that a binary product would blur
    return int(Decimal(repr(number)) * _scale(number))


def _scale(number: float | Decimal) -> int:
    size = abs(float(number))
    for limit, scale in _UNITS:
        if size < limit:
            return scale
    return 1


def rfc3339_ns(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 time; one without a zone is UTC.

    Raises
    ------
    CodecError
        If the text is not such a time.
    """
    found = _RFC3339.fullmatch(text)
    if not found:
        raise CodecError("bad_time", repr(text[:60]))
    year, month, day, hour, minute, second = (int(part) for part in found.group(1, 2, 3, 4, 5, 6))
    sign, zone_hours, zone_minutes = found.group(8, 9, 10)
    zone = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
    leap = second == 60  # RFC 3339 allows a leap second; Kafka clocks do not have one
    try:
        moment = datetime(year, month, day, hour, minute, 59 if leap else second, tzinfo=UTC)
    except ValueError as error:
        raise CodecError("bad_time", f"{text[:60]!r}: {error}") from error
    since = moment - _EPOCH + (zone if sign == "-" else -zone)
    fraction = int((found.group(7) or "").ljust(9, "0")[:9])
    return (since.days * 86_400 + since.seconds + leap) * 10**9 + fraction


def time_ns(value: object) -> int:
    """Nanoseconds since 1970 of a time as JSON carries it: a number, or text with a number or RFC 3339.

    Raises
    ------
    CodecError
        If the value is not a time.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return epoch_ns(value)
    if not isinstance(value, str):
        raise CodecError("no_time" if value is None else "bad_time", repr(value)[:60])
    if len(value) <= 40 and "T" not in value and ":" not in value:
        try:
            number = Decimal(value)
            return int(number * _scale(number)) if abs(number) < _BEYOND else epoch_ns(math.inf)
        except ArithmeticError as error:  # not a number, or one beyond what decimals can hold
            raise CodecError("bad_time", repr(value)) from error
    return rfc3339_ns(value)


def rfc3339(ns: int) -> str:
    """The time as RFC 3339 in UTC with nanoseconds."""
    seconds, fraction = divmod(ns, 10**9)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"
