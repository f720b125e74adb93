"""Amounts as people say them: ``97 %``, ``1.2 GB/s``, ``340 ms``."""

from __future__ import annotations

__all__ = ["amount", "band", "number", "rate_of"]

# Signs of the units that UCUM, Prometheus and plain senders write; others are told as they are.
_SIGNS = {
    "": "",
    "1": "",
    "%": "%",
    "percent": "%",
    "ratio": "%",
    "By": "B",
    "bytes": "B",
    "bit": "bit",
    "s": "s",
    "seconds": "s",
    "us": "µs",
    "Cel": "°C",
    "celsius": "°C",
}
_JOINED = frozenset({"B", "bit"})  # written next to the prefix of a large number: 1.2 GB
_SIZES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k"))


def rate_of(unit: str) -> str:
    """Unit of what a counter in ``unit`` adds a second; "" stays without a word of its own."""
    return "" if unit in ("", "1") else f"{unit}/s"


def amount(value: float | None, unit: str) -> str:
    """A value with its unit."""
    return "?" if value is None else f"{_told(value, unit)}{_sign(value, unit)}"


def band(lower: float | None, upper: float | None, unit: str) -> str:
    """A range, with its unit said once where both ends have the same."""
    (left, _, left_unit), (right, _, right_unit) = (amount(end, unit).partition(" ") for end in (lower, upper))
    between = "–" if left_unit == right_unit else f" {left_unit}–"
    return f"{left}{between}{right} {right_unit}".rstrip()


def number(value: float | None) -> str:
    """Three digits of a value, large ones with a prefix."""
    if value is None:
        return "?"
    size = abs(value)
    for least, prefix in _SIZES:
        if size >= least:
            return f"{value / (1e3 if prefix == 'k' else least):.3g}{prefix}"
    return f"{value:.3g}"


def _told(value: float, unit: str) -> str:
    text = number(100.0 * value if unit == "ratio" else value)
    return f"{text[:-1]} {text[-1]}" if text[-1].isalpha() and _base(unit) in _JOINED and text[-1] in "TGMk" else text


def _sign(value: float, unit: str) -> str:
    base, slash, rest = unit.partition("/")
    sign = _SIGNS.get(base, base.strip("{}"))
    if not sign:
        return f"{slash}{rest}"
    prefixed = abs(value) >= _SIZES[-1][0] and sign in _JOINED
    return f"{'' if prefixed else ' '}{sign}{slash}{rest}"


def _base(unit: str) -> str:
    base = unit.partition("/")[0]
    return _SIGNS.get(base, base)
