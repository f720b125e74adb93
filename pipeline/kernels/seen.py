"""Which values a series has had: its range in a few bins, a bit for each that was visited, in two generations.

What lies outside all of them, above, below or between, is new, by its distance from the nearest. The map grows by
doubling its bins; a value far outside doubles it once and is noted at its edge, so that one spike does not coarsen all.
After each generation of rows what was visited in neither of the last two is forgotten, and bins that have become too
coarse for what is left are halved again.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.kernels.layout import INNER, LEAN

# bins that 64 bit hold exactly as a number, and how wide they are at first, in usual steps
N_BINS, FIRST_WIDTH = 48, 0.25
HALF = N_BINS // 2
# rows of a generation
GENERATION = 40_000
# no distance is told beyond so many bins
FAR = 1e6


@njit(**LEAN)
def distance(seen, x):
    """Signed distance of a value from the nearest visited bin; 0 in one, and while there is no map.

    Parameters
    ----------
    seen : tuple of floats
        (lower end, width of a bin, visited bins of this generation and of the one before, as bits).
    x : float
    """
    start, width, now, before = seen
    bits = np.int64(now) | np.int64(before)
    if width == 0.0 or _visited(start, width, bits, x):
        return 0.0
    place = min(max((x - start) / width, -FAR), FAR)
    at = int(np.floor(place))
    below, above = min(at, N_BINS) - 1, max(at, -1) + 1
    while below >= 0 and not (bits >> below) & 1:
        below -= 1
    while above < N_BINS and not (bits >> above) & 1:
        above += 1
    up = place - (below + 1) if below >= 0 else FAR
    down = above - place if above < N_BINS else FAR
    return width * up if up <= down else -width * down


@njit(**INNER)
def stays(seen, x, n):
    """Whether the ``n``-th row is no news and changes nothing, as it mostly is: quicker than to ask and to visit."""
    return _visited(seen[0], seen[1], np.int64(seen[2]), x) and n % GENERATION != GENERATION - 1


@njit(**INNER)
def _visited(start, width, bits, x):
    """Whether a value is in one of these bins."""
    return 0.0 <= x - start < N_BINS * width and (bits >> int((x - start) / width)) & 1 == 1


@njit(**LEAN)
def visit(seen, x, step, n):
    """The map once the ``n``-th row (from 0) had the value ``x``; ``step`` > 0, the usual one, makes it begin."""
    start, width, now, before = seen[0], seen[1], np.int64(seen[2]), np.int64(seen[3])
    if width == 0.0:
        width = FIRST_WIDTH * step
        start = x - HALF * width
    if x < start or x >= start + N_BINS * width:
        now, before = _merged(now), _merged(before)
        if x < start:
            now, before, start = now << HALF, before << HALF, start - N_BINS * width
        width *= 2.0
    at = int(min(max((x - start) / width, 0.0), N_BINS - 1.0))
    now |= np.int64(1) << at
    if n % GENERATION == GENERATION - 1:
        now, before = np.int64(0), now
        while width > FIRST_WIDTH * step and before >> _first(before) < np.int64(1) << HALF:
            first = _first(before)
            before, start, width = _split(before >> first), start + first * width, 0.5 * width
    return start, width, float(now), float(before)


@njit(**LEAN)
def _merged(bits):
    """Bins in pairs: the lower half is what all of them were."""
    out = np.int64(0)
    for j in range(HALF):
        if (bits >> 2 * j) & 3:
            out |= np.int64(1) << j
    return out


@njit(**LEAN)
def _split(bits):
    """The lower half of the bins, each as two: where in it values were is not known."""
    out = np.int64(0)
    for j in range(HALF):
        if (bits >> j) & 1:
            out |= np.int64(3) << 2 * j
    return out


@njit(**LEAN)
def _first(bits):
    """The lowest visited bin; there is one."""
    at = 0
    while not (bits >> at) & 1:
        at += 1
    return at
