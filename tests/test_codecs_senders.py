"""What each sender's format means, trap by trap."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import cramjam
import pytest

from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.codecs.prometheus import STALE_BITS
from pipeline.codecs.remote_write_schema import METRIC_TYPES, WriteRequest
from pipeline.dialect import DEFAULT, Dialect, JsonMapping
from pipeline.events import Kind, Origin, Records

AT = 1_767_571_200  # s; 2026-01-05T00:00:00Z
NS = AT * 10**9
RECORD_MS = AT * 1000 + 7


def read(value: bytes | str, dialect: Dialect = DEFAULT) -> tuple[list[tuple[Any, ...]], Any, Any]:
    """(entity, metric, labels, time, value as text, kind) of each sample, the identities, and all that was decoded."""
    raw = value.encode() if isinstance(value, str) else value
    catalog = Catalog()
    found = decode(Records("t", 0, [0], [RECORD_MS], [None], [raw]), catalog, (), dialect)
    s = found.samples
    columns = zip(s.series_id, s.time.tolist(), s.value.tolist(), s.kind.tolist(), strict=True)
    identities = [(catalog.identities[i], *rest) for i, *rest in columns]
    rows = [(i.entity, i.metric, dict(i.labels), t, f"{v:g}", k) for i, t, v, k in identities]
    return rows, catalog.identities, found


def reasons(value: bytes | str, dialect: Dialect = DEFAULT) -> list[str]:
    return [rejected.reason for rejected in read(value, dialect)[2].rejected]


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


# --- Prometheus


EXPOSITION = """\
# HELP http_seconds Time.
# TYPE http_seconds histogram
http_seconds_bucket{host="a",le="0.5"} 3
http_seconds_bucket{host="a",le="+Inf"} 4
http_seconds_sum{host="a"} 2.5
http_seconds_count{host="a"} 4
# TYPE gc summary
gc{host="a",quantile="0.5"} NaN
gc_sum{host="a"} 1
# TYPE temp gauge
temp{host="a",path="C:\\\\DIR\\n\\"x\\"",} -Inf 1767571200123
# a comment
sent_total{host="a"} 1.5e3 # {trace_id="x"} 0.67
up 1
"""


def test_prometheus_text_tells_kinds_times_and_escapes() -> None:
    rows, _, found = read(EXPOSITION)
    histogram, summary = Kind.COUNTER | Origin.HISTOGRAM, Kind.COUNTER | Origin.SUMMARY
    now = RECORD_MS * 10**6
    assert found.rejected == []
    assert rows == [
        ("a", "http_seconds_bucket", {"le": "0.5"}, now, "3", histogram),
        ("a", "http_seconds_bucket", {"le": "+Inf"}, now, "4", histogram),
        ("a", "http_seconds_sum", {}, now, "2.5", histogram),
        ("a", "http_seconds_count", {}, now, "4", histogram),
        ("a", "gc", {"quantile": "0.5"}, now, "nan", Origin.SUMMARY),
        ("a", "gc_sum", {}, now, "1", summary),
        ("a", "temp", {"path": 'C:\\DIR\n"x"'}, NS + 123 * 10**6, "-inf", 0),
        ("a", "sent_total", {}, now, "1500", Kind.COUNTER),
        ("unknown", "up", {}, now, "1", 0),
    ]


def test_openmetrics_times_in_seconds_units_and_quoted_names_are_read() -> None:
    text = '# TYPE disk gauge\n# UNIT disk bytes\ndisk{host="a"} 1 1767571200.25\n{"my.metric",host="a"} 2\n# EOF\n'
    rows, identities, found = read(text)
    assert [(row[1], row[3]) for row in rows] == [("disk", NS + 25 * 10**7), ("my.metric", RECORD_MS * 10**6)]
    assert (identities[0].unit, found.rejected) == ("bytes", [])
    assert read('{"my.metric",host="a"} 2\n')[2].by_format == {"prometheus-text": 1}


@pytest.mark.parametrize("line", ['m{a="x} 1', "m{a=1} 1", "m{} ", "m{} x", "m{} 1 2 3", "m{} 1 yesterday", "{} 1"])
def test_a_line_of_prometheus_text_that_is_none_is_rejected_alone(line: str) -> None:
    rows, _, found = read(f'# TYPE ok gauge\n{line}\nok{{host="a"}} 1\n')
    assert [row[1] for row in rows] == ["ok"]
    assert len(found.rejected) == 1


def packed(request: Any) -> bytes:
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


def first_version(*samples: tuple[float, int], name: str = "up", type_name: str = "") -> Any:
    request = WriteRequest()
    series = request.series1.add()
    for key, text in (("__name__", name), ("instance", "a:9100"), ("job", "node")):
        series.labels.add(name=key, value=text)
    for value, time_ms in samples:
        series.samples.add(value=value, timestamp=time_ms)
    if type_name:
        request.metadata.add(type=METRIC_TYPES.index(type_name), family=name)
    return request


def test_remote_write_takes_kinds_from_metadata_else_from_names() -> None:
    sample = (1.0, AT * 1000)
    assert read(packed(first_version(sample)))[0][0][5] == Kind.GAUGE
    assert read(packed(first_version(sample, name="x_total")))[0][0][5] == Kind.COUNTER
    assert read(packed(first_version(sample, type_name="counter")))[0][0][5] == Kind.COUNTER


def test_an_instance_loses_its_port_as_entity_and_keeps_it_as_label() -> None:
    rows, identities, _ = read(packed(first_version((1.0, AT * 1000))))
    assert rows == [("a", "up", {"instance": "a:9100", "job": "node"}, NS, "1", 0)]
    assert identities[0].entity_class == "host"


def test_the_stale_marker_is_a_gap_and_any_other_nan_a_value() -> None:
    (marker,) = struct.unpack("<d", struct.pack("<Q", STALE_BITS))
    rows = read(packed(first_version((1.0, AT * 1000), (marker, AT * 1000 + 1), (math.nan, AT * 1000 + 2))))[0]
    assert [(row[4], row[5]) for row in rows] == [("1", 0), ("nan", Origin.STALE), ("nan", 0)]


def second_version(refs: list[int]) -> Any:
    request = WriteRequest(symbols=["", "__name__", "lag_seconds", "host", "a", "s"])
    series = request.series2.add(label_refs=refs, created_timestamp=AT * 1000 - 60_000)
    series.metadata.type, series.metadata.unit_ref = METRIC_TYPES.index("counter"), 5
    series.samples.add(value=3, timestamp=AT * 1000)
    return request


def test_remote_write_2_reads_symbols_metadata_unit_and_start() -> None:
    rows, identities, found = read(packed(second_version([1, 2, 3, 4])))
    assert rows == [("a", "lag_seconds", {}, NS, "3", Kind.COUNTER)]
    assert identities[0].unit == "s"
    assert found.samples.start.tolist() == [NS - 60 * 10**9]


@pytest.mark.parametrize(
    ("refs", "reason"), [([1, 99], "bad_symbol"), ([1, 2, 3], "bad_labels"), ([3, 4], "no_metric_name")]
)
def test_remote_write_2_with_broken_references_is_rejected(refs: list[int], reason: str) -> None:
    assert reasons(packed(second_version(refs))) == [reason]


def test_a_native_histogram_gives_its_count_and_sum() -> None:
    request = first_version(name="lag_seconds")
    request.series1[0].histograms.add(count_int=7, sum=2.5, timestamp=AT * 1000)
    kind = Kind.COUNTER | Origin.HISTOGRAM
    assert [(row[1], row[4], row[5]) for row in read(packed(request))[0]] == [
        ("lag_seconds_count", "7", kind),
        ("lag_seconds_sum", "2.5", kind),
    ]


def test_an_empty_write_request_is_no_sample_and_no_error() -> None:
    rows, _, found = read(b"\x00")
    assert (rows, found.rejected, found.by_format) == ([], [], {"prometheus-remote-write": 1})


def test_a_block_that_claims_more_than_it_can_hold_is_not_unpacked() -> None:
    found = decode(
        Records("t", 0, [0], [0], [None], [b"\xff\xff\xff\xff\x0f\x04\x0a\x00"]), Catalog(), ["prometheus-remote-write"]
    )
    assert [rejected.reason for rejected in found.rejected] == ["bad_snappy"]


def adapter(value: str, **labels: str) -> str:
    both = {"__name__": "up", **labels}
    return json.dumps({"timestamp": "2026-01-05T00:00:00Z", "value": value, "name": "up", "labels": both})


@pytest.mark.parametrize(
    ("sent", "value"), [("1", "1"), ("NaN", "nan"), ("+Inf", "inf"), ("-Inf", "-inf"), ("9876543210", "9.87654e+09")]
)
def test_the_adapters_values_are_texts(sent: str, value: str) -> None:
    rows, _, found = read(adapter(sent, instance="a:9100"))
    assert [row[4] for row in rows] == [value]
    assert found.by_format == {"prometheus-adapter": 1}


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
