"""Numbers and texts as senders write them."""

from __future__ import annotations

import math

import msgspec

from pipeline.errors import CodecError

__all__ = ["label_text", "number", "text_of"]


def number(value: object) -> float:
    """Float of a JSON value: numbers, booleans as 0 and 1, numbers as text, NaN for null.

    Raises
    ------
    CodecError
        If the value is something else.
    """
    if isinstance(value, float):
        return value
    if value is None:
        return math.nan
    if not isinstance(value, int | str) or (isinstance(value, str) and (len(value) > 400 or "_" in value)):
        raise CodecError("bad_value", repr(value)[:60])
    try:
        return float(value)
    except (ValueError, OverflowError) as error:
        raise CodecError("bad_value", repr(value)[:60]) from error


def label_text(value: object) -> str:
    """Text of a label's value: text as it is, nothing for null, the rest as compact JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return "" if value is None else msgspec.json.encode(value, order="sorted").decode()


def text_of(value: bytes) -> str:
    """Text of a record that is nothing but text.

    Raises
    ------
    CodecError
        If the bytes are not UTF-8.
    """
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise CodecError("not_utf8", str(error)[:200]) from error
