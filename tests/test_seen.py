"""Laws of the map of values that a series has had, and of what a value that was never there adds to a score."""

import naive
import numpy as np
import pytest

from pipeline.baselines import FEATURE_NAMES, empty_state
from pipeline.kernels import baseline, energy, seen
from pipeline.kernels import tail as t
from pipeline.kernels.blips import N_BLIPS
from pipeline.scoring import NEWS_WEIGHT, VIEWS, WINDOW_WEIGHT
from tests.test_kernels import step_into

NOTHING = (0.0, 0.0, 0.0, 0.0)
WEIGHTS = np.array([*VIEWS, 0.0, WINDOW_WEIGHT, NEWS_WEIGHT])


def walked(values, step=1.0, begun=NOTHING, first_row=0):
    """Distances of values as they come, and the map that is left."""
    out = []
    for n, x in enumerate(values, start=first_row):
        out.append(seen.distance(begun, x))
        begun = seen.visit(begun, x, step, n)
    return np.array(out), begun


def walks():
    rng = np.random.default_rng(1)
    yield "noise", rng.normal(size=2_000)
    yield "heavy", rng.standard_t(1.2, size=2_000)
    yield "walk", rng.normal(size=2_000).cumsum()
    yield "offset", np.round(rng.normal(size=500), 3) + 17e9
    yield "two levels", np.where(rng.random(500) < 0.5, 0.0, 300.0)
    yield "constant", np.full(50, 5.0)
    yield "generations", np.r_[rng.normal(size=300) * 1e4, rng.normal(size=45_000)]


@pytest.mark.parametrize(("name", "values"), list(walks()), ids=[name for name, _ in walks()])
def test_the_map_is_the_naive_one(name, values):
    distances = walked(values)[0]
    assert np.allclose(np.abs(distances), naive.new_values(values.tolist(), 1.0), rtol=1e-9, atol=1e-9)
    assert (distances[1:] != 0.0).any() or name == "constant"


def test_a_series_keeps_its_map_and_tells_what_is_new_as_if_each_row_was_asked_and_visited():
    """The shortcut for a value that was there, ``stays``, must change nothing."""
    values = np.random.default_rng(7).normal(size=600).cumsum()
    state = empty_state(1, 0)
    n_new, wait = 0, seen.GENERATION - 550  # so that a generation ends on the way
    for at, x in enumerate(values):
        if at == 40:
            state.levels[0, baseline.N_ROWS] += wait
        n, away, known = int(state.levels[0, baseline.N_ROWS]), x - state.levels[0, baseline.BASE], map_of(state)
        said = step_into(state, values, at)[baseline.NOVEL]
        if n < baseline.WARM_UP_ROWS:
            continue
        step = max(known[1] / seen.FIRST_WIDTH, 1e-9)  # where bins are as wide as at first none are halved
        expected = seen.visit(known, away, step, n)
        if known[1]:
            kept = map_of(state)
            assert kept[:2] == pytest.approx(expected[:2], rel=1e-6) and kept[2:] == expected[2:]
            assert (said != 0.0) == (seen.distance(known, away) != 0.0)
            n_new += said != 0.0
    assert n_new > 10 and n >= seen.GENERATION


def map_of(state):
    row = np.empty(baseline.N_ROW)
    baseline.take_up(state, 0, row)
    return tuple(row[[baseline.SEEN_FROM, baseline.SEEN_WIDTH, baseline.SEEN_NOW, baseline.SEEN_BEFORE]].tolist())


def test_a_value_is_new_once_and_says_which_way():
    usual = np.random.default_rng(2).uniform(0.0, 5.0, size=500)
    distances, _ = walked(np.r_[usual, 9.0, 9.0, -4.0, -4.0])
    assert distances[500] == pytest.approx(4.0, abs=0.5)
    assert distances[502] == pytest.approx(-4.0, abs=0.5)
    assert distances[501] == distances[503] == 0.0


def test_what_lies_between_values_that_were_there_is_new():
    distances, _ = walked(np.r_[np.tile([0.0, 20.0], 100), 12.0, 12.0], step=8.0)
    assert distances[200] == pytest.approx(-8.0, abs=2.0)
    assert distances[201] == 0.0


def test_what_was_not_there_for_two_generations_is_new_again():
    usual = np.random.default_rng(3).uniform(0.0, 5.0, size=2 * seen.GENERATION)
    before, known = walked(np.r_[9.0, usual[: seen.GENERATION]])
    assert seen.distance(known, 9.0) == 0.0
    assert seen.distance(walked(usual, 1.0, known, len(before))[1], 9.0) == pytest.approx(4.0, abs=0.5)


def test_one_spike_does_not_coarsen_what_is_known():
    usual = np.random.default_rng(4).uniform(0.0, 5.0, size=500)
    known = walked(np.r_[usual, 1e12])[1]
    assert known[1] <= 2 * walked(usual)[1][1]
    assert seen.distance(known, 12.0) > 5.0


def test_bins_are_halved_again_in_the_generations_after_a_wide_time():
    rng = np.random.default_rng(5)
    wide = walked(rng.uniform(-1e4, 1e4, size=1_000))[1]
    after = walked(rng.uniform(0.0, 5.0, size=5 * seen.GENERATION), 1.0, wide, 1_000)[1]
    assert wide[1] > 100 * after[1]
    assert seen.distance(after, 9.0) == pytest.approx(4.0, abs=0.5)


def energies(novel, n_series):
    """Decades of every step of an entity whose series have excesses of noise, one of them news at the last step."""
    rng = np.random.default_rng(6)
    features = rng.normal(scale=2.0, size=(400, n_series, len(FEATURE_NAMES)))
    features[:, :, FEATURE_NAMES.index("novel")] = 0.0
    features[-2, 0, FEATURE_NAMES.index("novel")] = novel
    series = np.arange(n_series)
    links = (np.zeros(n_series, np.int64), np.r_[series[1:], -1], np.full(n_series, 60_000), np.zeros(1, np.int64))
    said = (np.zeros((n_series, energy.N_SAID), np.float32), np.zeros(n_series, np.int64))
    states = (np.zeros((1, energy.N_ENERGY_STATE)), *(np.zeros((1, n), np.float32) for n in (96, N_BLIPS)))
    out = np.empty((400, 2))
    for n in range(400):
        excesses = np.zeros((n_series, energy.N_EXCESS))
        energy.excess(features[n], excesses)
        times, never = np.full(n_series, 60_000 * (n + 1)), np.zeros(n_series, np.bool_)
        one, zero, wanted = np.ones(1), np.zeros(1), np.array([[3.0, 3.0, 1e-4, 1e-4]])
        groups = (series, times, never, np.array([0, n_series]), one, wanted, zero, np.zeros(1, int))
        energy.combine(groups, links, excesses, said, WEIGHTS, states, out[n : n + 1])
    return out, states[0][0]


def test_a_new_value_raises_the_score_of_its_step_alone_and_teaches_no_threshold():
    (calm, calm_state), (news, news_state) = energies(0.0, 1), energies(5.0, 1)
    assert news[-2, 0] > calm[-2, 0] + 1.0
    assert np.array_equal(news[-1], calm[-1])
    tails = slice(energy.SLOW, energy.QUICK + t.N_TAIL)
    assert np.array_equal(news_state[tails], calm_state[tails])


def test_of_many_series_a_new_value_counts_by_the_share_of_its_own():
    rises = [energies(5.0, n)[0][-2, 0] - energies(0.0, n)[0][-2, 0] for n in (1, 3, 10)]
    assert rises[0] > 3 * rises[1] > 9 * rises[2] > 0.0
