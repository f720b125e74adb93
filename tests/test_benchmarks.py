"""The benchmarks: the Numenta corpus through the stream, and a README that shows what was measured."""

import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.cli.main import main
from pipeline.errors import InputError
from pipeline.fingerprint import fingerprint
from pipeline.nab import alarms, evaluate_nab
from pipeline.stream import Plan

ROOT = Path(__file__).parents[1]


@pytest.fixture
def corpus(tmp_path):
    """Three series; one holds a fault that nobody could overlook, another a time that comes twice."""
    (tmp_path / "data/real").mkdir(parents=True)
    (tmp_path / "labels").mkdir()
    windows = {}
    for seed, name in enumerate(("calm", "fault", "twice")):
        rng = np.random.default_rng(seed)
        times = pd.date_range("2026-03-01", periods=1500, freq="5min").to_series().reset_index(drop=True)
        values = 10 + rng.normal(size=1500)
        windows[f"real/{name}.csv"] = []
        if name == "fault":
            values[1100:1130] += 60
            windows["real/fault.csv"] = [[f"{times[1080]}.000000", f"{times[1179]}.000000"]]
        if name == "twice":
            times[700] = times[699]
        pd.DataFrame({"timestamp": times, "value": values}).to_csv(tmp_path / f"data/real/{name}.csv", index=False)
    (tmp_path / "labels/combined_windows.json").write_text(json.dumps(windows))
    return tmp_path


def test_a_plain_fault_in_a_small_corpus_scores_high(corpus):
    done = []
    result = evaluate_nab(corpus, Plan(), jobs=1, on_progress=lambda n, of: done.append((n, of)))
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert result.published == {}
    assert 85 < result.scores["standard"] <= 100
    assert result.scores["reward_low_FP_rate"] <= result.scores["standard"]


def test_the_command_prints_the_profiles_beside_published_ones(corpus, capsys):
    profiles = ("standard", "reward_low_FP_rate", "reward_low_FN_rate")
    (corpus / "published.json").write_text(json.dumps({"scores": {"rival": dict.fromkeys(profiles, 12.5)}}))
    with pytest.raises(SystemExit) as left:
        main(["evaluate", "nab", "--data", str(corpus), "--jobs", "1"])
    assert left.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == list(profiles)
    assert lines[1].startswith("foreshock ") and lines[2].split() == ["rival", "12.5", "12.5", "12.5"]


def test_a_folder_that_is_not_the_benchmark_is_named(tmp_path):
    with pytest.raises(InputError, match=r"combined_windows\.json is not there"):
        evaluate_nab(tmp_path, Plan(), jobs=1)


def test_an_alarm_speaks_once_until_something_worse_comes():
    quiet = np.full(1_000, 0.1)
    score = np.r_[quiet, 0.1, 0.5, 0.5, 0.4, 0.9, 0.2, [0.1] * 80, 0.3]
    loud = alarms(score)[len(quiet) :]
    assert np.flatnonzero(loud > 0.01).tolist() == [1, 4]
    assert loud[4] == pytest.approx(0.9 - 0.5, abs=0.01)
    assert alarms(np.r_[np.nan, score, np.full(1_500, 0.1), 0.3])[-1] > 0.01


def test_what_was_heard_is_forgotten_the_slower_the_longer_one_has_watched():
    loud = [alarms(np.r_[np.full(n, 0.1), 0.9, np.full(500, 0.1), 0.5])[-1] for n in (300, 1_000, 10_000)]
    assert loud[0] > loud[1] > loud[2] == 0.0


def test_the_fingerprint_changes_with_what_decides_and_with_nothing_else():
    assert fingerprint(Plan()) == fingerprint(Plan(formats=("influx",), publish_all_scores=True))
    assert fingerprint(Plan()) != fingerprint(Plan(budget_per_week=2.0))


def test_the_readme_shows_the_accuracy_that_was_measured(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tests/benchmarks"))
    cases = importlib.import_module("cases")
    results = json.loads((ROOT / "tests/benchmarks/accuracy.json").read_text())
    table = cases.BEGIN + "\n" + "\n".join(cases.markdown(results)) + "\n" + cases.END
    assert table in (ROOT / "README.md").read_text()
    assert set(results["sets"]) == {"cold", "kpi", "smd", "smd-test", "nab"}


def test_the_readme_shows_the_training_that_was_measured():
    from benchmarks import training

    results = json.loads(training.RESULTS.read_text()) if training.RESULTS.exists() else {}
    assert training.markdown(results) in (ROOT / "README.md").read_text()


def test_the_readme_shows_the_speed_that_was_measured():
    from benchmarks.speed import table

    results = json.loads((ROOT / "tests/benchmarks/results.json").read_text())
    accuracy = json.loads((ROOT / "tests/benchmarks/accuracy.json").read_text())["settings"]
    told = "\n".join(table.markdown(results, accuracy))
    assert f"{table.BEGIN}\n{told}\n{table.END}" in (ROOT / "README.md").read_text()
    assert ("those of the accuracy table" in told) == (accuracy == results["settings"])
