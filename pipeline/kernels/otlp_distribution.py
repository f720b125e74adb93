"""Points of OTLP histograms and summaries: their counts, sums and quantiles as samples, and where each point lies.

A point's buckets are more than samples: the walk leaves them to the official library, which gets the point's own bytes.
Samples come in the judge's order: count, sum, quantiles.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels.columns import MAX_TIME_NS, STALE, WHOLES, emit
from pipeline.kernels.identity import NO_ROOM, copy
from pipeline.kernels.layout import INNER
from pipeline.kernels.wire import FIXED64, LENGTH, ODD, VARINT, field, fixed64, varint

__all__ = ["EXPONENTIAL", "HISTOGRAM", "SUMMARY", "write_distribution"]

HISTOGRAM, EXPONENTIAL, SUMMARY = 9, 10, 11  # fields of a metric
START, TIME, COUNT, SUM, QUANTILES = 2, 3, 4, 5, 6  # fields of a point
QUANTILE, QUANTILE_VALUE = 1, 2  # fields of a summary's quantile
NO_RECORDED_VALUE = 1
GAUGE_OF_SUMMARY = 8  # kind of a quantile
IS_COUNT, IS_SUM, IS_QUANTILE = 1, 2, 3  # what ends the key of a sample's series
ROOM = 16  # bytes that such an end takes


@njit(**INNER, forceinline=True)
def _head(data, first, last, shape, table):
    """Read what a point's samples need.

    Returns
    -------
    tuple
        (length of its attributes in the key or NO_ROOM, time, start, whether it is stale, count, whether there is a
        sum, bits of the sum).
    """
    attributes = 9 if shape == HISTOGRAM else 1 if shape == EXPONENTIAL else 7
    flags_field = 8 if shape == SUMMARY else 10
    has_buckets = shape != SUMMARY  # and then all else of the point is for the library
    at, time, start, flags = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    count, has_sum, total = np.uint64(0), shape == SUMMARY, np.uint64(0)
    place = first
    while place < last and at != NO_ROOM:
        number, wire, body, after = field(data, place, last)
        if after == ODD:
            at = np.int64(NO_ROOM)
        elif number == attributes and wire == LENGTH:
            at = np.int64(copy(data, place, after, table, at))
        elif number == flags_field and wire == VARINT:
            flags, _ = varint(data, body, after)
        elif wire == FIXED64 and number == TIME:
            time = np.int64(fixed64(data, body))
        elif wire == FIXED64 and number == START:
            start = np.int64(fixed64(data, body))
        elif wire == FIXED64 and number == COUNT:
            count = fixed64(data, body)
        elif wire == FIXED64 and number == SUM:
            has_sum, total = True, fixed64(data, body)
        elif number in (attributes, flags_field, START, TIME, COUNT, SUM) or not (has_buckets or number == QUANTILES):
            at = np.int64(NO_ROOM)
        place = after
    if at != NO_ROOM and at + ROOM > table.key.size:
        at = np.int64(NO_ROOM)
    return at, time, start, flags & NO_RECORDED_VALUE, count, has_sum, total


@njit(**INNER)
def _write_quantiles(data, first, last, at, sample, metric, stores):
    """Write a summary's quantiles; ``at`` is the length of its attributes in the key, ``sample`` time, start, kind."""
    table, out, taught = stores
    time, start, kind = sample
    place = first
    while place < last:
        number, wire, begin, after = field(data, place, last)
        place = after
        if number != QUANTILES:
            continue
        if wire != LENGTH:
            return False
        share, value = np.uint64(0), np.uint64(0)
        while begin < after:
            which, kind_of_wire, body, end = field(data, begin, after)
            if end == ODD or kind_of_wire != FIXED64 or which not in (QUANTILE, QUANTILE_VALUE):
                return False
            if which == QUANTILE:
                share = fixed64(data, body)
            else:
                value = fixed64(data, body)
            begin = end
        for i in range(8):
            table.key[np.uint64(at + i)] = np.uint8(share >> np.uint64(8 * i) & np.uint64(0xFF))
        table.key[np.uint64(at + 8)] = IS_QUANTILE
        if emit(table, metric, at + 9, (time, start, value, kind), out, taught) == ODD:
            return False
    return True


@njit(**INNER)
def write_distribution(data, first, last, shape, kind, metric, stores):
    """Write the samples of one point, and note where it lies; returns False where the judge is needed."""
    table, out, taught = stores
    at, time, start, stale, count, has_sum, total = _head(data, first, last, shape, table)
    if at == NO_ROOM or not 0 < time < MAX_TIME_NS:
        return False
    if stale:
        kind |= STALE
    table.key[np.uint64(at)] = IS_COUNT
    row = emit(table, metric, at + 1, (time, start, np.uint64(0), kind), out, taught)
    if row == ODD:
        return False
    if not stale:
        out.value[row] = np.float64(count)
        n = out.used[WHOLES]
        out.whole[n, 0], out.whole[n, 1], out.whole[n, 2], out.whole[n, 3], out.whole[n, 4] = (
            row,
            first,
            last,
            metric,
            shape,
        )
        out.used[WHOLES] = n + 1
    if has_sum or stale:
        table.key[np.uint64(at)] = IS_SUM
        if emit(table, metric, at + 1, (time, start, total, kind), out, taught) == ODD:
            return False
    if shape != SUMMARY:
        return True
    kind = np.int64(GAUGE_OF_SUMMARY | STALE if stale else GAUGE_OF_SUMMARY)
    return _write_quantiles(data, first, last, at, (time, start, kind), metric, stores)
