"""The laws of the stream: any chunking gives the same bytes, accounting closes, incidents have one life."""

import json
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.events import Records
from pipeline.replay import backtest
from pipeline.stream import PartitionStream, Plan

T0 = 1_700_000_000_000
STEP = 60_000
N_STEPS = 2_200
FAULT = range(2_000, 2_025)


def _value(rng, t, metric, host):
    value = (50 + 20 * np.sin(t / 1440 * 2 * np.pi)) * (1 + metric) + 2 * rng.normal()
    return value + 90 if host == "h1" and metric == 2 and t in FAULT else value


@pytest.fixture(scope="module")
def values():
    rng = np.random.default_rng(1)
    out = []
    for t in range(N_STEPS):
        for host in ("h1", "h2", "h3"):
            rows = [
                {"timestamp": T0 + t * STEP, "entity": host, "metric": f"m{m}", "value": _value(rng, t, m, host)}
                for m in range(5)
            ]
            if host != "h3" or t < 2_100:
                out.append((T0 + t * STEP, json.dumps(rows).encode()))
    return out


def records(part, first):
    n = len(part)
    times, values = [t for t, _ in part], [v for _, v in part]
    return Records("telemetry", 0, list(range(first, first + n)), times, [None] * n, values)


def run(values, cuts, plan=None):
    stream, out, scores = PartitionStream(plan or Plan(), "telemetry", 0), [], []
    edges = [0, *sorted({c % len(values) for c in cuts}), len(values)]
    for a, b in pairwise(edges):
        result = stream.step(records(values[a:b], a))
        out += result.incidents
        scores += result.scores
    return stream, out, scores


@pytest.fixture(scope="module")
def whole(values):
    return run(values, [])


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=40))
@settings(max_examples=4, deadline=None)
def test_any_chunking_gives_the_same_bytes(values, whole, cuts):
    _, events, scores = run(values, cuts)
    assert msgspec.json.encode(events) == msgspec.json.encode(whole[1])
    assert msgspec.json.encode(sorted(scores, key=lambda s: (s.offset, s.entity, s.time_ms))) == msgspec.json.encode(
        sorted(whole[2], key=lambda s: (s.offset, s.entity, s.time_ms))
    )


@given(
    st.lists(st.tuples(st.sampled_from([10, 30, 60]), st.integers(0, 59)), min_size=2, max_size=5),
    st.integers(0, 3_000),
)
@settings(max_examples=8, deadline=None)
def test_a_step_of_an_entity_is_told_once_whatever_the_steps_of_its_series(rhythms, joins):
    rng, rows = np.random.default_rng(5), []
    for m, (step, phase) in enumerate(rhythms):
        begin = joins if m == len(rhythms) - 1 else 0  # one metric comes when the others are known
        rows += [(1000 * (t + phase), m) for t in range(begin - begin % 60, 6_000, step)]
    sent = [
        (T0 + t, json.dumps({"timestamp": T0 + t, "entity": "h", "metric": f"m{m}", "value": rng.normal()}).encode())
        for t, m in sorted(rows)
    ]
    _, _, scores = run(sent, [], Plan(publish_all_scores=True))
    times = [row.time_ms for row in scores]
    assert times == sorted(set(times))
    quickest = min(step for step, _ in rhythms[:-1])
    assert len(times) >= 6_000 // quickest - 30 - 2 * 8  # none is lost but for warm-up and the first rhythms


def test_metrics_that_learn_their_step_together_are_first_judged_together(values):
    _, _, scores = run(values[:600], [], Plan(publish_all_scores=True))
    first = next(row for row in scores if row.entity == "h1")
    assert sorted(first.contributions) == [f"m{m}" for m in range(5)]
    assert first.time_ms == T0 + (8 - 1 + 30) * STEP


