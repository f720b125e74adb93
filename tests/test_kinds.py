"""Kinds of trouble are told apart by the course of the metric most to blame, beside its usual day and its company."""

import sys

import numpy as np
import pandas as pd
import pytest

from pipeline.baselines import Features
from pipeline.course import MOST_ROWS, Course
from pipeline.grid import Wave
from pipeline.kernels.season import N_SLOTS
from pipeline.kinds import BRIEF, Seen, kind_of
from pipeline.naming import alike
from pipeline.plan import Plan
from pipeline.recordings import recording
from pipeline.replay import replay
from pipeline.zones import DAY_MS

RNG = np.random.default_rng(8)
USUAL = 50.0 + np.linspace(0.0, 12.0, 60)
MINUTE = 60_000


@pytest.fixture(autouse=True)
def _the_same_noise_in_whatever_order(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "RNG", np.random.default_rng(8))


def noise(n):
    return RNG.normal(size=n)


def seen(values, n_steps, usual=USUAL, company=None, reach=(45.0, 75.0), **known):
    """What is known of a metric with noise 1 that did this in the last hour; ``company``: what the others do."""
    usual = np.broadcast_to(usual, len(values)).astype(float)
    course = Course(0, [] if company is None else [1], 1.0, 0.3, reach)
    course.take(np.column_stack([values, usual, np.zeros(len(values)) if company is None else company]))
    return Seen(n_steps, course, values - usual, **known)


def named(values, n_steps, **known):
    return kind_of(seen(values, n_steps, **known)).kind


def away(n_steps, size):
    """An hour as usual but for its last steps."""
    return USUAL + noise(60) + np.r_[np.zeros(60 - n_steps), np.broadcast_to(size, n_steps)]


@pytest.mark.parametrize(("size", "kind"), [(20, "spike"), (-20, "dip")])
def test_what_is_young_or_over_is_a_spike_or_a_dip(size, kind):
    assert named(away(2, size), 2) == kind
    assert named(away(15, np.r_[[size] * 3, [0] * 12]), 15) == kind


@pytest.mark.parametrize("company", [None, np.zeros(60)])
def test_what_goes_along_with_its_day_at_another_level_is_a_level_shift(company):
    assert named(away(30, 15), 30, company=company) == "level_shift"
    assert named(away(30, 60), 30, company=company) == "level_shift"


def test_what_goes_along_with_its_company_at_another_level_is_a_level_shift_where_its_day_is_flat():
    together = 4 * np.sin(np.linspace(0, 20, 60))
    lifted = 50 + together + noise(60) + np.r_[np.zeros(30), np.full(30, 15)]
    assert named(lifted, 30, usual=50.0, company=together) == "level_shift"


def test_what_goes_against_its_day_is_out_of_its_company_or_alone_out_of_its_hour():
    against = away(30, 15 - 2 * (USUAL[30:] - USUAL[30]))
    assert named(against, 30, company=np.zeros(60)) == "correlation"
    assert named(against, 30) == "season"


def test_what_is_at_another_hour_together_with_its_company_is_a_season():
    moved = np.r_[np.zeros(30), np.full(30, 15)]
    assert named(away(30, 15), 30, company=moved) == "season"
    assert named(away(30, 60), 30, company=4 * moved) == "level_shift", "no hour is like that"
    assert named(away(30, 15), 30, company=moved, reach=None) == "level_shift", "its day is not known yet"


def test_what_stays_alone_where_it_is_at_other_hours_broke_its_rhythm():
    still = 50 + noise(60) + np.r_[np.zeros(30), np.full(30, 15)]
    assert named(still, 30, usual=50.0 + 0.01 * noise(60)) in ("season", "level_shift")
    assert named(still, 30, usual=50.0) == "season"
    assert named(still, 30, usual=50.0, reach=(48.0, 52.0)) == "level_shift"


