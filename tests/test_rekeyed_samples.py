"""Laws of the samples format: what goes in comes out, entity by entity, and damage ends as a reason."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.codecs.samples import MAGIC, EntityBatch, encode, entity_batches
from pipeline.events import Records, SampleBatch, SeriesIdentity

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
    batches = list(entity_batches(samples, catalog, "telemetry/3", 77))
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
    ],
)
def test_damaged_columns_are_rejected_with_the_reason(damage, detail):
    good = EntityBatch("t/0", 1, "db", "host", [("m", [], "")], b"\0" * 4, b"\1" * 8, b"\0" * 8, b"\0" * 8, b"\0")
    (rejected,) = decode(records([encode(msgspec.structs.replace(good, **damage))]), Catalog()).rejected
    assert rejected.reason == "bad_samples"
    assert detail in rejected.detail


@given(st.binary(max_size=200))
def test_hostile_bytes_behind_the_mark_end_as_a_reason(noise):
    found = decode(records([MAGIC + noise]), Catalog())
    assert len(found.samples) == 0
    assert [one.reason for one in found.rejected] == ["bad_samples"]
