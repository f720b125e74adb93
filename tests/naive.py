"""Naive twins of the kernels: the shortest code that says what each means, with no thought for speed."""

import math
from itertools import pairwise

import numpy as np

LADDER_MS = (1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 300_000, 900_000, 3_600_000)


def learn_step(times):
    """The rung nearest in ratio to the (lower) median gap, and a border half a step before the middling sample."""
    gaps = sorted(b - a for a, b in pairwise(times))
    spacing = max(1, gaps[len(gaps) // 2])
    step = min(LADDER_MS, key=lambda rung: abs(math.log(spacing / rung)))
    offsets = sorted((t - times[-1] + step // 2) % step - step // 2 for t in times)
    return step, (times[-1] + offsets[len(offsets) // 2] - step // 2) % step


def cells(samples, step, origin):
    """Closed (time, value) cells of one gauge whose samples (time, value) come in order; the last one stays open."""
    last = {}
    for t, value in samples:
        last[(t - origin) // step] = value
    return [(origin + cell * step + step // 2, value) for cell, value in sorted(last.items())][:-1]


def rates(samples, step, origin):
    """Closed (time, rate a second) cells of one counter: increases of raw values; none where one fell."""
    by_cell, last_of_cell = {}, {}
    for (_, a), (t1, b) in pairwise(samples):
        cell = (t1 - origin) // step
        by_cell[cell] = by_cell.get(cell, 0.0) + (b - a if b >= a else math.nan)
        last_of_cell[cell] = t1
    out, since = [], samples[0][0]
    for cell in sorted(by_cell):
        out.append((origin + cell * step + step // 2, by_cell[cell] / ((last_of_cell[cell] - since) / 1000)))
        since = last_of_cell[cell]
    return [(t, rate) for t, rate in out[:-1] if not math.isnan(rate)]


def predict(lags, cov):
    """One-step forecast from autocovariances by solving the Yule-Walker equations outright."""
    order = len(lags)
    matrix = np.array([[cov[abs(i - j)] * (1.01 if i == j else 1.0) for j in range(order)] for i in range(order)])
    return float(np.linalg.solve(matrix, cov[1:]) @ lags)


def fast_levels(values):
    """EW mean with a half-life of one row before each value: plain mean first, from the first value on."""
    level, out = values[0], []
    for n, x in enumerate(values):
        out.append(level)
        level += max(0.5, 1 / (n + 2)) * (x - level)
    return out


def borders(values):
    """Lower and upper border before each value: asymmetric EW means of the EW mean with a half-life of ten rows."""
    middle = lower = upper = values[0]
    out, least = [], 1 - 0.5 ** (1 / 10_080)
    for n, x in enumerate(values):
        out.append((lower, upper))
        middle += max(1 - 0.5**0.1, 1 / (n + 2)) * (x - middle)
        pull = max(least, min(0.5, 10 / (n + 1)))
        upper += pull * (middle - upper) * (1 if middle > upper else 0.001)
        lower += pull * (middle - lower) * (1 if middle < lower else 0.001)
    return out


def excess(features):
    """Excess of each view over its dead zone, of the distance beyond the borders, of stillness, and of a shift."""
    views = ((0, 4), (1, 3), (2, 4), (3, 3), (4, 3), (4, 6))
    return [
        *(min(max(abs(features[column]) - zone, 0), 50) for column, zone in views),
        min(10 * abs(features[5]), 500),
        min(max(10 * (features[7] - 1), 0), 50),
        min(max(abs(features[9]) - 4, 0), 50),
    ]


def filling(samples, limit, block_ms=900_000):
    """Per finished block (mean, drift, variance, n, ripe) of a series of (time, value) that fills up to a limit."""
    blocks = {}
    for t, value in samples:
        blocks.setdefault(t // block_ms, []).append(value)
    done = sorted(blocks)[:-1]
    out, drift, fast, var, fast_var, n, rise, fall, streak = [], 0.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0, 0
    highs, low, before = {}, math.inf, None
    for block in done:
        mean = sum(blocks[block]) / len(blocks[block])
        day = block * block_ms // 86_400_000
        if before is not None:
            step = (mean - before[1]) / (block - before[0])
            share = max(1 - 0.5 ** (1 / 2), 1 / (n + 1))
            fast_var = (1 - share) * (fast_var + share * (step - fast) ** 2)
            fast += share * (step - fast)
            scale = max(math.sqrt(var), 1e-9 * limit)
            surprise = (step - drift) / scale
            if n >= 5 and surprise < -6 and step < -0.02 * limit:
                drift = fast = n = rise = fall = streak = 0
            else:
                if n >= 5:
                    surprise = min(max(surprise, -4), 4)
                    rise, fall, step = (
                        max(0, rise + surprise - 0.75),
                        max(0, fall - surprise - 0.75),
                        drift + surprise * scale,
                    )
                if n >= 5 and max(rise, fall) > 6:
                    drift, var, n, rise, fall = fast, fast_var, 3, 0, 0
                else:
                    share = max(1 - 0.5 ** (1 / 12), 1 / (n + 1))
                    var = (1 - share) * (var + share * (step - drift) ** 2) if n else var
                    drift += share * (step - drift)
                    n += 1
        before = (block, mean)
        highs.setdefault(day, []).append(mean)
        old = [max(highs[d]) for d in highs if day - 7 <= d < day and d != day]
        low = min([min(highs[d]) for d in highs if d < day], default=math.inf)
        room = limit - mean
        full = 0 if room <= 0.005 * limit else room / drift if drift > 0 else math.inf
        wobble = 1.645 * math.sqrt(var * (1 / min(n + 1, 24 / math.log(2)) + 1 / max(full, 1)))
        latest = 0 if full == 0 else room / (drift - wobble) if drift > wobble else math.inf
        top = max(old, default=math.inf)
        new = mean > top + 0.1 * (top - min(low, *highs[day], top)) if old else False
        sound = latest <= 4 * full and n >= 5 and math.isfinite(full)
        streak = streak + 1 if sound and new and block - done[0] >= 96 else 0
        out.append((mean, drift, var, n, streak >= max(3, full / 4)))
    return out


def binned(rows, group, edges):
    """Twin of models.kernels.bins.count on empty counts."""
    out = np.zeros((*edges.shape[:2], edges.shape[2] + 1), np.int64)
    for row, g in zip(rows, group, strict=True):
        if g >= 0:
            for j, x in enumerate(row):
                out[g, j, np.searchsorted(edges[g, j], x, "right")] += 1
    return out


def window(cells, now, width):
    """Signed logarithms of the last cells (step, surprise) of a series, NaN in gaps; all NaN if it is overdue."""
    if not cells or now - cells[-1][0] > 1.5:
        return [math.nan] * width
    known = {t: math.copysign(math.log1p(abs(x)), x) for t, x in cells}
    return [known.get(t, math.nan) for t in range(cells[-1][0] - width + 1, cells[-1][0] + 1)]


def distance_known(row, centres):
    """Distance to the nearest centre over the values that are known, as if the others were as far on average."""
    known = [j for j, value in enumerate(row) if not math.isnan(value)]
    if not known:
        return math.nan
    nearest = min(sum((row[j] - centre[j]) ** 2 for j in known) for centre in centres)
    return math.sqrt(nearest * len(row) / len(known))
