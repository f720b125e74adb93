"""What is usual at an hour: local time, the profile of the week, habits, quanta and runs of equal values."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.baselines import FEATURE_NAMES, Features
from pipeline.grid import Wave
from pipeline.kernels import energy, season
from pipeline.zones import Zone, hour_of_week

HOUR, DAY = 3_600_000, 86_400_000
MONDAY = 1_780_272_000_000  # 2026-06-01T00:00Z
NAMES = {name: i for i, name in enumerate(FEATURE_NAMES)}


def one_row(time, gap, value):
    """A wave of one cell of series 0; fields beyond those named here are 0."""
    zeros = {field.name: np.zeros(1, np.int64) for field in fields(Wave)}
    own = {"time_ms": time, "gap": gap, "value": np.array([value], float), "bounds": np.array([0, 1])}
    return Wave(**{**zeros, **own})


def observed(features, i, value, step_ms):
    """Let series 0 have its i-th row."""
    wave = one_row(np.array([MONDAY + i * step_ms]), np.zeros(1, np.int64), value)
    return features.observe(wave, np.array([step_ms]), np.zeros(1, bool))[0]


def told(values, step_ms=300_000, zone="UTC", gaps=None):
    """Features of one series from a Monday on."""
    features, out = Features(zone), []
    features.adopt_series([None])
    zero = np.zeros(1, np.int64)
    for i, value in enumerate(values):
        gap = zero if gaps is None else gaps[i : i + 1]
        time = np.array([MONDAY + i * step_ms])
        wave = one_row(time, gap, value)
        out.append(features.observe(wave, np.array([step_ms]), np.zeros(1, bool))[0])
    return np.array(out)


@pytest.mark.parametrize("offset", [0.0, 0.1, 1e8, -17e9])
def test_the_last_values_are_told_as_they_came(offset):
    values = offset + np.round(np.random.default_rng(9).normal(size=100), 2)
    features = Features()
    features.adopt_series([None])
    for i, value in enumerate(values):
        observed(features, i, value, HOUR)
        expected = values[max(0, i - 59) : i + 1]
        assert [f"{x:.9g}" for x in features.told(0)] == [f"{x:.9g}" for x in expected]
        assert features.value(0) == value


def week_of_busy_mondays(n_weeks, step_ms=300_000):
    rng = np.random.default_rng(5)
    hours = np.arange(n_weeks * 7 * DAY // step_ms) * step_ms / HOUR
    busy = np.where(hours // 24 % 7 == 0, 1.4, 1.0)
    return busy * (50 + 20 * np.sin(2 * np.pi * hours / 24)) + rng.normal(size=len(hours))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
def test_local_time_is_that_of_the_zone_on_both_sides_of_every_change(zone):
    from datetime import datetime
    from zoneinfo import ZoneInfo

    times = np.arange(MONDAY - 200 * DAY, MONDAY + 200 * DAY, 1_800_000)
    expected = [datetime.fromtimestamp(t / 1000, ZoneInfo(zone)).replace(tzinfo=None) for t in times.tolist()]
    seconds = [(one - datetime(1970, 1, 1)).total_seconds() for one in expected]
    assert (Zone(zone).local_ms(times) // 1000).tolist() == seconds
    assert hour_of_week(Zone(zone).local_ms(times)).tolist() == [24 * one.weekday() + one.hour for one in expected]


def test_a_busy_monday_is_usual_once_the_week_is_known_and_not_before():
    seasonal = np.abs(told(week_of_busy_mondays(5))[:, NAMES["shift"]])
    mondays = [seasonal[w * 2016 + 72 : w * 2016 + 288].mean() for w in range(5)]
    assert mondays[1] > 1.5 * mondays[4]


def test_the_step_with_which_a_busy_day_begins_is_usual_once_the_week_is_known():
    told_of = told(week_of_busy_mondays(6))
    step, offset = (np.abs(told_of[:, NAMES[name]]) for name in ("innovation", "shift"))
    assert step[1 * 2016] > 6
    assert step[5 * 2016] < 4
    assert offset[5 * 2016 : 5 * 2016 + 288].max() < 4


@pytest.mark.parametrize(("step_ms", "size"), [(60_000, 8.0), (300_000, 8.0), (300_000, -8.0)])
def test_an_offset_stands_out_by_what_offsets_from_the_season_were_not_by_the_swing_of_the_first_day(step_ms, size):
    rng, a_day = np.random.default_rng(10), DAY // step_ms
    values = 50 + 30 * np.sin(2 * np.pi * np.arange(4 * a_day) / a_day) + rng.normal(size=4 * a_day)
    values[-a_day // 4 :] += size
    shift = size / 8.0 * told(values, step_ms)[:, NAMES["shift"]]
    assert np.abs(shift[2 * a_day : -a_day // 4]).max() < 4
    assert shift[-a_day // 4 + 20 : -a_day // 4 + 40].min() > 4


def test_a_week_that_is_like_any_other_day_is_not_believed():
    state = np.zeros(season.N_SEASON_STATE)
    week = np.full(season.N_HOURS, season.code_of(500.0), np.int16)
    state[season.UNIT], state[season.DAY_MISS], state[season.WEEK_MISS] = 0.01, 1.0, 0.95
    assert season.of_week(state, week, 3) == 0.0
    state[season.WEEK_MISS] = 0.5
    assert season.of_week(state, week, 3) == pytest.approx(5.0, rel=1e-3)


@given(st.floats(1e-4, 1e14), st.sampled_from([-1.0, 1.0]))
@settings(deadline=None)
def test_sixteen_bits_keep_a_number_to_less_than_a_thousandth_and_its_sign(size, sign):
    assert season.in_units(season.code_of(sign * size)) == pytest.approx(sign * size, rel=7e-4)


def test_what_an_hour_knows_is_never_taken_for_nothing_known():
    codes = [season.code_of(x) for x in (0.0, 1e-300, -1e-300, 1e300, -1e300)]
    assert codes == [1, 1, -1, 32_767, -32_767]
    assert season.in_units(np.int16(0)) == 0.0


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e12])
def test_hours_of_the_week_keep_what_they_know_when_one_grows_a_thousandfold(size):
    state, week = np.zeros(season.N_SEASON_STATE), np.zeros(season.N_HOURS, np.int16)
    for hour, mean in ((0, size), (1, -2 * size), (2, 900 * size), (3, 0.0)):
        season.learn_week(state, week, hour, mean, 24.0, 1.0)
    known = state[season.UNIT] * np.array([season.in_units(code) for code in week[:3]])
    assert known[0] == pytest.approx(size, rel=1e-3)
    assert known[1] == pytest.approx(-2 * size, rel=1e-3)
    assert known[2] == pytest.approx(900 * size, rel=1e-3)


@pytest.mark.parametrize("step_ms", [60_000, 900_000, HOUR])
@pytest.mark.parametrize("back", [1, 7, 29])
def test_rows_that_are_undone_leave_the_seasons_as_they_found_them(step_ms, back):
    features, values = Features(n_notes=29), np.random.default_rng(8).normal(size=3 * DAY // step_ms)
    features.adopt_series([None])
    arrays = {name: features.tables()[name].array for name in ("day", "seen", "week")}
    then = {}
    for i, value in enumerate(values):
        if i == len(values) - back:
            then = {name: array.copy() for name, array in arrays.items()}
        observed(features, i, value, step_ms)
    assert not np.array_equal(arrays["day"], then["day"])
    features.rewind(np.zeros(1, np.int64), np.array([float(len(values) - back)]))
    for name, array in arrays.items():
        assert np.array_equal(array, then[name]), name


def test_what_counts_by_whole_numbers_is_not_surprised_by_one_more():
    rng = np.random.default_rng(3)
    values = 20 + (np.arange(1500) % 2) + (rng.random(1500) < 0.02)
    assert np.abs(told(values)[500:, NAMES["innovation"]]).max() < 6


def test_a_stuck_sensor_is_unusual_soon_and_a_constant_never():
    rng = np.random.default_rng(4)
    noisy = rng.normal(size=1000)
    noisy[900:] = noisy[899]
    flat = told(noisy)[:, NAMES["flat"]]
    assert flat[:900].max() < 0.5
    assert flat[930] > 2
    assert told(np.full(1000, 7.0))[:, NAMES["flat"]].max() == 0


def test_the_first_value_after_a_gap_is_where_the_level_begins_again():
    values, gaps = np.r_[np.zeros(300), np.full(20, 5.0)], np.zeros(320, np.int64)
    values[:300] += np.random.default_rng(6).normal(size=300)
    gaps[300] = 200
    assert np.abs(told(values, gaps=gaps)[300:, NAMES["innovation"]]).max() < 1


def habit_after(nights, most=8.0):
    """What a habit allows at slot 20 after so many nights with a burst there."""
    row, habits = np.zeros(energy.N_ENERGY_STATE), np.zeros(season.N_SLOTS, np.float32)
    for burst in nights:
        for slot in range(season.N_SLOTS):
            energy.learn_habit(row, habits, slot, most, burst and slot in (20, 21))
    return energy.habit(habits, 20)


def test_a_burst_of_every_night_becomes_a_habit_and_is_forgotten_when_it_stops():
    assert habit_after([True]) < 8
    assert habit_after([True] * 4) > 8
    assert habit_after([True] * 6 + [False] * 6) < 1


def test_a_habit_excuses_what_is_a_little_over_the_threshold_and_never_what_is_far_over():
    usual = habit_after([True] * 6)
    assert 2.0 * 1.1 < energy.bent(2.0, usual) < 2.0 * 1.3
    assert energy.bent(2.0, 0.0) == 2.0


def test_what_lasts_for_half_a_day_is_no_habit():
    row, habits = np.zeros(energy.N_ENERGY_STATE), np.zeros(season.N_SLOTS, np.float32)
    for slot in range(2 * season.N_SLOTS):
        energy.learn_habit(row, habits, slot % season.N_SLOTS, 9.0, 10 <= slot < 60)
    assert habits[30:58].max() == 0


def test_a_fault_does_not_excuse_its_own_next_quarter_of_an_hour():
    row, habits = np.zeros(energy.N_ENERGY_STATE), np.zeros(season.N_SLOTS, np.float32)
    for slot in (10, 11):
        energy.learn_habit(row, habits, slot, 9.0, True)
        assert energy.habit(habits, slot) == 0


def test_a_season_fits_its_budget_of_bytes():
    state = Features().tables()
    one = sum(state[name].array[0].nbytes for name in ("day", "seen", "week"))
    assert one <= 1536
