"""What Telegraf, collectd, Metricbeat and home-grown senders mean, trap by trap; entities; and how formats are told."""

from __future__ import annotations

import json
import struct

import pytest
from reading import AT, NS, RECORD_MS, read, reasons

from pipeline.dialect import Dialect, JsonMapping
from pipeline.events import Kind, Origin

# --- Telegraf


def telegraf(timestamp: object, **fields: object) -> str:
    return json.dumps({"fields": fields, "name": "cpu", "tags": {"host": "a", "cpu": "cpu0"}, "timestamp": timestamp})


@pytest.mark.parametrize(
    ("timestamp", "ns"),
    [
        (AT, NS),
        (AT * 1000 + 5, NS + 5 * 10**6),
        (AT * 10**6 + 5, NS + 5000),
        (NS + 1, NS + 1),  # beyond 2^53: a parser of doubles would lose the last digit
        ("2026-01-05T00:00:00.000000001Z", NS + 1),
        ("2026-01-05T01:00:00.5+01:00", NS + 5 * 10**8),
    ],
)
def test_telegraf_json_times_come_in_every_unit(timestamp: object, ns: int) -> None:
    assert read(telegraf(timestamp, usage_idle=97.5))[0] == [("a", "cpu.usage_idle", {"cpu": "cpu0"}, ns, "97.5", 0)]


def test_telegraf_json_skips_text_keeps_booleans_and_takes_null_as_no_value() -> None:
    rows, _, found = read(telegraf(AT, text=" 0:23", up=True, gone=None, usage_idle=1))
    assert [(metric, value, kind) for _, metric, _, _, value, kind in rows] == [
        ("cpu.up", "1", 0),
        ("cpu.gone", "nan", Origin.STALE),
        ("cpu.usage_idle", "1", 0),
    ]
    assert (found.skipped, found.rejected) == ({"text_field": 1}, [])


def test_telegraf_json_takes_many_metrics_in_one_record_and_keeps_the_good_ones() -> None:
    value = '{"metrics":[' + telegraf(AT, a=1) + ',{"name":"x"},' + telegraf(AT, b=2) + "]}"
    assert [row[1] for row in read(value)[0]] == ["cpu.a", "cpu.b"]
    assert reasons(value) == ["no_fields"]


def test_fields_that_telegraf_counts_since_boot_are_counters_in_line_and_json() -> None:
    line = read(f"diskio,host=a,name=vda reads=5i,iops_in_progress=1i {NS}\n")[0]
    as_json = read(
        json.dumps(
            {
                "fields": {"reads": 5, "iops_in_progress": 1},
                "name": "diskio",
                "tags": {"host": "a", "name": "vda"},
                "timestamp": AT,
            }
        )
    )[0]
    assert line == as_json
    assert [row[5] for row in line] == [Kind.COUNTER, Kind.GAUGE]


# --- collectd


def collectd(**changes: object) -> str:
    whole = {
        "values": [96.5],
        "dstypes": ["derive"],
        "dsnames": ["value"],
        "time": AT + 0.856,
        "interval": 5.0,
        "host": "a",
        "plugin": "cpu",
        "plugin_instance": "0",
        "type": "cpu",
        "type_instance": "idle",
    }
    return json.dumps([whole | changes])


def test_collectd_json_names_value_lists_as_collectd_does() -> None:
    several = {"values": [1, None], "dstypes": ["derive", "gauge"], "dsnames": ["rx", "tx"], "plugin": "interface"}
    rows = read(collectd(**several, plugin_instance="eth0", type="if_octets", type_instance=""))[0]
    at = NS + 856 * 10**6
    assert rows == [
        ("a", "interface-eth0/if_octets:rx", {}, at, "1", 0),
        ("a", "interface-eth0/if_octets:tx", {}, at, "nan", Origin.STALE),
    ]


@pytest.mark.parametrize(
    ("rates", "source", "kind"),
    [
        (True, "derive", Kind.GAUGE),
        (False, "derive", Kind.COUNTER),
        (False, "counter", Kind.COUNTER),
        (False, "absolute", Kind.DELTA),
        (False, "gauge", Kind.GAUGE),
    ],
)
def test_a_derive_of_collectd_is_a_rate_unless_rates_are_not_stored(rates: bool, source: str, kind: Kind) -> None:
    rows = read(collectd(dstypes=[source]), Dialect(collectd_rates=rates))[0]
    assert [row[5] for row in rows] == [kind]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dstypes": ["derive", "gauge"]}, "bad_value_list"),
        ({"plugin": 7}, "no_metric_name"),
        ({"time": None}, "no_time"),
        ({"values": [{}]}, "bad_value"),
    ],
)
def test_a_value_list_that_is_none_is_rejected(changes: dict[str, object], reason: str) -> None:
    assert reasons(collectd(**changes)) == [reason]


