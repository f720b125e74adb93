"""Bytes that mean harm or nothing end as one Rejected with a reason, and good records beside them arrive."""

from __future__ import annotations

import json
import random

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalog import Catalog
from pipeline.codecs import FORMATS, decode
from pipeline.codecs.encode import ENCODERS
from pipeline.codecs.writer import MOST_REJECTED_PARTS
from pipeline.events import Kind, Records

GOOD = [("db-03", f"disk.used{n}", (("device", "vda"),), 10**18 + n, 61.5 + n, Kind.GAUGE) for n in range(3)]


def records_of(*values: bytes | None) -> Records:
    n = len(values)
    return Records("telemetry", 2, list(range(10, 10 + n)), [1_700_000_000_000] * n, [b"key"] * n, list(values))


def reason_of(value: bytes, *formats: str) -> str:
    found = decode(records_of(value), Catalog(), formats)
    assert len(found.rejected) == 1
    assert len(found.samples) == 0
    assert found.rejected[0].value == value
    return found.rejected[0].reason


def otlp_json(point: str) -> bytes:
    metric = '{"name":"m","gauge":{"dataPoints":[' + point + "]}}"
    return f'{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{metric}]}}]}}]}}'.encode()


def plain(**changes: object) -> bytes:
    return json.dumps({"timestamp": 10**18, "entity": "a", "metric": "m", "value": 1} | changes).encode()


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ("unknown_format", b"\xff\xfe\x00"),
        ("unknown_format", b"hello world"),
        ("bad_protobuf", ENCODERS["otlp-proto"](GOOD)[:-3]),
        ("bad_protobuf", b"\x0a\x05\x12\xff\xff\xff\xff"),
        ("bad_json", ENCODERS["otlp-json"](GOOD)[:-3]),
        ("bad_json", b"[" * 300_000),
        ("bad_json", b'{"a":' * 300_000),
        ("bad_json", b'{"metric":"\xff\xfe"}'),
        ("bad_json", plain(value=1).replace(b"1}", b"9" * 6000 + b"}")),
        ("bad_value", plain(value=1).replace(b"1}", b"9" * 600 + b"}")),
        ("bad_value", plain(value={"a": [1] * 1000})),
        ("bad_value", plain(value="1_000")),
        ("no_value", plain().replace(b"value", b"worth")),
        ("no_metric_name", plain(metric=None)),
        ("no_metric_name", plain(metric="")),
        ("no_time", plain(timestamp=None)),
        ("no_time", plain(timestamp=0)),
        ("absurd_time", plain(timestamp=-5)),
        ("absurd_time", plain(timestamp=10**25)),
        ("absurd_time", plain(timestamp="9" * 40)),
        ("absurd_time", plain(timestamp="9999-12-31T23:59:59Z")),
        ("bad_time", plain(timestamp="2026-02-30T00:00:00Z")),
        ("bad_time", plain(timestamp="yesterday")),
        ("bad_time", plain(timestamp="1e999999999")),
        ("no_time", plain(timestamp="1e-999999999")),
        ("bad_time", b"PUTVAL a/b/c 1e999999999:1"),
        ("too_many_values", b"PUTVAL a/b/c 1767571200" + b":1" * 1000),
        ("bad_time", plain(timestamp=[1])),
        ("bad_kind", plain(kind="histogram")),
        ("bad_labels", plain(labels=[1])),
        ("too_many_labels", plain(labels={str(n): n for n in range(1000)})),
        ("name_too_long", plain(entity="x" * 1_000_000)),
        ("name_too_long", plain(labels={"x": "y" * 1_000_000})),
        ("not_an_object", b"[1, 2, 3]"),
        ("not_a_list", b'{"resourceMetrics":{}}'),
        ("not_an_object", b'{"resourceMetrics":[7]}'),
        ("no_time", otlp_json('{"asDouble":1}')),
        ("absurd_time", otlp_json('{"asDouble":1,"timeUnixNano":"9999999999999999999"}')),
        ("no_value", otlp_json('{"timeUnixNano":"1000000000000000000"}')),
        ("not_an_integer", otlp_json('{"timeUnixNano":"1e400"}')),
        ("not_an_integer", otlp_json('{"timeUnixNano":[]}')),
        ("bad_value", otlp_json('{"timeUnixNano":"1000000000000000000","asDouble":{}}')),
        ("not_a_list", otlp_json('{"timeUnixNano":"1000000000000000000","attributes":"x"}')),
        ("bad_line", b"cpu,host=a usage=1 1 2\n"),
        ("bad_line", b'cpu,host=a usage="open 1\n'),
        ("bad_line", b"cpu,host=a usage=1,\n"),
        ("bad_value", b"cpu,host=a usage=1x 1000000000000000000\n"),
        ("bad_tag", b"cpu,host usage=1 1000000000000000000\n"),
        ("not_utf8", b"cpu,host=\xff usage=1 1000000000000000000\n"),
        ("absurd_time", b"cpu,host=a usage=1 99999999999999999999\n"),
        ("absurd_time", b"cpu,host=a usage=1 -4\n"),
    ],
)
def test_hostile_bytes_are_rejected_with_a_reason(reason: str, value: bytes) -> None:
    assert reason_of(value) == reason


