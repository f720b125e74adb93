"""Laws of the champion watch, on a real MLflow: a new champion is handed over once, trouble changes nothing."""

from dataclasses import replace

import numpy as np
import pytest

from models.bundle import Bundle
from models.card import Card
from models.registry import Registry
from pipeline.operate.champion import ChampionWatch

NAMES = ("innovation", "level")


def bundle(level):
    return Bundle("", "", {("web-01", "cpu"): np.full(3, level)}, card=Card("baseline", NAMES))


@pytest.fixture
def registry(mlflow_store, tmp_path):
    return Registry("fleet", mlflow_store(tmp_path))


def test_each_champion_is_handed_over_once_and_a_rollback_too(registry):
    served = []
    watch = ChampionWatch(registry, NAMES, served.append, 1.0)
    watch.look()
    assert served == []
    for level in (1.0, 2.0):
        registry.save(bundle(level))
    registry.promote("1", None)
    watch.look()
    watch.look()
    registry.promote("2", "1")
    watch.look()
    registry.rollback()
    watch.look()
    assert [one.version for one in served] == ["1", "2", "1"]
    assert (watch.version, watch.n_failures) == ("1", 0)


def test_a_bundle_that_must_not_serve_leaves_the_other_serving_and_is_told_once(registry, caplog, tmp_path):
    served = []
    watch = ChampionWatch(registry, NAMES, served.append, 1.0)
    registry.save(bundle(1.0))
    registry.save(replace(bundle(2.0), card=Card("baseline", ("innovation", "phase_of_the_moon"))))
    registry.promote("1", None)
    watch.look()
    registry.promote("2", "1")
    watch.look()
    watch.look()
    assert [one.version for one in served] == ["1"]
    told = [record.message for record in caplog.records if "goes on serving" in record.message]
    assert len(told) == 1
    assert "phase_of_the_moon" in told[0]
    assert "version 1 goes on serving" in told[0]


def test_a_registry_that_is_away_stops_nothing(caplog, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    served = []
    watch = ChampionWatch(Registry("fleet", "http://127.0.0.1:9"), NAMES, served.append, 1.0)
    watch.look()
    assert (served, watch.n_failures) == ([], 1)
    assert "goes on serving" in caplog.text


def test_a_local_store_that_nobody_made_is_not_made_by_looking(tmp_path):
    watch = ChampionWatch(Registry("fleet", f"sqlite:///{tmp_path / 'none.db'}"), NAMES, [].append, 1.0)
    watch.look()
    assert list(tmp_path.iterdir()) == []