def test_putval_reads_raw_counters_unknown_values_quotes_and_several_lists() -> None:
    text = f'PUTVAL "a b/cpu-0/cpu-idle" interval=5.000 {AT}.856:80224 {AT + 5}:U\nPUTVAL a/load/load N:1.5:2:2.5'
    at, now = NS + 856 * 10**6, RECORD_MS * 10**6
    rows, _, found = read(text)
    assert rows == [
        ("a b", "cpu-0/cpu-idle", {}, at, "80224", Kind.COUNTER),
        ("a b", "cpu-0/cpu-idle", {}, NS + 5 * 10**9, "nan", Kind.COUNTER | Origin.STALE),
        ("a", "load/load:0", {}, now, "1.5", 0),
        ("a", "load/load:1", {}, now, "2", 0),
        ("a", "load/load:2", {}, now, "2.5", 0),
    ]
    assert found.rejected == []


@pytest.mark.parametrize(
    "line", ["PUTVAL a/b 1:2", "PUTVAL a/b/c", "PUTVAL a/b/c 5", "PUTVAL a/b/c x:1", "PUTVAL a/b/c 5:x"]
)
def test_a_putval_that_is_none_is_rejected(line: str) -> None:
    rows, _, found = read(f"PUTVAL h/p/t {AT}:1\n{line}")
    assert (len(rows), len(found.rejected)) == (1, 1)


@pytest.mark.parametrize(
    ("path", "entity", "metric"),
    [
        ("cache-01.cpu-0.cpu-idle", "cache-01", "cache-01.cpu-0.cpu-idle"),
        ("srv.mail-02.cpu.0.percent.idle", "mail-02", "srv.mail-02.cpu.0.percent.idle"),
        ("load", "unknown", "load"),
        ("disk.used;host=a;dc=eu", "a", "disk.used"),
    ],
)
def test_the_host_of_a_graphite_path_is_its_first_telling_part_or_its_tag(path: str, entity: str, metric: str) -> None:
    rows, _, found = read(f"{path} 1.5 {AT}\r\n{path} nan {AT + 5}\r\n")
    assert [(row[0], row[1], row[4]) for row in rows] == [(entity, metric, "1.5"), (entity, metric, "nan")]
    assert found.rejected == []


def test_a_graphite_pattern_names_entity_and_metric() -> None:
    dialect = Dialect(graphite_pattern=r"^(?:\w+)\.(?P<entity>[\w-]+)\.(?P<metric>.+)$")
    assert read(f"prod.a-1.load.short 1 {AT}\n", dialect)[0][0][:2] == ("a-1", "load.short")


# --- Metricbeat and home-grown JSON


def test_metricbeat_flattens_numbers_and_labels_what_tells_apart() -> None:
    event = {
        "@timestamp": "2026-01-05T00:00:00.123Z",
        "agent": {"version": "8.1", "hostname": "x"},
        "event": {"duration": 115000},
        "host": {"name": "web-01", "cpu": {"pct": 0.0457}},
        "metricset": {"name": "filesystem", "period": 10000},
        "system": {"filesystem": {"mount_point": "/", "used": {"bytes": 7, "pct": 0.25}, "files": 3, "options": "rw"}},
    }
    rows, identities, found = read(json.dumps(event))
    label = {"mount_point": "/"}
    at = NS + 123 * 10**6
    assert rows == [
        ("web-01", "system.filesystem.used.bytes", label, at, "7", 0),
        ("web-01", "system.filesystem.used.pct", label, at, "0.25", 0),
        ("web-01", "system.filesystem.files", label, at, "3", 0),
        ("web-01", "host.cpu.pct", label, at, "0.0457", 0),
    ]
    assert [identity.unit for identity in identities] == ["By", "ratio", "", "ratio"]
    assert (found.by_format, found.skipped) == ({"metricbeat": 1}, {"text_field": 1})


def test_metricbeat_counters_since_boot_are_counters() -> None:
    event = {
        "@timestamp": AT * 1000,
        "host": {"name": "a"},
        "metricset": {"name": "network"},
        "system": {"network": {"name": "eth0", "in": {"bytes": 5, "packets": 2}}},
    }
    rows = read(json.dumps(event))[0]
    assert [(row[1], row[2], row[5]) for row in rows] == [
        ("system.network.in.bytes", {"name": "eth0"}, Kind.COUNTER),
        ("system.network.in.packets", {"name": "eth0"}, Kind.COUNTER),
    ]


MAPPING = JsonMapping(
    name="shop",
    requires=("body.stats",),
    values="body.stats",
    time="when",
    entity="body.node",
    metric="body.kind",
    labels=("body.zone",),
    counters=("*.orders",),
    ignored=("debug.*",),
    strip="shop_",
)


