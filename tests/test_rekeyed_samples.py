"""Laws of the samples format: what goes in comes out, entity by entity, and damage ends as a reason."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wire import NAMES as CAPTURES
from wire import WIRE

from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.codecs.buckets import Distribution, exponential
from pipeline.codecs.capture import read_capture
from pipeline.codecs.samples import MAGIC, EntityBatch, Whole, encode, entity_batches
from pipeline.events import Origin, Records, SampleBatch, SeriesIdentity
from pipeline.meaning import Meaning

POLL = 7
NAMES = st.text(min_size=1, max_size=12)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["db-01", "web-01", "ü/x"]),
        st.sampled_from(["cpu", "disk.used"]),
        st.dictionaries(NAMES, NAMES, max_size=2),
        st.integers(1, 7_000_000_000_000_000_000),
        st.floats(),
        st.sampled_from([0, 1, 2, 4, 16]),
        st.integers(0, 7_000_000_000_000_000_000),
        st.integers(0, 20),
    ),
    max_size=60,
)


def records(values: list[bytes]) -> Records:
    n = len(values)
    return Records("foreshock.samples", 0, list(range(n)), [0] * n, [None] * n, list(values))


def told(samples: SampleBatch, catalog: Catalog) -> list[tuple[object, ...]]:
    columns = (samples.series_id, samples.time, samples.start, samples.value, samples.kind)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [(catalog.identities[s], t, start, repr(value), kind) for s, t, start, value, kind in rows]


@given(ROWS)
def test_each_sample_comes_out_once_with_those_of_its_entity_in_their_order(rows):
    catalog = Catalog()
    rows = sorted(rows, key=lambda row: row[-1])
    ids = [
        catalog.series_id(SeriesIdentity(entity, "host", metric, tuple(sorted(labels.items())), "By"))
        for entity, metric, labels, *_ in rows
    ]
    columns = list(zip(*rows, strict=True)) or [()] * 8
    samples = SampleBatch(
        np.array(ids, np.int32),
        np.array(columns[3], np.int64),
        np.array(columns[4], np.float64),
        np.array(columns[5], np.uint8),
        np.array(columns[6], np.int64),
        np.array(columns[7], np.int32),
    )
    batches = list(entity_batches(samples, [], catalog, "telemetry/3", 77))
    assert [batch.entity for batch, _ in batches] == sorted({row[0] for row in rows})
    fresh = Catalog()
    found = decode(records([encode(batch) for batch, _ in batches]), fresh)
    expected = sorted(told(samples, catalog), key=lambda row: row[0].entity)
    assert told(found.samples, fresh) == expected
    assert {(clock.source, clock.time_ms) for _, clock in found.clocks} <= {("telemetry/3", 77)}
    assert not found.rejected


def test_a_record_without_samples_only_tells_a_clock():
    found = decode(records([encode(EntityBatch("telemetry/1", 123_456))]), Catalog())
    assert (len(found.samples), found.rejected) == (0, [])
    assert found.clocks == [(0, ("telemetry/1", 123_456))]


@pytest.mark.parametrize(
    ("damage", "detail"),
    [
        ({"time": b"\0" * 7}, "buffer size"),
        ({"time": b"\0" * 16}, "columns differ in length"),
        ({"local": b"\5\0\0\0"}, "not among the record's 1"),
        ({"local": b"\xff\xff\xff\xff"}, "not among the record's 1"),
        ({"wholes": [Whole(1, 1.0, "s")]}, "a histogram of row 1"),
        ({"wholes": [Whole(-1, 1.0, "s")]}, "a histogram of row -1"),
        ({"wholes": [Whole(0, 1.0, "s", 0)]}, "with bounds 0"),
        ({"wholes": [Whole(0, 1.0, "s", -2)]}, "with bounds -2"),
        ({"wholes": [Whole(0, 1.0, "s", 0, b"\0" * 8)], "bounds": [b"\0" * 8]}, "8 of counts"),
        ({"wholes": [Whole(0, 1.0, "s", 0, b"\0" * 7)], "bounds": [b"\0" * 8]}, "buffer size"),
    ],
)
def test_damaged_columns_are_rejected_with_the_reason(damage, detail):
    good = EntityBatch("t/0", 1, "db", "host", [("m", [], "")], b"\0" * 4, b"\1" * 8, b"\0" * 8, b"\0" * 8, b"\0")
    (rejected,) = decode(records([encode(msgspec.structs.replace(good, **damage))]), Catalog()).rejected
    assert rejected.reason == "bad_samples"
    assert detail in rejected.detail


@given(st.binary(max_size=200))
@example(b" a=1")  # as a line of influx goes on
def test_hostile_bytes_behind_the_mark_end_as_a_reason(noise):
    found = decode(records([MAGIC + noise]), Catalog())
    assert len(found.samples) == 0
    assert [one.reason for one in found.rejected] == ["bad_samples"]


def named(samples: SampleBatch, catalog: Catalog) -> Counter[tuple[Any, ...]]:
    return Counter(told(samples, catalog))


def of_histograms(name: str) -> bool:
    return name.startswith(("otelself", "otelsdk", "otelgosdk", "otelprom", "telegraf-prometheus"))


@pytest.mark.skipif(not CAPTURES, reason="the captures of ../shared/data/wire are absent")
@pytest.mark.parametrize("name", [name for name in CAPTURES if of_histograms(name)])
def test_what_is_watched_of_histograms_is_the_same_with_rekey_and_without(name):
    whole, plain, before, behind = read_capture(WIRE / f"{name}.jsonl.gz"), Catalog(), Catalog(), Catalog()
    direct, rekeyed = Meaning(plain), Meaning(behind)
    seen: tuple[Counter[Any], Counter[Any]] = Counter(), Counter()
    found = decode(whole, plain)
    seen[0].update(named(direct.watch(found.samples, found.distributions).samples, plain))
    for first in range(0, len(whole), POLL):
        part = slice(first, first + POLL)
        columns = (whole.offsets, whole.times, whole.keys, whole.values)
        read = decode(Records(whole.topic, whole.partition, *(column[part] for column in columns)), before)
        batches = entity_batches(read.samples, read.distributions, before, "telemetry/0", 1)
        sent = decode(records([encode(batch) for batch, _ in batches]), behind)
        seen[1].update(named(rekeyed.watch(sent.samples, sent.distributions).samples, behind))
    assert seen[0] == seen[1]
    estimates = [row for row in seen[0] if dict(row[0].labels).get("estimate") == "buckets"]
    assert bool(estimates) == any(one.buckets and sum(one.buckets.counts) for one in found.distributions)


def test_many_wide_histograms_of_an_entity_stay_below_what_a_broker_takes():
    catalog, n = Catalog(), 2_000
    ids = [catalog.series_id(SeriesIdentity("db", "host", f"wait{i}.count", (), "1")) for i in range(n)]
    kinds = np.full(n, Origin.HISTOGRAM, np.uint8)
    times = np.full(n, 10**18)
    samples = SampleBatch(np.array(ids, np.int32), times, np.ones(n), kinds, times * 0, np.zeros(n, np.int32))
    wide = [exponential(8, 0.0, (i, [1.0] * 500), (0, [])) for i in range(n)]
    batches = list(
        entity_batches(samples, [Distribution(i, 1.0, "s", one) for i, one in enumerate(wide)], catalog, "t/0", 1)
    )
    values = [encode(batch) for batch, _ in batches]
    assert max(map(len, values)) < 500_000
    found = decode(records(values), Catalog())
    assert [one.sample for one in found.distributions] == list(range(n))
    assert [one.buckets for one in found.distributions] == wide
    assert exponential(8, 0.0, (0, [1.0] * 508), (0, [])) is None
