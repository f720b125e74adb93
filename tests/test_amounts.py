"""Amounts read as people say them, and the unit that a sender's format knows reaches the incident's title."""

from __future__ import annotations

import json

import pytest

from pipeline.amounts import amount, band, rate_of
from pipeline.codecs.units import bounds_of, unit_of
from pipeline.events import Records
from pipeline.stream import PartitionStream, Plan

AT = 1_767_571_200


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (97, "%", "97 %"),
        (0.974, "ratio", "97.4 %"),
        (1.23e9, "By", "1.23 GB"),
        (5e4, "By/s", "50 kB/s"),
        (500, "By", "500 B"),
        (0.34, "s", "0.34 s"),
        (12, "{requests}", "12 requests"),
        (3.4e5, "", "340k"),
        (36.6, "Cel", "36.6 °C"),
        (None, "s", "?"),
    ],
)
def test_an_amount_has_its_unit_and_a_large_one_a_prefix(value: float | None, unit: str, text: str) -> None:
    assert amount(value, unit) == text


@pytest.mark.parametrize(
    ("lower", "upper", "unit", "text"),
    [(61, 70, "%", "61–70 %"), (900, 12_000, "By", "900 B–12 kB"), (1, 2, "", "1–2"), (1e9, 1.4e9, "By", "1–1.4 GB")],
)
def test_a_band_says_its_unit_once_where_it_can(lower: float, upper: float, unit: str, text: str) -> None:
    assert band(lower, upper, unit) == text


@pytest.mark.parametrize(
    ("metric", "sent", "unit"),
    [
        ("http_request_duration_seconds_bucket", "", "s"),
        ("node_memory_MemFree_bytes", "", "By"),
        ("system.cpu.total.norm.pct", "", "ratio"),
        ("system.cpu.utilization", "1", "ratio"),
        ("http.server.requests", "1", "1"),
        ("system.network.io", "By", "By"),
        ("cpu.usage_idle", "", "%"),
        ("cpu_usage_idle", "", "%"),
        ("mem.free", "", "By"),
        ("mem.huge_pages_free", "", ""),
        ("disk.used_percent", "", "%"),
        ("net.bytes_recv", "", "By"),
        ("memory/memory-used", "", "By"),
        ("cache-01.df-root.df_complex-free", "", "By"),
        ("queue.depth", "", ""),
    ],
)
def test_conventions_of_names_tell_units(metric: str, sent: str, unit: str) -> None:
    assert unit_of(metric, sent) == unit


def test_percentages_that_count_cores_have_no_upper_bound() -> None:
    assert bounds_of("%", 61.0) == (0.0, 100.0)
    assert bounds_of("%", 240.0) == (0.0, float("inf"))
    assert bounds_of("Cel") == (-float("inf"), float("inf"))


def test_a_rate_has_a_unit_of_its_own() -> None:
    assert [rate_of(unit) for unit in ("By", "{requests}", "1", "")] == ["By/s", "{requests}/s", "", ""]


def title_of(metric: str, values: list[float], **more: str) -> str:
    rows = [
        json.dumps({"timestamp": AT + 60 * n, "entity": "db-03", "metric": metric, "value": value, **more}).encode()
        for n, value in enumerate(values)
    ]
    times = [(AT + 60 * n) * 1000 for n in range(len(rows))]
    records = Records("t", 0, list(range(len(rows))), times, [None] * len(rows), list[bytes | None](rows))
    found = PartitionStream(Plan(), "t", 0).step(records).incidents
    assert found
    return found[0].data.title


def test_ratios_and_rates_of_bytes_are_told_in_the_title() -> None:
    shares = [0.60 + 0.01 * (n % 5) for n in range(400)] + [0.99] * 10
    assert " 99 % since" in title_of("disk_used_ratio", shares)
    assert " % at this hour" in title_of("disk_used_ratio", shares)
    sent, total = [], 0.0
    for n in range(400):
        total += 60_000 + 600 * (n % 5) + (60_000_000 if n > 390 else 0)
        sent.append(total)
    assert " MB/s since" in title_of("net_sent_bytes", sent, kind="counter")


def test_a_utilization_that_goes_to_a_hundred_is_told_in_percent() -> None:
    shape = [0.60 + 0.01 * (n % 5) for n in range(400)] + [0.99] * 10
    for scale in (1.0, 100.0):
        assert " 99 % since" in title_of("cpu.utilization", [scale * value for value in shape])


def test_no_band_of_a_percentage_reaches_beyond_what_can_be() -> None:
    title = title_of("cpu_percent", [90.0 + (n * n * 7) % 10 for n in range(400)] + [5.0] * 10)
    assert "–100 % at this hour" in title
