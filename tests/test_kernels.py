"""The kernels against their naive twins; also run with NUMBA_DISABLE_JIT=1."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.baselines import empty_state
from pipeline.events import Counts, Kind, SampleBatch
from pipeline.grid import Grid
from pipeline.kernels import baseline, clock, energy, rhythm, season, tail

T0 = 1_700_000_000_000


def gauge(times_ms, values, kind=Kind.GAUGE, starts_ms=None):
    n = len(times_ms)
    return SampleBatch(
        np.zeros(n, np.int32),
        np.asarray(times_ms, np.int64) * 1_000_000,
        np.asarray(values, np.float64),
        np.full(n, int(kind), np.uint8),
        np.zeros(n, np.int64) if starts_ms is None else np.asarray(starts_ms, np.int64) * 1_000_000,
        np.arange(n, dtype=np.int32),
    )


def closed_cells(samples):
    grid, counts = Grid(), Counts()
    grid.adopt_series([0], [False])
    closed = next(iter(grid.push(samples, samples.time // 1_000_000, counts)))
    return [(int(w.time_ms[0]), float(w.value[0])) for w in closed.waves], counts


@given(
    st.sampled_from(naive.LADDER_MS), st.integers(0, 10**9), st.lists(st.integers(-200, 200), min_size=8, max_size=8)
)
@settings(max_examples=40, deadline=None)
def test_the_step_is_learned_through_jitter_of_a_fifth(step, start, jitter):
    times = np.array([T0 + start + i * step + j * step // 1000 for i, j in enumerate(jitter)], np.int64)
    learned = clock.learn_step(times, np.empty_like(times))
    assert tuple(int(x) for x in learned) == naive.learn_step([int(t) for t in times])
    assert learned[0] == step


@given(st.lists(st.floats(-1e9, 1e9), min_size=10, max_size=40), st.data())
@settings(max_examples=30, deadline=None)
def test_gauge_cells_hold_the_last_value_of_each_step(values, data):
    jitter = data.draw(st.lists(st.integers(-200, 200), min_size=len(values), max_size=len(values)))
    times = [T0 + 10_000 * i + j for i, j in enumerate(jitter)]
    step, origin = naive.learn_step(times[:8])
    cells, counts = closed_cells(gauge(times, values))
    assert cells == naive.cells(list(zip(times, values, strict=True)), step, origin)
    assert counts.decoded == counts.on_grid + counts.replaced + counts.late


@given(st.lists(st.integers(0, 10**6), min_size=10, max_size=40), st.booleans())
@settings(max_examples=30, deadline=None)
def test_counter_cells_hold_increase_over_elapsed_time_across_resets(increases, restarts):
    raw = np.cumsum(increases).astype(float)
    if restarts:
        raw[len(raw) // 2 :] -= raw[len(raw) // 2]
    times = [T0 + 10_000 * i for i in range(len(raw))]
    step, origin = naive.learn_step(times[:8])
    cells, counts = closed_cells(gauge(times, raw, Kind.COUNTER))
    expected = naive.rates(list(zip(times, raw.tolist(), strict=True)), step, origin)
    assert [t for t, _ in cells] == [t for t, _ in expected]
    assert np.allclose([v for _, v in cells], [v for _, v in expected], rtol=1e-12)
    assert counts.first_of_counter == 1
    assert counts.decoded == counts.on_grid + counts.replaced + counts.first_of_counter


@pytest.mark.parametrize("bits", [32, 64])
def test_a_counter_that_wraps_at_its_width_is_a_gap_and_no_leap(bits):
    step = 2.0 ** (bits - 8)
    raw = (np.arange(250, 280) * step) % 2.0**bits
    cells, _ = closed_cells(gauge([T0 + 10_000 * i for i in range(len(raw))], raw, Kind.COUNTER))
    assert {value for _, value in cells} == {step / 10.0}
    assert len(cells) == len(raw) - 3  # the first, the one that fell, and the one still open


def test_a_counter_of_a_new_start_time_tells_its_rate_since_then_even_if_it_did_not_fall():
    times = [T0 + 10_000 * i for i in range(20)]
    raw, starts = [100.0 * i for i in range(20)], [T0 - 1_000] * 20
    for i in range(12, 20):  # began anew 4 s before, and counts faster than it did: it never fell
        starts[i], raw[i] = times[12] - 4_000, 2_000.0 + 500.0 * (i - 12)
    cells, counts = closed_cells(gauge(times, raw, Kind.COUNTER, starts))
    told = {round((t - T0) / 10_000): value for t, value in cells}
    assert {told[i] for i in range(1, 12)} == {10.0}
    assert told[12] == 500.0
    assert {told[i] for i in range(13, 19)} == {50.0}
    assert counts.first_of_counter == 1


@given(st.lists(st.integers(0, 10**6), min_size=12, max_size=60), st.sampled_from([1, 2, 5]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_delta_cells_hold_the_sum_over_their_interval_however_many_fall_into_one(amounts, a_cell, says_start):
    """Exports every ``10 s / a_cell``, each once more; some are lost on their way; the last one comes early."""
    spacing = 10_000 // a_cell
    sent = [
        (T0 + spacing * (i + 1), T0 + spacing * i, float(x)) for i, x in enumerate(amounts) if i % 11 != 9 or i < 10
    ]
    sent.append((sent[-1][0] + spacing // 4, sent[-1][0], 7.0))
    times, starts, values = zip(*[row for row in sent for _ in range(2)], strict=True)
    samples = gauge(times, values, Kind.DELTA, starts if says_start else None)
    cells, counts = closed_cells(samples)
    step, origin = naive.learn_step([t for t, *_ in sent][:8])
    rows = [(t, start if says_start else 0, x) for t, start, x in sent]
    expected = naive.delta_rates(rows, step, origin)
    assert [t for t, _ in cells] == [t for t, _ in expected]
    assert np.allclose([v for _, v in cells], [v for _, v in expected], rtol=1e-12)
    assert counts.duplicate == len(sent)


@pytest.mark.parametrize("seed", range(5))
def test_levinson_forecast_equals_the_solved_yule_walker_equations(seed):
    rng = np.random.default_rng(seed)
    x = np.convolve(rng.normal(size=500), [1, 0.8, 0.3, 0.1])
    cov = np.array([np.mean(x[lag:] * x[: len(x) - lag]) for lag in range(baseline.ORDER + 1)])
    lags = x[: baseline.ORDER].copy()
    assert rhythm.predict(lags, cov, np.empty(baseline.ORDER)) == pytest.approx(naive.predict(lags, cov), rel=1e-9)


def test_a_forecast_without_variance_is_zero():
    assert rhythm.predict(np.zeros(baseline.ORDER), np.zeros(baseline.ORDER + 1), np.empty(baseline.ORDER)) == 0.0


def step_into(state, values, t, step_ms=60_000, rows_a_day=1440.0):
    out, slot = np.empty((1, baseline.N_FEATURES)), np.array([(t * step_ms) % 86_400_000 / 900_000.0])
    none, ones = np.zeros(1, np.int64), np.ones(1)
    hour = np.array([t * step_ms // 3_600_000 % season.N_HOURS])
    row = np.empty(baseline.N_ROW)
    baseline.observe((none, values[t : t + 1], none), slot, hour, ones * rows_a_day, ones, state, row, out)
    return out[0]


def observe(values, step_ms=60_000, rows_a_day=1440.0):
    state, out, fast = empty_state(1, 0), np.zeros((len(values), baseline.N_FEATURES)), np.empty(len(values))
    for t in range(len(values)):
        fast[t] = state.levels[0, baseline.FAST] if t else values[0]
        out[t] = step_into(state, values, t, step_ms, rows_a_day)
    return out, fast


@pytest.mark.parametrize("offset", [0.0, 1e8, 17e9])
def test_features_do_not_change_with_a_huge_offset(offset):
    values = np.random.default_rng(3).normal(size=300)
    values[250] += 30
    plain, _ = observe(values)
    shifted, _ = observe(np.round(values, 3) + offset)
    assert np.isfinite(shifted).all()
    assert np.allclose(observe(np.round(values, 3))[0], shifted, rtol=1e-2, atol=0.05)
    assert abs(plain[250, baseline.INNOVATION]) > 10


@pytest.mark.parametrize("values", [np.zeros(100), np.full(100, 1e8), np.r_[np.zeros(99), 1.0], np.arange(100.0)])
def test_constant_and_degenerate_series_give_finite_features(values):
    out, _ = observe(values)
    assert np.isfinite(out).all()


def test_the_fast_level_is_the_naive_one():
    values = np.random.default_rng(5).normal(size=60)
    assert np.allclose(observe(values)[1], naive.fast_levels(values.tolist()), rtol=1e-12)


def test_excess_is_the_naive_one():
    features = np.random.default_rng(7).normal(scale=9, size=(50, baseline.N_FEATURES))
    out = np.zeros((50, energy.N_EXCESS))
    energy.excess(features, out)
    assert np.allclose(np.delete(out, energy.MODEL_EXCESS, axis=1), [naive.excess(row) for row in features])


def test_blame_is_the_naive_one_and_bounded():
    features = np.random.default_rng(8).normal(scale=40, size=(50, baseline.N_FEATURES))
    features[0] = 1e200
    features[0, baseline.FLAT] = 2.0
    out = np.zeros(50)
    energy.blame(features, out)
    assert np.allclose(out, [naive.blame(row) for row in features])
    assert out[0] == 1000.0 + 30.0 + 100.0 + 10.0


PACES = [energy.SLOW_PACE, energy.QUICK_PACE]


def learned_tail(values, pace):
    row = np.zeros(tail.N_TAIL)
    for n, value in enumerate(values):
        tail.learn(row, value, n, 1.0, pace)
    return row


@pytest.mark.parametrize("pace", PACES)
def test_the_tail_grows_with_energy_and_is_finite(pace):
    row = learned_tail(np.random.default_rng(9).exponential(size=2000), pace)
    tails = [tail.decades(row, value, pace) for value in np.linspace(0, 50, 200)]
    assert np.all(np.diff(tails) >= 0)
    assert np.isfinite(tails).all()


@pytest.mark.parametrize("pace", PACES)
@pytest.mark.parametrize("wanted", [0.3, 1.0, 2.0, 6.0, 11.0])
def test_the_level_of_so_many_decades_has_them(pace, wanted):
    row = learned_tail(np.random.default_rng(13).exponential(2.0, size=5000), pace)
    assert tail.decades(row, tail.level(row, wanted, pace), pace) == pytest.approx(wanted, rel=1e-9)


def test_the_quick_tail_of_exponential_energies_is_calibrated_within_half_a_decade():
    row = learned_tail(np.random.default_rng(11).exponential(size=50_000), energy.QUICK_PACE)
    assert tail.decades(row, 3 * np.log(10), energy.QUICK_PACE) == pytest.approx(3.0, abs=0.5)


def test_the_slow_tail_hardly_learns_a_fault_of_days_that_the_quick_one_learns():
    quiet, fault = np.random.default_rng(17).exponential(size=40_000), np.full(5_000, 9.0)
    moved = []
    for pace in PACES:
        before = tail.decades(learned_tail(quiet, pace), 9.0, pace)
        moved.append(before - tail.decades(learned_tail(np.concatenate([quiet, fault]), pace), 9.0, pace))
    assert moved[0] < 0.5 * moved[1]


@pytest.mark.parametrize("rise", [1.0, 100.0])
def test_a_change_stays_beyond_the_borders_until_it_is_old(rise):
    values = np.random.default_rng(19).normal(size=40_000)
    values[20_000:] += 15 * rise
    out, _ = observe(values)
    assert np.abs(out[5_000:20_000, baseline.BEYOND]).mean() < 0.02
    assert out[20_000 + 720, baseline.BEYOND] > 0.5
    assert out[-1, baseline.BEYOND] < 0.05
    assert np.abs(out[-1, baseline.LEVEL]) < 6


def test_the_borders_are_the_naive_ones():
    values = np.random.default_rng(23).normal(size=300)
    state, seen = empty_state(1, 0), []
    for t in range(len(values)):
        seen.append(tuple(state.levels[0, [baseline.LOWER, baseline.UPPER]]) if t else (values[0], values[0]))
        step_into(state, values, t)
    assert np.allclose(seen, naive.borders(values.tolist()), rtol=1e-12)


def test_an_hourly_series_has_a_daily_profile():
    values = np.tile(np.sin(np.arange(24) / 24 * 2 * np.pi), 20) * 100
    out, _ = observe(values, step_ms=3_600_000, rows_a_day=24)
    quiet = np.abs(out[-24:, baseline.SEASONAL]).max()
    values[-1] += 60
    assert np.abs(observe(values, step_ms=3_600_000, rows_a_day=24)[0][-1, baseline.SEASONAL]) > 5 * max(quiet, 1.0)


@pytest.mark.parametrize(
    ("start", "expected"),
    [(0, 0), (T0, T0), (T0 - 1, T0 - 1), (T0 - 2**31 + 3, T0 - 2**31 + 3), (T0 - 2**31 + 2, 1), (5, 1), (T0 + 7, T0)],
)
def test_a_log_gives_back_when_an_interval_began_unless_it_was_long_ago(start, expected):
    assert clock.began(T0, clock.ago(T0, start)) == expected
