"""Laws of the view bound to a metric set: what is missing is neutral, what is new is left to the series view."""

import re
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec
import naive
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from test_image import N_STEPS, part, telemetry

from models import files
from models.bundle import Bundle
from models.compiled import ScorerRefused
from models.errors import BundleRefused, ModelError
from models.metric_sets import CELLS, MetricSet, Windows, fit_sets
from models.training import train
from pipeline.history import History
from pipeline.kernels import window
from pipeline.recordings import Recording
from pipeline.replay import replay
from pipeline.stream import PartitionStream, Plan

METRICS = ("cpu", "latency", "load")
T0, STEP_NS = 1_767_225_600 * 10**9, 60 * 10**9


def kmeans():
    return KMeans(n_clusters=8, n_init=1, random_state=3)


def host(seed, n=1_500, metrics=METRICS, broken=range(0)):
    """Metrics that follow one load; in the rows that are broken the last one goes the other way."""
    rng = np.random.default_rng(seed)
    load = np.repeat(rng.normal(size=n // 5), 5)
    values = np.column_stack([10 + load + 0.05 * rng.normal(size=n) for _ in metrics])
    values[broken, -1] = 20 - values[broken, -1]
    return Recording(f"h{seed}", list(metrics), T0 + STEP_NS * np.arange(n), values)


@pytest.fixture(scope="module")
def trained():
    return train(History([host(seed) for seed in range(3)], Plan()), "kmeans")


@pytest.fixture(scope="module")
def fitted(trained):
    return trained.bundle.sets["host"]


def windows_of(rng, n, missing=0.0):
    rows = rng.normal(size=(n, len(METRICS), CELLS))
    rows[rng.random((n, len(METRICS))) < missing] = np.nan
    return rows.reshape(n, -1)


def test_training_names_the_metrics_of_a_set_and_notes_golden_windows(trained, fitted):
    assert list(trained.bundle.sets) == ["host"]
    assert fitted.metrics == METRICS
    assert not trained.bundle.has_detector
    assert trained.bundle.card.detector == "kmeans"
    assert fitted.excess(fitted.golden_rows).tobytes() == fitted.golden_excess.tobytes()
    assert np.isfinite(fitted.centre) and fitted.spread > 0


def test_a_window_alone_has_the_bits_it_has_in_any_batch(fitted):
    rows = windows_of(np.random.default_rng(1), 130, missing=0.2)
    whole = fitted.excess(rows)
    for size in (1, 3, 16, 17, 64):
        parts = [fitted.excess(rows[start : start + size]) for start in range(0, len(rows), size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_distances_are_those_of_scikit_learn_and_of_the_naive_twin_where_metrics_are_missing(fitted):
    rows = windows_of(np.random.default_rng(2), 200)
    np.testing.assert_allclose(fitted.score(rows), fitted.estimator.transform(rows).min(axis=1), rtol=1e-9)
    rows = windows_of(np.random.default_rng(3), 200, missing=0.3)
    expected = [naive.distance_known(row, fitted.estimator.cluster_centers_) for row in rows]
    known = np.isfinite(rows).mean(axis=1) >= 0.5
    np.testing.assert_allclose(fitted.score(rows)[known], np.array(expected)[known], rtol=1e-9)
    assert np.isnan(fitted.score(rows)[~known]).all()
    assert (fitted.excess(rows)[~known] == 0).all()


def test_a_missing_metric_is_neutral_and_a_new_one_is_not_seen():
    centres = np.tile([[0.0], [4.0]], (1, len(METRICS) * CELLS))
    estimator = kmeans().set_params(n_clusters=2).fit(np.repeat(centres, 3, axis=0))
    fitted = MetricSet(METRICS, estimator)
    even = np.full((1, len(METRICS) * CELLS), 1.0)  # as far from the nearest centre in each metric
    lacking = even.copy()
    lacking[0, :CELLS] = np.nan
    assert fitted.score(lacking) == pytest.approx(fitted.score(even), rel=1e-12)
    mine = Windows((*METRICS, "new"), np.concatenate([even, np.full((1, CELLS), 99.0)], axis=1))
    assert mine.of(METRICS).tolist() == even.tolist()
    assert np.isnan(Windows(("cpu",), even[:, :CELLS]).of(METRICS)[0, CELLS:]).all()


def test_metrics_that_part_company_are_found_by_the_set(trained):
    broken = range(1_300, 1_340)
    tables = {
        name: replay([host(7, broken=broken)], Plan(), bundle).tables["h7"]
        for name, bundle in (("with", trained.bundle), ("without", replace(trained.bundle, sets={})))
    }
    above = tables["with"]["score"] - tables["without"]["score"]
    assert above[1_300:1_340].max() > 0.02
    assert above[1_300:1_340].max() > 3 * above[200:1_300].quantile(0.99)


def test_an_entity_of_another_class_is_left_to_the_series_view(trained):
    elsewhere = replace(trained.bundle, sets={"switch": trained.bundle.sets["host"]})
    without = replace(trained.bundle, sets={})
    tables = [replay([host(7)], Plan(), bundle).tables["h7"] for bundle in (elsewhere, without)]
    assert tables[0].equals(tables[1])


@pytest.fixture(scope="module")
def bundle():
    """A set for the telemetry of test_image, whose entities have the metrics cpu and memory."""
    rows = np.random.default_rng(5).normal(size=(900, 2 * CELLS))
    rows = np.sign(rows) * np.log1p(np.abs(rows))
    sets = fit_sets({"a": Windows(("cpu", "memory"), rows)}, {"a": ""}, kmeans)
    return Bundle("m", "1", sets={"host": sets[""], "": sets[""]})


@pytest.mark.parametrize("cut", [1, 90, 203, 250])
def test_chunks_and_kept_states_change_no_byte(bundle, cut):
    records = telemetry()
    whole = PartitionStream(Plan(publish_all_scores=True), "t", 0, bundle)
    expected = whole.step(records)
    plain = PartitionStream(Plan(publish_all_scores=True), "t", 0).step(records)
    assert [row.score for row in plain.scores] != [row.score for row in expected.scores]
    first = PartitionStream(Plan(publish_all_scores=True), "t", 0, bundle)
    told = first.step(part(records, slice(0, cut))).scores
    image = first.image()
    copies = {name: table._replace(array=table.array.copy()) for name, table in image.tables.items()}
    again = PartitionStream.of_image(replace(image, tables=copies), "t", 0, bundle)
    told += again.step(part(records, slice(cut, N_STEPS))).scores
    assert msgspec.json.encode(told) == msgspec.json.encode(expected.scores)
    assert again.digest() == whole.digest()


def test_a_swap_begins_windows_anew_and_replays_alike(bundle):
    records = telemetry()

    def swapped(cuts):
        stream, told = PartitionStream(Plan(publish_all_scores=True), "t", 0), []
        for a, b in zip([0, *cuts], [*cuts, N_STEPS], strict=True):
            if a == 120:
                stream.swap(bundle)
            told += stream.step(part(records, slice(a, b))).scores
        return told, stream.digest()

    assert swapped([120]) == swapped([50, 120, 121, 122, 200])


def test_a_swap_does_to_each_array_of_state_what_is_written(bundle):
    page = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| (`.*?`) \| (kept|anew) \|", page, re.MULTILINE)
    says = [(pattern, what) for patterns, what in rows for pattern in re.findall(r"`(.*?)`", patterns)]
    stream = PartitionStream(Plan(), "t", 0, bundle)
    stream.step(part(telemetry(), slice(0, 120)))
    stream.grid.forget()  # how far late data reaches back
    before = {name: table.array.copy() for name, table in stream.image().tables.items()}
    n = stream.catalog.n_series
    stream.swap(replace(bundle, version="2"))
    after = stream.image().tables
    assert before.keys() == after.keys()
    assert {name.partition(".")[0] for name in after} >= {"grid", "features", "scoring", "judge", "sets", "settled"}
    for name, table in after.items():
        (*_, (_, what)) = [one for one in says if fnmatchcase(name, one[0])]
        assert (table.array[:n].tobytes() == before[name][:n].tobytes()) == (what == "kept"), name
    assert np.isnan(after["sets.ring"].array).all()
    told = [told_after(stream.image(), bundle) for bundle in (bundle, replace(bundle, sets={}))]
    assert told[0][0] == told[1][0]  # of a window of three steps one is less than half
    assert told[0][1:] != told[1][1:]


def told_after(image, bundle):
    """Scores of the records that are left where a bundle takes over."""
    copies = {name: table._replace(array=table.array.copy()) for name, table in image.tables.items()}
    stream = PartitionStream.of_image(replace(image, tables=copies), "t", 0, bundle)
    stream.obey(Plan(publish_all_scores=True))
    return [row.score for row in stream.step(part(telemetry(), slice(120, N_STEPS))).scores]


def test_a_set_is_saved_and_read_to_the_bit_and_refused_when_it_answers_otherwise(trained, fitted, tmp_path):
    files.save(trained.bundle, tmp_path / "good")
    again = files.load(tmp_path / "good").sets["host"]
    rows = windows_of(np.random.default_rng(9), 50, missing=0.1)
    assert again.metrics == fitted.metrics
    assert again.excess(rows).tobytes() == fitted.excess(rows).tobytes()
    assert not list((tmp_path / "good").glob("*.pkl"))
    other = MetricSet(fitted.metrics, fitted.estimator, fitted.centre, fitted.spread, rows, fitted.excess(rows) + 1e-6)
    files.save(replace(trained.bundle, sets={"host": other}), tmp_path / "odd")
    with pytest.raises(BundleRefused, match="its golden rows score up to 1e-06 otherwise"):
        files.load(tmp_path / "odd")


def test_what_cannot_judge_windows_is_refused(fitted):
    with pytest.raises(ScorerRefused, match="3 metrics in windows of 3 steps are not 6"):
        MetricSet(METRICS, kmeans().fit(np.random.default_rng(1).normal(size=(50, 6))))
    with pytest.raises(ScorerRefused, match="IsolationForest cannot leave out what is missing"):
        MetricSet(METRICS, IsolationForest(n_estimators=2).fit(np.zeros((10, 9))))
    with pytest.raises(ModelError, match="7 windows are too few to fit a metric set; 500 of one class are needed"):
        fit_sets({"a": Windows(METRICS, np.zeros((7, 9)))}, {"a": "host"}, kmeans)


@pytest.mark.parametrize("offset", [0.0, 1e8, np.nan])
def test_windows_are_the_naive_ones(offset):
    rng = np.random.default_rng(11)
    ring, at = np.full((2, CELLS), np.nan), np.zeros(2, np.int64)
    members, steps, out = np.array([[1, -1, 0]]), np.full(2, 60_000), np.empty((1, 3 * CELLS))
    cells = {0: [], 1: []}
    for t in range(1, 40):
        for s in np.flatnonzero(rng.random(2) < 0.7):
            gap = t - cells[s][-1][0] - 1 if cells[s] else 0
            cells[s].append((t, rng.normal() * (s + 1) + offset))
            arrays = (np.array([s]), np.array([t * 60_000]), np.array([gap]))
            window.push(arrays, np.array([cells[s][-1][1]]), ring, at)
        window.gather(members, np.array([t * 60_000]), steps, ring, at, out)
        expected = [naive.window(cells[1], t, CELLS), [np.nan] * CELLS, naive.window(cells[0], t, CELLS)]
        np.testing.assert_allclose(out[0], np.concatenate(expected), rtol=1e-12)
