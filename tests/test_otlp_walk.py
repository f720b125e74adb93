"""The walk over OTLP bytes sees what the official library sees, in real captures and in what mutation makes of them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from judging import T0, assert_same, mutated, records_of
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2

from pipeline.catalog import Catalog
from pipeline.codecs import decode, otlp_proto, walk
from pipeline.codecs.capture import read_capture
from pipeline.codecs.writer import SampleWriter
from pipeline.dialect import DEFAULT, Dialect
from pipeline.kernels import identity, otlp_distribution

WIRE = Path(__file__).parents[2] / "shared" / "data" / "wire"
CAPTURES = sorted(WIRE.glob("*otlp_proto*.jsonl.gz"))


def message(*points: tuple[str, dict[str, str], float], host: str = "a", shape: str = "gauge") -> bytes:
    found = metrics_pb2.MetricsData()
    resource = found.resource_metrics.add()
    pair = resource.resource.attributes.add(key="host.name")
    pair.value.string_value = host
    scope = resource.scope_metrics.add()
    for name, labels, value in points:
        metric = scope.metrics.add(name=name, unit="1")
        point = getattr(metric, shape).data_points.add(time_unix_nano=T0, as_double=value)
        for key, text in labels.items():
            point.attributes.append(KeyValue(key=key, value={"string_value": text}))
    return bytes(found.SerializeToString())


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Collect the records that the official library was asked about."""
    asked: list[bytes] = []
    real = otlp_proto.decode

    def asking(value: bytes, out: SampleWriter, record_time_ms: int) -> None:
        asked.append(value)
        real(value, out, record_time_ms)

    monkeypatch.setattr(otlp_proto, "decode", asking)
    return asked


@pytest.mark.skipif(not CAPTURES, reason="no captures in ../shared/data/wire")
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name.split(".")[0])
def test_captures_give_the_samples_of_the_official_library(path: Path, judged: list[bytes]) -> None:
    values = [value for value in read_capture(path).values if value][:60]
    catalogs = (Catalog(), Catalog())
    assert_same("otlp-proto", values, catalogs)
    judged.clear()
    assert_same("otlp-proto", values, catalogs)
    assert len(judged) == len(values)  # the judge's own reading asks once for each record, and nobody else


@pytest.mark.skipif(not CAPTURES, reason="no captures in ../shared/data/wire")
@pytest.mark.parametrize("seed", range(8))
def test_mutated_captures_give_the_samples_of_the_official_library(seed: int) -> None:
    chance, catalogs = random.Random(seed), (Catalog(), Catalog())
    path = CAPTURES[seed % len(CAPTURES)]
    values = [value for value in read_capture(path).values if value and len(value) < 60_000][:8]
    assert_same("otlp-proto", values, catalogs)
    mutants = [mutated(chance, chance.choice(values)) for _ in range(200)]
    assert_same("otlp-proto", mutants, catalogs)


def test_the_same_series_in_another_order_keep_their_ids_and_need_no_judge(judged: list[bytes]) -> None:
    catalog, points = Catalog(), [("m", {"cpu": str(number)}, float(number)) for number in range(9)]
    decode(records_of([message(*points)]), catalog)
    told = len(judged)
    for order in (points[::-1], points[4:] + points[:4], points[::2]):
        found = decode(records_of([message(*order)] * 2), catalog)
        assert found.samples.series_id.tolist() == [int(value) for *_, value in order] * 2
    assert len(judged) == told


def test_a_known_series_needs_no_judge_and_a_new_one_does_once(judged: list[bytes]) -> None:
    catalog = Catalog()
    first, second = message(("m", {"cpu": "0"}, 1.0)), message(("m", {"cpu": "0"}, 2.0), ("m", {"cpu": "1"}, 3.0))
    for value in (first, second):
        for _ in range(3):
            found = decode(records_of([value, value]), catalog)
    assert judged == [first, second]
    assert found.samples.value.tolist() == [2.0, 3.0, 2.0, 3.0]
    assert found.samples.record.tolist() == [0, 0, 1, 1]


def distributions(*, unit: str = "s", shape: str = "histogram", **given: Any) -> bytes:
    """Two points of one histogram or summary between two gauges."""
    found = metrics_pb2.MetricsData()
    scope = found.resource_metrics.add().scope_metrics.add()
    for name in ("before", "behind"):
        scope.metrics.add(name=name, unit="1").gauge.data_points.add(time_unix_nano=T0, as_double=1.0)
    metric = scope.metrics.add(name="wait", unit=unit)
    if shape != "summary":
        getattr(metric, shape).aggregation_temporality = 2
    for label in ("a", "b"):
        point = getattr(metric, shape).data_points.add(time_unix_nano=T0, count=5, **given)
        point.attributes.append(KeyValue(key="route", value={"string_value": label}))
    scope.metrics.append(scope.metrics[1])
    return bytes(found.SerializeToString())


QUANTILES = [{"quantile": 0.5, "value": 1.5}, {"value": 0.25}]
POINTS: list[dict[str, Any]] = [
    {"sum": 2.5, "explicit_bounds": [1.0, 2.0], "bucket_counts": [1, 2, 2]},
    {"explicit_bounds": [1.0, 2.0], "bucket_counts": [1, 2, 2]},
    {"sum": float("nan"), "explicit_bounds": [2.0, 1.0], "bucket_counts": [1, 2, 2]},
    {"sum": 1.0, "flags": 1},
    {"flags": 1},
    {"shape": "exponential_histogram", "sum": 2.5, "scale": 3, "zero_count": 1, "positive": {"bucket_counts": [4]}},
    {"shape": "exponential_histogram", "scale": -1, "negative": {"offset": 2, "bucket_counts": [4, 0]}},
    {"shape": "summary", "sum": 2.5, "quantile_values": QUANTILES},
    {"shape": "summary"},
    {"shape": "summary", "sum": 2.5, "quantile_values": QUANTILES, "flags": 1},
]