def test_a_mapping_says_where_home_grown_json_keeps_things() -> None:
    body = {
        "node": "s1",
        "kind": "web",
        "zone": "z",
        "stats": {"shop_orders": 3, "q": {"n": 1.5}, "debug": {"x": 1}, "s": "t"},
    }
    rows, _, found = read(json.dumps({"when": AT, "body": body}), Dialect(mappings=(MAPPING,)))
    assert rows == [
        ("s1", "web.orders", {"zone": "z"}, NS, "3", Kind.COUNTER),
        ("s1", "web.q.n", {"zone": "z"}, NS, "1.5", 0),
    ]
    assert found.skipped == {"text_field": 1}


def test_json_that_no_mapping_fits_is_rejected_by_the_plain_format() -> None:
    assert reasons('{"when": 1}', Dialect(mappings=(MAPPING,))) == ["no_metric_name"]


def test_a_syslog_cookie_before_json_is_taken_off() -> None:
    rows = read('@cee: { "name": "main Q", "origin": "core.queue", "size": 6, "enqueued": 9 }')[0]
    assert [(row[0], row[1], row[4], row[5]) for row in rows] == [
        ("unknown", "main Q.size", "6", Kind.GAUGE),
        ("unknown", "main Q.enqueued", "9", Kind.COUNTER),
    ]


def test_names_of_rsyslogs_format_for_elasticsearch_mean_the_same() -> None:
    rows = read('{ "name": "main Q", "origin": "core.queue", "size": 6, "discarded!full": 0, "maxqsize": 9 }')[0]
    assert [(row[1], row[5]) for row in rows] == [
        ("main Q.size", Kind.GAUGE),
        ("main Q.discarded!full", Kind.COUNTER),
        ("main Q.maxqsize", Kind.GAUGE),
    ]


# --- entities


def test_the_first_attribute_that_is_there_names_the_entity() -> None:
    dialect = Dialect(entity_attributes=("rack", "host"), entity_pattern=r"^[^.]+", classes=(("db-*", "database"),))
    rows, identities, _ = read(f"m,host=db-1.example.com v=1 {NS}\nm,host=b,rack=r1 v=2 {NS}\n", dialect)
    assert [row[0] for row in rows] == ["db-1", "r1"]
    assert [identity.entity_class for identity in identities] == ["database", "rack"]
    assert [row[2] for row in rows] == [{}, {"host": "b"}]


def test_a_record_without_host_falls_back_to_its_service_then_to_the_named_unknown() -> None:
    rows, identities, _ = read(f"m,service=shop v=1 {NS}\nm,dc=eu v=2 {NS}\n", Dialect(unknown="nobody"))
    assert [(row[0], i.entity_class) for row, i in zip(rows, identities, strict=True)] == [
        ("shop", "service"),
        ("nobody", "unknown"),
    ]


def test_a_dropped_label_makes_one_series_of_two() -> None:
    rows, identities, _ = read(f"m,host=a,pid=1 v=1 {NS}\nm,host=a,pid=2 v=2 {NS}\n", Dialect(dropped_labels=("p*",)))
    assert (len(rows), len(identities)) == (2, 1)


def test_a_topic_with_a_fixed_format_is_not_guessed() -> None:
    dialect = Dialect(topic_formats=(("t", "graphite"),))
    assert read(f"cpu 1 {AT}000\n")[2].by_format == {"prometheus-text": 1}
    assert read(f"cpu 1 {AT}000\n", dialect)[2].by_format == {"graphite": 1}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("graphite", f"load 1 {AT}\n"),
        ("prometheus-text", f"load 1 {AT}000\n"),
        ("prometheus-text", "load 1\n"),
        ("prometheus-text", 'load{a="b c=d"} 1\n'),
        ("graphite", f"a.b-c 1e3 {AT}"),
        ("graphite", f"disk;dc=eu 1 {AT}"),
        ("influx", "load,host=a v=1\n"),
        ("influx", "# note\nload v=1i 5\n"),
        ("putval", "putval a/b/c 5:1"),
        ("json", '{ "metric": "m", "value": 1 }'),
        ("json", '[{"value": 1, "metric": "m"}]'),
        ("json", '{"metric":"m","value":1}\n{"metric":"m","value":2}'),
        ("json", '{"metric":"metricset","value":1,"labels":{"dstypes":"fields","resourceMetrics":"x"}}'),
        ("otlp-json", ' {\n "resourceMetrics" : [] }'),
        ("telegraf-json", '{"name":"m","timestamp":1,"tags":{},"fields":{}}'),
        ("collectd-json", '[{"plugin":"p","values":[],"dstypes":[]}]'),
    ],
)
def test_bytes_tell_their_format(name: str, value: str) -> None:
    assert read(value)[2].by_format == {name: 1}


def test_a_pickle_is_never_opened() -> None:
    import pickle

    body = pickle.dumps([("a.b", (AT, 1.0))], protocol=2)
    assert reasons(struct.pack("!L", len(body)) + body) == ["unknown_format"]
