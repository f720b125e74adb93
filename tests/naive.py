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


def delta_rates(samples, step, origin):
    """Closed (time, rate a second) cells of one delta series, rows of (time, start, amount): sum over its interval.

    The interval of a cell begins where the one before ended, or where its first delta says that it began.
    """
    by_cell = {}
    for row in samples:
        by_cell.setdefault((row[0] - origin) // step, []).append(row)
    out, last = [], 0
    for cell in sorted(by_cell):
        rows = by_cell[cell]
        since = max(last, rows[0][1]) or rows[-1][0] - step
        last = rows[-1][0]
        out.append((origin + cell * step + step // 2, sum(x for *_, x in rows) / ((last - since) / 1000)))
    return out[:-1]


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


def new_values(values, step, bins=48, generation=40_000):
    """Distance of each value from all bins that the two last generations of values were in, bins as the map grows."""
    start, width, sets, out = values[0] - bins // 2 * step / 4, step / 4, [set(), set()], []
    for n, x in enumerate(values):
        edges = [(start + k * width, start + (k + 1) * width) for k in sets[0] | sets[1]]
        out.append(min((0.0 if low <= x < high else max(low - x, x - high) for low, high in edges), default=0.0))
        if not start <= x < start + bins * width:
            shift = bins // 2 if x < start else 0
            start -= bins * width if x < start else 0.0
            sets, width = [{k // 2 + shift for k in one} for one in sets], 2 * width
        sets[0].add(min(max(math.floor((x - start) / width), 0), bins - 1))
        if (n + 1) % generation == 0:
            sets = [set(), sets[0]]
            while width > step / 4 and max(sets[1]) - min(sets[1]) < bins // 2:
                first = min(sets[1])
                start, width = start + first * width, width / 2
                sets[1] = {2 * (k - first) + half for k in sets[1] for half in (0, 1)}
    return out


def excess(features):
    """Excess of each view over its dead zone, of the distance beyond the borders, of stillness, of a shift, of news."""
    views = ((1, 3), (2, 4), (3, 3), (4, 3))
    return [
        min(max(min(abs(features[0]), abs(features[7]) / 0.02) - 4, 0), 100),
        *(min(max(abs(features[column]) - zone, 0), 100) for column, zone in views),
        min(10 * abs(features[5]), 1_000),
        min(max(10 * (features[6] - 1), 0), 100),
        min(max(abs(features[8]) - 3, 0), 100),
        min(abs(features[9]), 2),
    ]


def blame(features):
    """What a row carries: its step to the power of 1.5, its distances from level and season, and stillness."""
    step, level, shift = (min(abs(features[column]), 100) for column in (0, 2, 8))
    return min(step, abs(features[7]) / 0.02) ** 1.5 + 0.3 * level + shift + 10 * max(features[6] - 1, 0)


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


def learned_tail(energies, pace):
    """(quantile, mean and mean square of the peaks above it, their number) after energies, by stochastic descent."""
    quantile = spread = mean = square = 0.0
    n_peaks = 0
    for n, energy in enumerate(energies):
        over = energy - quantile
        spread += max(1 / (n + 2), 0.001) * (abs(over) - spread)
        step = 5 * max(2 / (n + 2), pace.least_step) * max(spread, 0.01)
        if over > 0:
            weight = max(1 / (n_peaks + 2), pace.least_peak)
            mean += weight * (min(over, 20) - mean)
            square += weight * (min(over, 20) ** 2 - square)
            n_peaks += 1
        quantile += step * (1 - pace.share) if over > 0 else -step * pace.share
    return quantile, mean, square, n_peaks


def decades(tail, energy, pace):
    """-log10 of the chance of such an energy: linear up to the quantile, a generalised Pareto law of moments above."""
    quantile, mean, square, n_peaks = tail
    seen = n_peaks / (n_peaks + pace.prior_peaks)
    quantile = max(seen * quantile + (1 - seen) * max(pace.prior_quantile, quantile), 1e-9)
    mean = seen * mean + (1 - seen) * pace.prior_mean
    square = seen * square + (1 - seen) * pace.prior_square
    shape = min(pace.most_shape, max(0, (1 - mean**2 / max(square - mean**2, 1e-12)) / 2))
    scale = max(mean * (1 - shape), 0.001)
    if energy <= quantile:
        return -math.log10(pace.share) * max(energy, 0) / quantile
    x = (energy - quantile) / scale
    rarity = x / math.log(10) if shape < 1e-6 else math.log10(1 + shape * x) / shape
    return rarity - math.log10(pace.share)


def level(tail, wanted, pace):
    """The energy of so many decades, by halving."""
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if decades(tail, middle, pace) < wanted else (low, middle)
    return low


def usual_run(energies, pace):
    """How long runs of energies over .7 of the mean peak are: ten steps, moved a twentieth by each that is over."""
    usual, now = 10.0, 0
    for n, energy in enumerate(energies):
        quantile, mean, _, _ = learned_tail(energies[:n], pace)
        if energy >= quantile + 0.7 * mean:
            now += 1
        elif now:
            usual, now = usual + (now - usual) / 20, 0
    return usual


def allowed(energies, wanted, pace):
    """The energy that is rare enough, if steps in runs of ten are to have so many decades."""
    longer = math.log10(max(usual_run(energies, pace), 1) / 10)
    return level(learned_tail(energies, pace), max(wanted - longer, 0.24), pace)


def scores(steps, weights, pace, warm_up=30):
    """Scores of one entity whose series have these features at each step: shape (n_series, n_features) each.

    What a series said last is kept in 32 bit. Beside the scores are told the energies, and what they would come to with
    what is new in the step.
    """
    out, unrest, lasting, energies, ends = [], 0.0, np.zeros((2, 8)), [], []
    for n, features in enumerate(steps):
        excesses, n_series = np.array([excess(row) for row in features]), len(features)
        news = weights[-1] * np.log1p(excesses[:, 8].mean()) / n_series
        said = excesses[:, :8].astype(np.float32).astype(float)
        means = said.mean(axis=0)
        means[7] = np.sqrt((said[:, 7] ** 2).mean()) / n_series**0.25
        lasting += max(1 - 0.5 ** (1 / 7), 1 / (n + 2)) * (np.array([means, np.log1p(means)]) - lasting)
        views = np.log1p(means) + 3 * np.log1p(lasting[0]) + 3 * lasting[1]
        share = 1 / n_series
        energy, end = (
            weights[:8] @ (share * of + (1 - share) * 1.1 * np.sqrt(of)) for of in (views, 7 * np.log1p(means))
        )
        unrest += max(1 - 0.5 ** (1 / 720), 1 / (n + 2)) * (energy - unrest)
        energy += 0.3 * unrest
        out.append(min(decades(learned_tail(energies, pace), energy + news, pace) / 12, 1))
        if n >= warm_up:
            energies.append(energy)
            ends.append(end + news)
    return out, energies, ends


def blips(steps, allowed):
    """(step at which it was over, strength) of each run over .7 of the threshold in which 8 steps at most came near."""
    out, run, before = [], [], 0.0
    for n, decades in enumerate(steps):
        strength, before = max(min(decades, before), decades / 1.5), decades
        if run or strength >= 0.7 * allowed:
            run.append((decades, max([strength, *(top for _, top in run[-1:])])))
        calm = [x < 0.7 * top for x, top in run]
        if len(run) >= 7 and all(calm[-7:]):
            if sum(x >= 0.9 * top for x, top in run) <= 8:
                out.append((n, run[-1][1]))
            run = []
    return out


def usual_blips(found, now, week, budget):
    """The edge (of bins of a tenth, from .5 on) up to which more than three times the budget are alike; or 0."""
    allowed = 1 + budget * week * sum(0.5 ** (week * n) for n in range(now + 1))
    edges = [0.5 * 1.1**n for n in range(49)]

    def alike(j):
        return sum(0.5 ** (week * (now - n)) for n, x in found if edges[j] <= x < edges[min(j + 2, 48)])

    often = [j for j in range(48) if alike(j) > 3 * allowed]
    if not often:
        return 0.0
    top = often[-1]
    while top < 47 and alike(top + 1) > allowed:
        top += 1
    return edges[top + 1]


def partition_clock(heard):
    """After each (entity, time): the second newest entity's time, the only one's if there is one; never goes back."""
    newest, out = {}, []
    for entity, time in heard:
        newest[entity] = max(time, newest.get(entity, 0))
        second = sorted(newest.values())[-2:][0]
        out.append(max([second, *out[-1:]]))
    return out


def varint(data):
    """(value as a signed 64 bit integer, bytes read), or None where there is none of at most 64 bits."""
    for n in range(1, min(len(data), 10) + 1):
        if data[n - 1] < 128:
            value = sum((byte & 127) << (7 * i) for i, byte in enumerate(data[:n]))
            return None if value >= 2**64 else (value - 2**64 * (value >= 2**63), n)
    return None


def ids(keys):
    """Number of each (parent, bytes) in order of first sight."""
    known = {}
    return [known.setdefault(key, len(known)) for key in keys]


def slot(values, misses, rows_a_day):
    """(profile, scale of misses) of one slot of the day after its values: plain means at first, then of days."""
    rows = max(1, rows_a_day / 96)
    profile = scale = 0.0
    for n, (x, miss) in enumerate(zip(values, misses, strict=True)):
        profile += max(1 - 0.5 ** (1 / (2 * rows)), 1 / (n + 1)) * (x - profile)
        scale += max(1 - 0.5 ** (1 / (3 * rows)), 1 / (n + 1)) * (abs(miss) - scale)
    return profile, scale


def usual(profile, at, otherwise):
    """Straight between the centres of the known slots {number: value} beside it; else the slot itself; else other."""
    left = math.floor(at - 0.5)
    a, b = profile.get(left % 96), profile.get((left + 1) % 96)
    if a is not None and b is not None:
        return a + (at - 0.5 - left) * (b - a)
    return profile.get(int(at), otherwise)


def usual_before(profile, seen, rows, rate, otherwise):
    """What a profile said at the slots of the last rows (slot, value, adaptation) before it learned these."""
    profile, seen = dict(profile), dict(seen)
    for at, value, adapt in reversed(rows):
        slot = int(at)
        if not seen.get(slot):
            continue
        weight = adapt * max(rate, 1 / seen[slot])
        profile[slot] = (profile[slot] - weight * value) / (1 - weight) if weight < 1 else profile[slot]
        seen[slot] -= 1
    known = {slot: value for slot, value in profile.items() if seen[slot]}
    return [usual(known, at, otherwise) for at, _, _ in rows]


def taken_along(level, x, step):
    """A level that goes towards a value, as far as a step of the same sign reaches."""
    way = x - level
    return level + math.copysign(min(abs(way), abs(step)), way) if way * step > 0 else level


def week(rows):
    """What hours of the week add, by hour, after (hour, addition) rows; the hour that lasts says nothing yet."""
    known, visit = {}, []
    for hour, away in rows:
        if visit and visit[0][0] != hour:
            last, mean = visit[0][0], sum(x for _, x in visit) / len(visit)
            known[last] = known[last] + (mean - known[last]) / 2 if last in known else mean
            visit = []
        visit.append((hour, away))
    return known