@pytest.mark.parametrize("given", POINTS)
def test_points_of_distributions_are_walked_as_the_judge_reads_them(given: dict[str, Any], judged: list[bytes]) -> None:
    values = [distributions(**given), distributions(unit="ms", **given), distributions(**POINTS[0])]
    catalogs = (Catalog(), Catalog())
    assert_same("otlp-proto", values, catalogs, times=3)
    judged.clear()
    decode(records_of(values * 2), catalogs[0])
    assert judged == []


def test_the_walk_knows_points_by_the_librarys_numbers() -> None:
    shapes = {
        otlp_distribution.HISTOGRAM: metrics_pb2.HistogramDataPoint,
        otlp_distribution.EXPONENTIAL: metrics_pb2.ExponentialHistogramDataPoint,
        otlp_distribution.SUMMARY: metrics_pb2.SummaryDataPoint,
    }
    numbers = (otlp_distribution.START, otlp_distribution.TIME, otlp_distribution.COUNT, otlp_distribution.SUM)
    for field, point in shapes.items():
        names = point.DESCRIPTOR.fields_by_name
        told = [names[name].number for name in ("start_time_unix_nano", "time_unix_nano", "count", "sum")]
        assert told == list(numbers)
        (shape,) = (one for one in metrics_pb2.Metric.DESCRIPTOR.fields if one.number == field)
        assert shape.message_type.fields_by_name["data_points"].message_type == point.DESCRIPTOR


def test_a_point_that_the_library_refuses_takes_back_its_record_and_no_other() -> None:
    good = distributions(**POINTS[0])
    odd = good.replace(b"\x32\x18", b"\x32\x17\x00", 1)  # the packed counts of a point: 23 bytes are not three of eight
    assert odd != good
    assert_same("otlp-proto", [good, good, odd, good, odd], (Catalog(), Catalog()), times=3)


def test_records_of_other_formats_keep_their_place_between_walked_ones() -> None:
    catalog, proto = Catalog(), message(("m", {}, 1.0))
    line = b'{"timestamp": 1700000000, "entity": "b", "metric": "n", "value": 7}'
    for _ in range(2):
        found = decode(records_of([proto, line, proto, proto, b"?", line]), catalog)
        assert found.samples.record.tolist() == [0, 1, 2, 3, 5]
        assert found.samples.value.tolist() == [1.0, 7.0, 1.0, 1.0, 7.0]
    assert [one.offset for one in found.rejected] == [4]


def test_a_full_quota_is_counted_each_time() -> None:
    catalog, value = Catalog(max_series=1), message(("m", {}, 1.0), ("n", {}, 2.0))
    for _ in range(3):
        found = decode(records_of([value]), catalog)
        assert (len(found.samples), found.refused) == (1, 1)


def test_another_dialect_reads_the_same_bytes_anew() -> None:
    catalog, value = Catalog(), message(("m", {"cpu": "0"}, 1.0))
    decode(records_of([value]), catalog, dialect=DEFAULT)
    decode(records_of([value]), catalog, dialect=Dialect(dropped_labels=("cpu",)))
    assert [identity.name for identity in catalog.identities] == ["m{cpu=0}", "m"]


def test_identities_of_one_hash_keep_their_own_ids() -> None:
    identities = identity.Identities(1_000)
    table = identities.table
    for value in (1, 2):
        table.scratch[0] = value
        identity.insert(table, identity.ROOT, 1, 10 * value)
    table.hash[0] = table.hash[1]  # as if a sender had found two names with one hash
    table.slots[:] = 0
    identity._fill_slots(table.slots, table.hash[:2])
    table.scratch[0] = 2
    assert table.value[identity.lookup(table, identity.ROOT, 1)] == 20


def test_more_samples_than_room_are_handed_over_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MOST_ROWS", 5)
    value = message(*((f"m{i}", {}, float(i)) for i in range(3)))
    large = message(*((f"m{i}", {}, float(i)) for i in range(9)))
    catalogs = (Catalog(), Catalog())
    assert_same("otlp-proto", [value] * 7 + [large, value], catalogs, times=2)


def test_the_memory_of_spellings_is_bounded_and_learned_again(judged: list[bytes]) -> None:
    catalog = Catalog(max_series=200)
    values = [message(("m", {}, 1.0), host=f"h{number}") for number in range(150)]
    for value in values:
        decode(records_of([value]), catalog)
    for number in range(1_000):  # the same series in other clothes: a scope of another name
        spelled = metrics_pb2.MetricsData.FromString(values[number % 150])
        spelled.resource_metrics[0].scope_metrics[0].scope.name = f"scope {number}"
        decode(records_of([spelled.SerializeToString()]), catalog)
    assert catalog.n_series == 150
    assert catalog.spellings_of(DEFAULT).n_entries < 1.5 * 4 * 200
    judged.clear()
    for _ in range(3):
        found = decode(records_of(values), catalog)
    assert len(found.samples) == 150
    assert len(judged) <= 150


def test_names_of_many_series_stay_apart_while_the_table_grows() -> None:
    catalog = Catalog()
    values = [message(*((f"m{i}", {"cpu": str(i)}, float(i)) for i in range(200)), host=f"h{k}") for k in range(40)]
    for _ in range(2):
        found = decode(records_of(values), catalog)
    assert catalog.n_series == 8_000
    names = [catalog.identities[s] for s in found.samples.series_id]
    assert [(one.entity, one.metric) for one in names] == [(f"h{k}", f"m{i}") for k in range(40) for i in range(200)]