def test_accounting_closes_to_the_sample(values, whole):
    c = whole[0].counts
    assert c.records == len(values)
    assert c.decoded == 5 * len(values)
    fates = c.on_grid + c.replaced + c.duplicate + c.late + c.first_of_counter
    assert c.decoded == fates + c.stale_or_non_finite + c.refused + c.not_watched + c.waiting


def test_the_fault_opens_one_incident_that_blames_its_metric_and_resolves(whole):
    life = [e for e in whole[1] if e.data.entity.id == "h1"]
    assert life[0].type == "foreshock.incident.opened.v1"
    assert life[0].data.contributing_metrics[0].metric == "m2"
    assert life[0].data.started_at == "2023-11-16T07:33:20.000Z"
    assert life[-1].data.status == "resolved"
    assert len({e.data.incident_id for e in life}) == 1
    assert [e.data.revision for e in life] == list(range(1, len(life) + 1))
    assert sum(m.share for m in life[0].data.contributing_metrics) == pytest.approx(1, abs=1e-5)


def test_a_silent_host_is_an_incident_and_its_neighbours_are_not(whole):
    silent = [e for e in whole[1] if e.data.track == "silence"]
    assert [e.data.entity.id for e in silent] == ["h3"]
    assert silent[0].data.title == "h3: no telemetry since 09:12 UTC"


def test_a_healthy_host_has_no_incident(whole):
    assert not [e for e in whole[1] if e.data.entity.id == "h2"]


def test_one_fast_clock_silences_nobody(values):
    stream = PartitionStream(Plan(), "telemetry", 0)
    stream.step(records(values[:3000], 0))
    ahead = [{"timestamp": T0 + 10**7 * 9, "entity": "fast", "metric": "m", "value": 1.0}]
    fast = (T0 + 10**7 * 9, json.dumps(ahead).encode())
    assert stream.step(records([fast, *values[3000:3100]], 3000)).incidents == []


def test_a_sample_far_ahead_of_its_record_is_refused(values):
    stream = PartitionStream(Plan(), "telemetry", 0)
    time_ms, value = values[0]
    result = stream.step(records([(time_ms - 10**8, value)], 0))
    assert result.counts.refused == result.counts.decoded == 5


def test_a_restart_in_mid_incident_goes_on_with_the_same_incident(values, whole):
    cut = next(i for i, (t, _) in enumerate(values) if t >= T0 + 2_012 * STEP)
    _, before, _ = run(values[:cut], [])
    again = PartitionStream(Plan(), "telemetry", 0)
    again.step(records(values[:cut], 0))
    assert again.adopt([e.data for e in before]) == 0
    after = again.step(records(values[cut:], cut)).incidents
    assert msgspec.json.encode(before + after) == msgspec.json.encode(whole[1])


def test_a_replay_that_forgot_still_resolves_what_was_published(values):
    cut = next(i for i, (t, _) in enumerate(values) if t >= T0 + 2_012 * STEP)
    _, before, _ = run(values[:cut], [])
    forgetful = PartitionStream(Plan(), "telemetry", 0)
    forgetful.step(records(values[cut - 300 : cut], cut - 300))
    forgetful.adopt([e.data for e in before])
    after = [e for e in forgetful.step(records(values[cut:], cut)).incidents if e.data.entity.id == "h1"]
    assert after[-1].data.status == "resolved"
    assert after[0].data.incident_id == before[-1].data.incident_id
    assert after[0].data.revision == before[-1].data.revision + 1


def test_a_backtest_scores_each_row_from_rows_up_to_it():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(4)
    times = pd.date_range("2026-01-01", periods=1500, freq="min")
    frame = pd.DataFrame({"timestamp": times, "a": rng.normal(size=1500), "b": rng.normal(size=1500)})
    full, _ = backtest(frame, None, Plan())
    head, _ = backtest(frame[:1000], None, Plan())
    assert len(full) == 1500
    pd.testing.assert_frame_equal(full[:1000], head)
    assert full["score"].notna().mean() > 0.95
