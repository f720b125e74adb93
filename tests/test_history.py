"""Laws of training from a history: groups are as good as the whole, and what is held back is never learned from."""

from dataclasses import replace

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import ModelError
from models.evaluate import Span
from models.gate import NOBODY, Rule, compare
from models.training import train
from pipeline import history as module
from pipeline import spread
from pipeline.errors import InputError
from pipeline.history import History
from pipeline.kernels import energy as k
from pipeline.lesson import Part
from pipeline.recordings import recording
from pipeline.replay import replay
from pipeline.simulate.fleet import Fleet
from pipeline.simulate.labels import Label
from pipeline.simulate.records import wide_table
from pipeline.simulate.scenario import scenario
from pipeline.simulate.telemetry import telemetry
from pipeline.stream import Plan

T0 = 1_767_225_600_000
N_STEPS = 2_200
FLEET = Fleet(n_hosts=4, n_metrics=4, seed=3)


@pytest.fixture(scope="module")
def recordings():
    stretch = telemetry(FLEET, [], T0, N_STEPS)
    return [recording(wide_table(stretch, host), host) for host in FLEET.hosts]


@pytest.fixture(scope="module")
def trained(recordings):
    return {name: train(History(recordings, Plan()), name) for name in ("baseline", "forest")}


def test_groups_give_the_bundle_of_the_whole(recordings, trained, monkeypatch):
    monkeypatch.setattr(module, "ENTITIES_A_GROUP", 1)
    apart = train(History(recordings, Plan()), "forest")
    whole = trained["forest"]
    assert apart.bundle.series.keys() == whole.bundle.series.keys()
    for key, row in whole.bundle.series.items():
        assert apart.bundle.series[key].tobytes() == row.tobytes()
    assert apart.measures == whole.measures
    assert apart.bundle.card.facts == whole.bundle.card.facts


def test_files_train_the_same_bundle_as_frames(recordings, trained, tmp_path):
    stretch = telemetry(FLEET, [], T0, N_STEPS)
    for host in FLEET.hosts:
        wide_table(stretch, host).to_parquet(tmp_path / f"{host}.parquet")
    from_files = train(History(sorted(tmp_path.iterdir()), Plan()), "baseline")
    assert from_files.bundle.card.facts == trained["baseline"].bundle.card.facts


def test_rows_to_fit_on_lie_before_the_cut_and_scores_to_judge_by_after_it(recordings):
    history = History(recordings, Plan())
    learned = history.learn()
    assert (history.scout().rows == learned.rows).all()
    assert all(times.min() >= history.cut_ms for times, _, _ in learned.held.values())
    n_held = round(0.2 * N_STEPS)
    assert all(abs(len(times) - n_held) <= 2 for times, _, _ in learned.held.values())
    spoiled = [one.values.copy() for one in recordings]
    for values in spoiled:
        values[round(0.8 * N_STEPS) + 2 :] *= -3.0
    other = History([replace(one, values=v) for one, v in zip(recordings, spoiled, strict=True)], Plan()).learn()
    np.testing.assert_array_equal(other.rows, learned.rows)


def test_the_threshold_keeps_the_alert_budget_on_what_was_held_back(trained):
    for one in trained.values():
        assert one.measures["incidents_per_entity_week"] <= 1.0 or one.bundle.threshold_shift == 4.0
        assert (np.diff(one.budget["incidents"]) <= 1).all()
        at = one.budget["shift"] < one.bundle.threshold_shift
        assert not at.any() or one.budget["per_entity_week"][at].iloc[-1] > 1.0


def test_an_entity_never_seen_begins_with_what_its_class_has_in_common(trained):
    bundle = trained["baseline"].bundle
    known, new = bundle.entity_prior(FLEET.hosts[0], "host"), bundle.entity_prior("web-99", "host")
    assert new is not None
    assert known[k.N_STEPS] > 1000
    median = np.median(list(bundle.entities.values()), axis=0)
    median[[k.UNREST, k.N_STEPS]] = 0.0
    median[k.VISIT :] = 0.0  # habits are each entity's own
    assert new.tolist() == median.tolist()
    assert (new > 0).any()
    assert bundle.entity_prior("router-1", "switch") is None


def test_what_is_excluded_is_not_learned_from(recordings):
    host = FLEET.hosts[0]
    label = Label(host, T0, T0 + 600 * 60_000)
    learned = History(recordings, Plan(), Part(excluded=(label,))).learn()
    rows = {name: learned.series[host, name][0] for name in FLEET.metrics}
    assert all(abs(n - (N_STEPS - 600)) <= 2 for n in rows.values())
    assert learned.series[FLEET.hosts[1], FLEET.metrics[0]][0] >= N_STEPS - 2


def test_a_pattern_chooses_entities(recordings):
    learned = History(recordings, Plan(), Part("web-*")).learn()
    assert {entity for entity, _ in learned.series} == {host for host in FLEET.hosts if host.startswith("web-")}


