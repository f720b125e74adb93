"""Laws of what is watched beside the verdicts: it alters no byte, counts alike whatever the polls, and ends alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundle import Bundle
from models.card import Card
from models.kernels import bins
from models.training import train
from models.trial import Trial
from pipeline import replay
from pipeline.baselines import FEATURE_NAMES
from pipeline.beside import Beside
from pipeline.codecs.encode import encode_json
from pipeline.drifting import Drifting, DriftWindow, Reference
from pipeline.events import Kind, Records
from pipeline.history import History
from pipeline.incident import CloudEvent
from pipeline.judging import Judged
from pipeline.kafka.source import Partition
from pipeline.plan import Plan, StepResult
from pipeline.recordings import Recording, recording
from pipeline.replay import run_through
from pipeline.shadow import Shadow
from pipeline.simulate.fleet import Fleet
from pipeline.simulate.records import wide_table
from pipeline.simulate.scenario import scenario
from pipeline.simulate.telemetry import telemetry
from pipeline.stream import PartitionStream

T0 = 1_767_225_600_000
FLEET = Fleet(n_hosts=3, n_metrics=4, seed=3)
N_PAST, N_LIVE = 14 * 1_440, 900
HOME = Partition("telemetry", 0)


def recorded(first: int, n_steps: int, faults: bool = False, by: float = 0.0) -> list[Recording]:
    at = T0 + first * 60_000
    stretch = telemetry(FLEET, scenario(FLEET, at, n_steps) if faults else [], at, n_steps)
    found = [recording(wide_table(stretch, host), host) for host in FLEET.hosts]
    return [replace(one, values=one.values + by * (np.arange(len(one)) % 3 == 0)[:, None]) for one in found]


@pytest.fixture(scope="module")
def champion() -> Bundle:
    trained = train(History(recorded(0, N_PAST), Plan()), "baseline").bundle
    return replace(trained, version="1", threshold_shift=0.0)


@pytest.fixture(scope="module")
def live() -> list[Recording]:
    return recorded(N_PAST, N_LIVE, faults=True)


def told(stream: PartitionStream, recordings: list[Recording]) -> bytes:
    return msgspec.json.encode([event for one in run_through(stream, recordings, None) for event in one.incidents])


def trial_of(champion: Bundle, challenger: Bundle, live: list[Recording]) -> tuple[Trial, bytes, str]:
    stream = PartitionStream(Plan(), "telemetry", 0, champion)
    shadow = Shadow(stream, challenger)
    stream.observer = shadow.see
    said = told(stream, live)
    return shadow.taken(), said, stream.digest()


def test_a_shadow_alters_no_byte_of_what_is_published_or_kept(champion: Bundle, live: list[Recording]) -> None:
    alone = PartitionStream(Plan(), "telemetry", 0, champion)
    said = told(alone, live)
    trial, beside, digest = trial_of(champion, replace(champion, version="2", threshold_shift=-1.0), live)
    assert b"incident.opened" in said
    assert beside == said
    assert digest == alone.digest()
    assert trial.opened_challenger > trial.opened_champion > 0


def test_a_challenger_that_is_the_champion_agrees_on_every_step(champion: Bundle, live: list[Recording]) -> None:
    trial, said, _ = trial_of(champion, replace(champion, version="2"), live)
    assert trial.over_both == trial.over_champion == trial.over_challenger > 0
    events = [one for one in msgspec.json.decode(said, type=list[CloudEvent]) if one.data.track == "behaviour"]
    opened = sum(one.type.split(".")[2] in ("opened", "reopened") for one in events)
    assert trial.opened_champion == trial.opened_challenger == opened
    assert (trial.agreement, trial.champion, trial.challenger) == (1.0, "1", "2")
    assert trial.entity_ms == 60_000 * trial.steps
    assert trial.steps == pytest.approx(N_LIVE * len(FLEET.hosts), rel=0.05)


def test_a_deaf_challenger_opens_nothing(champion: Bundle, live: list[Recording]) -> None:
    trial, _, _ = trial_of(champion, replace(champion, version="2", threshold_shift=12.0), live)
    assert trial.opened_champion > trial.opened_challenger == 0
    assert trial.agreement == 0.0


@given(st.integers(200, 20_000))
@settings(max_examples=4, deadline=None)
def test_a_trial_counts_the_same_whatever_the_polls(champion: Bundle, live: list[Recording], size: int) -> None:
    challenger = replace(champion, version="2", threshold_shift=-1.0)
    whole, _, _ = trial_of(champion, challenger, live)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "CHUNK_SAMPLES", size)
        assert trial_of(champion, challenger, live)[0] == whole


def judged_live(champion: Bundle, stretch: list[Recording], lags: dict[int, int]) -> tuple[Trial, int, StepResult]:
    """A trial over records a minute and host, of which every so many-th comes minutes late; also its distinct steps."""
    stream = PartitionStream(Plan(), "telemetry", 0, champion)
    shadow, steps = Shadow(stream, replace(champion, version="2")), set[tuple[int, int]]()

    def see(judged: Judged) -> None:
        first = judged.wave.bounds[:-1][judged.scored.told]
        steps.update(zip(judged.wave.entity[first].tolist(), judged.wave.time_ms[first].tolist(), strict=True))
        shadow.see(judged)

    stream.observer = see
    late = {step: minutes for every, minutes in lags.items() for step in range(every, N_LIVE, every)}
    order = sorted((at + late.get(at, 0), host, at) for host, one in enumerate(stretch) for at in range(len(one)))
    values = [
        encode_json(
            (one.entity, name, (), int(one.times[at]), float(value), Kind.GAUGE)
            for name, value in zip(one.metrics, one.values[at], strict=True)
            if value == value
        )
        for _, host, at in order
        for one in [stretch[host]]
    ]
    n, now = len(values), int(stretch[0].times[-1]) // 1_000_000
    result = stream.step(Records("telemetry", 0, list(range(n)), [now] * n, [None] * n, values))
    return shadow.taken(), len(steps), result


def test_what_late_data_judges_again_counts_once_in_a_trial(champion: Bundle, live: list[Recording]) -> None:
    straight, n_straight, _ = judged_live(champion, live, {})
    trial, n_steps, told = judged_live(champion, live, {7: 3, 11: 5})
    assert any(event.data.reason == "late_data" for event in told.incidents)
    assert (straight.steps, trial.steps) == (n_straight, n_steps)
    assert 0.7 * straight.steps < trial.steps <= straight.steps  # what is judged in taking back is not counted at all
    assert straight.agreement == 1.0
    assert trial.agreement > 0.9


def served(bundle: Bundle | None, beside: Beside, recordings: list[Recording]) -> Iterator[tuple[bytes, list[str]]]:
    """What a job would publish and tell of drift, cycle by cycle."""
    stream = PartitionStream(Plan(), "telemetry", 0, bundle)
    works: Any = {HOME: SimpleNamespace(stream=stream)}
    beside.follow(works)
    for result in run_through(stream, recordings, None):
        yield msgspec.json.encode(result.incidents), beside.settle()
        beside.follow(works)


class Broken(Bundle):
    """A bundle that answers a few times and then no more."""

    def entity_prior(self, entity: str, entity_class: str = "") -> Any:
        raise ZeroDivisionError("a mistake")


def test_a_challenger_that_fails_ends_alone(
    champion: Bundle, live: list[Recording], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "CHUNK_SAMPLES", 2_000)
    quiet, loud = Beside(0), Beside(0)
    loud.try_out(Broken("foreshock", "2"))
    alone = [said for said, _ in served(champion, quiet, live)]
    assert [said for said, _ in served(champion, loud, live)] == alone
    assert loud.n_failures == 1
    assert "ZeroDivisionError: a mistake" in caplog.text
    assert all(trial.steps == 0 for trial in loud.trials.values())


def test_what_is_watched_counts_once_it_is_committed(champion: Bundle, live: list[Recording]) -> None:
    beside = Beside(0)
    beside.try_out(replace(champion, version="2"))
    stream = PartitionStream(Plan(), "telemetry", 0, champion)
    works: Any = {HOME: SimpleNamespace(stream=stream)}
    beside.follow(works)
    assert told(stream, live)
    assert beside.trials == {}
    beside.settle()
    assert beside.trials["1", "2"].steps > 0
    beside.try_out(None)
    beside.follow(works)
    assert stream.observer is None


def test_bins_are_those_of_the_naive_twin() -> None:
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(400, 3)).round(1)
    rows[::37] = np.nan
    group = rng.integers(-1, 2, len(rows))
    edges = np.sort(rng.normal(size=(2, 3, 9)), axis=2).round(1)
    out = np.zeros((2, 3, 10), np.int64)
    bins.count(rows, group, edges, out)
    np.testing.assert_array_equal(out, naive.binned(rows, group, edges))
    assert out.sum() == 3 * (group >= 0).sum()


def test_features_like_those_of_training_do_not_move_and_others_are_told_once(
    champion: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "CHUNK_SAMPLES", 1_000)
    day, n_steps = 24 * 3_600_000, 3_000
    calm, odd = Beside(day), Beside(day)
    assert [told for _, told in served(champion, calm, recorded(N_PAST, n_steps)) if told] == []
    assert calm.drift
    assert not any(one.has_moved for one in calm.drift)
    notices = [one for _, told in served(champion, odd, recorded(N_PAST, n_steps, by=60.0)) for one in told]
    assert len(notices) == 1
    assert "of class host moved from the training of version 1 (PSI" in notices[0]
    (drift,) = odd.drift
    assert set(drift.index) == {*FEATURE_NAMES, "score"}
    assert drift.most[1] > 0.25


def test_a_window_holds_a_tenth_of_the_rows_and_is_told_once(champion: Bundle) -> None:
    reference = Reference(champion)
    window = DriftWindow(reference, 10)
    stream = PartitionStream(Plan(), "telemetry", 0, champion)
    drifting = Drifting(stream, reference)
    stream.observer = drifting.see
    assert told(stream, recorded(N_PAST, 1_500)) is not None
    (found,) = window.add(drifting.taken())
    assert found.rows == pytest.approx(0.1 * 1_500 * 12, rel=0.2)
    assert window.add(drifting.taken()) == []


def test_a_bundle_of_before_drift_was_watched_is_served_unwatched() -> None:
    old = Bundle("foreshock", "1", card=Card("baseline", FEATURE_NAMES))
    beside = Beside(3_600_000)
    assert [told for _, told in served(old, beside, recorded(0, 200)) if told] == []
    assert beside.drift == []
