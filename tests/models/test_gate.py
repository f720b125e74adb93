"""Laws of the gate, by the commands that people type, on a real MLflow: nothing serves that the rule refuses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.card import Card
from models.drift import MOVED, histogram, quantile_edges
from models.errors import ModelError
from models.gate import Comparison, Rule, Side
from models.plots import drift_figure
from pipeline.simulate.fleet import Fleet
from pipeline.simulate.labels import write_labels
from pipeline.simulate.records import wide_table
from pipeline.simulate.scenario import scenario
from pipeline.simulate.telemetry import telemetry

T0 = 1_767_225_600_000
N_STEPS, N_LATER = 2_000, 700
FLEET = Fleet(n_hosts=3, n_metrics=4, seed=5)


def write(folder, first, n_steps, injections=()):
    folder.mkdir()
    stretch = telemetry(FLEET, injections, T0 + first * 60_000, n_steps)
    for host in FLEET.hosts:
        wide_table(stretch, host).to_parquet(folder / f"{host}.parquet")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gate")
    write(folder / "past", 0, N_STEPS)
    faults = scenario(FLEET, T0 + N_STEPS * 60_000, N_LATER)
    write(folder / "later", N_STEPS, N_LATER, faults)
    write_labels(folder / "labels.csv", [label for one in faults for label in one.labels(FLEET)])
    return folder


def test_what_was_trained_serves_after_a_comparison_and_not_before(on_store, data):
    told = json.loads(on_store("train", "--data", data / "past", "--json"))
    assert (told["version"], told["facts"]["entities"], told["facts"]["series"]) == ("1", 3, 12)
    assert on_store.registry.aliases() == {"challenger": "1"}
    assert "never compared" in on_store("models", "promote", "challenger", status=3)
    over = ("--data", data / "later", "--labels", data / "labels.csv")
    told = json.loads(on_store("models", "compare", "untrained", "challenger", *over, "--json"))
    assert told["n_events"] > 0
    on_store("models", "promote", "1", "--force", "--because", "the first one")
    assert on_store.registry.aliases() == {"champion": "1"}
    assert on_store.registry.version("1").tags["foreshock.because"].startswith("the first one")
    on_store(
        "train", "--data", data / "past", "--detector", "kmeans", "--set", "detection.alert_budget_per_entity_week=0.01"
    )
    import mlflow

    run = on_store.registry.version("2").run_id
    plots = {Path(one.path).name for one in mlflow.MlflowClient(on_store.registry.uri).list_artifacts(run, "plots")}
    assert "feature_drift.png" in plots  # against the champion's training
    stale = on_store("models", "promote", "2", status=3)
    assert "never compared" in stale
    on_store("models", "compare", "champion", "2", *over)
    on_store("models", "compare", "untrained", "2", *over)
    assert "it was compared with untrained, but 1 serves now" in on_store("models", "promote", "2", status=3)
    listed = {one["number"]: one for one in json.loads(on_store("models", "list", "--json"))}
    assert listed["1"]["aliases"] == ["champion"]
    assert listed["2"]["detector"] == "kmeans"
    assert "champion" in on_store("models", "show", "1")


def test_a_run_keeps_parameters_measures_pictures_and_the_signature(on_store, data):
    on_store("train", "--data", data / "past", "--detector", "forest", "--alias", "none")
    import mlflow

    client = mlflow.MlflowClient(on_store.registry.uri)
    version = on_store.registry.version("1")
    noted = client.get_run(version.run_id)
    told = {"settings_hash", "data_digest", "data_first_ms", "detector", "foreshock", "python", "scikit-learn", "numba"}
    assert told | {"feature_names", "feature_schema"} <= noted.data.params.keys()
    assert {"incidents_per_entity_week", "threshold_shift"} <= noted.data.metrics.keys()
    plots = {Path(one.path).name for one in client.list_artifacts(version.run_id, "plots")}
    assert plots == {"alert_budget.png", "scores.png", "calibration.png"}
    assert on_store.registry.aliases() == {}
    inputs = mlflow.models.get_model_info("models:/foreshock/1").signature.inputs
    assert inputs.input_names() == list(on_store.registry.load("1").card.feature_names)


def test_the_newest_stretch_of_files_is_counted_from_their_end(on_store, data):
    newest = T0 + (N_STEPS - 1) * 60_000
    told = json.loads(on_store("train", "--data", data / "past", "--last", "12h", "--json"))
    assert told["facts"]["data_first_ms"] == newest - 12 * 3_600_000
    assert told["facts"]["data_end_ms"] == newest + 1
    since = "2026-01-01T10:00"
    told = json.loads(on_store("train", "--data", data / "past", "--since", since, "--alias", "none", "--json"))
    assert told["facts"]["data_first_ms"] == T0 + 10 * 3_600_000
    assert told["facts"]["samples"] == (N_STEPS - 600) * 12
    both = on_store("train", "--data", data / "past", "--since", since, "--last", "12h", status=2)
    assert "name one of them" in both


def test_the_drift_that_is_drawn_is_that_of_the_rows():
    rng = np.random.default_rng(4)
    rows = np.column_stack([rng.normal(size=4_000), np.zeros(4_000), rng.random(4_000)])
    edges = quantile_edges(rows)
    card = Card(feature_names=("a", "b", "c"), edges={"host": edges}, reference={"host": histogram(rows, edges)})
    later = np.column_stack([rng.normal(size=4_000), np.zeros(4_000), 2 * rng.random(4_000)])
    drawn = [bar.get_width() for bar in drift_figure(card, {"host": later, "switch": later}).axes[0].patches]
    assert len(drawn) == 3
    assert max(drawn[:2]) < 0.02
    assert drawn[2] > MOVED


def test_a_rule_on_paper_is_the_rule_in_the_code():
    path = Path(__file__).parents[2] / "configs" / "promotion.yaml"
    assert path.read_text() == Rule().as_yaml(), "write Rule().as_yaml() to configs/promotion.yaml"
    assert Rule.read(path) == Rule()


@pytest.mark.parametrize(
    ("incidents", "entity_weeks", "may"),
    [(1, 0.01, True), (2, 0.01, False), (3, 1.0, True), (4, 1.0, False), (117, 100.0, True), (118, 100.0, False)],
)
def test_a_short_stretch_refuses_only_what_chance_does_not_explain(incidents, entity_weeks, may):
    side = Side(0, 0.0, None, None, None, 0.0, 0.0, 0.0)
    after = replace(side, incidents=incidents, per_entity_week=incidents / entity_weeks)
    told = Comparison("1", "2", side, after, 1.0, 0.0, 0, entity_weeks, budget_per_week=1.0)
    assert bool(Rule().reasons(told)) is not may


def test_a_rule_with_an_unknown_key_is_told(tmp_path):
    (tmp_path / "rule.yaml").write_text("recal_loss_max: 0.1\n")
    with pytest.raises(ModelError, match="there is no rule 'recal_loss_max'"):
        Rule.read(tmp_path / "rule.yaml")


def test_commands_complain_in_one_line(on_store, data):
    assert "no version champion" in on_store("models", "show", "champion", status=1)
    assert "--force needs --because" in on_store("models", "promote", "1", "--force", status=2)
    assert "name either files" in on_store("train", status=2)
    assert "no model is registered yet" in on_store("models", "list")
    assert "there is no detector 'florest'" in on_store(
        "train", "--data", data / "past", "--detector", "florest", status=1
    )
