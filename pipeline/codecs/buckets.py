"""Histograms of every sender as one shape: upper bounds, and how many values fell below each but not the one before.

::

    bounds     b0        b1        b2
    counts  c0  │   c1    │   c2    │   c3        c0 counts values ≤ b0, c3 those above b2
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from typing import NamedTuple

__all__ = [
    "QUANTILES",
    "Buckets",
    "Distribution",
    "explicit",
    "exponential",
    "from_cumulative",
    "quantile",
    "rebucketed",
]

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_MOST_BUCKETS = 512
_MOST_BETWEEN = 5  # buckets around those of an exponential histogram: beyond both ends, zeros, and between the sides
_TINY = 1e-300
_LARGEST_EXPONENT = 900.0  # of 2: what lies beyond is no measurement


class Buckets(NamedTuple):
    """Ascending finite bounds, shape (n,), and counts, shape (n + 1,)."""

    bounds: tuple[float, ...]
    counts: tuple[float, ...]


class Distribution(NamedTuple):
    """One point of a histogram or summary beside its samples.

    Parameters
    ----------
    sample
        Place of its count among the samples of the batch.
    total
        Sum of the values, None where it was not sent.
    unit
        Of the values.
    buckets
        None where there are none, or none that make sense.
    """

    sample: int
    total: float | None
    unit: str
    buckets: Buckets | None

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what it can tell: its mean, its quantiles."""
        return (*(() if self.total is None else ("mean",)), *(() if self.buckets is None else QUANTILES))


def explicit(bounds: Sequence[float], counts: Sequence[float]) -> Buckets | None:
    """Buckets as OTLP sends them, None unless they fit each other and ascend."""
    if len(counts) != len(bounds) + 1 or len(counts) > _MOST_BUCKETS:
        return None
    if not all(map(isfinite, (*bounds, *counts))) or not all(left < right for left, right in pairwise(bounds)):
        return None
    return Buckets(tuple(map(float, bounds)), tuple(map(float, counts)))


def from_cumulative(pairs: Sequence[tuple[float, float]]) -> Buckets | None:
    """Buckets of Prometheus' (``le``, values up to it) pairs; the last one is infinity."""
    ordered = sorted(pairs)
    if not ordered or ordered[-1][0] != float("inf"):
        return None
    counts = [upto - before for (_, before), (_, upto) in pairwise([(0.0, 0.0), *ordered])]
    return explicit([bound for bound, _ in ordered[:-1]], counts) if min(counts) >= 0 else None


def exponential(
    scale: int,
    zeros: float,
    positive: tuple[int, Sequence[float]],
    negative: tuple[int, Sequence[float]],
) -> Buckets | None:
    """Buckets of an exponential histogram: bucket i holds values in (base^i, base^(i+1)] with base 2^(2^-scale).

    Parameters
    ----------
    scale
        From -10 to 20.
    zeros
        Count of values at zero.
    positive, negative
        Index of the first bucket, and counts; negative ones mirrored.
    """
    n = len(positive[1]) + len(negative[1])
    reach = max(abs(first) + len(counts) for first, counts in (positive, negative))
    if n + _MOST_BETWEEN > _MOST_BUCKETS or not -10 <= scale <= 20 or reach * 2.0**-scale > _LARGEST_EXPONENT:
        return None
    bounds, counts = list[float](), list[float]()
    if negative[1]:
        first, given = negative
        bounds += [-_power(first + i, scale) for i in range(len(given), -1, -1)]
        counts += [0.0, *reversed(given), 0.0]
        bounds.append(-_TINY)  # so that zeros are not spread over what lies between them and the first bucket
    bounds.append(0.0)
    counts.append(zeros)
    if positive[1]:
        first, given = positive
        bounds += [_power(first + i, scale) for i in range(len(given) + 1)]
        counts += [0.0, *given]
    return Buckets(tuple(bounds), tuple(map(float, (*counts, 0.0))))


def _power(index: int, scale: int) -> float:
    return float(2.0 ** (index * 2.0**-scale))


def rebucketed(old: Buckets, bounds: tuple[float, ...]) -> tuple[float, ...]:
    """Counts of ``old`` in coarser buckets whose bounds are among its own, or that reach beyond."""
    counts = [0.0] * (len(bounds) + 1)
    for upper, count in zip((*old.bounds, float("inf")), old.counts, strict=True):
        counts[bisect_left(bounds, upper)] += count
    return tuple(counts)


def quantile(buckets: Buckets, share: float) -> float | None:
    """Estimate of a quantile: linear within its bucket; None without values.

    The lowest bucket begins at 0 where its bound is positive, and the highest ends where it begins.
    """
    wanted, before = share * sum(buckets.counts), 0.0
    if not wanted > 0:
        return None
    bounds = buckets.bounds
    for place, count in enumerate(buckets.counts):
        if count > 0 and before + count >= wanted:
            if not bounds or place == len(bounds):
                return bounds[-1] if bounds else None
            lower = bounds[place - 1] if place else min(0.0, bounds[0])
            return lower + (bounds[place] - lower) * (wanted - before) / count
        before += count
    return bounds[-1] if bounds else None
