"""Kinds of trouble are told apart by what happened before the incident and since."""

import numpy as np
import pandas as pd
import pytest

from pipeline.baselines import FEATURE_NAMES
from pipeline.kinds import BRIEF, TELLING, alike, ended, kind_of
from pipeline.plan import Plan
from pipeline.recordings import recording
from pipeline.replay import replay

RNG = np.random.default_rng(8)
NAMES = [FEATURE_NAMES[column] for column in TELLING]
QUIET = 50 + RNG.normal(size=40)


def named(since, n_steps=None, usual=None, parted=False, **seen):
    features = np.array([seen.get(name, 0.0) for name in NAMES])
    recent = np.r_[QUIET, since][-60:]
    usual = np.full(len(recent), 50.0) if usual is None else usual
    return kind_of(len(since) if n_steps is None else n_steps, recent, features, usual, parted)


def noise(n):
    return RNG.normal(size=n)


@pytest.mark.parametrize(("size", "kind"), [(20, "spike"), (-20, "dip")])
def test_what_is_young_or_over_is_a_spike_or_a_dip(size, kind):
    assert named(50 + size + noise(2)) == kind
    assert named(np.r_[50 + size + noise(3), 50 + noise(12)]) == kind


def test_what_stays_is_a_level_shift_where_the_series_never_goes_and_a_broken_season_where_it_does():
    stays = 70 + noise(20)
    assert named(stays, beyond=0.5) == "level_shift"
    assert named(stays) == "season"


@pytest.mark.parametrize("parted", [False, True])
def test_what_goes_with_its_day_at_another_level_is_a_level_shift_and_what_does_not_is_none(parted):
    usual = 50 + np.r_[np.zeros(40), np.linspace(0, 8, 20)]
    other = "correlation" if parted else "season"
    assert named(usual[40:] + 20 + 0.3 * noise(20), usual=usual, parted=parted) == "level_shift"
    assert named(70 - np.linspace(0, 8, 20) + 0.3 * noise(20), usual=usual, parted=parted) == other
    assert named(70 + noise(20), parted=parted) == other


def test_days_are_alike_that_go_up_and_down_together_whatever_their_size():
    hours = np.linspace(0, 2 * np.pi, 96)
    day, unknown = np.sin(hours), np.where(np.arange(96) < 90, np.nan, np.sin(hours))
    others = np.array([1e6 * day + 7, -day, np.cos(hours), np.zeros(96), unknown])
    assert alike(day, others).tolist() == [True, False, False, False, False]


def ended_as(before, usual, shift, n_steps=2, parted=True, now=None):
    """The name of what ended with the last steps of a series, whose offset is still ``shift`` scales."""
    recent = np.r_[before, usual[-n_steps:] if now is None else now]
    features = np.array([shift if name == "shift" else 0.0 for name in NAMES])
    return ended(n_steps, recent, features, usual, parted)


def test_the_way_back_is_called_by_what_ended():
    usual = 50 + np.linspace(0, 12, 60)
    assert ended_as(usual[:58] + 20 + noise(58), usual, 5.0) == "level_shift"
    assert ended_as(usual[:58] + np.linspace(20, 60, 58) + noise(58), usual, 5.0) == "trend"
    assert ended_as(100 - usual[:58] + 20 + 0.3 * noise(58), usual, 5.0) == "correlation"
    assert ended_as(100 - usual[:58] + 20 + 0.3 * noise(58), usual, 5.0, parted=False) == "season"
    assert ended_as(np.full(58, 20.0), usual, -5.0) == "flatline"


def test_what_was_where_it_usually_is_or_did_not_come_back_has_not_ended():
    usual = 50 + np.linspace(0, 12, 60)
    away = usual[:58] + 20 + noise(58)
    assert ended_as(usual[:58] + noise(58), usual, 5.0, now=[100.0, 101.0]) is None
    assert ended_as(away, usual, 5.0, now=usual[-2:] - 15) is None
    assert ended_as(away, usual, 1.0) is None
    assert ended_as(away[-8:], usual[-10:], 5.0) is None


def test_a_deviation_is_out_of_its_company_only_once_it_has_lasted():
    stays = 70 + noise(30)
    assert [named(stays, n_steps, parted=True) for n_steps in (8, 14)] == ["spike", "correlation"]


@pytest.mark.parametrize("n_steps", [8, 14, 20, 25, 30, 45])
def test_a_jump_that_takes_some_steps_and_stays_is_no_trend_at_any_look(n_steps):
    recent = 50 + noise(60)
    recent[-n_steps:] += 60 * (1 - np.exp(-np.arange(1, n_steps + 1) / 1.5))
    features = np.array([{"beyond": 5.0, "shift": 10.0}.get(name, 0.0) for name in NAMES])
    assert kind_of(n_steps, recent, features, np.linspace(50, 51, 60), False) == "level_shift"


def test_what_grows_without_a_jump_is_a_trend():
    ramp = 50 + np.linspace(0, 30, 60) + noise(60)
    features = np.array([5.0 if name == "shift" else 0.0 for name in NAMES])
    assert kind_of(3, ramp, features, np.full(60, 50.0), False) == "trend"
    assert kind_of(20, np.r_[QUIET, 50 + np.linspace(0, 30, 20)], features, np.full(60, 50.0), False) == "trend"


def test_what_goes_both_ways_is_variance():
    assert named(50 + 12 * np.tile([1.0, -1.0], 10) + noise(20)) == "variance"


def test_what_does_not_move_is_a_flat_line():
    assert named(np.full(20, 50.0), flat=1.5) == "flatline"


def test_a_series_hardly_seen_is_named_all_the_same():
    assert kind_of(1, np.array([3.0]), np.zeros(len(NAMES)), np.array([3.0]), False) in ("spike", "dip")


def test_what_lasted_is_not_renamed_a_spike_once_it_is_over():
    chance, at = np.random.default_rng(5), slice(2_000, 2_040)
    load = chance.normal(50.0, 1.0, 2_100)
    load[at] += 25.0
    times = pd.to_datetime(1_700_000_000_000 + 60_000 * np.arange(len(load)), unit="ms", utc=True)
    told = replay([recording(pd.DataFrame({"timestamp": times, "load": load}), "web-1")], Plan()).incidents
    lives = {event.data.incident_id: [] for event in told}
    for event in told:
        lives[event.data.incident_id].append(event.data.kind)
    kinds = next(kinds for kinds in lives.values() if len(kinds) > 2)
    lasting = [kind not in BRIEF for kind in kinds]
    assert any(lasting) and lasting == sorted(lasting)
