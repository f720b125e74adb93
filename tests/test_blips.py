"""Blips: what comes again and again becomes usual; what lasts or is stronger never does; what stops is forgotten."""

import naive
import numpy as np
import pytest

from pipeline.kernels import blips as b

WEEK = 1.0 / 2016.0  # steps of five minutes
ALLOWED = 2.0


def seen(steps, budget=1.0):
    """State after steps, where an energy is as many decades, and the blips that were counted."""
    row, found = np.zeros(b.N_BLIPS), []
    for n, decades in enumerate(steps):
        strength = b.follow(row, decades, ALLOWED, (WEEK, budget * WEEK))
        if strength > 0.0:
            b.count(row, strength)
            found.append((n, strength))
    b.solve(row, 0.5)
    return row, found


def flickering(days, a_day=3, strength=5.0, lasts=2, seed=0):
    """Steps of days with blips of a strength at random times."""
    rng = np.random.default_rng(seed)
    steps = rng.exponential(0.2, days * 288)
    for at in rng.choice(len(steps) - 20, days * a_day, replace=False):
        steps[at : at + lasts] = strength
    return steps


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("budget", [0.25, 1.0, 7.0])
def test_blips_and_what_is_usual_are_the_naive_ones(seed, budget):
    rng = np.random.default_rng(seed)
    steps = rng.exponential(rng.uniform(0.4, 0.9), 6_000)
    for at in rng.integers(0, 5_900, 60):
        steps[at : at + rng.integers(1, 14)] += rng.choice([4.0, rng.uniform(1, 20)])
    row, found = seen(steps, budget)
    expected = naive.blips(steps.tolist(), ALLOWED)
    assert len(expected) > 10
    assert found == expected
    assert b.usual(row) == pytest.approx(naive.usual_blips(expected, len(steps) - 1, WEEK, budget), rel=1e-12)


def test_what_comes_every_few_hours_is_usual_after_some_days_and_what_is_stronger_is_not():
    assert b.usual(seen(flickering(1))[0]) == 0.0
    assert 5.0 <= b.usual(seen(flickering(10))[0]) < 5.0 * 1.11


def test_the_larger_the_budget_the_more_must_come_before_it_is_usual():
    steps = flickering(14)
    assert b.usual(seen(steps, budget=1.0)[0]) > 0.0
    assert b.usual(seen(steps, budget=7.0)[0]) == 0.0


def test_what_lasts_is_no_blip_however_often_it_comes():
    assert not seen(flickering(14, lasts=12))[1]
    row, _ = seen(flickering(14))
    for n in range(12):
        b.follow(row, 5.0, ALLOWED, (WEEK, WEEK))
        assert (b.usual(row) > 0.0) == (n < b.BRIEF)


def test_faults_of_all_sizes_do_not_become_usual():
    rng = np.random.default_rng(5)
    steps = np.full(14 * 288, 0.1)
    for at in rng.choice(len(steps) - 20, 16, replace=False):
        steps[at : at + 3] = np.exp(rng.uniform(np.log(3.0), np.log(40.0)))
    assert b.usual(seen(steps)[0]) == 0.0


def test_what_stopped_weeks_ago_is_usual_no_more():
    assert b.usual(seen(np.r_[flickering(14), np.full(7 * 288, 0.1)])[0]) > 0.0
    assert b.usual(seen(np.r_[flickering(14), np.full(28 * 288, 0.1)])[0]) == 0.0


def test_what_older_counts_weigh_stays_finite_and_changes_nothing():
    long, short = (seen(np.r_[np.full(days * 288, 0.1), flickering(14)])[0] for days in (7 * 30, 7 * 12))
    assert long[b.WEIGHT] < 1e7
    assert b.usual(long) == b.usual(short) > 0.0
