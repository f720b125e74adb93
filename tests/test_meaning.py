"""Between codecs and grid: histograms become series, totals stand aside beside their parts, sentinels are gaps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1 import metrics_pb2
from wire import NAMES, WIRE

from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.codecs.buckets import Buckets, explicit, exponential, from_cumulative, quantile, rebucketed
from pipeline.codecs.capture import read_capture
from pipeline.events import Records
from pipeline.meaning import Meaning
from pipeline.stream import PartitionStream, Plan

AT = 1_767_571_200_000_000_000
DELTA, CUMULATIVE = 1, 2


def watched(*values: bytes | str) -> tuple[list[tuple[str, dict[str, str], float]], Any]:
    """(metric, labels, value) of what is watched of records read one by one, and the last result."""
    catalog, rows, result = Catalog(), [], None
    meaning = Meaning(catalog)
    for offset, value in enumerate(values):
        raw = value.encode() if isinstance(value, str) else value
        found = decode(Records("t", 0, [offset], [AT // 10**6 + offset * 1000], [None], [raw]), catalog)
        assert found.rejected == []
        result = meaning.watch(found.samples, found.distributions)
        series, amounts = result.samples.series_id.tolist(), result.samples.value.tolist()
        identities = [catalog.identities[i] for i in series]
        rows += [(i.metric, dict(i.labels), v) for i, v in zip(identities, amounts, strict=True)]
    return rows, result


def histogram(seconds: int, count: int, total: float, counts: list[int], temporality: int = CUMULATIVE) -> bytes:
    message = metrics_pb2.MetricsData()
    resource = message.resource_metrics.add()
    resource.resource.attributes.add(key="host.name").value.string_value = "a"
    metric = resource.scope_metrics.add().metrics.add(name="lag", unit="s")
    metric.histogram.aggregation_temporality = temporality
    metric.histogram.data_points.add(
        time_unix_nano=AT + seconds * 10**9, count=count, sum=total, explicit_bounds=[1, 2, 4], bucket_counts=counts
    )
    return bytes(message.SerializeToString())


ESTIMATE = {"estimate": "buckets"}


def test_a_cumulative_histogram_tells_mean_and_quantiles_of_what_came_since() -> None:
    rows, result = watched(histogram(0, 100, 1000, [0, 0, 0, 100]), histogram(10, 104, 1006, [2, 2, 0, 100]))
    assert rows == [
        ("lag.count", {}, 100.0),
        ("lag.count", {}, 104.0),
        ("lag.mean", {}, 1.5),
        ("lag.p50", ESTIMATE, 1.0),
        ("lag.p95", ESTIMATE, pytest.approx(1.9)),
        ("lag.p99", ESTIMATE, pytest.approx(1.98)),
    ]
    assert (result.n_aside, result.n_derived) == (1, 4)


def test_a_delta_histogram_speaks_for_itself() -> None:
    rows, _ = watched(histogram(0, 4, 6, [2, 2, 0, 0], DELTA))
    assert [row[0] for row in rows] == ["lag.count", "lag.mean", "lag.p50", "lag.p95", "lag.p99"]
    assert rows[1][2] == 1.5


def test_after_a_reset_all_that_was_counted_since_is_told() -> None:
    rows, _ = watched(histogram(0, 100, 1000, [0, 0, 0, 100]), histogram(10, 2, 1, [2, 0, 0, 0]))
    assert ("lag.mean", {}, 0.5) in rows


def test_a_histogram_out_of_order_tells_nothing_beyond_its_count() -> None:
    rows, _ = watched(histogram(10, 4, 6, [2, 2, 0, 0]), histogram(0, 2, 3, [1, 1, 0, 0]))
    assert [row[0] for row in rows] == ["lag.count", "lag.count"]


def exposition(under: int, count: int, total: float) -> str:
    return (
        "# TYPE lag_seconds histogram\n"
        f'lag_seconds_bucket{{host="a",le="1"}} {under}\nlag_seconds_bucket{{host="a",le="+Inf"}} {count}\n'
        f'lag_seconds_sum{{host="a"}} {total}\nlag_seconds_count{{host="a"}} {count}\n'
    )


def test_a_histogram_of_prometheus_is_read_alike() -> None:
    rows, result = watched(exposition(1, 1, 0.5), exposition(5, 5, 2.5))
    assert rows[-5:] == [
        ("lag_seconds_count", {}, 5.0),
        ("lag_seconds_mean", {}, 0.5),
        ("lag_seconds_p50", ESTIMATE, 0.5),
        ("lag_seconds_p95", ESTIMATE, pytest.approx(0.95)),
        ("lag_seconds_p99", ESTIMATE, pytest.approx(0.99)),
    ]
    assert result.n_aside == 3


@pytest.mark.parametrize("total_first", [True, False])
def test_a_total_stands_aside_beside_its_parts_whichever_comes_first(total_first: bool) -> None:
    lines = [f"cpu,host=a,cpu={name} usage_idle=9 {AT}\n" for name in ("cpu-total", "cpu0")]
    first = "".join(lines if total_first else reversed(lines))
    rows, result = watched(first, first)
    assert [row[1]["cpu"] for row in rows[-1:]] == ["cpu0"]
    assert result.n_aside == 1


def test_a_total_without_parts_is_watched() -> None:
    rows, result = watched(f"cpu,host=a,cpu=cpu-total usage_idle=9 {AT}\ncpu,host=b,cpu=cpu0 usage_idle=9 {AT}\n")
    assert (len(rows), result.n_aside) == (2, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("limit=18446744073709551615u", None),
        ("limit=9223372036854775807i", None),
        ("free_bytes=-1i", None),
        ("x=-1i", -1),
    ],
)
def test_sentinels_are_gaps_where_no_measurement_can_be(field: str, value: float | None) -> None:
    ((_, _, found),) = watched(f"m,host=a {field} {AT}\n")[0]
    assert math.isnan(found) if value is None else found == value


def test_the_accounting_closes_with_what_stands_aside_and_what_is_derived() -> None:
    stream = PartitionStream(Plan(), "t", 0)
    values: list[bytes | None] = [histogram(10 * n, 2 * n, 3.0 * n, [n, n, 0, 0]) for n in range(1, 40)]
    times = [AT // 10**6 + n * 10_000 for n in range(1, 40)]
    counts = stream.step(Records("t", 0, list(range(39)), times, [None] * 39, values)).counts
    fates = counts.on_grid + counts.replaced + counts.duplicate + counts.late + counts.first_of_counter
    fates += counts.stale_or_non_finite + counts.refused + counts.waiting + counts.aside
    assert counts.decoded == 2 * 39
    assert (counts.aside, counts.derived) == (39, 4 * 38)
    assert counts.decoded + counts.derived == fates


def test_a_kept_state_remembers_the_last_point_of_each_histogram() -> None:
    stream = PartitionStream(Plan(), "t", 0)
    stream.step(Records("t", 0, [0], [AT // 10**6], [None], [histogram(0, 100, 1000, [0, 0, 0, 100])]))
    again = PartitionStream.of_image(stream.image(), "t", 0, None)
    later = Records("t", 0, [1], [AT // 10**6 + 10_000], [None], [histogram(10, 104, 1006, [2, 2, 0, 100])])
    assert again.step(later).counts.derived == stream.step(later).counts.derived == 4
    assert again.digest() == stream.digest()


# --- buckets


values = st.lists(st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6), min_size=1, max_size=60)


def exponential_of(samples: list[float], scale: int) -> Buckets:
    """An exponential histogram as an SDK would fill it."""
    index = lambda x: math.ceil(math.log2(abs(x)) * 2.0**scale) - 1  # noqa: E731
    sides = []
    for sign in (1, -1):
        places = [index(x) for x in samples if x * sign > 0]
        first = min(places, default=0)
        sides.append(
            (first, [float(places.count(first + i)) for i in range(max(places, default=first - 1) - first + 1)])
        )
    found = exponential(scale, float(samples.count(0.0)), sides[0], sides[1])
    assert found is not None
    return found


@given(values, st.integers(0, 1))
def test_quantiles_of_an_exponential_histogram_are_within_its_buckets_width(samples: list[float], scale: int) -> None:
    buckets = exponential_of(samples, scale)
    width = 2.0 ** (2.0**-scale)
    for share in (0.5, 0.95):
        true = sorted(samples)[math.ceil(share * len(samples)) - 1]
        found = quantile(buckets, share)
        assert found is not None
        assert abs(found) <= abs(true) * width + 1e-9
        assert abs(found) >= abs(true) / width - 1e-9


@given(values)
def test_a_coarser_scale_holds_the_same_counts(samples: list[float]) -> None:
    fine, coarse = exponential_of(samples, 1), exponential_of(samples, 0)
    assert rebucketed(fine, coarse.bounds) == coarse.counts


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60))
def test_quantiles_of_explicit_buckets_lie_in_the_bucket_of_the_true_one(samples: list[float]) -> None:
    bounds = [1.0, 5.0, 10.0, 50.0, 100.0]
    places = np.searchsorted(bounds, samples)
    buckets = explicit(bounds, np.bincount(places, minlength=6).tolist())
    assert buckets is not None
    true = sorted(samples)[math.ceil(0.5 * len(samples)) - 1]
    place = int(np.searchsorted(bounds, true))
    found = quantile(buckets, 0.5)
    assert found is not None
    assert (bounds[place - 1] if place else 0) <= found <= bounds[place]


@pytest.mark.parametrize(
    "made",
    [
        explicit([1.0, 1.0], [1, 1, 1]),
        explicit([1.0], [1]),
        explicit([math.nan], [1, 1]),
        explicit([1.0], [math.inf, 1]),
        explicit([], []),
        exponential(99, 0, (0, [1]), (0, [])),
        exponential(0, 0, (10**6, [1]), (0, [])),
        exponential(0, 0, (0, [1] * 10**4), (0, [])),
        from_cumulative([(1.0, 3.0)]),
        from_cumulative([(1.0, 3.0), (math.inf, 2.0)]),
    ],
)
def test_buckets_that_make_no_sense_are_none(made: Buckets | None) -> None:
    assert made is None


def test_no_values_have_no_quantile() -> None:
    assert quantile(Buckets((1.0,), (0.0, 0.0)), 0.5) is None


@pytest.mark.skipif(not NAMES, reason="the captures of ../shared/data/wire are absent")
def test_real_histograms_with_changing_scale_give_a_mean_and_quantiles_for_each_interval() -> None:
    records, catalog = read_capture(WIRE / "otelsdk-otlp_proto.jsonl.gz"), Catalog()
    found = decode(records, catalog)
    result = Meaning(catalog).watch(found.samples, found.distributions)
    names = np.array([identity.metric for identity in catalog.identities])[result.samples.series_id]
    for metric in ("http.server.duration", "rpc.client.duration"):
        p50, p99, mean = (result.samples.value[names == f"{metric}.{part}"] for part in ("p50", "p99", "mean"))
        assert 0 < len(p50) == len(p99) == len(mean)
        assert (p50 <= p99).all()
    assert result.samples.record.tolist() == sorted(result.samples.record.tolist())
