"""OTLP metrics: a record's bytes to columns in one walk, for series that are known.

A message is read twice on each floor, because senders may write its fields in any order (the Collector writes them
descending: points before the metric's name, metrics before the host): once for all that is not a child, which is the
identity, and once for the children. Everything that is not an expected number in an expected place, or was never seen
before, stops the walk at that record, which is left without a trace: the official library is the judge of it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels.columns import MAX_TIME_NS, STALE, emit, entry_of
from pipeline.kernels.identity import NO_ENTRY, NO_ROOM, ROOT, copy, finish
from pipeline.kernels.layout import INNER
from pipeline.kernels.otlp_distribution import EXPONENTIAL, HISTOGRAM, SUMMARY, write_distribution
from pipeline.kernels.otlp_point import AS_INT, point
from pipeline.kernels.wire import LENGTH, ODD, VARINT, field, varint

__all__ = ["write_record"]

RESOURCES, SCOPES, METRICS, POINTS = 1, 2, 2, 1  # numbers of the child fields, floor by floor
GAUGE, SUM = 5, 7  # fields of a metric: the shapes of its points, beside those of distributions
SHAPES = (GAUGE, SUM, HISTOGRAM, EXPONENTIAL, SUMMARY)
TEMPORALITY, MONOTONIC, DELTA_TEMPORALITY = 2, 3, 1
NO_RECORDED_VALUE = 1
COUNTER, DELTA, OF_HISTOGRAM, OF_SUMMARY = 1, 2, 4, 8  # bits of a sample's kind


@njit(**INNER, forceinline=True)
def _own_bytes(data, first, last, child, table, at):
    """Append all fields of a message but its children to the key; NO_ROOM where a field is odd."""
    place = first
    while place < last:
        number, wire, _, after = field(data, place, last)
        if after == ODD:
            return NO_ROOM
        if number == child:
            if wire != LENGTH:
                return NO_ROOM
        else:
            at = copy(data, place, after, table, at)
        place = after
    return at


@njit(**INNER, inline="always")
def _write_point(data, first, last, kind, metric, stores):
    """Write the sample of one point; returns False where the judge is needed."""
    table, out, taught = stores
    at, time, start, flags, held, bits = point(data, first, last, table)
    stale = flags & NO_RECORDED_VALUE
    if at == NO_ROOM or not 0 < time < MAX_TIME_NS or not (held or stale):
        return False
    row = emit(table, metric, at, (time, start, bits, np.int64(kind | STALE if stale else kind)), out, taught)
    if row != ODD and held == AS_INT and not stale:
        out.value[row] = np.float64(np.int64(bits))
    return row != ODD


@njit(**INNER)
def _kind_of(data, first, last, shape):
    """Kind of a metric's samples by shape, temporality and monotonicity; -1 where one of them is odd."""
    if shape in (0, GAUGE, SUMMARY):
        return COUNTER | OF_SUMMARY if shape == SUMMARY else 0
    monotonic, temporality = np.int64(shape != SUM), np.int64(0)
    place = first
    while place < last:
        number, wire, body, after = field(data, place, last)
        if number == TEMPORALITY or (number == MONOTONIC and shape == SUM):
            value, _ = varint(data, body, after)
            if wire != VARINT or not 0 <= value < 1 << 31:
                return -1
            if number == TEMPORALITY:
                temporality = value
            else:
                monotonic = value
        place = after
    kind = DELTA if temporality == DELTA_TEMPORALITY else COUNTER if monotonic else 0
    return kind if shape == SUM else kind | OF_HISTOGRAM


@njit(**INNER, inline="always")
def _write_metric(data, first, last, scope, table, out, taught):
    """Write the points of one metric, found by its name, unit, shape and all else that is not a point."""
    shape, begin, end, at = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    place = first
    while place < last:
        number, wire, body, after = field(data, place, last)
        if after == ODD:
            return False
        if number in SHAPES:
            if shape or wire != LENGTH:
                return False
            shape, begin, end = number, body, after
        else:
            at = copy(data, place, after, table, at)
        place = after
    border = at
    if shape:
        at = _own_bytes(data, begin, end, POINTS, table, at)
    if at != NO_ROOM:
        # the last word says where the metric's own fields end and its data's begin: equal bytes, equal meaning
        at = 8 * finish(table, at)
        table.scratch[at >> 3] = np.uint64(border << 8 | shape)
        at += 8
    metric = entry_of(table, scope, at, taught)
    if metric == NO_ENTRY:
        return False
    kind, stores = _kind_of(data, begin, end, shape), (table, out, taught)
    place = begin
    while place < end and kind >= 0:
        number, _, body, after = field(data, place, end)
        place = after
        if number != POINTS:
            continue
        if shape in (GAUGE, SUM):
            good = _write_point(data, body, after, kind, metric, stores)
        else:
            good = write_distribution(data, body, after, shape, np.int64(kind), metric, stores)
        if not good:
            return False
    return kind >= 0


@njit(**INNER, inline="always")
def write_record(data, first, last, table, out, taught):
    """Write one record: its resources, their scopes, their metrics; returns False where the judge is needed."""
    while first < last:
        number, wire, at, end = field(data, first, last)
        if end == ODD or number != RESOURCES or wire != LENGTH:
            return False
        resource = entry_of(table, np.int64(ROOT), _own_bytes(data, at, end, SCOPES, table, 0), taught)
        if resource == NO_ENTRY:
            return False
        while at < end:
            number, _, place, scope_end = field(data, at, end)
            at = scope_end
            if number != SCOPES:
                continue
            scope = entry_of(table, resource, _own_bytes(data, place, scope_end, METRICS, table, 0), taught)
            if scope == NO_ENTRY:
                return False
            while place < scope_end:
                number, _, body, after = field(data, place, scope_end)
                place = after
                if number == METRICS and not _write_metric(data, body, after, scope, table, out, taught):
                    return False
        first = end
    return True
