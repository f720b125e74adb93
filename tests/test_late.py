"""Laws of late data: within the horizon the order of arrival changes nothing in the end, beyond it is counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from last_words import last_words

from pipeline.events import Records
from pipeline.incident import epoch_ms
from pipeline.lateness import MOST_TIMES, Lateness
from pipeline.stream import PartitionStream, Plan, StepResult

T0, STEP = 1_700_000_000_000, 10_000
N_STEPS = 150
HOSTS = ("a", "b")
HORIZON = 6
# silence goes by arrival, so what arrives in another order may be missed meanwhile
PLAN = Plan(late_steps=HORIZON, silence_least_ms=10**9)

Row = tuple[int, str, list[dict[str, Any]]]


def fleet(seed: int = 0, fault: range = range(100, 112)) -> list[Row]:
    """Rows of (event time, entity, samples), one record each: two gauges of one agent, a counter of another."""
    chance, rows, total = np.random.default_rng(seed), [], {host: 0.0 for host in HOSTS}
    for i in range(N_STEPS):
        for host in HOSTS:
            at = T0 + i * STEP + (300 if host == "b" else 0)
            lift = 40.0 if host == "a" and i in fault else 0.0
            total[host] += 100.0 + chance.normal() + 10.0 * lift
            gauges = [{"metric": m, "value": 50 + lift + chance.normal()} for m in ("load", "temperature")]
            rows.append((at, host, gauges))
            rows.append((at + 2_700, host, [{"metric": "requests", "value": total[host], "kind": "counter"}]))
    return rows


def records(rows: Sequence[Row], first: int = 0) -> Records:
    """One record a row, all of them sent at the end, so that none is ahead of its record."""
    values = [
        msgspec.json.encode([{"timestamp": at, "entity": host, **sample} for sample in samples])
        for at, host, samples in rows
    ]
    n = len(rows)
    return Records("t", 0, list(range(first, first + n)), [T0 + N_STEPS * STEP] * n, [None] * n, values)


def run(rows: Sequence[Row], cuts: Iterable[int] = (), plan: Plan = PLAN) -> tuple[PartitionStream, StepResult]:
    stream, whole = PartitionStream(plan, "t", 0), StepResult()
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(rows)}), len(rows)]
    for a, b in pairwise(edges):
        result = stream.step(records(rows[a:b], a))
        whole.counts.add(result.counts)
        whole.incidents += result.incidents
        whole.scores += result.scores
    return stream, whole


def said(result: StepResult) -> set[tuple[object, ...]]:
    return last_words(event.data for event in result.incidents)


def shuffled(rows: Sequence[Row], delays: Sequence[float]) -> list[Row]:
    """Rows in order of arrival, each delayed by less than the horizon."""
    arrival = [at + delay * (HORIZON - 1) * STEP for (at, *_), delay in zip(rows, delays, strict=True)]
    return [rows[i] for i in np.argsort(arrival, kind="stable")]


@pytest.fixture(scope="module")
def in_order() -> tuple[list[Row], StepResult]:
    rows = sorted(fleet(), key=lambda row: row[0])
    return rows, run(rows)[1]


@given(st.integers(0, 2**32 - 1), st.floats(0.02, 1.0))
@example(0, 0.5)  # opened, retracted, and found again with the record after
@settings(max_examples=8, deadline=None)
def test_any_order_within_the_horizon_gives_the_same_incidents(in_order, seed, share):
    rows, straight = in_order
    chance = np.random.default_rng(seed)
    delays = chance.random(len(rows)) * (chance.random(len(rows)) < share)
    _, late = run(shuffled(rows, delays))
    assert said(late) == said(straight) != set()
    assert late.counts.late == 0
    assert late.counts.decoded == straight.counts.decoded
    assert (late.counts.on_grid, late.counts.replaced) == (straight.counts.on_grid, straight.counts.replaced)
    revisions = [event.id for event in late.incidents]
    assert len(set(revisions)) == len(revisions)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 4 * N_STEPS), max_size=12))
@settings(max_examples=4, deadline=None)
def test_late_data_is_judged_record_by_record_however_it_was_polled(in_order, seed, cuts):
    rows = shuffled(in_order[0], np.random.default_rng(seed).random(len(in_order[0])))
    (whole, at_once), (parts, in_parts) = run(rows), run(rows, cuts)
    assert msgspec.json.encode(at_once.incidents) == msgspec.json.encode(in_parts.incidents)
    assert at_once.counts == in_parts.counts
    assert whole.digest() == parts.digest()


@pytest.mark.parametrize("cut", [150, 420, 440, 500])
def test_a_state_kept_amid_a_late_stretch_goes_on_as_if_nothing_had_happened(in_order, cut):
    rows = shuffled(in_order[0], np.random.default_rng(7).random(len(in_order[0])))
    stream, before = run(rows[:cut])
    image = stream.image()
    copies = {name: table._replace(array=table.array.copy()) for name, table in image.tables.items()}
    again = PartitionStream.of_image(replace(image, tables=copies), "t", 0, None)
    assert again.digest() == stream.digest()
    after = again.step(records(rows[cut:], cut))
    whole, told = run(rows)
    events = [*before.incidents, *after.incidents]
    assert msgspec.json.encode(events) == msgspec.json.encode(told.incidents)
    assert again.digest() == whole.digest()


def moved(rows: Sequence[Row], at: int, steps: float) -> list[Row]:
    """Rows in order, the one at position ``at`` so many steps later."""
    row = rows[at]
    rest = [*rows[:at], *rows[at + 1 :]]
    place = next((i for i, other in enumerate(rest) if other[0] >= row[0] + steps * STEP), len(rest))
    return [*rest[:place], row, *rest[place:]]


def place_of(rows: Sequence[Row], step: int, host: str = "a") -> int:
    """Position of the gauges of one step of a host."""
    return next(i for i, (at, name, _) in enumerate(rows) if name == host and at >= T0 + step * STEP)


def test_beyond_the_horizon_a_sample_is_counted_late_and_changes_nothing(in_order):
    rows = in_order[0]
    at = place_of(rows, 60)
    _, told = run(moved(rows, at, HORIZON + 2))
    _, expected = run([*rows[:at], *rows[at + 1 :]])
    assert told.counts.late == 2
    assert said(told) == said(expected)
    assert [one.score for one in told.scores] == [one.score for one in expected.scores]


def test_without_a_horizon_what_is_late_is_counted(in_order):
    rows = in_order[0]
    _, told = run(moved(rows, place_of(rows, 60), 3), plan=Plan(late_steps=0, silence_least_ms=10**9))
    assert told.counts.late == 2


def test_a_late_sample_that_changes_the_verdict_is_one_revision(in_order):
    rows, straight = in_order
    _, told = run(moved(rows, place_of(rows, 100), 4))
    late = [event for event in told.incidents if event.data.reason == "late_data"]
    assert len(late) == 1
    (opened, *_) = straight.incidents
    assert late[0].data.started_at == opened.data.started_at
    assert late[0].data.score == opened.data.score != told.incidents[0].data.score
    assert late[0].type == "foreshock.incident.updated.v1"
    incident_id = told.incidents[0].data.incident_id
    assert [event.id for event in told.incidents] == [f"{incident_id}:{n + 1}" for n in range(len(told.incidents))]


def test_a_late_sample_that_changes_no_verdict_is_no_revision(in_order):
    rows, straight = in_order
    _, told = run(moved(rows, place_of(rows, 60), 4))
    assert [event.id for event in told.incidents] == [event.id for event in straight.incidents]


def test_evidence_that_vanishes_is_retracted_once_and_may_come_back_as_the_same_incident():
    rows = sorted(fleet(fault=range(0)), key=lambda row: row[0])
    spiked = [place_of(rows, step) for step in (100, 101)]
    calm, spike = [rows[at] for at in spiked], [{"metric": m, "value": 900.0} for m in ("load", "temperature")]
    rows = [(at, host, spike if i in spiked else samples) for i, (at, host, samples) in enumerate(rows)]

    def corrected(by_ms: int, with_samples: list[list[dict[str, Any]]]) -> Row:
        """One record that says of both steps, a little later in the same cells, something else."""
        times = [at + by_ms for at, *_ in calm]
        return (
            times[0],
            "a",
            [{**one, "timestamp": t} for t, said in zip(times, with_samples, strict=True) for one in said],
        )

    first, then = place_of(rows, 104), place_of(rows, 105)
    vanished = corrected(1_000, [samples for *_, samples in calm])
    _, told = run([*rows[:first], vanished, *rows[first:]])
    before = [event.data.reason for event in told.incidents]
    assert (before[0], before[-1], before.count("retracted")) == ("opened", "retracted", 1)
    assert told.incidents[-1].type == "foreshock.incident.resolved.v1"
    assert told.incidents[-1].id == f"{told.incidents[0].data.incident_id}:{len(before)}"
    back = corrected(2_000, [spike, spike])
    _, more = run([*rows[:first], vanished, *rows[first:then], back, *rows[then:]])
    assert [event.data.reason for event in more.incidents][: len(before) + 1] == [*before, "late_data"]
    assert more.incidents[len(before)].type == "foreshock.incident.reopened.v1"
    assert len({event.data.incident_id for event in more.incidents}) == 1
    assert [event.data.revision for event in more.incidents] == list(range(1, len(more.incidents) + 1))


def test_what_comes_twice_is_counted_once_more_and_changes_nothing(in_order):
    rows, straight = in_order
    at = place_of(rows, 60)
    twice = [*rows[: at + 20], rows[at], rows[at + 1], rows[at + 2], *rows[at + 20 :]]
    _, told = run(twice)
    assert told.counts.duplicate == sum(len(samples) for _, _, samples in rows[at : at + 3])
    assert (told.counts.on_grid, told.counts.late) == (straight.counts.on_grid, 0)
    assert said(told) == said(straight)


def test_a_host_that_flushes_an_old_buffer_spoils_nobody_and_is_taken_in_order():
    rows = sorted(fleet(), key=lambda row: row[0])
    straight = run(rows)[1]
    held = [row for row in rows if row[1] == "b" and T0 + 80 * STEP <= row[0] < T0 + 84 * STEP]
    first = rows.index(held[0])
    rest = [row for row in rows if row not in held]
    one = place_of(rest, 86)
    _, told = run([*rest[:one], *held, *rest[one:]])
    assert first < one
    assert told.counts == straight.counts
    assert said(told) == said(straight)


def test_late_data_does_not_reach_back_across_another_model(in_order):
    rows = in_order[0]
    at = place_of(rows, 60)
    late = moved(rows, at, 3)
    now = next(i for i, row in enumerate(late) if row[0] >= T0 + 62 * STEP)
    stream = PartitionStream(PLAN, "t", 0)
    before = stream.step(records(late[:now]))
    stream.swap(None)
    after = stream.step(records(late[now:], now))
    assert (before.counts.late, after.counts.late) == (0, 2)


@pytest.mark.parametrize(("before", "after"), [(0, HORIZON), (HORIZON, 0), (HORIZON, 2 * HORIZON)])
def test_another_horizon_is_obeyed_once_there_is_something_settled_to_go_back_to(in_order, before, after):
    rows = moved(in_order[0], place_of(in_order[0], 60), 3)
    now = place_of(rows, 20)
    stream = PartitionStream(replace(PLAN, late_steps=before), "t", 0)
    stream.step(records(rows[:now]))
    stream.obey(replace(PLAN, late_steps=after))
    told = stream.step(records(rows[now:], now))
    assert told.counts.late == (0 if after else 2)


def test_an_incident_counts_the_late_samples_of_its_own_time_and_no_others(in_order):
    rows = in_order[0]
    before, amid, host_b = place_of(rows, 60), place_of(rows, 104), place_of(rows, 105, "b")
    _, told = run(moved(moved(moved(rows, host_b, 3), amid, 2), before, 3))
    (opened, *_), (*_, last) = ([one.data for one in told.incidents if one.data.entity.id == "a"] for _ in range(2))
    assert (opened.status, opened.data_quality.late_samples) == ("open", 0)
    assert (last.status, last.data_quality.late_samples) == ("resolved", 2)  # both gauges of one record


def test_what_came_too_late_for_the_horizon_counts_as_late_in_its_incident(in_order):
    rows = in_order[0]
    _, told = run(moved(rows, place_of(rows, 104), 3), plan=replace(PLAN, late_steps=0))
    assert told.counts.late == 2
    assert told.incidents[-1].data.data_quality.late_samples == 2


def test_a_revision_by_late_data_counts_the_sample_that_led_to_it(in_order):
    rows = in_order[0]
    _, told = run(moved(rows, place_of(rows, 100), 4))
    (late,) = [event.data for event in told.incidents if event.data.reason == "late_data"]
    assert late.data_quality.late_samples == 2


def test_of_a_long_late_stretch_the_newest_times_are_remembered():
    lateness, n = Lateness(), 3 * MOST_TIMES
    for batch in np.array_split(np.random.default_rng(0).permutation(n), 7):
        lateness.hear(np.array([[4, 1_000 * t, row] for row, t in enumerate(batch)]))
        first = lateness.count(4, 0, 2**62, 1)
        assert 1 <= first <= MOST_TIMES
        lateness.settle()
    assert sorted(lateness.known[4]) == [1_000 * t for t in range(n - MOST_TIMES, n)]
    assert lateness.count(4, 1_000 * (n - 10), 2**62, 0) == 10
    assert lateness.count(5, 0, 2**62, 0) == 0


def test_cells_that_stayed_empty_within_an_incident_are_its_missing_share(in_order):
    rows = in_order[0]
    lost = {place_of(rows, step) for step in (103, 104, 105)}
    _, whole = run(rows)
    _, told = run([row for at, row in enumerate(rows) if at not in lost])
    assert {one.data.data_quality.missing_share for one in whole.incidents} == {0.0}
    (opened, *_), (*_, last) = told.incidents, told.incidents
    assert opened.data.data_quality.missing_share == 0.0
    n_steps = (epoch_ms(last.data.updated_at) - epoch_ms(last.data.started_at)) // STEP + 1
    assert last.data.data_quality.missing_share == pytest.approx(6 / (3 * n_steps), abs=0.02)
