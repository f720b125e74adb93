"""Metricbeat's events, shaped as its modules publish them: whose they are, what tells series apart, what counts up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from reading import NS, read

from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.codecs.report import report_of
from pipeline.dialect import DEFAULT, Dialect
from pipeline.events import Kind, Records

TIME = "2026-01-05T00:00:00.000Z"


def event(module: str, metricset: str, **parts: Any) -> dict[str, Any]:
    """An event with the envelope of Metricbeat 7 and later."""
    return {
        "@timestamp": TIME,
        "agent": {"name": "web-01", "type": "metricbeat", "version": "8.11.0", "id": "3f0c"},
        "ecs": {"version": "8.0.0"},
        "event": {"dataset": f"{module}.{metricset}", "duration": 115000, "module": module},
        "host": {"name": "web-01", "os": {"kernel": "6.1.0"}, "ip": ["10.0.0.1"], "containerized": False},
        "metricset": {"name": metricset, "period": 10000},
        "service": {"type": module},
        **parts,
    }


def kinds(found: dict[str, Any], dialect: Dialect = DEFAULT) -> dict[str, Kind]:
    rows = read(json.dumps(found), dialect)[0]
    assert {row[0] for row in rows} == {"web-01"}
    return {row[1]: Kind(row[5]) for row in rows}


def test_cpu_shares_are_levels_and_ticks_count_up() -> None:
    state = {"norm": {"pct": 0.25}, "pct": 1, "ticks": 2001810369}
    found = kinds(event("system", "cpu", system={"cpu": {"cores": 4, "idle": state, "total": {"pct": 3}}}))
    assert found == {
        "system.cpu.cores": Kind.GAUGE,
        "system.cpu.idle.norm.pct": Kind.GAUGE,
        "system.cpu.idle.pct": Kind.GAUGE,
        "system.cpu.idle.ticks": Kind.COUNTER,
        "system.cpu.total.pct": Kind.GAUGE,
    }


def test_cores_are_told_apart_by_their_number() -> None:
    rows, identities, _ = read(json.dumps(event("system", "core", system={"core": {"id": 3, "idle": {"ticks": 7}}})))
    assert [(row[1], row[2], row[4], row[5]) for row in rows] == [("system.core.idle.ticks", {"id": "3"}, "7", 1)]
    assert len(set(identities)) == 1


def test_a_process_with_cgroup_is_named_by_process_and_pid_and_its_limits_stay_levels() -> None:
    group = {
        "id": "docker.service",
        "path": "/system.slice/docker.service",
        "blkio": {"id": "docker.service", "total": {"bytes": 842910023680, "ios": 54752502}},
        "cpuacct": {"percpu": {"1": 7027193204209}, "total": {"ns": 28107646792325}},
        "memory": {"mem": {"failures": 2, "limit": {"bytes": 9223372036854771712}}, "stats": {"page_faults": 5}},
    }
    process = {"cgroup": group, "cpu": {"start_time": TIME, "total": {"pct": 0.5, "value": 27704100}}, "state": "idle"}
    whole = event("system", "process", system={"process": process})
    whole["process"] = {"args": ["dockerd", "-H"], "name": "dockerd", "pid": 2080, "ppid": 1}
    rows, _, found = read(json.dumps(whole))
    assert {row[2]["name"] + row[2]["pid"] for row in rows} == {"dockerd2080"}
    rising = {row[1] for row in rows if row[5] == Kind.COUNTER}
    assert rising == {
        "system.process.cgroup.blkio.total.bytes",
        "system.process.cgroup.blkio.total.ios",
        "system.process.cgroup.cpuacct.percpu.1",
        "system.process.cgroup.cpuacct.total.ns",
        "system.process.cgroup.memory.mem.failures",
        "system.process.cgroup.memory.stats.page_faults",
        "system.process.cpu.total.value",
    }
    (limit,) = (row for row in rows if row[1].endswith("limit.bytes"))
    assert limit[4:] == ("9.22337e+18", Kind.GAUGE)
    assert (found.rejected, found.skipped) == ([], {"text_field": 3})


def test_rates_that_a_module_computed_itself_are_levels() -> None:
    disk = {"name": "vda", "io": {"time": 545105}, "read": {"bytes": 1, "count": 2, "time": 3}}
    disk["iostat"] = {"read": {"per_sec": {"bytes": 4.5}, "request": {"per_sec": 1}}, "busy": 7}
    found = kinds(event("system", "diskio", system={"diskio": disk}))
    assert {name for name, kind in found.items() if kind == Kind.GAUGE} == {
        "system.diskio.iostat.read.per_sec.bytes",
        "system.diskio.iostat.read.request.per_sec",
        "system.diskio.iostat.busy",
    }
    network = {"interface": "eth0", "in": {"bytes": 12.5}, "inbound": {"bytes": 900}}
    found = kinds(event("docker", "network", docker={"network": network}))
    assert found == {"docker.network.in.bytes": Kind.GAUGE, "docker.network.inbound.bytes": Kind.COUNTER}


def test_containers_are_told_apart_in_the_layouts_of_both_ages() -> None:
    usage = {"cpu": {"usage": {"total": 0.0088, "per_cpu": {"0": 0.002}}}}
    new = event("docker", "cpu", docker=usage, container={"id": "8abaa1", "name": "zoo", "runtime": "docker"})
    old = {
        "@timestamp": TIME,
        "beat": {"hostname": "web-01", "name": "other"},
        "docker": {"container": {"id": "33a924", "labels": [{"key": "a", "value": "b"}], "name": "zoo"}, **usage},
        "metricset": {"host": "localhost", "module": "docker", "name": "cpu", "rtt": 115},
        "type": "metricsets",
    }
    labels = []
    for whole in (new, old):
        rows = read(json.dumps(whole))[0]
        assert [(row[0], row[1], row[3]) for row in rows] == [
            ("web-01", "docker.cpu.usage.total", NS),
            ("web-01", "docker.cpu.usage.per_cpu.0", NS),
        ]
        labels.append(rows[0][2])
    assert labels == [{"name": "zoo"}, {"name": "zoo", "id": "33a924", "host": "localhost"}]


def test_a_pods_containers_keep_pod_node_and_namespace() -> None:
    container = {
        "name": "sidecar",
        "id": "docker://9d87",
        "status": {"restarts": 5, "phase": "running", "ready": True},
        "cpu": {"usage": {"nanocores": 4741228, "core": {"ns": 83347618953}}},
        "memory": {"pagefaults": 4658},
    }
    pod = {"namespace": "kube-system", "node": {"name": "n1"}, "pod": {"name": "dns-1"}, "container": container}
    rows, _, found = read(json.dumps(event("kubernetes", "container", kubernetes=pod)))
    assert {tuple(row[2].values()) for row in rows} == {tuple(rows[0][2].values())}
    assert set(rows[0][2].values()) == {"kube-system", "n1", "dns-1", "sidecar", "docker://9d87"}
    assert [row[1] for row in rows if row[5] == Kind.GAUGE] == ["kubernetes.container.cpu.usage.nanocores"]
    assert found.skipped == {"text_field": 1, "odd_field": 1}


@pytest.mark.parametrize(
    "scraped",
    [
        {"collector": {"label": {"handler": "query"}, "http_requests_total": 3}},
        {"labels": {"handler": "query"}, "metrics": {"http_requests_total": 3}},
    ],
)
def test_labels_of_what_was_scraped_from_prometheus_are_labels(scraped: dict[str, Any]) -> None:
    whole = event("prometheus", "collector", prometheus=scraped)
    whole["service"]["address"] = "127.0.0.1:9090"
    rows, _, found = read(json.dumps(whole))
    assert [(row[1].rpartition(".")[2], row[2], row[5]) for row in rows] == [
        ("http_requests_total", {"handler": "query", "address": "127.0.0.1:9090"}, Kind.COUNTER)
    ]
    assert found.skipped == {}


def test_replicas_of_one_partition_are_different_series() -> None:
    series = set()
    for replica in (1, 2):
        partition = {
            "broker": {"id": 0, "address": "k:9092"},
            "offset": {"newest": 10, "oldest": 0},
            "partition": {"id": 4, "replica": replica, "is_leader": replica == 1, "leader": 1},
            "topic": {"name": "orders"},
        }
        rows, identities, _ = read(json.dumps(event("kafka", "partition", kafka={"partition": partition})))
        series.add(identities[0])
        assert rows[0][5] == Kind.COUNTER
    assert len(series) == 2


def test_booleans_texts_and_minus_one_of_an_info_event_are_no_trouble() -> None:
    info = {
        "cluster": {"enabled": False},
        "server": {"version": "3.2.4", "uptime": 697},
        "stats": {"keys": {"evicted": 1}},
    }
    info["persistence"] = {"rdb": {"bgsave": {"last_time": {"sec": -1}}}}
    rows, _, found = read(json.dumps(event("redis", "info", redis={"info": info})))
    assert [(row[1], row[4], row[5]) for row in rows] == [
        ("redis.info.server.uptime", "697", Kind.GAUGE),
        ("redis.info.stats.keys.evicted", "1", Kind.COUNTER),
        ("redis.info.persistence.rdb.bgsave.last_time.sec", "-1", Kind.GAUGE),
    ]
    assert found.skipped == {"odd_field": 1, "text_field": 1}


@pytest.mark.parametrize(("period", "seconds"), [(10000, 10.0), (None, None), ("10s", None), (-1, None), (True, None)])
def test_the_cadence_is_what_the_metricset_says_until_samples_show_it(period: object, seconds: float | None) -> None:
    whole = event("system", "load", system={"load": {"1": 2.5}})
    whole["metricset"]["period"] = period
    catalog = Catalog()
    decoded = decode(Records("t", 0, [0], [0], [None], [json.dumps(whole).encode()]), catalog)
    assert [metric.step_seconds for metric in report_of([(decoded, catalog)]).metrics] == [seconds]


def test_the_setting_names_further_counters() -> None:
    found = kinds(event("shop", "orders", shop={"orders": {"placed": 5}}), Dialect(rising_metrics=("shop.*",)))
    assert found == {"shop.orders.placed": Kind.COUNTER}