@pytest.mark.parametrize("n_back", [2, 8])
def test_the_way_back_is_called_by_what_ended(n_back):
    def ended(lift, company=None):
        """An hour that was away, and is not any more."""
        values = USUAL + noise(60) + np.r_[np.broadcast_to(lift, 60)[: 60 - n_back], np.zeros(n_back)]
        return kind_of(seen(values, n_back, company=company))[:2]

    assert ended(20) == ("level_shift", True)
    assert ended(np.linspace(20, 40, 60)) == ("trend", True)
    assert ended(44 - 2 * (USUAL - USUAL[0]), np.zeros(60)) == ("correlation", True)


def test_what_stood_still_and_moves_again_was_stuck():
    values = np.r_[np.full(58, 30.0), USUAL[58:] + noise(2)]
    assert kind_of(seen(values, 2))[:2] == ("flatline", True)


def test_what_was_away_as_often_before_is_not_what_an_incident_is_about():
    often = 50 + noise(60) + np.r_[np.full(57, 4.0), [24, 25, 24]]
    known = seen(often, 3, usual=50.0)
    assert kind_of(known)[:2] == ("spike", False)
    back = seen(50 + noise(60) + np.r_[np.full(58, 4.0), [0, 0]], 2, usual=50.0)
    assert kind_of(back).is_back
    back.course.offset = 3.0
    assert kind_of(back).kind in BRIEF and not kind_of(back).is_back


def test_a_jump_is_one_up_from_where_it_was_even_if_that_was_far_below_what_is_usual():
    below = 50 - np.full(60, 8.0) + noise(60) + np.r_[np.zeros(58), [8.0, 24.0]]
    assert named(below, 2, usual=50.0) == "spike"


def test_a_deviation_is_called_lasting_only_once_it_has_lasted_or_nothing_more_will_be_seen():
    assert [named(away(n, 40), n) for n in (8, 14)] == ["spike", "level_shift"]
    assert kind_of(seen(away(8, 40), 8, is_last=True)) == ("level_shift", False, True)


def test_only_what_goes_on_stays():
    assert kind_of(seen(away(30, 40), 30)).stays
    assert not kind_of(seen(away(30, np.r_[[40] * 20, [0] * 10]), 30)).stays
    assert not kind_of(seen(away(2, 40), 2)).stays


@pytest.mark.parametrize("n_away", [12, 31, 64, 90])
def test_a_long_course_whose_rows_stand_for_many_steps_is_named_all_the_same(n_away):
    n = 32 * 90
    values = 50.0 + noise(n) + np.r_[np.zeros(n - n_away - 40), np.full(n_away, 400.0), np.zeros(40)]
    for company in (None, np.zeros(n)):
        one = seen(values, n - 60, usual=50.0, company=company)
        assert one.course.stride > 16
        for is_last in (False, True):
            found = kind_of(one._replace(latest=one.latest[-60:], is_last=is_last))
            assert found.kind in {*BRIEF, "level_shift", "trend", "correlation", "variance"}


@pytest.mark.parametrize("n_steps", [14, 20, 25, 30, 45])
def test_a_jump_that_takes_some_steps_and_stays_is_no_trend_at_any_look(n_steps):
    assert named(away(n_steps, 60 * (1 - np.exp(-np.arange(1, n_steps + 1) / 1.5))), n_steps) == "level_shift"


@pytest.mark.parametrize("company", [None, np.zeros(60)])
@pytest.mark.parametrize("n_steps", [2, 20, 50])
def test_what_grows_without_a_jump_is_a_trend_whenever_it_is_found(n_steps, company):
    assert named(away(50, np.linspace(0, 30, 50)), n_steps, company=company) == "trend"
    assert named(away(60, np.linspace(30, 45, 60)), n_steps, company=company) == "trend"


def test_what_goes_both_ways_is_variance_unless_it_always_does():
    wild = away(20, 12 * np.tile([1.0, -1.0], 10))
    assert named(wild, 20) == "variance"
    known = seen(wild, 20)
    known.course.noise = 20.0
    assert kind_of(known).kind != "variance"


