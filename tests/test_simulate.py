"""Laws of the simulated fleet: a function of time, seasons and correlations as promised, faults as their labels say."""

from __future__ import annotations

import filecmp
from pathlib import Path

import numpy as np
import pytest

from pipeline.catalog import Catalog
from pipeline.cli.main import main
from pipeline.codecs import decode
from pipeline.codecs.capture import read_capture
from pipeline.codecs.encode import ENCODERS
from pipeline.errors import SettingsError
from pipeline.events import Records
from pipeline.recordings import read_recordings
from pipeline.simulate.faults import FAULTS, INNOCENT, Injection
from pipeline.simulate.fleet import UNITS, Fleet
from pipeline.simulate.labels import read_labels
from pipeline.simulate.noise import red, white
from pipeline.simulate.records import records_of
from pipeline.simulate.scenario import scenario
from pipeline.simulate.telemetry import stretches, telemetry

START_MS = 1_767_571_200_000  # Monday 2026-01-05 00:00 UTC
MINUTE_MS, HOUR_MS, DAY = 60_000, 3_600_000, 1440
WORKING = [kind for kind in FAULTS if kind != INNOCENT]


def hit(kind: str, fleet: Fleet) -> Injection:
    """One fault at two in the afternoon of the first day, at a host of its role."""
    host = next(host for host in fleet.hosts if host.startswith(FAULTS[kind].role))
    start_ms = START_MS + 14 * HOUR_MS
    return Injection(kind, host, start_ms, start_ms + FAULTS[kind].minutes * MINUTE_MS)


