"""Measuring one set of the accuracy table: the whole set as one fleet through the stream, plain baselines beside it."""

from __future__ import annotations

from dataclasses import asdict

import cases as c
import numpy as np
import pandas as pd
from numba import njit
from numpy.lib.stride_tricks import sliding_window_view

from models.evaluate import auc_pr, finite, hit_rate, own_threshold, period, vus_pr
from pipeline.lifecycle import STRONG
from pipeline.nab import evaluate_nab
from pipeline.recordings import numeric_columns, recording
from pipeline.replay import replay, train
from pipeline.stream import Plan

WEEK_SECONDS = 604_800
DECADES = 12.0
# fine enough that the most false incidents within a budget are found, and not half of them
SHIFTS = np.linspace(-2.0, 6.0, 161) / DECADES


def measure(which: str) -> dict:
    """All figures of a set."""
    if which == "nab":
        return asdict(evaluate_nab(c.DATA / "nab", Plan(), jobs=1))
    some = list(c.cases(which))
    learned = None
    if some[0].train is not None:
        learned = train([recording(one.train, one.name) for one in some], Plan())
    tables = replay([recording(one.test, one.name) for one in some], Plan(), learned).tables
    rows = [_of(one, tables[one.name]) for one in some]
    out = _means(rows)
    out["recall_at"] = recall_at([(one.test, tables[one.name]) for one in some])
    names = ("online-z",) if which == "cold" else ("kmeans", "robustz", "iforest")
    out["baselines"] = {name: _means([_baseline(name, one) for one in some]) for name in names}
    out["each"] = {one.name: round(row["vus_pr"], 4) for one, row in zip(some, rows, strict=True)}
    return out


def _of(case: c.Case, table: pd.DataFrame) -> dict:
    metrics = numeric_columns(case.test)
    blame = table[[f"contribution.{metric}" for metric in metrics]].to_numpy()
    return _figures(case, finite(table["score"]), blame) | {"own": _own(case.test, table["anomaly"].to_numpy())}


def _figures(case: c.Case, score: np.ndarray, blame: np.ndarray | None) -> dict:
    label, metrics = case.test["label"].to_numpy(np.int64), numeric_columns(case.test)
    out = {"vus_pr": vus_pr(label, score, period(case.test[metrics[0]])), "auc_pr": auc_pr(label, score)}
    if case.causes and blame is not None:
        out["hit100"] = hit_rate(blame, case.causes, metrics)
        out["hit150"] = hit_rate(blame, case.causes, metrics, percent=150)
    return out


def _own(test: pd.DataFrame, anomaly: np.ndarray) -> dict:
    alarms = asdict(own_threshold(test["label"], anomaly))
    return alarms | {"false_per_week": alarms.pop("false_incidents") / weeks(test)}


def weeks(test: pd.DataFrame) -> float:
    """How long a recording is."""
    return (test["timestamp"].iloc[-1] - test["timestamp"].iloc[0]).total_seconds() / WEEK_SECONDS


def _means(rows: list[dict]) -> dict:
    """Means over entities; NaN (no event, no hit) is left out."""
    out = {}
    for key, value in rows[0].items():
        of = [row[key] for row in rows]
        out[key] = _means(of) if isinstance(value, dict) else round(float(np.nanmean(of)), 4)
    return out


def recall_at(pairs: list[tuple[pd.DataFrame, pd.DataFrame]]) -> dict[str, float]:
    """Mean event recall at so many false incidents an entity and week: one shift of all thresholds, no labels within.

    The thresholds stay each entity's own; shifting all by the same number of decades is what a budget does.
    """
    plan = Plan().incidents
    reached = dict.fromkeys(map(str, c.BUDGETS), 0.0)
    within = set(reached)
    for shift in SHIFTS[::-1]:
        recalls, false = [], []
        for test, table in pairs:
            anomaly = alarmed(
                finite(table["score"]),
                table["threshold"].fillna(2.0).to_numpy() + shift,
                (plan.open_steps, plan.resolve_steps, plan.resolve_ratio),
            )
            alarms = own_threshold(test["label"], anomaly)
            recalls.append(alarms.event_recall)
            false.append(alarms.false_incidents / weeks(test))
        # lower thresholds open more incidents, until all flow into one: what lies beyond the first excess is no use
        within = {budget for budget in within if np.mean(false) <= float(budget)}
        reached |= dict.fromkeys(within, round(float(np.nanmean(recalls)), 4))
    return reached


@njit
def alarmed(score, threshold, rule):
    """Rows inside an incident, by the rule of the incidents: so many steps open, so many calm ones resolve."""
    open_steps, resolve_steps, ratio = rule
    out = np.zeros(score.size, np.int64)
    is_open, over, under = False, 0, 0
    for i in range(score.size):
        hit = score[i] >= threshold[i]
        if is_open:
            under = 0 if score[i] >= ratio * threshold[i] else under + 1
            is_open = under < resolve_steps
            over = 0
        else:
            over = over + 1 if hit else 0
            if over >= open_steps or (hit and score[i] >= min(1.0, STRONG * threshold[i])):
                is_open, under = True, 0
        out[i] = is_open
    return out


def _baseline(name: str, case: c.Case) -> dict:
    metrics = numeric_columns(case.test)
    test = case.test[metrics].to_numpy(float)
    if name == "online-z":
        past = pd.DataFrame(test).shift(1).expanding(2)
        score = (np.abs(test - past.mean()) / past.std().clip(lower=1e-9)).fillna(0.0).max(axis=1).to_numpy()
        return _figures(case, np.log1p(score), None)
    score, blame = plain(name, case.train[metrics].to_numpy(float), test)
    return _figures(case, np.log1p(np.maximum(score, 0.0)), blame)


def plain(name: str, train_rows: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Score and blame of a detector as most would write it in an afternoon."""
    spread = train_rows.std(0)
    spread = np.where(spread > 1e-8, spread, 1.0)
    known, new = ((x - train_rows.mean(0)) / spread for x in (train_rows, rows))
    new = np.clip(new, -50, 50)
    if name == "robustz":
        low, middle, high = np.percentile(train_rows, [25, 50, 75], axis=0)
        blame = np.abs(rows - middle) / np.maximum(high - low, 1e-2)
        return np.sqrt((np.minimum(blame, 50) ** 2).sum(1)), blame
    if name == "iforest":
        from sklearn.ensemble import IsolationForest

        forest = IsolationForest(n_estimators=100, random_state=0).fit(known[:: max(1, len(known) // 5000)])
        return -forest.score_samples(new), np.abs(new)
    from sklearn.cluster import MiniBatchKMeans

    width = 10
    windows = [sliding_window_view(x, width, axis=0).reshape(len(x) - width + 1, -1) for x in (known, new)]
    means = MiniBatchKMeans(n_clusters=50, random_state=0, n_init=3, batch_size=2048).fit(windows[0][::3])
    distance = means.transform(windows[1]).min(1)
    return np.concatenate([np.full(width - 1, distance[0]), distance]), np.abs(new)
