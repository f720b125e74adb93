"""What SDKs and Collectors of other settings send as OTLP, in both encodings: one message that holds every trap."""

from __future__ import annotations

import json
import math
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2
from reading import NS, read

from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.codecs.report import report_of
from pipeline.events import Kind, Origin, Records
from pipeline.stream import PartitionStream, Plan

DELTA, CUMULATIVE = 1, 2
S = 10**9
UNKNOWN_FIELDS = b"\xf8\x07\x05" + b"\xfa\x07\x02hi" + b"\xf9\x07" + bytes(8)  # fields 127 of three wire types
Attributes = dict[str, dict[str, Any]]


def attributes(into: Any, **given: dict[str, Any]) -> None:
    for key, value in given.items():
        into.attributes.add(key=key.replace("_", ".")).value.CopyFrom(AnyValue(**value))


def resource(message: metrics_pb2.MetricsData, **given: dict[str, Any]) -> Any:
    found = message.resource_metrics.add()
    attributes(found.resource, **given)
    return found.scope_metrics.add()


def message() -> metrics_pb2.MetricsData:
    """Five exports of one host, its resource repeated, times that step back; and two resources without a host."""
    sent = metrics_pb2.MetricsData()
    for export in (0, 1, 2, 4, 3):
        scope = resource(
            sent, host_name={"string_value": "a"}, rack={"int_value": 12}, service_version={"string_value": ""}
        )
        now, before = NS + 10 * S * (export + 1), NS + 10 * S * export
        requests = scope.metrics.add(name="requests", unit="1")
        requests.sum.aggregation_temporality, requests.sum.is_monotonic = DELTA, True
        point = requests.sum.data_points.add(time_unix_nano=now, start_time_unix_nano=before, as_int=7)
        attributes(
            point,
            code={"int_value": 404},
            cached={"bool_value": False},
            share={"double_value": 0.25},
            zones={"array_value": {"values": [{"string_value": "x"}, {"int_value": 2}]}},
            pod={"kvlist_value": {"values": [{"key": "canary", "value": {"bool_value": True}}]}},
            path={"string_value": '/item/{id} ü"1"'},
        )
        point.exemplars.add(time_unix_nano=now, as_double=1.0, span_id=bytes(8), trace_id=bytes(16))
        active = scope.metrics.add(name="active")
        active.sum.aggregation_temporality = CUMULATIVE  # and not monotonic: a level
        active.sum.data_points.add(time_unix_nano=now, as_int=-18)
        levels = scope.metrics.add(name="ratio").gauge.data_points
        for i, value in enumerate((math.nan, math.inf, -math.inf, 0.5, 0.0)):
            attributes(levels.add(time_unix_nano=now, as_double=value), n={"int_value": i})
        levels.add(time_unix_nano=now, flags=1)
        scope.metrics.add(name="big").gauge.data_points.add(time_unix_nano=now, as_int=9007199254831706)
        lag = scope.metrics.add(name="lag", unit="s").exponential_histogram
        lag.aggregation_temporality = CUMULATIVE
        at = lag.data_points.add(time_unix_nano=now, count=4 * (export + 1), sum=-1.5, scale=3 - export, zero_count=0)
        at.positive.bucket_counts.extend([0, 2 * (export + 1)])
        at.negative.bucket_counts.extend([2 * (export + 1)])
    quantiles = resource(sent, service_name={"string_value": "edge"}).metrics.add(name="pause").summary.data_points
    quantiles.add(time_unix_nano=NS, count=0, sum=0.0).quantile_values.add(quantile=0.5, value=math.nan)
    resource(sent).metrics.add(name="lone").gauge.data_points.add(time_unix_nano=NS, as_int=0)
    return sent


def in_json(sent: metrics_pb2.MetricsData) -> str:
    """OTLP's own mapping: enums as numbers, defaults left out."""
    return json.dumps(MessageToDict(sent, use_integers_for_enums=True))


def test_both_encodings_of_all_traps_give_the_same_samples_and_none_is_rejected() -> None:
    sent = message()
    (rows, _, found), (twins, _, other) = read(sent.SerializeToString() + UNKNOWN_FIELDS), read(in_json(sent))
    assert rows == twins
    assert found.rejected == other.rejected == []
    assert (found.by_format, other.by_format) == ({"otlp-proto": 1}, {"otlp-json": 1})
    assert len(rows) == 5 * (1 + 1 + 6 + 1 + 2) + 3 + 1


def test_each_trap_means_what_it_should() -> None:
    rows = read(message().SerializeToString())[0]
    by_metric: dict[str, list[Any]] = {}
    for row in rows:
        by_metric.setdefault(row[1], []).append(row)
    (requests, *_), times = by_metric["requests"], [t for *_, t, _, _ in by_metric["requests"]]
    assert requests[2] == {
        "code": "404",
        "cached": "false",
        "share": "0.25",
        "zones": '["x",2]',
        "pod": '{"canary":true}',
        "path": '/item/{id} ü"1"',
    }
    assert times == [NS + 10 * S * n for n in (1, 2, 3, 5, 4)]
    assert {kind for *_, kind in by_metric["requests"]} == {Kind.DELTA}
    assert {(value, kind) for *_, value, kind in by_metric["active"]} == {("-18", Kind.GAUGE)}
    assert [value for *_, value, _ in by_metric["ratio"]][:6] == ["nan", "inf", "-inf", "0.5", "0", "nan"]
    assert by_metric["ratio"][5][-1] == Kind.GAUGE | Origin.STALE
    assert {kind for *_, kind in by_metric["lag.count"]} == {Kind.COUNTER | Origin.HISTOGRAM}
    assert by_metric["pause"][0][:3] == ("edge", "pause", {"quantile": "0.5"})
    assert by_metric["lone"][0][:2] == ("unknown", "lone")


def test_what_is_no_plain_number_is_counted_by_reason() -> None:
    catalog = Catalog()
    found = decode(Records("t", 0, [0], [NS // 10**6], [None], [message().SerializeToString()]), catalog)
    report = report_of([(found, catalog)])
    assert (report.n_stale, report.n_nan, report.n_infinite) == (5, 6, 10)


def test_a_running_stream_counts_what_is_no_measurement_as_decode_does() -> None:
    records = Records("t", 0, [0], [NS // 10**6], [None], [message().SerializeToString()])
    told = PartitionStream(Plan(), "t", 0).step(records).counts.by_reason
    catalog = Catalog()
    report = report_of([(decode(records, catalog), catalog)])
    gaps = {"stale": report.n_stale, "not_a_number": report.n_nan, "infinite": report.n_infinite}
    assert told == {**gaps, **({"sentinel": report.n_sentinels} if report.n_sentinels else {}), **report.noted}
