"""Rules that people write: resolved once a series, bending what is seen, named in what is told."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.app import plan_of
from pipeline.errors import SettingsError
from pipeline.events import SampleBatch, SeriesIdentity
from pipeline.recordings import recording
from pipeline.replay import replay
from pipeline.rules import Rule, Rules, Watch
from pipeline.settings import load
from pipeline.stream import PartitionStream, Plan

N = 1_000
FAULT = slice(800, 830)


def a_host(size=30.0, metric="b"):
    values = np.random.default_rng(3).normal(size=(N, 3))
    frame = pd.DataFrame(values, columns=["a", "b", "c"])
    frame.loc[frame.index[FAULT], metric] += size
    frame.insert(0, "timestamp", pd.date_range("2026-01-01", periods=N, freq="min", tz="UTC"))
    return recording(frame, "db-01")


def told(one, *rules, watch=None):
    plan = Plan(rules=rules, watch=watch or Watch())
    return [event.data for event in replay([one], plan).incidents if event.data.track == "behaviour"]


def test_without_a_rule_the_fault_is_told_and_no_rule_is_named():
    first = told(a_host())[0]
    assert first.contributing_metrics[0].metric == "b"
    assert first.rule is None


@pytest.mark.parametrize(
    "rule",
    [
        Rule(metric="b", ignore=True),
        Rule(entity="db-*", metric="b", weight=0.0),
        Rule(metric="b", direction="down"),
        Rule(metric="?", min_change=500.0),
    ],
)
def test_what_a_rule_rules_out_opens_nothing(rule):
    assert told(a_host(), rule) == []


def test_a_rule_in_force_is_named_by_its_name_or_by_what_it_says():
    said = told(a_host(), Rule(entity="web-*", ignore=True), Rule(metric="b", direction="up", min_change=5.0))
    assert said[0].rule == "* b: only up at least 5"
    assert told(a_host(), Rule(metric="b", name="disk team", min_change=5.0))[0].rule == "disk team"
    assert told(a_host(), Rule(metric="a", name="other metric", ignore=True))[0].rule is None


def test_a_dip_counts_downwards():
    assert told(a_host(-30.0), Rule(metric="b", direction="down"))
    assert told(a_host(-30.0), Rule(metric="b", direction="up")) == []


def test_the_first_rule_that_fits_is_the_rule():
    rules = Rules((Rule(metric="a", weight=2.0), Rule(weight=0.5)))
    rules.adopt_series([SeriesIdentity("h", "host", metric) for metric in ("a", "b")])
    assert [rules.of(s).weight for s in (0, 1)] == [2.0, 0.5]
    assert rules.named([1, 0]) == "* a: weight 2; * *: weight 0.5"


def test_what_is_not_watched_is_counted_and_not_looked_at():
    one = a_host()
    assert told(one, watch=Watch(exclude=("db-* b",))) == []
    assert told(one, watch=Watch(include=("c",))) == []
    assert told(one, watch=Watch(include=("b", "a")))
    stream = PartitionStream(Plan(watch=Watch(exclude=("b",))), "t", 0)
    counts = send(stream, 20)
    assert (counts.decoded, counts.not_watched) == (40, 20)
    fates = counts.on_grid + counts.replaced + counts.duplicate + counts.late + counts.first_of_counter
    assert counts.decoded == fates + counts.stale_or_non_finite + counts.refused + counts.not_watched + counts.waiting


def send(stream, n):
    """Give a stream n minutes of two series, a and b."""
    ids = [stream.catalog.series_id(SeriesIdentity("h", "host", metric)) for metric in ("a", "b")]
    record = np.repeat(np.arange(n, dtype=np.int32), 2)
    times = 1_700_000_000_000 + np.arange(n) * 60_000
    zeros = np.zeros(2 * n, np.int64)
    batch = SampleBatch(
        np.tile(np.array(ids, np.int32), n),
        times[record] * 1_000_000,
        np.ones(2 * n),
        zeros.astype(np.uint8),
        zeros,
        record,
    )
    return stream.advance(batch, times.tolist(), list(range(n))).counts


def test_new_rules_hold_for_series_that_are_there():
    stream = PartitionStream(Plan(), "t", 0)
    send(stream, 20)
    assert stream.judge.rules.named([0, 1]) is None
    stream.obey(Plan(rules=(Rule(metric="b", name="late"),), watch=Watch(exclude=("a",))))
    assert stream.judge.rules.named([0, 1]) == "late"
    assert send(stream, 20).not_watched == 20


def test_rules_come_from_the_settings_and_a_wrong_one_is_named(tmp_path):
    file = tmp_path / "foreshock.yaml"
    file.write_text(
        "detection:\n  rules:\n    - {metric: 'disk.*', direction: up, limit: 80}\nwatch:\n  exclude: ['*.idle']\n"
    )
    plan = plan_of(load(str(file), (), {}).settings)
    assert plan.rules == (Rule(metric="disk.*", direction="up", limit=80.0),)
    assert plan.watch.exclude == ("*.idle",)
    file.write_text("detection:\n  rules:\n    - {metric: b, direction: sideways}\n")
    with pytest.raises(SettingsError, match=r"detection\.rules.*'up'"):
        load(str(file), (), {})


def test_the_rules_of_the_readme_are_rules(tmp_path):
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(watch:.*?)```", readme, re.DOTALL)
    (tmp_path / "foreshock.yaml").write_text(block)
    plan = plan_of(load(str(tmp_path / "foreshock.yaml"), (), {}).settings)
    assert [rule.ignore for rule in plan.rules] == [False, True, False]
    assert not plan.watch.wants(SeriesIdentity("test-1", "host", "load"))
    assert plan.watch.wants(SeriesIdentity("web-1", "host", "load"))
