"""Laws of the registry, on a real MLflow: what serves is known, moves only as expected, and can be taken back."""

import os
import shutil
import threading

import numpy as np
import pytest

from models.bundle import Bundle
from models.card import Card
from models.errors import AliasMoved, BundleRefused, ModelNotFound, StoreUnreachable
from models.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry
from models.tracking import Noted


def bundle(level=1.0):
    rows = np.full((4, 2), level)
    card = Card("baseline", ("innovation", "level"), {"digest": "d"}, rows, np.zeros(4))
    return Bundle("", "", {("web-01", "cpu"): rows[0]}, {"web-01": rows[1]}, card=card)


@pytest.fixture
def registry(mlflow_store, tmp_path):
    return Registry("fleet", mlflow_store(tmp_path))


def test_what_is_registered_is_what_is_loaded_and_knows_its_version(registry):
    version = registry.save(bundle(2.5), Noted(params={"budget": 1}, measures={"vus_pr": 0.625}), CHALLENGER)
    again = registry.load("challenger")
    assert (again.name, again.version, version) == ("fleet", "1", "1")
    assert again.series["web-01", "cpu"].tolist() == [2.5, 2.5]
    told = registry.versions()[0]
    assert (told.aliases, told.detector, told.measures) == (("challenger",), "baseline", {"vus_pr": 0.625})


def test_promotion_moves_champion_keeps_previous_and_rollback_takes_it_back_step_by_step(registry):
    for level in (1.0, 2.0, 3.0):
        registry.save(bundle(level))
    registry.promote("1", None)
    registry.promote("2", "1")
    registry.promote("3", "2", because="a new season")
    assert registry.aliases() == {CHAMPION: "3", PREVIOUS: "2"}
    assert registry.version("3").tags["foreshock.because"] == "a new season"
    assert registry.rollback().number == "2"
    assert registry.aliases() == {CHAMPION: "2", PREVIOUS: "1"}
    assert registry.rollback().number == "1"
    assert registry.aliases() == {CHAMPION: "1"}
    with pytest.raises(ModelNotFound, match="no @previous to roll back to"):
        registry.rollback()


def test_a_promotion_that_expects_another_champion_changes_nothing(registry):
    for level in (1.0, 2.0, 3.0):
        registry.save(bundle(level))
    registry.promote("2", None)
    with pytest.raises(AliasMoved, match="the champion is version 2, not version 1: nothing was changed"):
        registry.promote("3", "1")
    assert registry.aliases() == {CHAMPION: "2"}


def test_of_two_promotions_at_once_exactly_one_wins(registry):
    for level in (1.0, 2.0, 3.0):
        registry.save(bundle(level))
    registry.promote("1", None)
    outcomes = []

    def promote(number):
        try:
            outcomes.append(Registry("fleet", registry.uri).promote(number, "1").number)
        except AliasMoved:
            outcomes.append("refused")

    threads = [threading.Thread(target=promote, args=(number,)) for number in ("2", "3")]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert "refused" in outcomes
    assert {registry.aliases()[CHAMPION], "refused"} == set(outcomes)


def test_a_challenger_on_trial_is_not_replaced_unasked(registry):
    registry.save(bundle(1.0), alias=CHALLENGER)
    with pytest.raises(AliasMoved, match=r"registered version 2, but @challenger stays with version 1"):
        registry.save(bundle(2.0), alias=CHALLENGER)
    registry.save(bundle(3.0), alias=CHALLENGER, replace_holder=True)
    assert registry.aliases() == {CHALLENGER: "3"}


def test_a_retired_version_loses_its_aliases_and_stays_readable(registry):
    registry.save(bundle(1.0), alias=CHALLENGER)
    assert registry.retire("challenger").is_retired
    assert registry.aliases() == {}
    assert registry.load("1").version == "1"
    registry.promote("1", None)
    with pytest.raises(AliasMoved, match="version 1 serves"):
        registry.retire("1")


def test_what_is_not_there_is_told_apart_from_a_store_that_does_not_answer(registry, monkeypatch):
    registry.save(bundle(1.0), alias=CHALLENGER)
    with pytest.raises(ModelNotFound, match="no version champion; there are: @challenger, 1"):
        registry.load("champion")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StoreUnreachable, match=r"asking for aliases at http://127\.0\.0\.1:9"):
        Registry("fleet", "http://127.0.0.1:9").aliases()


def test_files_that_were_meddled_with_in_the_store_are_refused(registry, tmp_path):
    registry.save(bundle(1.0))
    manifest = next(tmp_path.rglob("manifest.json"))
    manifest.write_text(manifest.read_text().replace('"digest": "d"', '"digest": "e"'))
    with pytest.raises(BundleRefused, match="not the one that was registered"):
        registry.load("1")


def test_a_store_forbids_pickles_to_mlflow_itself(registry):
    assert registry.aliases() == {}
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"


def test_a_pickled_model_in_the_registry_is_refused_and_does_not_run(registry, tmp_path):
    import pickle
    from pathlib import Path

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    registry.save(bundle(1.0))
    folder = next(tmp_path.rglob("manifest.json")).parent
    for file in ("manifest.json", "bundle.json", "arrays.npz"):
        (folder / file).unlink()
    (folder / "model.pkl").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(BundleRefused, match=r"model\.pkl, a pickle"):
        registry.load("1")
    assert not (tmp_path / "ran").exists()
    shutil.rmtree(folder)
    with pytest.raises((ModelNotFound, StoreUnreachable, BundleRefused)):
        registry.load("1")
