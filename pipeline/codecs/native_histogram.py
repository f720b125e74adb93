"""Buckets of Prometheus' native histograms: runs of neighbours with gaps between, each count told by its difference.

::

    spans     offset 1, length 2   offset 1, length 1        index   1  2  3  4
    deltas    2, +1                -2                        count   2  3  0  1

Bucket i of schema n holds values in (base^(i-1), base^i] with base 2^(2^-n): one place to the left of OTLP's. Schema
-53 brings bounds of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from pipeline.codecs.buckets import Buckets, explicit, exponential

__all__ = ["buckets_of"]

_CUSTOM_BOUNDS = -53
_MOST_BUCKETS = 512


def buckets_of(histogram: Any) -> Buckets | None:
    """Buckets of a histogram of a write request; None where there are none, or none that make sense."""
    positive = _dense(histogram.positive_spans, histogram.positive_deltas, histogram.positive_counts)
    negative = _dense(histogram.negative_spans, histogram.negative_deltas, histogram.negative_counts)
    if positive is None or negative is None:
        return None
    if histogram.schema == _CUSTOM_BOUNDS:
        first, counts = positive
        missing = len(histogram.custom_values) + 1 - first - len(counts)
        if first < 0 or missing < 0 or first + missing > _MOST_BUCKETS:
            return None
        return explicit(histogram.custom_values, [*[0.0] * first, *counts, *[0.0] * missing])
    zeros = float(histogram.zero_count_int or histogram.zero_count_float)
    sides = [(first - 1, counts) for first, counts in (positive, negative)]
    return exponential(histogram.schema, zeros, sides[0], sides[1])


def _dense(spans: Any, deltas: Sequence[int], counts: Sequence[float]) -> tuple[int, list[float]] | None:
    """Index of the first bucket and the counts of all from there on; None where spans and counts do not fit."""
    told = [float(count) for count in accumulate(deltas)] if deltas else list(counts)
    if sum(span.length for span in spans) != len(told) or len(told) > _MOST_BUCKETS or min(told, default=0.0) < 0.0:
        return None
    found, first, at = list[float](), 0, 0
    for place, span in enumerate(spans):
        if place == 0:
            first = span.offset
        elif not 0 <= span.offset <= _MOST_BUCKETS - len(found):
            return None
        else:
            found += [0.0] * span.offset
        found += told[at : at + span.length]
        at += span.length
    return first, found
