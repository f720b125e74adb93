"""Laws of the champion watch, on a real MLflow: a new champion is handed over once, trouble changes nothing."""

import time
from dataclasses import replace

import numpy as np
import pytest

from models.bundle import Bundle
from models.card import Card
from models.errors import BundleRefused
from models.registry import CHALLENGER, Registry
from models.trial import Trial
from pipeline.baselines import Features
from pipeline.job import Job, JobPlan
from pipeline.judging import check_priors
from pipeline.operate.champion import ChampionWatch, Trials
from pipeline.plan import Plan
from pipeline.replay import replay
from pipeline.scoring import Scoring

NAMES = ("innovation", "level")


def bundle(level):
    return Bundle("", "", {("web-01", "cpu"): np.full(3, level)}, card=Card("baseline", NAMES))


class Desk:
    """Takes what the watch hands over, and keeps it."""

    def __init__(self):
        self.served, self.tried, self.refused, self.counted = [], [], [], []
        self.serve_model, self.try_out, self.refuse_model = self.served.append, self.tried.append, self.refused.append

    def trials(self):
        return self.counted


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def registry(mlflow_store, tmp_path):
    return Registry("fleet", mlflow_store(tmp_path))


def test_each_champion_is_handed_over_once_and_a_rollback_too(registry, desk):
    watch = ChampionWatch(registry, NAMES, desk, 1.0)
    watch.look()
    assert desk.served == []
    for level in (1.0, 2.0):
        registry.save(bundle(level))
    registry.promote("1", None)
    watch.look()
    watch.look()
    registry.promote("2", "1")
    watch.look()
    registry.rollback()
    watch.look()
    assert [one.version for one in desk.served] == ["1", "2", "1"]
    assert (watch.version, watch.n_failures) == ("1", 0)


def test_a_local_store_that_nobody_wrote_to_is_not_asked_again(registry, desk, monkeypatch):
    registry.save(bundle(1.0))
    registry.promote("1", None)
    watch, asked, aliases = ChampionWatch(registry, NAMES, desk, 1.0), [], registry.aliases
    monkeypatch.setattr(registry, "aliases", lambda: asked.append(1) or aliases())
    watch.look()
    n_asked = len(asked)
    began = time.process_time()
    for _ in range(500):
        watch.look()
    spent = time.process_time() - began
    assert len(asked) == n_asked
    assert spent / 500 < 0.001 * 2.0  # a thousandth of models.poll_seconds
    registry.save(bundle(2.0))
    registry.promote("2", "1")
    watch.look()
    assert [one.version for one in desk.served] == ["1", "2"]


def test_a_bundle_that_must_not_serve_leaves_the_other_serving_and_is_told_once(registry, desk, caplog):
    watch = ChampionWatch(registry, NAMES, desk, 1.0)
    registry.save(bundle(1.0))
    registry.save(replace(bundle(2.0), card=Card("baseline", ("innovation", "phase_of_the_moon"))))
    registry.promote("1", None)
    watch.look()
    registry.promote("2", "1")
    watch.look()
    watch.look()
    assert [one.version for one in desk.served] == ["1"]
    told = [record.message for record in caplog.records if "goes on serving" in record.message]
    assert len(told) == 1
    assert "phase_of_the_moon" in told[0]
    assert "version 1 goes on serving" in told[0]
    assert (len(desk.refused), "phase_of_the_moon" in desk.refused[0]) == (2, True)


def test_a_registry_that_is_away_stops_nothing(desk, caplog, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    watch = ChampionWatch(Registry("fleet", "http://127.0.0.1:9"), NAMES, desk, 1.0)
    watch.look()
    assert (desk.served, watch.n_failures, len(desk.refused)) == ([], 1, 1)
    assert "goes on serving" in caplog.text


def test_a_local_store_that_nobody_made_is_not_made_by_looking(tmp_path, desk):
    watch = ChampionWatch(Registry("fleet", f"sqlite:///{tmp_path / 'none.db'}"), NAMES, desk, 1.0)
    watch.look()
    assert list(tmp_path.iterdir()) == []


def test_a_challenger_runs_beside_only_where_it_is_asked_to(registry, desk):
    registry.save(bundle(1.0))
    registry.save(bundle(2.0), alias=CHALLENGER)
    registry.promote("1", None)
    ChampionWatch(registry, NAMES, desk, 1.0).look()
    assert desk.tried == []
    watch = ChampionWatch(registry, NAMES, desk, 1.0, shadow=True)
    watch.look()
    watch.look()
    registry.retire("2")
    watch.look()
    assert [one and one.version for one in desk.tried] == ["2", None]


def test_a_trial_is_noted_in_one_run_a_process_and_recalled_as_one_sum(registry):
    registry.save(bundle(1.0))
    assert registry.trial("1", "2") is None
    counted = [Trial("1", "2", 100, 3, 4, 2, 1, 2, 6_000_000)]
    one, other = Trials(registry, lambda: counted), Trials(registry, lambda: counted)
    one.note()
    one.note()
    counted[0].steps, counted[0].opened_challenger = 200, 5
    one.note(at_once=True)
    other.note()
    assert registry.trial("1", "2") == Trial("1", "2", 400, 6, 8, 4, 2, 10, 12_000_000)
    assert registry.trial("1", "3") is None


@pytest.mark.parametrize("name", ["series", "entities", "classes"])
def test_a_bundle_of_a_release_that_keeps_another_state_is_refused_before_any_record(name):
    key = ("web-01", "cpu") if name == "series" else "web-01"
    fits = Features().pack(0) if name == "series" else Scoring(1.0).pack(0)
    check_priors(replace(Bundle("fleet", "1"), **{name: {key: fits}}))
    job = Job(None, JobPlan())
    with pytest.raises(BundleRefused, match=f"what it knows of {name} is not"):
        job.serve_model(replace(Bundle("fleet", "1"), **{name: {key: fits[:-1]}}))
    with pytest.raises(BundleRefused, match="train it anew"):
        replay([], Plan(), replace(Bundle("fleet", "1"), **{name: {key: fits[:-1]}}))
