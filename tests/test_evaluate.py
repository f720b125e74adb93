"""The measures: against TSB-AD's own code, the benchmark's published scores, and cases that can be counted by hand."""

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from models.evaluate import Span, auc_pr, finite, found, hit_rate, own_threshold, period, vus_pr
from models.nab import PROFILES, nab_score, rewards
from models.vus import segments

NAB = Path(__file__).parents[1] / "../shared/data/nab"
PUBLISHED_NAB = {
    "ARTime": {"standard": 74.85377, "reward_low_FP_rate": 65.15400, "reward_low_FN_rate": 80.36228},
    "numenta": {"standard": 70.10106, "reward_low_FN_rate": 74.32024},
}


def a_case(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(60, 400))
    label = np.zeros(n, int)
    for start in rng.integers(0, n, rng.integers(1, 7)):
        label[start : start + rng.integers(1, 15)] = 1
    return label, (rng.normal(size=n) + label * rng.random()).round(int(rng.integers(0, 5))), int(rng.integers(0, 30))


def tsb_ad():
    """Its metric, without the deep learning framework that its package imports beside it."""
    if "torch" not in sys.modules:
        torch, nn = types.ModuleType("torch"), types.ModuleType("torch.nn")
        nn.Module, torch.nn = object, nn
        sys.modules["torch"], sys.modules["torch.nn"] = torch, nn
    return (
        pytest.importorskip("TSB_AD.evaluation.basic_metrics", reason="TSB-AD is not installed").generate_curve,
        pytest.importorskip("TSB_AD.utils.slidingWindows", reason="TSB-AD is not installed").find_length_rank,
    )


def test_vus_pr_is_that_of_tsb_ad():
    generate_curve, _ = tsb_ad()
    for seed in range(40):
        label, score, window = a_case(seed)
        score = (score - score.min()) / np.ptp(score)
        theirs = generate_curve(label, score, window, "opt", 250)[-1]
        assert vus_pr(label, score, window) == pytest.approx(theirs, abs=1e-12), seed


def test_the_window_is_that_of_tsb_ad():
    _, find_length_rank = tsb_ad()
    rng = np.random.default_rng(5)
    for days in (7, 24, 96, 290, 500):
        x = np.sin(2 * np.pi * np.arange(4000) / days) + 0.3 * rng.normal(size=4000)
        assert period(x) == find_length_rank(x.round(6).reshape(-1, 1), rank=1)


STORED = (0.09739507630353261, 0.17480489446755476, 0.28225483745166574, 0.03740844038377142, 0.3334686047963925)


@pytest.mark.parametrize(("seed", "expected"), list(enumerate(STORED)))
def test_vus_pr_gives_what_tsb_ad_gave_for_stored_cases(seed, expected):
    label, score, window = a_case(seed)
    assert vus_pr(label, score, window) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rows", [24, 96])
def test_the_window_is_the_strongest_rhythm_or_a_fixed_one_where_there_is_none(rows):
    noise = np.random.default_rng(7).normal(size=4000)
    assert period(np.sin(2 * np.pi * np.arange(4000) / rows) + 0.05 * noise) == rows
    assert period(np.full(300, 4.0)) == period(np.arange(5.0)) == 125


def test_a_score_that_is_the_label_is_nearly_perfect_and_one_that_knows_nothing_is_not():
    label = np.zeros(2_000, int)
    for start in (300, 900, 1500):
        label[start : start + 40] = 1
    rng = np.random.default_rng(0)
    assert vus_pr(label, label + 0.001 * rng.random(2_000), 20) > 0.9
    assert vus_pr(label, rng.random(2_000), 20) < 0.15
    assert auc_pr(label, label) == 1.0


def test_vus_pr_refuses_what_it_cannot_measure():
    with pytest.raises(ValueError, match="at least one labelled row"):
        vus_pr(np.zeros(50, int), np.zeros(50), 5)
    with pytest.raises(ValueError, match="finite scores"):
        vus_pr(np.eye(1, 50, dtype=int)[0], np.full(50, np.nan), 5)


