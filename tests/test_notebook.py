"""Laws of what notebooks call: tables of any shape go down the one road, and say what the backtest says."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import pipeline
from pipeline.baselines import FEATURE_NAMES
from pipeline.errors import InputError
from pipeline.replay import backtest as replayed
from pipeline.stream import Plan

N_ROWS, FAULT = 900, slice(700, 715)


@pytest.fixture(scope="module")
def wide():
    rng = np.random.default_rng(3)
    times = pd.date_range("2026-01-05", periods=N_ROWS, freq="min", tz="UTC")
    load = 40 + 5 * np.sin(np.arange(N_ROWS) / 60) + rng.normal(size=N_ROWS)
    load[FAULT] += 60
    return pd.DataFrame({"timestamp": times, "load": load, "free": 100 - load / 2 + rng.normal(size=N_ROWS)})


@pytest.fixture(scope="module")
def folder(wide, tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("recordings")
    wide.to_parquet(folder / "db-01.parquet")
    wide.assign(load=wide["free"]).to_csv(folder / "db-02.csv", index=False)
    return folder


def test_a_folder_becomes_one_long_table_that_since_until_and_a_pattern_narrow(folder):
    whole = pipeline.read_samples(folder)
    assert list(whole.columns) == ["time", "entity", "metric", "labels", "value", "kind"]
    assert len(whole) == 2 * 2 * N_ROWS
    part = pipeline.read_samples(folder, since="2026-01-05T01:00", until="2026-01-05T02:00Z", entities="*-02")
    assert len(part) == 2 * 60
    assert set(part["entity"]) == {"db-02"}


def test_long_and_wide_tables_get_the_verdict_of_the_backtest(wide, folder):
    long = pipeline.backtest(pipeline.read_samples(folder / "db-01.parquet"))
    table, events = replayed(wide, None, Plan(), "db-01")
    judged = table.dropna(subset="score")
    scored = long.scores.dropna(subset="score")
    assert judged["score"].tolist() == scored["score"].tolist()
    assert [event.id for event in long.events] == [event.id for event in events]
    direct = pipeline.backtest(wide)
    assert direct.scores["score"].equals(long.scores["score"])


def test_the_incident_table_tells_what_happened_and_plot_draws_it(folder):
    mpl.use("Agg")
    verdict = pipeline.backtest(pipeline.read_samples(folder, entities="db-01"))
    (row,) = verdict.incidents.to_dict("records")
    assert (row["entity"], row["top_metric"], row["status"]) == ("db-01", "load", "resolved")
    assert pd.Timestamp("2026-01-05T11:39Z") <= row["started_at"] <= pd.Timestamp("2026-01-05T11:42Z")
    figure = verdict.plot("db-01")
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["db-01"]
    assert len(figure.axes[0].patches) == 1
    with pytest.raises(InputError, match="no entity 'db-99' among the scores; there are db-01"):
        verdict.plot("db-99")


def test_a_quiet_stretch_has_an_incident_table_of_the_same_columns_and_no_rows(wide, folder):
    quiet = pipeline.backtest(wide[: FAULT.start]).incidents
    assert len(quiet) == 0
    assert list(quiet.columns) == list(pipeline.backtest(wide).incidents.columns)
    assert not (quiet["entity"] + quiet["track"] + quiet["top_metric"]).any()


def test_features_are_one_row_a_series_and_closed_step(wide):
    table = pipeline.features(wide)
    assert list(table.columns) == ["time", "entity", "series", "value", *FEATURE_NAMES]
    assert len(table) == 2 * N_ROWS
    assert np.isfinite(table[list(FEATURE_NAMES)].to_numpy()).all()


def test_counters_become_rates_on_the_way(wide):
    times = wide["timestamp"]
    counted = pd.DataFrame({"time": times, "entity": "h", "metric": "requests", "kind": "counter"})
    table = pipeline.features(counted.assign(value=np.arange(N_ROWS) * 120.0))
    assert table["value"].tolist() == [2.0] * (N_ROWS - 1)


def test_a_table_without_what_it_needs_is_refused_with_its_name(wide):
    with pytest.raises(InputError, match="no column 'entity'; a table of samples has time, entity, metric, value"):
        pipeline.features(wide.rename(columns={"timestamp": "time"}))
    odd = pd.DataFrame({"time": wide["timestamp"], "entity": "h", "metric": "m", "value": 1.0, "kind": "guage"})
    with pytest.raises(InputError, match="'guage' is not a kind of sample; there are gauge, counter, delta"):
        pipeline.features(odd)
