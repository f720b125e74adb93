"""Metrics of odd shapes, and metrics that come and go: no score breaks, nobody is woken, and a fault is found."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from pipeline.incident import epoch_ms
from pipeline.recordings import recording
from pipeline.replay import replay, train
from pipeline.stream import Plan

DAY = 1440  # rows of a minute
START = 1_780_272_000_000  # 2026-06-01T00:00Z
SEEDS = range(4)
FAULT = 2 * DAY + 900
# rows before which a score may be withheld
LATE = 100


def constant(rng, n):
    return np.full(n, 42.0)


def nearly_constant(rng, n):
    return 42.0 + (rng.random(n) < 0.002)


def quantised(rng, n):
    return np.round(5.0 + 2.0 * np.sin(2 * np.pi * np.arange(n) / DAY) + 0.4 * rng.normal(size=n))


def counter_like(rng, n):
    return 1e9 + np.cumsum(rng.uniform(900.0, 1100.0, n))


def bimodal(rng, n):
    runs = np.repeat(rng.random(n) < 0.5, rng.integers(5, 40, n))[:n]
    return np.where(runs, 80.0, 20.0) + rng.normal(size=n)


def log_tailed(rng, n):
    return rng.lognormal(1.0, 1.0, n)


def rare_bursts(rng, n):
    return np.where(rng.random(n) < 0.01, rng.exponential(100.0, n), 0.0)


STEADY = (constant, quantised, counter_like, bimodal)
# incidents an entity and week of what flickers, once it is known how often it does: the alert budget is one. Flickers
# of all sizes are the hardest, as faults are of all sizes too.
RESTLESS = {nearly_constant: 3.0, rare_bursts: 3.0, log_tailed: 5.0}
SHAPES = (*STEADY, *RESTLESS)
KNOWN, WATCHED = 10 * DAY, 7 * DAY


def recorded(values, name, first_row=0):
    frame = pd.DataFrame(values)
    times = pd.to_datetime(START + 60_000 * (first_row + np.arange(len(frame))), unit="ms", utc=True)
    return recording(frame.assign(timestamp=times), name)


def company(rng, n):
    """Two ordinary metrics beside the odd one."""
    day = 50 + 20 * np.sin(2 * np.pi * np.arange(n) / DAY)
    return {"cpu": day + 2.0 * rng.normal(size=n), "requests": 10 * day + 20.0 * rng.normal(size=n)}


def behaviour_of(result, name):
    return [one.data for one in result.incidents if (one.data.entity.id, one.data.track) == (name, "behaviour")]


@cache
def judged(shape):
    """Hosts with a metric of a shape, as they were judged over three days."""
    hosts = {}
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        hosts[f"h{seed}"] = company(rng, 3 * DAY) | {"odd": shape(rng, 3 * DAY)}
    return replay([recorded(values, name) for name, values in hosts.items()], Plan())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_metric_of_an_odd_shape_breaks_no_score(shape):
    for table in judged(shape).tables.values():
        score = table["score"].to_numpy()[LATE:]
        assert np.isfinite(score).all() and score.min() >= 0.0 and score.max() < 1.0
        assert np.isfinite(table.filter(like="contribution").to_numpy()).all()


@pytest.mark.parametrize("shape", STEADY)
def test_a_metric_of_a_steady_shape_wakes_nobody(shape):
    result = judged(shape)
    opened = sum(one.revision == 1 for name in result.tables for one in behaviour_of(result, name))
    assert opened <= len(result.tables)


@pytest.mark.parametrize("shape", RESTLESS)
def test_a_metric_of_a_restless_shape_comes_near_the_alert_budget_once_it_is_known(shape):
    n = KNOWN + WATCHED
    hosts = {}
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        hosts[f"h{seed}"] = company(rng, n) | {"odd": shape(rng, n)}
    result = replay([recorded(values, name) for name, values in hosts.items()], Plan())
    opened = [one for name in hosts for one in behaviour_of(result, name) if one.revision == 1]
    late = sum(epoch_ms(one.detected_at) >= START + 60_000 * KNOWN for one in opened)
    assert late <= RESTLESS[shape] * len(hosts)


def blink(odd, at):
    odd[at : at + 30 : 2] += 1.0


def stay(odd, at):
    odd[at : at + 60] = 43.0


def leap(odd, at):
    odd[at : at + 2] = 90.0


@pytest.mark.parametrize("event", [blink, stay, leap])
def test_a_new_kind_of_event_of_a_metric_that_flickers_is_told(event):
    hosts = {}
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        odd = nearly_constant(rng, KNOWN + 200)
        odd[KNOWN - 30 : KNOWN + 200] = 42.0
        event(odd, KNOWN)
        hosts[f"h{seed}"] = company(rng, KNOWN + 200) | {"odd": odd}
    result = replay([recorded(values, name) for name, values in hosts.items()], Plan())
    since = START + 60_000 * KNOWN
    told = [[one for one in behaviour_of(result, name) if epoch_ms(one.detected_at) >= since] for name in hosts]
    assert sum(bool(of) and of[0].contributing_metrics[0].metric == "odd" for of in told) >= len(hosts) - 1


@pytest.mark.parametrize("shape", SHAPES)
def test_a_great_fault_of_a_metric_of_an_odd_shape_is_found_and_blamed_on_it(shape):
    hosts = {}
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        odd = shape(rng, 3 * DAY)
        odd[FAULT : FAULT + 60] += 5.0 * np.ptp(odd) if np.ptp(odd) else 42.0
        hosts[f"h{seed}"] = company(rng, 3 * DAY) | {"odd": odd}
    result = replay([recorded(values, name) for name, values in hosts.items()], Plan())
    right = 0
    for name in hosts:
        since = START + 60_000 * FAULT
        met = [one for one in behaviour_of(result, name) if since <= epoch_ms(one.detected_at) <= since + 3_600_000]
        right += bool(met) and met[0].contributing_metrics[0].metric == "odd"
    assert right >= len(hosts) - 1


@pytest.mark.parametrize("later", [42.0, 42.5, 60.0])
def test_what_never_moved_in_training_gives_finite_scores_whatever_it_does_later(later):
    rng = np.random.default_rng(3)
    flat = recorded(company(rng, 2 * DAY) | {"odd": np.full(2 * DAY, 42.0)}, "h")
    moved = recorded(company(rng, DAY) | {"odd": np.r_[np.full(600, 42.0), np.full(DAY - 600, later)]}, "h", 2 * DAY)
    table = replay([moved], Plan(), train([flat], Plan())).tables["h"]
    score = table["score"].to_numpy()[LATE:]
    assert np.isfinite(score).all() and score.max() < 1.0
    assert np.isfinite(table.filter(like="contribution").to_numpy()).all()


def test_a_metric_that_never_has_a_value_changes_nothing_for_the_others():
    rng = np.random.default_rng(4)
    values = company(rng, DAY)
    alone = replay([recorded(values, "h")], Plan()).tables["h"]
    beside = replay([recorded(values | {"odd": np.full(DAY, np.nan)}, "h")], Plan()).tables["h"]
    assert np.array_equal(alone["score"], beside["score"], equal_nan=True)
    assert np.array_equal(alone["threshold"], beside["threshold"], equal_nan=True)


def varied(rng, at):
    """A host that gets a disk, loses a queue, and whose pod restarts under another name, all at a row."""
    n = 3 * DAY
    values = company(rng, n)
    noisy = {
        name: level + spread * rng.normal(size=n) for name, level, spread in (("queue", 7.0, 1.0), ("io", 90.0, 5.0))
    }
    values["queue"] = np.where(np.arange(n) < at, noisy["queue"], np.nan)
    for disk in ("used", "reads"):
        values[f"disk.{disk}{{device=vdb}}"] = np.where(np.arange(n) >= at, 30.0 + rng.normal(size=n), np.nan)
    for pod, lives in (("a", np.arange(n) < at), ("b", np.arange(n) >= at + 3)):
        values[f"container.cpu{{pod=web-{pod}}}"] = np.where(lives, noisy["io"], np.nan)
    return values


def test_metrics_that_come_and_go_open_no_incident_and_new_ones_are_watched():
    at = DAY + 700
    hosts = {f"h{seed}": varied(np.random.default_rng(seed), at) for seed in range(10)}
    new = "disk.reads{device=vdb}"
    for values in hosts.values():
        values[new][FAULT : FAULT + 60] += 40.0
    result = replay([recorded(values, name) for name, values in hosts.items()], Plan())
    changed, fault = (START + 60_000 * row for row in (at, FAULT))
    found = 0
    for name in hosts:
        told = behaviour_of(result, name)
        assert not [one for one in told if changed - 600_000 <= epoch_ms(one.detected_at) <= changed + 43_200_000]
        met = [one for one in told if fault <= epoch_ms(one.detected_at) <= fault + 3_600_000]
        found += bool(met) and met[0].contributing_metrics[0].metric == new
    assert found >= 9