def during(fault: Injection) -> slice:
    return slice((fault.start_ms - START_MS) // MINUTE_MS, (fault.end_ms - START_MS) // MINUTE_MS)


@pytest.mark.parametrize("make", [white, red])
def test_noise_is_a_function_of_time(make):
    whole = make(3, "a", 1000, 5000)
    assert np.array_equal(make(3, "a", 1777, 1500), whole[777:2277])
    assert abs(whole.std() - 1) < 0.15
    assert abs(np.corrcoef(whole, make(3, "b", 1000, 5000))[0, 1]) < 0.2
    assert not np.array_equal(make(4, "a", 1000, 10), whole[:10])


def test_any_stretch_equals_the_same_stretch_of_the_whole():
    fleet = Fleet(seed=5)
    plan = scenario(fleet, START_MS, DAY)
    whole = telemetry(fleet, plan, START_MS, DAY)
    part = telemetry(fleet, plan, START_MS + 500 * MINUTE_MS, 321)
    assert np.array_equal(part.times_ms, whole.times_ms[500:821])
    for host in fleet.hosts:
        np.testing.assert_array_equal(part.values[host], whole.values[host][500:821])
        pieces = [piece.values[host] for piece in stretches(fleet, plan, START_MS, DAY)]
        np.testing.assert_array_equal(np.concatenate(pieces), whole.values[host])


def test_equal_seeds_give_equal_fleets_and_others_do_not():
    first, again, other = (telemetry(Fleet(seed=seed), [], START_MS, 100) for seed in (1, 1, 2))
    for host in first.values:
        assert np.array_equal(first.values[host], again.values[host])
        assert not np.array_equal(first.values[host], other.values[host])


def test_load_has_a_day_a_weekend_and_moves_the_metrics_together():
    fleet = Fleet()
    week = telemetry(fleet, [], START_MS, 7 * DAY)
    for host in fleet.hosts:
        cpu = week.column(host, "cpu.utilization").reshape(7, 24, 60).mean(axis=2)
        assert cpu[:, 14:17].mean() > 1.5 * cpu[:, 2:5].mean()
        assert cpu[5:].mean() < 0.9 * cpu[:5].mean()
        for metric in ("request.rate", "network.throughput", "memory.utilization"):
            without_backup = np.s_[:, 120:]
            load, series = (week.column(host, m).reshape(7, DAY) for m in ("cpu.utilization", metric))
            assert np.corrcoef(load[without_backup].ravel(), series[without_backup].ravel())[0, 1] > 0.8


def test_values_stay_within_what_their_unit_allows():
    fleet = Fleet(seed=2)
    whole = telemetry(fleet, scenario(fleet, START_MS, DAY), START_MS, DAY)
    for host in fleet.hosts:
        for metric, unit in UNITS.items():
            series = whole.column(host, metric)
            assert np.nanmin(series) >= 0
            assert unit != "%" or np.nanmax(series) <= 100


@pytest.mark.parametrize("kind", WORKING)
def test_a_fault_does_what_its_label_says_and_nothing_elsewhere(kind):
    fleet = Fleet(seed=7)
    fault = hit(kind, fleet)
    with_fault, without = (telemetry(fleet, plan, START_MS, DAY) for plan in ([fault], []))
    at = during(fault)
    labels = fault.labels(fleet)
    assert {label.kind for label in labels} == {kind}
    assert all(label.is_fault for label in labels)
    reached = {label.entity for label in labels}
    for host in fleet.hosts:
        ill, well = with_fault.values[host], without.values[host]
        np.testing.assert_array_equal(np.delete(ill, at, axis=0), np.delete(well, at, axis=0))
        # A host whose callee has less to do answers a little faster: that is no fault.
        same = np.isclose(ill[at], well[at], rtol=0.1, atol=1, equal_nan=True)
        assert same.all() == (host not in reached), host
    if labels[0].metric:
        changed = with_fault.column(fault.host, labels[0].metric)[at]
        usual = without.column(fault.host, labels[0].metric)
        late = changed[len(changed) // 2 :]
        if kind == "stuck_sensor":
            assert (changed == usual[at.start]).all()
        else:
            assert (late > usual.max()).all() or (late < usual[at][len(late) :]).all()
    else:
        assert np.isnan(with_fault.values[fault.host][at]).all()


def test_leaks_and_filling_disks_grow_slowly_and_end_high():
    fleet = Fleet(seed=7)
    for kind in ("memory_leak", "disk_filling"):
        fault = hit(kind, fleet)
        series = telemetry(fleet, [fault], START_MS, DAY).column(fault.host, FAULTS[kind].metric)[during(fault)]
        assert series[-1] > 80
        assert np.abs(np.diff(series)).max() < 4


def test_a_slow_database_slows_whoever_waits_for_it_and_nobody_else():
    fleet = Fleet()
    fault = Injection("latency_cascade", "db-01", START_MS, START_MS + HOUR_MS)
    slow, calm = (telemetry(fleet, plan, START_MS, 60) for plan in ([fault], []))
    ratio = {h: np.median(slow.column(h, "request.latency") / calm.column(h, "request.latency")) for h in fleet.hosts}
    assert fleet.callers("db-01") == tuple(sorted(fleet.callers("db-01"), key=fleet.hosts.index))
    assert {host for host, times in ratio.items() if times > 1.3} == {"db-01", *fleet.callers("db-01")}
    assert ratio["db-01"] > max(ratio[host] for host in fleet.callers("db-01"))


def test_a_deploy_is_no_fault_and_small():
    fleet = Fleet()
    deploy = hit(INNOCENT, fleet)
    (label,) = deploy.labels(fleet)
    assert not label.is_fault
    after, before = (telemetry(fleet, plan, START_MS, DAY) for plan in ([deploy], []))
    moved = after.column(deploy.host, "memory.utilization") - before.column(deploy.host, "memory.utilization")
    assert (moved[: during(deploy).start] == 0).all()
    assert 0.5 < moved[during(deploy).start :].min() <= moved.max() <= 1.01


@pytest.mark.parametrize("seed", range(5))
def test_a_scenario_has_each_fault_once_at_a_host_of_its_own(seed):
    fleet = Fleet(seed=seed)
    plan = scenario(fleet, START_MS, DAY)
    assert sorted(one.kind for one in plan) == sorted([*WORKING, INNOCENT, INNOCENT])
    assert len({one.host for one in plan}) == len(plan)
    assert all(START_MS <= one.start_ms < one.end_ms <= START_MS + DAY * MINUTE_MS for one in plan)
    assert all(one.host.startswith(FAULTS[one.kind].role) for one in plan)
    assert plan == scenario(fleet, START_MS, DAY)


def test_a_fleet_measures_as_much_as_asked():
    fleet = Fleet(n_hosts=1, n_metrics=13)
    assert fleet.hosts == ("web-01",)
    assert fleet.metrics[-3:] == ("app.work.01", "app.work.02", "app.work.03")
    assert telemetry(fleet, [], START_MS, 5).values["web-01"].shape == (5, 13)
    assert [one.kind for one in scenario(Fleet(n_metrics=1), START_MS, 100, ["disk_filling", "cpu_saturation"])] == [
        "cpu_saturation"
    ]
    with pytest.raises(SettingsError, match="hosts: 0 is not between 1 and 100,000"):
        Fleet(n_hosts=0)


@pytest.mark.parametrize("name", ENCODERS)
def test_records_carry_every_value_once_and_a_silent_host_none(name):
    fleet = Fleet(n_hosts=3)
    fault = Injection("silent_host", "db-01", START_MS + 5 * MINUTE_MS, START_MS + 8 * MINUTE_MS)
    stretch = telemetry(fleet, [fault], START_MS, 10)
    records = list(records_of(stretch, ENCODERS[name]))
    assert [time_ms for time_ms, _, _ in records] == sorted(time_ms for time_ms, _, _ in records)
    assert sum(key == b"db-01" for _, key, _ in records) == 7
    times, keys, values = (list(column) for column in zip(*records, strict=True))
    catalog = Catalog()
    found = decode(Records("t", 0, list(range(len(records))), times, keys, values), catalog)
    sent = np.concatenate([one.ravel() for one in stretch.values.values()])
    np.testing.assert_allclose(np.sort(found.samples.value), np.sort(sent[~np.isnan(sent)]))
    assert {entity for entity, _ in catalog.entities} == set(fleet.hosts)
    if name != "influx":
        assert {i.metric: i.unit for i in catalog.identities} == UNITS


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as left:
        main(["simulate", "--duration", "5h", "--hosts", "4", *arguments])
    assert left.value.code in (0, None)


def test_equal_options_give_equal_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name, extra in (("a", ()), ("b", ()), ("c", ("--seed", "9"))):
        run("--out", str(tmp_path / name), *extra)
        run("--out", str(tmp_path / name), "--format", "otlp-proto", *extra)
    assert "8 faults and 2 deploys" in capsys.readouterr().out
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    same = filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", files, shallow=False)
    assert same == (files, [], [])
    assert not filecmp.cmp(tmp_path / "a" / "web-01.parquet", tmp_path / "c" / "web-01.parquet", shallow=False)


def test_wide_long_and_capture_hold_the_same_telemetry(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name in ("wide", "long", "json"):
        run("--out", str(tmp_path / name), "--format", name)
    wide, long = (read_recordings([tmp_path / name]) for name in ("wide", "long"))
    n_values = 0
    for one, other in zip(wide, sorted(long, key=lambda r: r.entity), strict=True):
        assert (one.entity, sorted(one.metrics)) == (other.entity, sorted(other.metrics))
        np.testing.assert_array_equal(one.times, other.times)
        np.testing.assert_array_equal(
            one.values[:, np.argsort(one.metrics)], other.values[:, np.argsort(other.metrics)]
        )
        n_values += int(np.isfinite(one.values).sum())
    assert len(decode(read_capture(tmp_path / "json" / "fleet.jsonl.gz"), Catalog()).samples) == n_values
    labels = read_labels(tmp_path / "wide" / "labels.csv")
    assert {label.kind for label in labels} == set(FAULTS)
