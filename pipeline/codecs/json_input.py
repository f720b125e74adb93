"""JSON as untrusted senders write it: parsed within limits, with the complaint that becomes the reason."""

from __future__ import annotations

from typing import Any

import msgspec

from pipeline.codecs.scalars import label_text
from pipeline.errors import CodecError
from pipeline.names import MAX_LABELS

__all__ = ["found_at", "objects", "parsed", "texts"]

_decoder = msgspec.json.Decoder()


def parsed(value: bytes) -> Any:
    """Parse one JSON value.

    Raises
    ------
    CodecError
        If the bytes are not JSON, not UTF-8, or nested deeper than anything real.
    """
    try:
        return _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CodecError("bad_json", str(error)[:200]) from error


def objects(value: bytes) -> list[Any]:
    """Parse one JSON value, or an array of them; errors as in :func:`parsed`."""
    whole = parsed(value)
    return whole if isinstance(whole, list) else [whole]


def texts(given: object, reason: str) -> dict[str, str]:
    """Names and texts of an object of labels.

    Raises
    ------
    CodecError
        With ``reason``, if it is not an object.
    """
    if not isinstance(given, dict):
        raise CodecError(reason, repr(given)[:60])
    if len(given) > MAX_LABELS:  # before they are compared for every value of the record
        raise CodecError("too_many_labels", f"{len(given)}")
    return {name: label_text(text) for name, text in given.items()}


def found_at(body: object, path: str) -> object:
    """What lies at a path of keys joined by dots ("" the body itself), or None; a key may hold dots itself."""
    if not path:
        return body
    if not isinstance(body, dict):
        return None
    if path in body:
        return body[path]
    places = [place for place, sign in enumerate(path) if sign == "."]
    for place in places:
        found = found_at(body.get(path[:place]), path[place + 1 :])
        if found is not None:
            return found
    return None
