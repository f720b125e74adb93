"""Kernels against their naive twins on random, constant, missing, single and far-off data; also without compiling."""

import json

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.kernels import nearest
from pipeline import scoring
from pipeline.events import Counts, Records, SampleBatch
from pipeline.grid import Grid
from pipeline.kernels import baseline, energy, identity, rhythm, season, tail, wire
from pipeline.stream import PartitionStream, Plan

T0, STEP = 1_700_000_000_000, 60_000
N = 300


def random():
    return np.random.default_rng(29).normal(size=N)


DATA = {
    "random": random(),
    "constant": np.full(N, 3.0),
    "single": np.array([7.0]),
    "one spike": np.r_[np.zeros(N - 1), 40.0],
    "far off": random() + 1e8,
    "missing": np.where(random() > 1.0, np.nan, random()),
}
WHOLE = {name: values for name, values in DATA.items() if name != "missing"}
PACES = {"slow": energy.SLOW_PACE, "quick": energy.QUICK_PACE}


@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize("kind", WHOLE)
def test_a_tail_is_the_naive_one(kind, pace):
    row, pace = np.zeros(tail.N_TAIL), PACES[pace]
    energies = np.abs(WHOLE[kind]) if kind != "far off" else WHOLE[kind]
    for n, value in enumerate(energies):
        tail.learn(row, value, n, 1.0, pace)
    known = naive.learned_tail(energies.tolist(), pace)
    found = row[[tail.QUANTILE, tail.PEAK_MEAN, tail.PEAK_SQUARE, tail.N_PEAKS]]
    np.testing.assert_allclose(found, known, rtol=1e-9)
    for value in (0.0, 0.5, 1.0, 3.0, 30.0, *energies[:5]):
        assert tail.decades(row, value, pace) == pytest.approx(naive.decades(known, float(value), pace), rel=1e-6)
    if kind != "far off":
        for wanted in (0.3, 1.0, 3.0, 9.0):
            assert tail.level(row, wanted, pace) == pytest.approx(naive.level(known, wanted, pace), rel=1e-6)


def stream_of(values):
    """What a stream judges of one entity with three series, the values in the last of them: features and scores."""
    rng, seen = np.random.default_rng(31), []
    sent = []
    for t, value in enumerate(values.tolist()):
        rows = [(f"m{m}", float(rng.normal())) for m in range(2)] + ([] if np.isnan(value) else [("m2", value)])
        told = [{"timestamp": T0 + t * STEP, "entity": "h", "metric": m, "value": x} for m, x in rows]
        sent.append(json.dumps(told).encode())
    n = len(sent)
    stream = PartitionStream(Plan(), "t", 0)

    def see(judged):
        if judged.scored.judged.all():
            latest.update(zip(judged.wave.series.tolist(), judged.features.copy(), strict=True))
            at.update(dict.fromkeys(judged.wave.series.tolist(), int(judged.wave.time_ms.max())))
            fresh = [latest[s] for s in sorted(latest) if at[s] >= judged.wave.time_ms.max() - 1.5 * STEP]
            seen.append((np.array(fresh), float(judged.scored.score[0]), float(judged.scored.threshold[0])))
            for features in latest.values():
                features[baseline.NOVEL] = 0.0  # what is new is new once

    latest, at = {}, {}
    stream.observer = see
    with np.errstate(over="ignore"):  # hashes wrap around, which only the interpreted kernel tells
        stream.step(Records("t", 0, list(range(n)), [T0 + t * STEP for t in range(n)], [None] * n, sent))
    return stream, seen


@pytest.mark.parametrize("kind", [name for name in DATA if name != "single"])
def test_scores_are_the_naive_ones(kind):
    values = DATA[kind].copy()
    values[150:154] += 60.0
    stream, seen = stream_of(values)
    weights = stream.judge.scoring._weights
    assert len(seen) > 200
    expected, energies, ends = naive.scores([features for features, *_ in seen], weights, energy.SLOW_PACE)
    np.testing.assert_allclose([score for _, score, _ in seen], expected, atol=2e-9)
    assert max(expected) > 0.01
    wanted = np.log10(7 * 1440 / scoring.STEPS_A_RUN)
    raised = []
    for n in (60, *range(110, 150, 3), len(energies) - 1):
        rare = naive.allowed(energies[:n], wanted, energy.QUICK_PACE)
        tail_now = naive.learned_tail(energies[:n], energy.SLOW_PACE)
        allowed, shown, score = (
            naive.decades(tail_now, e, energy.SLOW_PACE) / 12 for e in (rare, ends[n], energies[n])
        )
        raised.append(shown < 0.4 * allowed and 2 * score > allowed)
        threshold = max(allowed, 2 * score) if raised[-1] else allowed
        assert seen[n - len(energies)][2] == pytest.approx(threshold, abs=2e-9)
    assert any(raised) and not all(raised)


