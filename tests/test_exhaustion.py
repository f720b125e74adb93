"""What fills up is foretold once and honestly; what is cleaned every night wakes nobody."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import naive
import numpy as np
import pytest

from pipeline.events import Records, SeriesIdentity
from pipeline.exhaustion import bound_of
from pipeline.image import live_rows
from pipeline.kernels import filling as k
from pipeline.recordings import Recording
from pipeline.replay import replay
from pipeline.rules import Rule
from pipeline.stream import PartitionStream, Plan

BENCHMARKS = Path(__file__).parent / "benchmarks"
HOUR, T0 = 3_600_000, 1_700_006_400_000  # a midnight
STEP = 300_000


@pytest.fixture(scope="module")
def scenes():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("scenes")


def blocks(times, values, limit=100.0):
    state = np.zeros((1, k.N_STATE))
    k.begin(state)
    out = np.zeros((len(times), k.N_OUT))
    rows = (np.zeros(len(times), np.int64), np.asarray(times, np.int64), np.asarray(values, float))
    return out[: k.observe(rows, np.array([limit]), state, out)]


def a_disk(seed, hours=96, hours_to_full=24.0, begin=72, noise=0.05):
    """Level 60, from hour ``begin`` on growing so that it is full ``hours_to_full`` later; 5-minute steps."""
    rng = np.random.default_rng(seed)
    times = T0 + np.arange(0, hours * HOUR, STEP)
    grown = np.maximum((times - T0) / HOUR - begin, 0) * 40 / hours_to_full
    return times, np.minimum(60 + grown + rng.normal(scale=noise, size=len(times)), 100.0)


def events_of(values, times, metric="disk.utilization", plan=None):
    one = Recording("db-01", [metric], times * 1_000_000, np.asarray(values, float)[:, None])
    return [e.data for e in replay([one], plan or Plan()).incidents if e.data.track == "exhaustion"]


@pytest.mark.parametrize("seed", range(6))
def test_the_kernel_is_its_naive_twin(seed):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.choice([60_000, 300_000, 5_000_000], p=[0.5, 0.48, 0.02], size=3_000)) + T0
    slopes = rng.normal(scale=0.01, size=6).repeat(500)
    values = np.clip(50 + slopes.cumsum() + rng.normal(scale=[0.0, 0.2, 1.0][seed % 3], size=3_000), 0, 100)
    values[1_500:] -= 20.0 * (seed % 2)
    found = blocks(times, values)
    expected = naive.filling(list(zip(times.tolist(), values.tolist(), strict=True)), 100.0)
    assert len(found) == len(expected)
    np.testing.assert_allclose(found[:, k.USED], [row[0] for row in expected], rtol=1e-12)
    assert found[:, k.RIPE].astype(bool).tolist() == [row[4] for row in expected]


def test_nine_of_ten_intervals_hold_the_truth():
    held = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        hours = float(rng.uniform(12, 48))
        times, values = a_disk(seed, hours_to_full=hours, noise=rng.uniform(0.02, 0.4))
        out = blocks(times, values)
        left = 72 + hours - (times[out[:, k.ROW].astype(int)] - T0) / HOUR
        ripe = (out[:, k.RIPE] > 0) & (left > 0.5)
        assert ripe.any(), seed
        held.append(np.mean((out[ripe, k.EARLIEST_HOURS] <= left[ripe]) & (left[ripe] <= out[ripe, k.LATEST_HOURS])))
    assert 0.85 <= np.mean(held) <= 1.0


def test_a_filling_disk_is_foretold_once_and_revised():
    told = events_of(*reversed(a_disk(1)))
    assert told[0].reason == "opened"
    assert len({one.incident_id for one in told}) == 1
    assert len(told) <= 6
    first = told[0]
    assert first.kind == "exhaustion" and first.severity == "warning"
    assert first.title.startswith("db-01: disk.utilization full in ")
    assert "(" in first.title and "now 6" in first.title
    assert first.forecast is not None and first.forecast.limit == 100.0
    assert first.forecast.earliest_at < first.forecast.full_at < first.forecast.latest_at
    full_at = T0 + (72 + 24) * HOUR
    assert abs(np.datetime64(first.forecast.full_at.rstrip("Z"), "ms").astype(np.int64) - full_at) < 3 * HOUR
    assert [one.severity for one in told] == sorted(
        (one.severity for one in told), key=("warning", "error", "critical").index
    )


def test_a_cleaned_disk_resolves_what_was_foretold():
    times, values = a_disk(2, hours=110)
    cleaned = (times - T0) / HOUR > 84
    values[cleaned] = 30 + 0.001 * values[cleaned]
    told = events_of(values, times)
    assert [one.status for one in told][-1] == "resolved"
    assert told[-1].reason == "recovered"
    assert [one.status for one in told].count("resolved") == 1


def test_what_counts_down_is_used_up_and_a_ratio_may_be_in_percent():
    times, values = a_disk(3)
    left = events_of(100 - values, times, "filesystem.free.percent")
    assert left and left[0].title.startswith("db-01: filesystem.free.percent used up in ")
    share = events_of(values / 100, times, "memory.utilization")
    assert share and share[0].forecast is not None and share[0].forecast.limit == 1.0
    assert share[0].title.split("in ")[1] == events_of(values, times, "memory.utilization")[0].title.split("in ")[1]


def test_a_limit_is_learned_from_the_sibling_that_says_how_much_there_is():
    times, values = a_disk(4)
    table = np.column_stack([values * 1e9, np.full(len(values), 1e11)])
    one = Recording("db-01", ["disk.used", "disk.total"], times * 1_000_000, table)
    told = [e.data for e in replay([one], Plan()).incidents if e.data.track == "exhaustion"]
    assert told and told[0].forecast is not None and told[0].forecast.limit == 1e11
    assert told[0].title.split("in ")[1] == events_of(values, times)[0].title.split("in ")[1]
    alone = Recording("db-01", ["disk.used"], times * 1_000_000, table[:, :1])
    assert [e for e in replay([alone], Plan()).incidents if e.data.track == "exhaustion"] == []


def test_a_limit_given_by_a_rule_wins():
    times, values = a_disk(4)
    told = events_of(values, times, "jobs.waiting", Plan(rules=(Rule(metric="jobs.*", limit=90.0, name="queue"),)))
    assert told[0].forecast is not None and told[0].forecast.limit == 90.0 and told[0].rule == "queue"


def disks(hosts, n_steps=60, first=0):
    """Records of a disk that fills, of jobs that wait and of others, host by host."""
    chance, names = np.random.default_rng(6), ("cpu.time", "disk.utilization", "jobs.waiting")
    values, times = [], []
    for i in range(first, first + n_steps):
        rows = [
            {
                "timestamp": T0 + i * STEP,
                "entity": host,
                "metric": name,
                "value": 0.5 + 0.001 * i + 0.01 * chance.random(),
            }
            for host in hosts
            for name in names
        ]
        values.append(json.dumps(rows).encode())
        times.append(T0 + i * STEP)
    return Records("t", 0, list(range(first, first + n_steps)), times, [None] * n_steps, values)


def bounded_names(stream):
    return {stream.catalog.identities[s].metric for s in stream.judge.exhaustion.bounded.tolist()}


def test_only_what_can_run_out_takes_room():
    stream = PartitionStream(Plan(), "t", 0)
    stream.step(disks("abc"))
    assert bounded_names(stream) == {"disk.utilization"}
    assert stream.judge.rows()["bounded"] == 3
    assert {len(live_rows(table, stream.image().rows)) for table in stream.judge.exhaustion.tables().values()} == {3}


@pytest.mark.parametrize("hosts", ["abc", "cab"])
def test_a_restart_goes_on_with_the_limits_that_were_in_force_whatever_rules_came_meanwhile(hosts):
    stream, ruled = PartitionStream(Plan(), "t", 0), Plan(rules=(Rule(metric="jobs.*", limit=9.0, name="queue"),))
    stream.step(disks(hosts))
    stream.obey(ruled)
    stream.step(disks([*hosts, "later"], 20, 60))
    assert stream.judge.rows()["bounded"] == 5  # jobs of the host that came after the rule
    image = stream.image()
    copies = {name: table._replace(array=table.array.copy()) for name, table in image.tables.items()}
    again = PartitionStream.of_image(replace(image, tables=copies), "t", 0, None)
    assert again.digest() == stream.digest()
    more = disks([*hosts, "later"], 20, 80)
    assert again.step(more).incidents == stream.step(more).incidents
    assert again.digest() == stream.digest()


def test_the_track_can_be_off():
    times, values = a_disk(1)
    assert events_of(values, times, plan=Plan(exhaustion_ms=0)) == []


@pytest.mark.parametrize("kind", ["saw_tooth_disk", "deploy", "nightly_backup"])
def test_what_comes_back_every_day_runs_out_of_nothing(scenes, kind):
    hosts = [getattr(scenes, kind)(np.random.default_rng(seed)).host.recording(f"h{seed}") for seed in range(2)]
    told = replay(hosts, Plan()).incidents
    assert [e.data.title for e in told if e.data.track == "exhaustion"] == []


@pytest.mark.parametrize(
    ("metric", "unit", "bound"),
    [
        ("disk.utilization", "", (1.0, False)),
        ("system.filesystem.utilization", "ratio", (1.0, False)),
        ("disk_used_percent", "%", (100.0, False)),
        ("mem.available_percent", "%", (100.0, True)),
        ("cpu.utilization", "ratio", None),
        ("diskio.io_util", "%", None),
        ("disk.read_bytes", "By", None),
        ("db.client.connections.utilization", "", (1.0, False)),
    ],
)
def test_room_runs_out_and_work_does_not(metric, unit, bound):
    assert bound_of(SeriesIdentity("h", "host", metric, (), unit)) == bound