def test_deeply_nested_attributes_are_rejected() -> None:
    nested = '{"arrayValue":{"values":[' * 1000 + "]}}" * 1000
    point = '{"timeUnixNano":"1000000000000000000","attributes":[{"key":"a","value":' + nested + "}]}"
    assert reason_of(otlp_json(point)) in ("bad_json", "too_deep")


@pytest.mark.parametrize("name", sorted(ENCODERS))
@pytest.mark.parametrize("other", sorted(ENCODERS))
def test_a_fixed_format_rejects_the_bytes_of_another(name: str, other: str) -> None:
    found = decode(records_of(ENCODERS[other](GOOD)), Catalog(), [name])
    assert len(found.rejected) == (name != other)
    assert len(found.samples) == (3 if name == other else 0)


def test_null_and_empty_values_are_neither_samples_nor_rejected() -> None:
    found = decode(records_of(None, b"", b"\n", b"  "), Catalog())
    assert (len(found.samples), found.rejected, found.by_format) == (0, [], {})


def test_a_half_good_record_gives_its_good_samples_and_one_rejected() -> None:
    lines = ENCODERS["json"](GOOD[:1]) + b"\n{broken\n" + ENCODERS["json"](GOOD[1:]) + b"\n[]"
    influx = ENCODERS["influx"](GOOD) + b"cpu,host=a usage=oops,idle=3 1000000000000000000\n"
    proto = ENCODERS["otlp-proto"]([*GOOD, ("a", "m", (), 0, 1.0, Kind.GAUGE)])
    as_json = ENCODERS["otlp-json"](GOOD).replace(b'"1000000000000000001"', b'"soon"')
    found = decode(records_of(lines, influx, proto, as_json), Catalog())
    assert [rejected.offset for rejected in found.rejected] == [10, 11, 12, 13]
    assert [rejected.reason for rejected in found.rejected] == ["bad_json", "bad_value", "no_time", "not_an_integer"]
    assert found.samples.record.tolist() == [0] * 3 + [1] * 4 + [2] * 3 + [3] * 2


def test_rejected_tells_where_the_record_came_from() -> None:
    (rejected,) = decode(records_of(b"what?"), Catalog()).rejected
    assert (rejected.topic, rejected.partition, rejected.offset) == ("telemetry", 2, 10)
    assert (rejected.time_ms, rejected.key, rejected.value) == (1_700_000_000_000, b"key", b"what?")
    assert rejected.detail == "begins with b'what?'"


def test_rejections_of_one_record_are_counted_in_its_detail() -> None:
    (rejected,) = decode(records_of(b"[1, 2, 3]"), Catalog()).rejected
    assert rejected.detail == "int (and 2 more)"


def test_good_records_arrive_between_hostile_ones() -> None:
    chance, values = random.Random(7), list[bytes]()
    for _ in range(300):
        good = ENCODERS[chance.choice(sorted(ENCODERS))](GOOD)
        bad = bytearray(good)
        for _ in range(chance.randint(1, 40)):
            bad[chance.randrange(len(bad))] = chance.randrange(256)
        values += [good, bytes(bad[: chance.randint(1, len(bad))])]
    found = decode(records_of(*values), Catalog())
    good_rows = [row for row in found.samples.record.tolist() if row % 2 == 0]
    assert len(good_rows) == 300 * len(GOOD)
    assert not [rejected for rejected in found.rejected if rejected.offset % 2 == 0]


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_in_any_format_end_as_samples_or_rejected(value: bytes) -> None:
    for formats in ((), *((name,) for name in FORMATS)):
        found = decode(records_of(value), Catalog(), formats)
        assert len(found.rejected) <= 1


def test_a_full_quota_refuses_samples_and_counts_them() -> None:
    found = decode(records_of(ENCODERS["influx"](GOOD), ENCODERS["json"](GOOD)), Catalog(max_series=2))
    assert (len(found.samples), found.refused, found.rejected) == (4, 2, [])


def test_an_unknown_format_name_is_an_error_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown format 'influxx'; known are otlp-proto"):
        decode(records_of(b""), Catalog(), ["influxx"])


@pytest.mark.parametrize(
    "value",
    [
        b'{"metric":1}\n' * 100_000,
        b"[" + b"1," * 1_000_000 + b"1]",
        bytes(cramjam.snappy.compress_raw(b"\x0a\x00" * 2**20)),
        b"a.b.c\n" * 100_000,
    ],
)
def test_a_record_of_nothing_but_rejected_parts_is_given_up(value: bytes) -> None:
    (rejected,) = decode(records_of(b"a.b 1 1767571200\n" + value if value[:1] == b"a" else value), Catalog()).rejected
    assert rejected.detail.endswith(f"(and {MOST_REJECTED_PARTS} more)")


def test_many_lines_with_open_quotes_cost_no_more_than_their_length() -> None:
    found = decode(records_of(b'cpu,host=a usage="open\n' * 50_000), Catalog())
    assert len(found.rejected) == 1
