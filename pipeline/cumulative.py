"""What came between two points of a cumulative histogram or summary, told anew when a point between them comes late.

::

    points      a ───────────── c          told at c: what came since a
    b is late   a ───── b ───── c          told at b: what came since a; anew at c: what came since b
"""

from __future__ import annotations

from bisect import bisect_left

import msgspec

from pipeline.codecs.buckets import Buckets, rebucketed

__all__ = ["Past", "Points"]

MOST_BUCKETS = 2_000_000  # remembered by one partition: some 64 MB


class Past(msgspec.Struct, array_like=True):
    """One point of a cumulative histogram or summary, or what came between two: ``start_ns`` is the former's time."""

    time_ns: int
    start_ns: int
    count: float
    total: float | None
    buckets: Buckets | None


class Points:
    """The last points of each series of counts, oldest first: as many as a late one within the horizon may meet.

    Parameters
    ----------
    horizon
        In steps; 0: late points are passed over.
    """

    def __init__(self, horizon: int) -> None:
        self.of: dict[int, list[Past]] = {}
        self._n_buckets = 0
        self.obey(horizon)

    def obey(self, horizon: int) -> None:
        """Work by another horizon from now on."""
        self._horizon = horizon

    def restore(self, of: dict[int, list[Past]]) -> None:
        """Go on from the points of a kept state."""
        self.of = of
        self._n_buckets = sum(_size(point) for points in of.values() for point in points)

    def take(self, series: int, now: Past) -> list[tuple[Past | None, Past | None]]:
        """Take a point; returns what it changes: of each interval what was told of it before, and what holds now."""
        points = self.of.setdefault(series, [])
        at = bisect_left(points, now.time_ns, key=lambda point: point.time_ns)
        is_known = at < len(points) and points[at].time_ns == now.time_ns
        if is_known or len(points) - at > self._horizon:
            return []
        if self._n_buckets - sum(map(_size, points)) + _size(now) > MOST_BUCKETS:
            now.buckets = None  # of many histograms the last ones do without quantiles
        former = points[at - 1] if at else None
        changed: list[tuple[Past | None, Past | None]] = [(None, _since(former, now))]
        if at < len(points):
            changed.append((_since(former, points[at]), _since(now, points[at])))
        points.insert(at, now)
        self._n_buckets += _size(now)
        while len(points) > self._horizon + 1 or (len(points) > 1 and self._n_buckets > MOST_BUCKETS):
            self._n_buckets -= _size(points.pop(0))
        return changed


def _size(point: Past) -> int:
    return len(point.buckets.counts) if point.buckets else 0


def _since(past: Past | None, now: Past) -> Past | None:
    """What came between two points; all of it after a reset, None where the former is not known."""
    if past is None:
        return None
    restarted = now.start_ns != past.start_ns and now.start_ns > 0
    if restarted or now.count < past.count:
        return now
    total = None if now.total is None or past.total is None else now.total - past.total
    return Past(now.time_ns, past.time_ns, now.count - past.count, total, _difference(past.buckets, now.buckets))


def _difference(past: Buckets | None, now: Buckets | None) -> Buckets | None:
    if past is None or now is None:
        return None
    before = past.counts if past.bounds == now.bounds else rebucketed(past, now.bounds)
    counts = tuple(b - a for a, b in zip(before, now.counts, strict=True))
    return Buckets(now.bounds, counts) if min(counts) >= 0 else None
