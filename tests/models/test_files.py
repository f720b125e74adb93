"""Laws of bundles on disk: what comes back is what was saved, and whatever was meddled with is refused, unopened."""

import json
import pickle
import re
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, RobustScaler

from models import files
from models.bundle import Bundle
from models.card import Card
from models.errors import BundleRefused
from models.trust import check_trees, load_estimator
from pipeline.events import SeriesIdentity
from pipeline.plan import Plan
from pipeline.stream import PartitionStream

FIXTURE = Path(__file__).parent / "bundle-schema-1"


@pytest.fixture
def rows():
    return np.random.default_rng(7).normal(size=(300, 7))


@pytest.fixture
def bundle(rows):
    series = {("db-01", f"m{i}"): row for i, row in enumerate(rows[:20])}
    card = Card("baseline", ("a", "b"), {"entities": 1, "digest": "abc"}, rows[:3], np.zeros(3), {"host": rows[:2]})
    return Bundle("fleet", "3", series, {"db-01": rows[0]}, 0.25, card=card)


@pytest.fixture
def folder(bundle, tmp_path):
    files.save(bundle, tmp_path / "saved")
    return tmp_path / "saved"


def reseal(folder):
    """What a meddler who knows the format would do: make the checksums fit again."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = {name: files._digest(folder / name) for name in manifest["files"]}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "estimator",
    [IsolationForest(n_estimators=20, random_state=1), KMeans(3, n_init=1, random_state=1), GaussianMixture()],
    ids=lambda one: type(one).__name__,
)
def test_equal_bundles_are_equal_files_however_often_they_came_and_went(estimator, rows, bundle, tmp_path):
    fitted = replace(bundle, estimator=estimator.fit(rows), card=Card())
    digests = {files.save(fitted, tmp_path / "first"), files.save(fitted, tmp_path / "second")}
    again = files.load(tmp_path / "first")
    np.testing.assert_array_equal(again.score(rows[:9]), fitted.score(rows[:9]))
    digests.add(files.save(again, tmp_path / "third"))
    assert len(digests) == 1


def test_what_is_loaded_is_what_was_saved_to_the_bit(bundle, folder):
    again = files.load(folder)
    assert (again.name, again.version, again.threshold_shift) == ("fleet", "3", 0.25)
    assert list(again.series) == list(bundle.series)
    assert all(again.series[key].tobytes() == row.tobytes() for key, row in bundle.series.items())
    assert again.entities["db-01"].tobytes() == bundle.entities["db-01"].tobytes()
    assert again.card.facts == {"entities": 1, "digest": "abc"}
    assert again.card.feature_names == ("a", "b")
    np.testing.assert_array_equal(again.card.edges["host"], bundle.card.edges["host"])


def test_equal_bundles_have_equal_digests(bundle, tmp_path):
    assert files.save(bundle, tmp_path / "one") == files.save(bundle, tmp_path / "two")


def test_a_bundle_of_the_first_schema_is_still_read():
    again = files.load(FIXTURE)
    assert json.loads((FIXTURE / "manifest.json").read_text())["schema"] == 1
    assert again.series["web-01", "cpu.utilization"][3] == 0.375
    assert again.entities["web-01"].tolist() == [1.0, 2.0, 4.0]
    assert again.threshold_shift == 0.5


@pytest.mark.parametrize("name", ["bundle.json", "arrays.npz"])
def test_a_changed_file_is_refused_by_its_checksum(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BundleRefused, match=f"{name} is not the file that was saved: its SHA-256 differs"):
        files.load(folder)


@pytest.mark.parametrize("name", ["bundle.json", "arrays.npz", "manifest.json"])
def test_a_truncated_file_is_refused_even_with_fitting_checksums(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    if name != "manifest.json":
        reseal(folder)
    with pytest.raises(BundleRefused, match=name if name != "manifest.json" else "is not a bundle"):
        files.load(folder)


def test_a_missing_file_is_named(folder):
    (folder / "arrays.npz").unlink()
    with pytest.raises(BundleRefused, match=r"the file arrays\.npz is missing"):
        files.load(folder)


def test_a_resealed_manifest_is_refused_against_the_registered_digest(bundle, tmp_path):
    digest = files.save(bundle, tmp_path / "one")
    assert files.load(tmp_path / "one", digest=digest).version == "3"
    reseal(tmp_path / "one")
    with pytest.raises(BundleRefused, match="not the one that was registered"):
        files.load(tmp_path / "one", digest=digest)


def test_a_newer_schema_is_refused_with_the_cure(folder):
    manifest = json.loads((folder / "manifest.json").read_text()) | {"schema": files.SCHEMA + 1}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleRefused, match="update foreshock"):
        files.load(folder)


def test_a_path_out_of_the_folder_is_not_followed(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["../../etc/passwd"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleRefused, match="is missing"):
        files.load(folder)


def test_golden_rows_that_score_otherwise_are_refused(bundle, tmp_path):
    from dataclasses import replace

    wrong = replace(bundle, card=replace(bundle.card, golden_scores=np.array([0.0, 1e-6, 0.0])))
    files.save(wrong, tmp_path / "wrong")
    with pytest.raises(BundleRefused, match="golden rows score up to 1e-06 otherwise"):
        files.load(tmp_path / "wrong")


class Bomb:
    """Unpickling this writes a file: what a malicious model would do first."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


