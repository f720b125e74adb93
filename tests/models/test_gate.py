"""Laws of the gate, by the commands that people type, on a real MLflow: nothing serves that the rule refuses."""

import json
from pathlib import Path

import pytest

from models.errors import ModelError
from models.gate import Rule
from models.registry import Registry
from pipeline.cli.main import main
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


@pytest.fixture
def run(mlflow_store, tmp_path, capsys):
    uri = mlflow_store(tmp_path)

    def call(*arguments, status=0):
        with pytest.raises(SystemExit) as left:
            main([*map(str, arguments), "--set", f"models.uri={uri}"])
        told = capsys.readouterr()
        assert left.value.code == status, told.err
        return told.out if status == 0 else told.err

    call.registry = Registry("foreshock", uri)
    return call


def test_what_was_trained_serves_after_a_comparison_and_not_before(run, data):
    told = json.loads(run("train", "--data", data / "past", "--json"))
    assert (told["version"], told["facts"]["entities"], told["facts"]["series"]) == ("1", 3, 12)
    assert run.registry.aliases() == {"challenger": "1"}
    assert "never compared" in run("models", "promote", "challenger", status=3)
    over = ("--data", data / "later", "--labels", data / "labels.csv")
    told = json.loads(run("models", "compare", "untrained", "challenger", *over, "--json"))
    assert told["n_events"] > 0
    run("models", "promote", "1", "--force", "--because", "the first one")
    assert run.registry.aliases() == {"champion": "1"}
    assert run.registry.version("1").tags["foreshock.because"].startswith("the first one")
    run(
        "train", "--data", data / "past", "--detector", "kmeans", "--set", "detection.alert_budget_per_entity_week=0.01"
    )
    stale = run("models", "promote", "2", status=3)
    assert "never compared" in stale
    run("models", "compare", "champion", "2", *over)
    run("models", "compare", "untrained", "2", *over)
    assert "it was compared with untrained, but 1 serves now" in run("models", "promote", "2", status=3)
    listed = {one["number"]: one for one in json.loads(run("models", "list", "--json"))}
    assert listed["1"]["aliases"] == ["champion"]
    assert listed["2"]["detector"] == "kmeans"
    assert "champion" in run("models", "show", "1")


def test_a_run_keeps_parameters_measures_pictures_and_the_signature(run, data):
    run("train", "--data", data / "past", "--detector", "forest", "--alias", "none")
    import mlflow

    client = mlflow.MlflowClient(run.registry.uri)
    version = run.registry.version("1")
    noted = client.get_run(version.run_id)
    assert {"settings_hash", "data_digest", "data_first_ms", "detector", "foreshock"} <= noted.data.params.keys()
    assert {"incidents_per_entity_week", "threshold_shift"} <= noted.data.metrics.keys()
    plots = {Path(one.path).name for one in client.list_artifacts(version.run_id, "plots")}
    assert plots == {"alert_budget.png", "scores.png", "calibration.png"}
    assert run.registry.aliases() == {}
    inputs = mlflow.models.get_model_info("models:/foreshock/1").signature.inputs
    assert inputs.input_names() == list(run.registry.load("1").card.feature_names)


def test_a_rule_on_paper_is_the_rule_in_the_code():
    path = Path(__file__).parents[2] / "configs" / "promotion.yaml"
    assert path.read_text() == Rule().as_yaml(), "write Rule().as_yaml() to configs/promotion.yaml"
    assert Rule.read(path) == Rule()


def test_a_rule_with_an_unknown_key_is_told(tmp_path):
    (tmp_path / "rule.yaml").write_text("recal_loss_max: 0.1\n")
    with pytest.raises(ModelError, match="there is no rule 'recal_loss_max'"):
        Rule.read(tmp_path / "rule.yaml")


def test_commands_complain_in_one_line(run, data):
    assert "no version champion" in run("models", "show", "champion", status=1)
    assert "--force needs --because" in run("models", "promote", "1", "--force", status=2)
    assert "name either files" in run("train", status=2)
    assert "no model is registered yet" in run("models", "list")
    assert "there is no detector 'florest'" in run("train", "--data", data / "past", "--detector", "florest", status=1)
