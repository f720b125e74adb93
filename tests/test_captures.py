"""Records captured from real senders become the samples that independent decoders counted."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import wire_table
from wire import FORMATS, NAMES, WIRE, expected, facts_of, seen

from pipeline.catalog import Catalog
from pipeline.codecs import Decoded, decode
from pipeline.codecs.capture import read_capture
from pipeline.codecs.report import frame_of
from pipeline.events import Kind, Origin, Records

pytestmark = pytest.mark.skipif(not NAMES, reason="the captures of ../shared/data/wire are absent")
OTLP = [name for name in NAMES if name.startswith("otel")]
TWINS = [
    ("otel-otlp_proto", "otel-otlp_json"),
    ("otel-otlp_proto", "otel-otlp_proto-zstd"),
    ("otel-otlp_proto-batch", "otel-otlp_json-batch"),
    ("otelsdk-otlp_proto", "otelsdk-otlp_json"),
    ("otelgosdk-otlp_proto", "otelgosdk-otlp_json"),
    ("otelprom-otlp_proto", "otelprom-otlp_json"),
    ("telegraf-influx", "telegraf-json"),
]


@cache
def decoded_capture(name: str) -> tuple[Records, Decoded, Catalog]:
    records, catalog = read_capture(WIRE / f"{name}.jsonl.gz"), Catalog()
    return records, decode(records, catalog), catalog


def numbers(decoded: Decoded) -> np.ndarray:
    """Rows of samples that were sent as plain numbers: no histogram, no summary, no stale flag."""
    return decoded.samples.kind < Origin.HISTOGRAM


def rows_of(decoded: Decoded, catalog: Catalog) -> list[tuple[Any, ...]]:
    samples = decoded.samples
    columns = (samples.series_id, samples.time, samples.start, samples.value, samples.kind)
    return [
        (catalog.identities[i], *rest[:2], repr(rest[2]), rest[3]) for i, *rest in zip(*map(list, columns), strict=True)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_record_is_told_by_its_bytes_and_none_is_rejected(name: str) -> None:
    records, decoded, _ = decoded_capture(name)
    facts = facts_of(name)
    assert len(records) == facts["records"]
    assert decoded.rejected == []
    assert decoded.by_format == {FORMATS[facts["format"]]: len(records) - facts["null_values"]}


@pytest.mark.parametrize("name", NAMES)
def test_counts_exact_sums_names_hosts_and_times_are_the_facts(name: str) -> None:
    _, decoded, catalog = decoded_capture(name)
    (format_name,) = decoded.by_format
    assert seen(frame_of(decoded, catalog), facts_of(name), format_name) == expected(facts_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_series_gives_one_sample_a_time(name: str) -> None:
    """Records of one scrape that share name, tags and time replace nothing of each other."""
    _, decoded, _ = decoded_capture(name)
    keys = set(zip(decoded.samples.series_id.tolist(), decoded.samples.time.tolist(), strict=True))
    assert len(keys) == len(decoded.samples)


@pytest.mark.parametrize("name", OTLP)
def test_otlp_metric_names_are_all_there(name: str) -> None:
    _, decoded, catalog = decoded_capture(name)
    bases = set()
    for identity, kind in zip(catalog.identities, first_kinds(decoded, catalog), strict=True):
        whole = kind & (Origin.HISTOGRAM | Origin.SUMMARY) and identity.metric.endswith((".count", ".sum"))
        bases.add(identity.metric.rpartition(".")[0] if whole else identity.metric)
    assert sorted(bases) == facts_of(name)["metric_names"]


@pytest.mark.parametrize("name", OTLP)
def test_otlp_points_of_each_shape_are_all_there(name: str) -> None:
    _, decoded, catalog = decoded_capture(name)
    facts, kind, value = facts_of(name), decoded.samples.kind, decoded.samples.value
    stale = (kind & Origin.STALE) > 0
    metrics = np.array([identity.metric for identity in catalog.identities])[decoded.samples.series_id]
    flags = facts["points_flag_no_recorded_value_by_type"]
    histogram, summary = (kind & Origin.HISTOGRAM) > 0, (kind & Origin.SUMMARY) > 0
    counts = histogram & np.char.endswith(metrics, ".count")
    sums = histogram & np.char.endswith(metrics, ".sum")
    distributions = facts["histogram"], facts["exponential_histogram"]
    assert (stale & ~histogram & ~summary).sum() == flags.get("sum", 0) + flags.get("gauge", 0)
    assert (stale & counts).sum() == flags.get("histogram", 0)
    assert np.isnan(value[stale]).all()
    assert math.fsum(value[counts & ~stale]) == sum(part["sum_of_counts"] for part in distributions)
    assert math.fsum(value[sums & ~stale]) == pytest.approx(sum(part["sum_of_sums"] for part in distributions))
    quantiles = summary & (kind & 3 == Kind.GAUGE)
    assert quantiles.sum() == facts["summary"]["quantile_entries"]
    assert np.isnan(value[quantiles & ~stale]).sum() == facts["summary"]["quantile_entries_nan"]


@pytest.mark.parametrize("name", OTLP)
def test_otlp_sums_are_counters_deltas_or_levels_as_declared(name: str) -> None:
    _, decoded, catalog = decoded_capture(name)
    types = facts_of(name).get("metric_types", {})
    for identity, kind in zip(catalog.identities, first_kinds(decoded, catalog), strict=True):
        if types.get(identity.metric) == ["gauge"]:
            assert kind & 3 == Kind.GAUGE, identity.name
        if identity.metric in ("system.cpu.time", "system.disk.io", "system.network.io"):
            assert kind & 3 == Kind.COUNTER, identity.name
        if identity.metric in ("system.memory.usage", "system.filesystem.usage", "system.network.connections"):
            assert kind & 3 == Kind.GAUGE, identity.name


@pytest.mark.parametrize("name", OTLP)
def test_start_times_are_kept_and_absent_ones_are_zero(name: str) -> None:
    _, decoded, _ = decoded_capture(name)
    facts, rows = facts_of(name), numbers(decoded)
    if facts["points_without_start_time"] == facts["data_points"]:
        assert (decoded.samples.start == 0).all()
    elif not facts["points_without_start_time"]:
        assert (decoded.samples.start[rows] > 0).all()
        assert (decoded.samples.start[rows] <= decoded.samples.time[rows]).all()
    else:
        assert (decoded.samples.start[rows] == 0).sum() == facts["points_without_start_time"]


@pytest.mark.parametrize(("one", "other"), TWINS)
def test_twins_of_different_encoding_give_equal_samples(one: str, other: str) -> None:
    left, right = (rows_of(*decoded_capture(name)[1:]) for name in (one, other))
    assert sorted(left) == sorted(right)


@pytest.mark.parametrize("name", ["otel-otlp_proto-batch", "telegraf-influx"])
def test_samples_do_not_depend_on_how_records_were_polled(name: str) -> None:
    records, whole, catalog = decoded_capture(name)
    piecemeal, rows = Catalog(), []
    for first in range(0, len(records), 7):
        piece = slice(first, first + 7)
        part = Records(
            records.topic,
            records.partition,
            records.offsets[piece],
            records.times[piece],
            records.keys[piece],
            records.values[piece],
        )
        rows += rows_of(decode(part, piecemeal), piecemeal)
    assert rows == rows_of(whole, catalog)


def test_influx_text_fields_are_counted_and_not_rejected() -> None:
    _, decoded, _ = decoded_capture("telegraf-influx")
    assert decoded.skipped == {"text_field": facts_of("telegraf-influx")["string_fields"]}


def first_kinds(decoded: Decoded, catalog: Catalog) -> list[int]:
    """Kind by series id; a series has one kind, stale flags aside."""
    kinds: dict[int, int] = {}
    for series_id, kind in zip(decoded.samples.series_id.tolist(), decoded.samples.kind.tolist(), strict=True):
        assert kinds.setdefault(series_id, kind & ~Origin.STALE) == kind & ~Origin.STALE
    return [kinds[series_id] for series_id in range(catalog.n_series)]


def test_the_table_of_the_readme_is_what_is_read() -> None:
    text = wire_table.README.read_text(encoding="utf-8")
    assert wire_table.BEGIN + wire_table.table() + wire_table.END in text
    assert "differs" not in wire_table.table()