def test_a_pickle_in_place_of_a_bundle_is_refused_and_does_not_run(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(BundleRefused, match=r"model\.pkl, a pickle, which would run code"):
        files.load(model)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_in_place_of_an_estimator_is_refused_and_does_not_run(tmp_path):
    (tmp_path / "estimator-0.skops").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(BundleRefused, match="is a pickle, which would run code"):
        load_estimator(tmp_path / "estimator-0.skops")
    assert not (tmp_path / "ran").exists()


def test_objects_among_the_arrays_are_refused_and_do_not_run(folder, tmp_path):
    bomb = np.array([Bomb(tmp_path / "ran")], dtype=object)
    np.savez(folder / "arrays.npz", allow_pickle=True, a0=bomb)
    reseal(folder)
    with pytest.raises(BundleRefused, match=r"arrays\.npz cannot be read"):
        files.load(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "estimator",
    [make_pipeline(RobustScaler(), IsolationForest(n_estimators=5, random_state=0)), KMeans(3, random_state=0)],
    ids=["forest", "kmeans"],
)
def test_estimators_come_back_with_equal_scores(estimator, rows, tmp_path):
    import skops.io

    estimator.fit(rows)
    skops.io.dump(estimator, tmp_path / "e.skops")
    again = load_estimator(tmp_path / "e.skops")
    score = "score_samples" if hasattr(estimator, "score_samples") else "transform"
    np.testing.assert_array_equal(getattr(again, score)(rows), getattr(estimator, score)(rows))


def test_a_function_inside_an_estimator_is_refused(rows, tmp_path):
    import skops.io

    skops.io.dump(FunctionTransformer(np.log1p).fit(rows), tmp_path / "e.skops")
    with pytest.raises(BundleRefused, match=r"build numpy\.log1p by FunctionNode, which may call code"):
        load_estimator(tmp_path / "e.skops")


def test_a_type_that_nobody_vouched_for_is_refused_and_the_operator_can_trust_it(rows, tmp_path):
    import skops.io
    from sklearn.linear_model import LogisticRegression

    skops.io.dump(LogisticRegression().fit(rows, rows[:, 0] > 0), tmp_path / "e.skops")
    name = "sklearn.linear_model._logistic.LogisticRegression"
    with pytest.raises(BundleRefused, match=r"not on the list of trusted types.*models\.trusted_types"):
        load_estimator(tmp_path / "e.skops")
    assert type(load_estimator(tmp_path / "e.skops", [name])).__name__ == "LogisticRegression"


def test_a_lie_in_the_table_of_contents_is_refused(rows, tmp_path):
    import skops.io

    skops.io.dump(KMeans(3, random_state=0).fit(rows), tmp_path / "e.skops")
    with zipfile.ZipFile(tmp_path / "e.skops") as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    lie = re.sub(rb'("__class__": )"dict"(,\s*"__module__": )"builtins"', rb'\1"system"\2"os"', parts["schema.json"])
    assert lie != parts["schema.json"]
    with zipfile.ZipFile(tmp_path / "e.skops", "w") as archive:
        for part, content in (parts | {"schema.json": lie}).items():
            archive.writestr(part, content)
    with pytest.raises(BundleRefused, match=r"calls os\.system a DictNode"):
        load_estimator(tmp_path / "e.skops")


def test_trees_that_point_outside_are_refused(rows):
    forest = IsolationForest(n_estimators=2, random_state=0).fit(rows)
    check_trees(forest, "forest")
    for column, value in (("left_child", 10_000), ("left_child", 0), ("feature", 99)):
        tree = forest.estimators_[0].tree_
        state = tree.__getstate__()
        state["nodes"] = state["nodes"].copy()
        state["nodes"][column][0] = value
        bad = type(tree)(tree.n_features, np.array([1]), 1)
        bad.__setstate__(state)
        with pytest.raises(BundleRefused, match="point outside"):
            check_trees([bad], "forest")


def test_a_bundle_of_a_thousand_entities_is_loaded_with_every_check_within_two_seconds(rows, tmp_path):
    stream = PartitionStream(Plan(), "t", 0)
    stream.catalog.series_id(SeriesIdentity("db-01", "host", "m0"))
    stream.judge.adopt(None)
    learned = stream.learned("", "")
    series, entity = learned.series["db-01", "m0"], learned.entities["db-01"]
    names = [f"db-{i:04d}" for i in range(1_000)]
    fleet = Bundle(
        "fleet",
        "3",
        {(name, f"m{j}"): series + j for name in names for j in range(20)},
        {name: entity for name in names},
        estimator=IsolationForest(n_estimators=100, random_state=1).fit(rows),
    )
    digest = files.save(fleet, tmp_path / "fleet")
    files.load(tmp_path / "fleet")
    began = time.process_time()
    again = files.load(tmp_path / "fleet", digest=digest)
    spent = time.process_time() - began
    print(f"{spent:.2f} s of processor time")
    assert len(again.series) == 20_000
    assert spent < 2.0