def test_a_part_of_files_between_two_times_is_the_part_of_frames(recordings, tmp_path):
    begin, end = (T0 + step * 60_000 for step in (300, 1_900))
    kept = [replace(one, times=one.times[300:1_900], values=one.values[300:1_900]) for one in recordings]
    for host, frame in ((h, wide_table(telemetry(FLEET, [], T0, N_STEPS), h)) for h in FLEET.hosts):
        frame.to_parquet(tmp_path / f"{host}.parquet")
    part = Part(since_ns=begin * 1_000_000, until_ns=end * 1_000_000)
    files = History(sorted(tmp_path.iterdir()), Plan(), part)
    assert (files.first_ms, files.end_ms) == (begin, end - 60_000 + 1)
    cut, whole = files.learn(), History(kept, Plan()).learn()
    assert cut.digests == whole.digests
    assert {key: row.tobytes() for key, row in cut.series.items()} == {k: r.tobytes() for k, r in whole.series.items()}
    with pytest.raises(InputError, match="none between the times wanted"):
        History(recordings, Plan(), Part(since_ns=2**62))


def test_the_cost_of_a_model_is_that_of_all_who_walked(recordings, monkeypatch):
    monkeypatch.setattr(module, "ENTITIES_A_GROUP", 2)
    alone = History(recordings, Plan()).judge(None)
    monkeypatch.setattr(spread, "WORTH_PROCESSES", 0)
    shared = History(recordings, Plan()).judge(None)
    assert shared.incidents == alone.incidents
    assert 0.3 * alone.cpu_seconds < shared.cpu_seconds < 3.0 * alone.cpu_seconds


def test_a_detector_of_ones_own_serves_and_an_unknown_one_is_told(recordings):
    own = train(History(recordings, Plan()), "sklearn.ensemble:IsolationForest")
    assert own.bundle.has_detector
    with pytest.raises(ModelError, match="there is no detector 'florest'; there are baseline, forest, kmeans"):
        train(History(recordings, Plan()), "florest")
    assert own.bundle.card.facts["scorer"] == "compiled"
    with pytest.raises(ModelError, match=r"cannot serve: StandardScaler has no compiled scorer.*neither score_samples"):
        train(History(recordings, Plan()), "sklearn.preprocessing:StandardScaler")


def test_what_cannot_be_compiled_serves_row_by_row_with_the_same_bits_alone_and_in_a_batch(recordings):
    own = train(History(recordings, Plan()), "sklearn.mixture:GaussianMixture").bundle
    assert (own.scorer_kind, own.card.facts["scorer"]) == ("row by row", "row by row")
    rows = np.random.default_rng(5).normal(size=(257, len(own.card.feature_names)))
    whole = own.score(rows)
    np.testing.assert_allclose(whole, -own.estimator.score_samples(rows), rtol=1e-9)
    for part in (1, 7, 64):
        pieces = np.concatenate([own.score(rows[at : at + part]) for at in range(0, len(rows), part)])
        assert pieces.tobytes() == whole.tobytes()


def test_processes_of_this_machine_give_the_bundle_of_one(recordings, trained, monkeypatch):
    monkeypatch.setattr(module, "ENTITIES_A_GROUP", 2)
    monkeypatch.setattr(spread, "WORTH_PROCESSES", 0)
    apart, whole = train(History(recordings, Plan()), "forest"), trained["forest"]
    for key, row in whole.bundle.series.items():
        assert apart.bundle.series[key].tobytes() == row.tobytes()
    assert apart.measures == whole.measures
    assert apart.bundle.card.golden_scores.tobytes() == whole.bundle.card.golden_scores.tobytes()


def test_incidents_counted_from_held_back_scores_are_those_that_a_replay_opens(recordings):
    injections = scenario(FLEET, T0 + 1_800 * 60_000, 380)
    stretch = telemetry(FLEET, injections, T0, N_STEPS)
    broken = [recording(wide_table(stretch, host), host) for host in FLEET.hosts]
    history = History(broken, Plan())
    learned = history.learn()
    told = [one for one in learned.events if one.revision == 1 and one.track == "behaviour"]
    assert len(told) > 0
    assert history.opened(learned, 0.0) == len(told)


def test_a_model_compared_with_itself_agrees_and_passes_and_a_deaf_one_is_refused(trained):
    injections = scenario(FLEET, T0 + N_STEPS * 60_000, 900)
    stretch = telemetry(FLEET, injections, T0 + N_STEPS * 60_000, 900)
    later = History([recording(wide_table(stretch, host), host) for host in FLEET.hosts], Plan())
    labels = [label for one in injections for label in one.labels(FLEET) if label.is_fault]
    events = [Span(label.entity, label.start_ms, label.end_ms) for label in labels]
    bundle = trained["baseline"].bundle
    same = compare(bundle, bundle, later, events)
    assert (same.agreement, same.score_drift) == (1.0, pytest.approx(0.0))
    assert same.before.event_recall is not None
    assert Rule().reasons(same) == []
    deaf = compare(bundle, replace(bundle, threshold_shift=12.0), later, events)
    assert deaf.after.incidents < same.after.incidents
    assert any("labelled faults" in reason or "faults, the champion" in reason for reason in Rule().reasons(deaf))
    first = compare(None, bundle, later, events)
    assert first.champion == NOBODY


def test_a_bundle_serves_what_it_was_trained_on(recordings, trained):
    served = replay(recordings, Plan(), trained["forest"].bundle)
    assert {event.data.model.name for event in served.incidents} <= {""}
    assert isinstance(trained["forest"].bundle, Bundle)
    table = served.tables[FLEET.hosts[0]]
    assert table["score"].notna().mean() > 0.9
