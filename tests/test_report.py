"""``foreshock backtest``: many entities at once, and a report that stands alone."""

import re

import numpy as np
import pandas as pd
import pytest

from pipeline.cli.main import main
from pipeline.recordings import read_recordings
from pipeline.replay import replay
from pipeline.report.story import story_of
from pipeline.simulate.labels import Label, read_labels, write_labels
from pipeline.stream import Plan

N, STEP = 1_000, 60_000
T0 = int(pd.Timestamp("2026-01-01", tz="UTC").timestamp() * 1000)
FAULT = slice(800, 830)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two hosts; db-01 has a fault in its second metric, and its name would break a careless page."""
    path = tmp_path_factory.mktemp("recordings")
    for seed, name in enumerate(("db-01", "web-01")):
        frame = pd.DataFrame(np.random.default_rng(seed).normal(size=(N, 2)), columns=["a<b>", "load"])
        if name == "db-01":
            frame.loc[frame.index[FAULT], "a<b>"] += 40
        frame.insert(0, "timestamp", pd.date_range("2026-01-01", periods=N, freq="min", tz="UTC"))
        frame.to_parquet(path / f"{name}.parquet")
    write_labels(path / "labels.csv", [Label("db-01", T0 + 800 * STEP, T0 + 830 * STEP, "a<b>", "spike")])
    return path


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main(["backtest", *map(str, arguments)])
    return left.value.code


def test_the_report_is_one_page_that_needs_nothing_else(folder, tmp_path, capsys):
    code = run("--cold", "--test", folder, "--labels", folder / "labels.csv", "--report", tmp_path / "r")
    assert code == 0
    assert f"wrote {tmp_path / 'r' / 'index.html'}" in capsys.readouterr().out.replace("\n", "")
    assert [file.name for file in (tmp_path / "r").iterdir()] == ["index.html"]
    page = (tmp_path / "r/index.html").read_text()
    assert not re.search(r"(src|href)=['\"]?(https?:)?//", page)
    assert "2 entities with 4 metrics, 2,000 rows from 2026-01-01 00:00 to 2026-01-01 16:39" in page
    assert "Of 1 labelled event 1 were met" in page
    assert page.count("<svg") >= 3
    assert "a&lt;b&gt;" in page and "a<b>" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.S)


def test_equal_backtests_give_equal_pages(folder, tmp_path):
    for name in ("one", "two"):
        assert run("--test", folder, "--report", tmp_path / name) == 0
    assert (tmp_path / "one/index.html").read_bytes() == (tmp_path / "two/index.html").read_bytes()


def test_several_entities_share_one_table_and_one_has_its_own(folder, tmp_path):
    assert run("--test", folder, "--out", tmp_path / "all.parquet") == 0
    both = pd.read_parquet(tmp_path / "all.parquet")
    assert both.groupby("entity").size().to_dict() == {"db-01": N, "web-01": N}
    assert run("--test", folder / "db-01.parquet", "--out", tmp_path / "one.parquet") == 0
    one = pd.read_parquet(tmp_path / "one.parquet")
    assert list(one) == [
        "timestamp", "score", "threshold", "over_threshold", "anomaly", "contribution.a<b>", "contribution.load",
    ]  # fmt: skip
    pd.testing.assert_series_equal(one["score"], both[both["entity"] == "db-01"]["score"])


def test_training_on_a_folder_and_scoring_another_starts_warm(folder, tmp_path):
    assert run("--train", folder, "--test", folder, "--out", tmp_path / "warm.parquet") == 0
    assert pd.read_parquet(tmp_path / "warm.parquet")["score"][:20].notna().sum() > 5


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--cold", "--train", "x", "--out", "y"), "--cold and --train contradict each other"),
        ((), "nothing to write"),
        (("--out", "y", "--test", "missing"), "missing: there is no such file"),
    ],
)
def test_what_cannot_be_done_is_said(folder, capsys, arguments, complaint):
    test = () if "--test" in arguments else ("--test", folder)
    assert run(*test, *arguments) == 2
    assert complaint in capsys.readouterr().err


def test_incidents_meet_the_labels_of_their_entity_and_innocent_ones_are_no_faults(folder):
    recordings = read_recordings([folder])
    result = replay(recordings, Plan())
    labels = read_labels(folder / "labels.csv")
    story = story_of(recordings, result, labels)
    assert story.found.n_events == story.found.n_met == 1
    met = [life for life in story.lives if life.met]
    assert [(life.last.entity.id, life.met[0].kind) for life in met] == [("db-01", "spike")]
    innocent = [Label("db-01", T0 + 800 * STEP, T0 + 830 * STEP, kind="innocent")]
    assert story_of(recordings, result, innocent).found.n_events == 0
    assert story_of(recordings, result, []).found is None
