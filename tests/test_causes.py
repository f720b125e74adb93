"""Root causes held against the truth: the folder's shape, the shares, and what is said of another folder."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pipeline.causes import evaluate_causes
from pipeline.cli.main import app
from pipeline.errors import InputError
from pipeline.stream import Plan


def write(folder, at_fault):
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.normal(size=(900, 3)), columns=["a", "b", "c"])
    frame.insert(0, "timestamp", pd.date_range("2026-01-05", periods=900, freq="min"))
    frame.loc[600:620, "b"] += 40.0
    frame.to_parquet(folder / "host-1.test.parquet")
    causes = [{"start": 600, "end": 621, "metrics": at_fault}]
    (folder / "host-1.causes.json").write_text(json.dumps(causes))


@pytest.mark.parametrize(("at_fault", "share"), [(["b"], 1.0), (["c"], 0.0)])
def test_a_metric_at_fault_is_found_where_it_is_and_nowhere_else(tmp_path, at_fault, share):
    write(tmp_path, at_fault)
    result = evaluate_causes(tmp_path, Plan())
    assert (result.hit100, result.n_events, list(result.each)) == (share, 1, ["host-1"])


def test_the_command_prints_what_was_measured(tmp_path):
    write(tmp_path, ["b"])
    said = CliRunner().invoke(app, ["evaluate", "causes", "--data", str(tmp_path)])
    assert said.exit_code == 0, said.output
    assert "host-1" in said.output
    assert "hit@100 1.000" in said.output
    found = CliRunner().invoke(app, ["evaluate", "causes", "--data", str(tmp_path), "--json"])
    assert json.loads(found.output)["hit150"] == 1.0


def test_a_folder_without_causes_is_named(tmp_path):
    with pytest.raises(InputError, match=r"holds no NAME\.causes\.json"):
        evaluate_causes(tmp_path, Plan())
    (tmp_path / "x.causes.json").write_text('[{"start": 1}]')
    with pytest.raises(InputError, match="is not a list of start, end and metrics"):
        evaluate_causes(tmp_path, Plan())