def test_noise_alone_is_no_variance_at_its_first_look():
    assert sum(named(USUAL + noise(60), 8) == "variance" for _ in range(300)) <= 3


def test_what_does_not_move_is_a_flat_line():
    assert named(away(2, 0), 2, is_still=True) == "flatline"


def test_what_jumps_to_where_it_stands_still_has_moved():
    stands = np.r_[USUAL[:40] + noise(40), np.full(20, 20.0)]
    assert named(stands, 20, is_still=True) == "level_shift"
    assert named(np.r_[USUAL[:40] + noise(40), np.full(20, USUAL[39])], 20, is_still=True) == "flatline"


def test_a_series_hardly_seen_is_named_all_the_same():
    assert [named(np.full(n, 3.0), 1, usual=3.0) for n in (1, 2, 20)] == ["dip"] * 3


@pytest.mark.parametrize("n_steps", [60, 500, 3_000])
def test_a_course_has_room_for_any_number_of_steps_however_they_come(n_steps):
    steps = RNG.normal(size=(n_steps, 3))
    once, bits = (Course(0, [], 1.0, 1.0, None) for _ in range(2))
    once.take(steps)
    for part in np.array_split(steps, 7):
        bits.take(part)
    assert once == bits and len(once.whole) < MOST_ROWS
    stride, rows = once.stride, once.rows()
    whole = n_steps // stride * stride
    np.testing.assert_allclose(rows[: whole // stride], steps[:whole].reshape(-1, stride, 3).mean(axis=1))
    assert len(rows) == -(-n_steps // stride)


@pytest.mark.parametrize("step_ms", [MINUTE, 15 * MINUTE])
@pytest.mark.parametrize("n_held", [0, 20])
def test_what_was_usual_before_is_what_the_profile_said_before_it_learned_the_last_values(step_ms, n_held):
    features, values = Features(), 1e6 + 100 * noise(400 * 24 // (step_ms // MINUTE))
    features.adopt_series([None])

    def learn(first, last, hold):
        for i in range(first, last):
            wave = one_row(values[i], i * step_ms)
            features.observe(wave, np.array([step_ms]), np.array([hold]))

    n, times = len(values) - 60, np.arange(len(values) - 60, len(values)) * step_ms
    learn(0, n, False)
    known, otherwise = features.days(np.array([0]))[0], features.before(0, times[:0], step_ms)
    expected = profile_at(known, times)
    learn(n, len(values) - n_held, False)
    learn(len(values) - n_held, len(values), True)
    found = features.before(0, times, step_ms, n_held)
    seen_then = ~np.isnan(expected)
    np.testing.assert_allclose(found.usual[seen_then] - values[0], expected[seen_then], atol=0.02)
    assert otherwise.reach is not None and found.reach == pytest.approx(otherwise.reach, abs=0.02)


def one_row(value, time_ms):
    whole, bounds = np.zeros(1, np.int64), np.array([0, 1])
    return Wave(
        **{name: whole for name in Wave.__annotations__}
        | {"value": np.array([value]), "time_ms": np.array([time_ms]), "bounds": bounds}
    )


def profile_at(day, times):
    """Straight between the centres of slots; NaN where one of both is not known."""
    at = times % DAY_MS * (N_SLOTS / DAY_MS) - 0.5
    left = np.floor(at).astype(int)
    return (1 - (at - left)) * day[left % N_SLOTS] + (at - left) * day[(left + 1) % N_SLOTS]


def test_days_are_alike_that_go_up_and_down_together_whatever_their_size():
    hours = np.linspace(0, 2 * np.pi, 96)
    day, unknown = np.sin(hours), np.where(np.arange(96) < 90, np.nan, np.sin(hours))
    others = np.array([1e6 * day + 7, -day, np.cos(hours), np.zeros(96), unknown])
    assert alike(day, others).tolist() == [True, False, False, False, False]


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