@pytest.mark.parametrize("rows_a_day", [24.0, 1440.0])
@pytest.mark.parametrize("kind", WHOLE)
def test_a_slot_of_the_day_is_the_naive_one(kind, rows_a_day):
    values = WHOLE[kind] - WHOLE[kind][0]
    slot, n_seen = np.zeros(2, np.float64), 0
    for x in values:
        n_seen = season.learn_day(slot, n_seen, x, x / 3, rows_a_day, 1.0)
    assert n_seen == len(values)
    found = slot[[season.PROFILE, season.SLOT_SCALE]]
    np.testing.assert_allclose(found, naive.slot(values, values / 3, rows_a_day), rtol=1e-9, atol=1e-12)


@given(st.dictionaries(st.integers(0, 95), st.floats(-1e3, 1e3), max_size=96), st.floats(0, 95.999))
@settings(max_examples=60, deadline=None)
def test_what_a_day_says_is_the_naive_answer(profile, at):
    day, seen = np.zeros((season.N_SLOTS, 2)), np.zeros(season.N_SLOTS, np.uint16)
    for number, value in profile.items():
        day[number], seen[number] = (value, 1.0), 1
    assert season.of_day(0.0, day, seen, at, 7.5) == pytest.approx(naive.usual(profile, at, 7.5), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_what_a_day_said_before_its_last_rows_is_the_naive_answer(seed):
    rng = np.random.default_rng(seed)
    known = rng.choice(season.N_SLOTS, 80, replace=False)
    day, seen = np.zeros((season.N_SLOTS, 2)), np.zeros(season.N_SLOTS, np.int64)
    day[known, season.PROFILE], seen[known] = rng.normal(size=80), rng.integers(3, 9, 80)
    slots = np.sort(rng.uniform(0, season.N_SLOTS, 60))
    values, adapt = rng.normal(size=60), np.where(np.arange(60) < 50, 1.0, 0.1)
    profile = {int(slot): float(day[slot, season.PROFILE]) for slot in known}
    counts = {int(slot): int(seen[slot]) for slot in known}
    rows = list(zip(slots.tolist(), values.tolist(), adapt.tolist(), strict=True))
    out = np.empty(60)
    season.of_day_before(0.0, day, seen, (slots, values, adapt), 0.3, 7.5, out)
    np.testing.assert_allclose(out, naive.usual_before(profile, counts, rows, 0.3, 7.5), rtol=1e-9)
    assert len({7.5, *out}) > 30


def test_what_a_day_said_before_it_learned_is_what_it_said_then():
    rng = np.random.default_rng(3)
    day, seen = np.zeros((season.N_SLOTS, 2)), np.zeros(season.N_SLOTS, np.int64)
    slots, values = np.arange(0.5, season.N_SLOTS, 0.25), rng.normal(size=382)
    rate = 1.0 - 0.5 ** (1.0 / (season.PROFILE_DAYS * 4.0))
    for _ in range(3):
        before = [season.of_day(0.0, day, seen, slot, 7.5) for slot in slots[-12:]]
        for slot, x in zip(slots, values, strict=True):
            seen[int(slot)] = season.learn_day(day[int(slot)], seen[int(slot)], x, 0.0, 4.0 * season.N_SLOTS, 1.0)
    out = np.empty(12)
    season.of_day_before(0.0, day, seen, (slots[-12:].copy(), values[-12:].copy(), np.ones(12)), rate, 7.5, out)
    np.testing.assert_allclose(out, before, rtol=1e-6)


@pytest.mark.parametrize("kind", WHOLE)
def test_hours_of_the_week_are_the_naive_ones_to_a_few_thousandths(kind):
    away = np.resize(WHOLE[kind] - WHOLE[kind].mean(), 4 * 168)
    rows = [(n % 168, float(x)) for n, x in enumerate(away)]
    state, hours = np.zeros(season.N_SEASON_STATE), np.zeros(season.N_HOURS, np.int16)
    for hour, x in rows:
        season.learn_week(state, hours, hour, x, 24.0, 1.0)
    state[season.DAY_MISS] = 1e9  # as if the week were worth believing
    known = naive.week(rows)
    found, expected = [season.of_week(state, hours, hour) for hour in known], np.array(list(known.values()))
    least = 2e-3 * max(np.abs(expected).max(), state[season.UNIT])
    np.testing.assert_allclose(found, expected, atol=least)
    last = rows[-1][0]
    steps = [season.step_into(state, hours, hour) for hour in known if hours[hour] and hours[last]]
    expected = [known[hour] - known[last] for hour in known if hours[hour] and hours[last]]
    np.testing.assert_allclose(steps, expected, atol=2 * least)


@given(*(st.floats(-1e6, 1e6) for _ in range(3)))
@settings(deadline=None)
def test_a_level_goes_along_with_a_step_as_the_naive_one_does(level, x, step):
    assert season.taken_along(level, x, step) == pytest.approx(naive.taken_along(level, x, step), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("kind", [name for name in WHOLE if name != "single"])
def test_a_forecast_is_the_solved_one_on_any_data(kind):
    x = WHOLE[kind] - WHOLE[kind].mean()
    cov = np.array([np.mean(x[lag:] * x[: len(x) - lag]) for lag in range(baseline.ORDER + 1)])
    lags = x[: baseline.ORDER].copy()
    expected = 0.0 if cov[0] == 0.0 else naive.predict(lags, cov)
    assert rhythm.predict(lags, cov, np.empty(baseline.ORDER)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("kind", DATA)
def test_the_nearest_centre_is_the_naive_one(kind):
    values = DATA[kind]
    rows = np.resize(values, (max(1, len(values) // 6), 6))
    centres = np.random.default_rng(37).normal(size=(5, 8)) + np.nanmean(values)
    centres[:, 6:] = 0.0
    for kernel in (nearest.distance, nearest.distance_known):
        out = np.empty(len(rows))
        kernel(rows, centres, out)
        expected = [naive.distance_known(row, centres) for row in rows.tolist()]
        if kernel is nearest.distance:
            expected = np.where(np.isnan(rows).any(axis=1), np.nan, expected)
        np.testing.assert_allclose(out, expected, rtol=1e-9)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-30, 30)), min_size=1, max_size=40))
@settings(max_examples=30, deadline=None)
def test_the_partition_clock_is_the_naive_one_and_never_goes_back(moves):
    grid, now, heard, found = Grid(), T0, [], []
    grid.adopt_series([0, 1, 2, 3], [False] * 4)
    for entity, move in moves:
        now += 1_000
        heard.append((entity, now + 1_000 * move))
        one = np.array([entity], np.int32), np.array([heard[-1][1] * 1_000_000]), np.ones(1)
        nothing = np.zeros(1, np.uint8), np.zeros(1, np.int64), np.zeros(1, np.int32)
        list(grid.push(SampleBatch(*one, *nothing), np.array([now + 60_000]), Counts()))
        found.append(grid.silence_clock_ms)
    assert found == naive.partition_clock(heard)


@given(st.one_of(st.binary(max_size=12), st.integers(0, 2**64 - 1).map(lambda n: varint_of(n))))
@settings(max_examples=100, deadline=None)
def test_a_varint_is_the_naive_one(data):
    value, after = wire.varint(np.frombuffer(data, np.uint8), 0, len(data))
    assert (None if after == wire.ODD else (int(value), int(after))) == naive.varint(data)


def varint_of(number):
    """The bytes of a varint, least first."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


@given(st.binary(min_size=8, max_size=8))
@settings(max_examples=50, deadline=None)
def test_eight_bytes_are_a_number_least_first(data):
    assert int(wire.fixed64(np.frombuffer(data, np.uint8), 0)) == int.from_bytes(data, "little")


@given(st.lists(st.tuples(st.integers(-1, 5), st.binary(max_size=20)), min_size=1, max_size=60))
@settings(max_examples=30, deadline=None)
def test_ids_are_the_naive_ones(keys):
    keys = [(parent, data.ljust(-(-len(data) // 8) * 8, b"\0")) for parent, data in keys]  # what is kept are words
    known, found = identity.Identities(1_000), []
    with np.errstate(over="ignore"):  # hashes wrap around, which only the interpreted kernel tells
        for number, (parent, data) in enumerate(keys):
            at = identity.copy(np.frombuffer(data, np.uint8), 0, len(data), known.table, 0)
            n_words = identity.finish(known.table, at)
            entry = identity.lookup(known.table, parent, n_words)
            found.append(int(entry if entry >= 0 else identity.insert(known.table, parent, n_words, number)))
    assert found == naive.ids(keys)
