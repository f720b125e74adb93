"""Laws of a kept state: what is kept and read again goes on as if nothing had happened, and compares equal."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from pipeline.events import Records
from pipeline.image import STRETCH, copy_rows
from pipeline.stream import PartitionStream, Plan

T0, STEP, N_STEPS = 1_700_000_000_000, 60_000, 300


def telemetry(hosts=("a", "b", "c"), n_steps=N_STEPS, first=0):
    """One record a step: each host's two metrics, the first host with a burst from step 200."""
    rng = np.random.default_rng(5)
    values, times = [], []
    for i in range(n_steps):
        now = T0 + i * STEP
        rows = [
            {
                "timestamp": now,
                "entity": host,
                "metric": m,
                "value": float(rng.normal() + 30 * (host == "a" and i > 200)),
            }
            for host in hosts
            for m in ("cpu", "memory")
        ]
        values.append(msgspec.json.encode(rows))
        times.append(now)
    n = len(values)
    return Records("t", 0, list(range(first, first + n)), times, [None] * n, values)


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.uint8])
def test_copied_rows_are_the_same_whether_zeros_lie_in_them_or_under_them(dtype):
    rows = np.zeros((3 * STRETCH, 2), dtype)
    rows[: STRETCH + 1, 1] = 7
    blank, written, cut = np.zeros_like(rows), np.full_like(rows, 3), np.full((3 * STRETCH, 3), 3, dtype)
    copy_rows(rows, blank)
    copy_rows(rows, written)
    copy_rows(rows, cut[:, :2])
    for into in (blank, written, cut[:, :2]):
        np.testing.assert_array_equal(into, rows)
    assert (cut[:, 2] == 3).all()


def part(records, rows):
    columns = (records.offsets[rows], records.times[rows], records.keys[rows], records.values[rows])
    return Records(records.topic, records.partition, *columns)


def kept(stream):
    """The stream of an image that no longer shares memory with the stream it was taken of."""
    image = stream.image()
    copies = {name: table._replace(array=table.array.copy()) for name, table in image.tables.items()}
    return PartitionStream.of_image(replace(image, tables=copies), "t", 0, None)


@pytest.mark.parametrize("cut", [5, 40, 203, 250])
def test_a_kept_state_goes_on_as_if_nothing_had_happened(cut):
    records = telemetry()
    whole = PartitionStream(Plan(), "t", 0)
    whole.step(part(records, slice(0, cut)))
    again = kept(whole)
    assert again.digest() == whole.digest()
    expected, found = whole.step(part(records, slice(cut, None))), again.step(part(records, slice(cut, None)))
    assert msgspec.json.encode(found.incidents) == msgspec.json.encode(expected.incidents)
    assert found.scores == expected.scores
    assert again.digest() == whole.digest()


def test_the_digest_does_not_hang_on_the_ids_given():
    one, other = PartitionStream(Plan(), "t", 0), PartitionStream(Plan(), "t", 0)
    records = telemetry()
    for host in ("c", "a", "b"):
        other.catalog.entity_id(host, "host")
    one.step(records)
    other.step(records)
    assert list(one.catalog.entities) != list(other.catalog.entities)
    assert one.digest() == other.digest()


def test_the_digest_shows_a_single_changed_value():
    one, other = PartitionStream(Plan(), "t", 0), PartitionStream(Plan(), "t", 0)
    one.step(telemetry())
    other.step(telemetry())
    assert one.digest() == other.digest()
    next(iter(other.judge.features.tables().values())).array[3, 0] += 1
    assert one.digest() != other.digest()


def test_a_catalog_is_read_as_it_was_written():
    stream = PartitionStream(Plan(), "t", 0)
    stream.step(telemetry(("ä b", 'quo"te', "line\nbreak")))
    again = type(stream.catalog).read(stream.catalog.written(), 10)
    assert list(again.identities) == list(stream.catalog.identities)
    assert list(again.entities) == list(stream.catalog.entities)
    assert again.entity_of == stream.catalog.entity_of
    assert again.written() == stream.catalog.written()