def test_a_withheld_score_counts_as_the_least_one():
    assert finite([np.nan, 3.0, 1.0]).tolist() == [1.0, 3.0, 1.0]
    assert finite([np.nan, np.nan]).tolist() == [0.0, 0.0]


def test_own_threshold_counts_events_false_incidents_and_delay():
    label, alarm = np.zeros(100, int), np.zeros(100, int)
    label[20:30] = label[60:70] = 1
    alarm[23:26] = 1  # meets the first event after 3 steps
    alarm[74:76] = 1  # near the second, but does not meet it
    alarm[90:92] = 1  # false
    alarms = own_threshold(label, alarm)
    assert (alarms.event_recall, alarms.false_incidents, alarms.n_events, alarms.delay_steps) == (0.5, 1, 2, 3.0)
    assert alarms.f1 == pytest.approx(2 * 3 / (20 + 7))
    assert segments(label) == [(20, 30), (60, 70)]


def test_incidents_of_a_fleet_are_held_against_events_of_their_own_entity():
    minute = 60_000
    events = [Span("a", 10 * minute, 20 * minute), Span("b", 10 * minute, 20 * minute)]
    incidents = [
        Span("a", 12 * minute, 22 * minute, 14 * minute),
        Span("a", 27 * minute, 28 * minute, 28 * minute),  # near: neither met nor false
        Span("b", 90 * minute, 95 * minute, 91 * minute),  # false
    ]
    result = found(events, incidents)
    assert (result.n_met, result.n_incidents, result.n_false) == (1, 3, 1)
    assert result.event_recall == 0.5
    assert result.delay_ms == 4 * minute


def test_hit_rate_looks_at_as_many_metrics_as_are_at_fault():
    blame = np.tile([5.0, 4.0, 3.0, 0.0], (10, 1))
    causes = [(2, 5, ["a", "c"]), (6, 6, ["d"])]
    assert hit_rate(blame, causes, ["a", "b", "c", "d"]) == pytest.approx((0.5 + 0.0) / 2)
    assert hit_rate(blame, causes, ["a", "b", "c", "d"], percent=150) == pytest.approx((1.0 + 0.0) / 2)


def test_nab_rewards_early_alarms_and_forgets_the_probation():
    layout = rewards(1000, [(400, 499)])
    assert not layout.counts[:150].any() and layout.counts[150:].all()
    assert layout.worth[400] == pytest.approx(1.0)
    assert layout.worth[400] > layout.worth[450] > layout.worth[499] > 0 > layout.worth[510] > layout.worth[900]
    silent, early, late = np.zeros(1000), np.zeros(1000), np.zeros(1000)
    early[405], late[495] = 1.0, 1.0
    by = {name: nab_score([layout], [s], PROFILES["standard"]).score for name, s in (("early", early), ("late", late))}
    assert 99 < by["early"] <= 100 > by["late"] > 50
    assert nab_score([layout], [silent], PROFILES["standard"], threshold=0.5).score == 0.0


@pytest.mark.parametrize("name", sorted(PUBLISHED_NAB))
def test_nab_scores_of_stored_detectors_are_the_published_ones(name):
    pd = pytest.importorskip("pandas")
    if not NAB.is_dir():
        pytest.skip(f"no benchmark data at {NAB}")
    windows = json.loads((NAB / "labels/combined_windows.json").read_text())
    layouts, scores = [], []
    for file, rows in pd.read_parquet(NAB / f"reference/{name}.parquet").groupby("file", observed=True):
        at = {time: i for i, time in enumerate(pd.to_datetime(rows["timestamp"]))}
        spans = [(at[pd.Timestamp(first)], at[pd.Timestamp(last)]) for first, last in windows[file]]
        layouts.append(rewards(len(rows), spans))
        scores.append(rows["anomaly_score"].to_numpy())
    for profile, published in PUBLISHED_NAB[name].items():
        assert nab_score(layouts, scores, PROFILES[profile]).score == pytest.approx(published, abs=1e-4)
