"""What Prometheus' formats mean, trap by trap: text exposition, remote write 1.0 and 2.0, the adapter's JSON."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import cramjam
import pytest
from reading import AT, NS, RECORD_MS, read, reasons

from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.codecs.buckets import explicit, exponential
from pipeline.codecs.native_histogram import buckets_of
from pipeline.codecs.prometheus import STALE_BITS
from pipeline.codecs.remote_write_schema import METRIC_TYPES, WriteRequest
from pipeline.events import Kind, Origin, Records

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


def native(**given: Any) -> Any:
    """A native histogram: 2, 3 and, after a gap, 1 in positive buckets, 4 in a negative one."""
    whole = WriteRequest()
    found = whole.series1.add().histograms.add(count_int=11, sum=2.5, schema=0, zero_count_int=1, timestamp=AT * 1000)
    found.positive_spans.add(offset=1, length=2)
    found.positive_spans.add(offset=1, length=1)
    found.positive_deltas.extend([2, 1, -2])
    found.negative_spans.add(offset=-1, length=1)
    found.negative_deltas.append(4)
    for name, value in given.items():
        if isinstance(value, list):
            found.ClearField(name)
            getattr(found, name).extend(value)
        else:
            setattr(found, name, value)
    return found


def test_a_native_histogram_has_the_buckets_of_an_exponential_one() -> None:
    expected = exponential(0, 1.0, (0, [2.0, 3.0, 0.0, 1.0]), (-2, [4.0]))
    assert buckets_of(native()) == expected
    floats = native(positive_deltas=[], positive_counts=[2.0, 3.0, 1.0], zero_count_int=0, zero_count_float=1.0)
    assert buckets_of(floats) == expected
    assert expected is not None and expected.bounds[-3:-1] == (4.0, 8.0)


def test_a_native_histogram_of_own_bounds_counts_in_them() -> None:
    bounds = {"schema": -53, "custom_values": [1.0, 5.0, 9.0, 10.0], "negative_spans": [], "negative_deltas": []}
    assert buckets_of(native(**bounds)) == explicit([1.0, 5.0, 9.0, 10.0], [0.0, 2.0, 3.0, 0.0, 1.0])
    assert buckets_of(native(**bounds | {"custom_values": [1.0]})) is None


@pytest.mark.parametrize(
    "changes", [{"positive_deltas": [2, 1]}, {"positive_deltas": [2, -3, 0]}, {"schema": 30}, {"schema": -53}]
)
def test_a_native_histogram_that_makes_no_sense_has_no_buckets(changes: dict[str, Any]) -> None:
    assert buckets_of(native(**changes)) is None


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


def test_the_adapter_sends_each_bucket_alone_and_whole_numbers_in_full() -> None:
    value = adapter("18446744073709552000", __name__="wait_seconds_bucket", instance="a:9100", le="+Inf")
    ((_, metric, labels, _, amount, kind),) = read(value)[0]
    assert (metric, labels["le"], amount, kind) == (
        "wait_seconds_bucket",
        "+Inf",
        "1.84467e+19",
        Kind.COUNTER | Origin.HISTOGRAM,
    )


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("wait_seconds_count", Kind.COUNTER),
        ("wait_seconds_sum", Kind.COUNTER),
        ("request_size_bytes_sum", Kind.COUNTER),
        ("net_bytes_recv", Kind.COUNTER),  # as Telegraf's remote write names it
        ("diskio_io_time", Kind.COUNTER),
        ("process_count", Kind.GAUGE),
        ("wait_seconds", Kind.GAUGE),
    ],
)
def test_without_a_type_names_tell_what_counts_up(metric: str, kind: Kind) -> None:
    assert read(f'{metric}{{instance="a:9100"}} 1 {AT}000\n')[0][0][5] == kind
    assert read(f'# TYPE {metric} gauge\n{metric}{{instance="a:9100"}} 1 {AT}000\n')[0][0][5] == Kind.GAUGE
    assert read(adapter("1", __name__=metric, instance="a:9100"))[0][0][5] == kind
