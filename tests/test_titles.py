"""The title says what goes on while it goes on, and what it was once it is over."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from pipeline.exhaustion import Outlook
from pipeline.incident import ContributingMetric, IncidentKind, Reason
from pipeline.life import Life
from pipeline.plan import Plan
from pipeline.recordings import recording
from pipeline.replay import replay
from pipeline.titles import title_of

AT, MINUTE = 1_780_279_800_000, 60_000  # 2026-06-01T02:10Z
HOUR = 60 * MINUTE


def metric(name: str, share: float, value: float = 97.0) -> ContributingMetric:
    return ContributingMetric(name, "%", share, value, 65.0, 61.0, 70.0)


def life(kind: IncidentKind = "spike", **known: object) -> Life:
    told = {"status": "open", "revision": 1, "updated_ms": AT + MINUTE, **known}
    return replace(Life(0, "behaviour", AT, kind=kind), **told)


def said(one: Life, *metrics: ContributingMetric, reason: Reason = "opened") -> str:
    return title_of("db-03", one, metrics or [metric("disk.utilization", 1.0)], reason)


def test_an_opened_incident_says_what_how_much_and_since_when() -> None:
    assert said(life()) == "db-03: disk.utilization jumped to 97 % since 02:10 UTC, usually 61–70 % at this hour"


def test_a_later_revision_does_not_say_that_it_jumped_to_what_it_is_now() -> None:
    later = said(life(revision=3), metric("disk.utilization", 1.0, 66.0), reason="severity")
    assert later == "db-03: disk.utilization jumped at 02:10 UTC and is 66 % now, usually 61–70 % at this hour"


@pytest.mark.parametrize(("kind", "value"), [("spike", 66.0), ("spike", 50.0), ("dip", 97.0), ("level_shift", 66.0)])
def test_what_opens_and_is_back_already_is_not_said_to_be_there(kind: IncidentKind, value: float) -> None:
    told = said(life(kind), metric("disk.utilization", 1.0, value))
    assert f"at 02:10 UTC and is {value:g} % now, usually 61–70 % at this hour" in told


def test_what_goes_on_when_nothing_stands_out_any_more_is_not_told_as_over() -> None:
    over = life("level_shift", status="resolved", revision=4, ended_ms=AT + HOUR, stays=True)
    assert said(over, reason="recovered") == (
        "db-03: disk.utilization moved to a new level at 02:10 UTC and is 97 % now: "
        "that goes on, but stands out no more"
    )
    assert "jumped from 02:10 to 03:10" in said(replace(over, kind="spike"), reason="recovered")
    assert "was at a new level until 02:10" in said(replace(over, came_back=True), reason="recovered")


def test_what_is_over_is_told_in_the_past_with_both_of_its_ends() -> None:
    over = life("flatline", status="resolved", revision=4, ended_ms=AT + HOUR, updated_ms=AT + HOUR + 5 * MINUTE)
    assert said(over, reason="recovered") == (
        "db-03: disk.utilization was stuck from 02:10 to 03:10 UTC, now 97 %, usually 61–70 % at this hour"
    )


def test_what_was_found_by_its_end_is_told_until_then() -> None:
    at_usual = metric("disk.utilization", 1.0, 66.0)
    back = life("trend", came_back=True)
    assert said(back, at_usual) == (
        "db-03: disk.utilization drifted until 02:10 UTC and is 66 % now, usually 61–70 % at this hour"
    )
    over = life("trend", came_back=True, status="resolved", revision=3, ended_ms=AT + HOUR)
    assert said(over, at_usual, reason="recovered") == (
        "db-03: disk.utilization drifted until 02:10 UTC, now 66 %, usually 61–70 % at this hour"
    )
    assert said(life("spike", came_back=True)) == said(life("spike"))


def test_a_start_on_another_day_has_its_date() -> None:
    over = life("dip", status="resolved", revision=2, ended_ms=AT + 24 * HOUR)
    assert "fell from 2026-06-01 02:10 to 02:10 UTC" in said(over, reason="recovered")


def test_only_metrics_that_carry_much_of_it_are_counted_beside_the_first() -> None:
    shares = [0.5, 0.2, 0.13, *[0.034] * 5]
    assert said(life(), *(metric(f"m{n}", share) for n, share in enumerate(shares))).endswith("(and 2 more metrics)")


@pytest.mark.parametrize("kind", [kind for kind in get_args(IncidentKind) if kind not in ("silence", "exhaustion")])
@pytest.mark.parametrize("reason", get_args(Reason))
@pytest.mark.parametrize("is_over", [False, True])
def test_every_kind_has_words_for_every_turn(kind: IncidentKind, reason: Reason, is_over: bool) -> None:
    one = life(kind, status="resolved" if is_over else "open", revision=2, ended_ms=AT + HOUR if is_over else 0)
    told = said(one, reason=reason)
    assert told.startswith("db-03: disk.utilization ") and "02:10" in told and "97 %" in told


def test_silence_says_from_when_to_when() -> None:
    quiet = replace(life("silence"), track="silence")
    assert title_of("db-03", quiet, [], "opened") == "db-03: no telemetry since 02:10 UTC"
    over = replace(quiet, status="resolved", ended_ms=AT + HOUR)
    assert title_of("db-03", over, [], "recovered") == "db-03: no telemetry from 02:10 to 03:10 UTC"


def test_a_disk_that_was_cleaned_no_longer_fills() -> None:
    outlook = Outlook(0, AT, 97.0, 100.0, AT + 6 * HOUR, AT + 4 * HOUR, AT + 11 * HOUR, True, False)
    fills = replace(life("exhaustion"), track="exhaustion", outlook=outlook)
    assert said(fills) == "db-03: disk.utilization full in 6 h (4–11 h), now 97 %"
    cleaned = replace(fills, status="resolved", ended_ms=AT + HOUR)
    assert said(cleaned, metric("disk.utilization", 1.0, 40.0), reason="recovered") == (
        "db-03: disk.utilization no longer fills, now 40 %"
    )


@pytest.mark.parametrize(("level", "is_negative"), [(3.0, False), (0.0, True)])
def test_less_than_nothing_is_usual_only_of_what_was_below_it(level: float, is_negative: bool) -> None:
    load = np.maximum(level + np.random.default_rng(3).normal(size=2_000), -10.0 * is_negative)
    load[1_950:1_954] += 40.0
    times = pd.to_datetime(1_700_000_000_000 + MINUTE * np.arange(len(load)), unit="ms", utc=True)
    told = replay([recording(pd.DataFrame({"timestamp": times, "load": load}), "web-1")], Plan()).incidents
    lowest = [one.lower for event in told for one in event.data.contributing_metrics]
    assert lowest and any(low is not None and low < 0.0 for low in lowest) == is_negative
