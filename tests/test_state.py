"""Laws of kept state: whole or not at all, newest that is valid, nothing of others removed, decisions in order."""

import os
import stat
import time
from collections import deque
from dataclasses import asdict, replace

import msgspec
import numpy as np
import pytest

from models.bundle import Bundle
from pipeline import faults
from pipeline.errors import SnapshotDamaged, StepFailed, StoreFailed
from pipeline.events import Decision
from pipeline.idle import Idle
from pipeline.state import snapshot as snapshot_file
from pipeline.state.bundles import Bundles
from pipeline.state.snapshot import Buffer, Mark, decode, encode, seal
from pipeline.state.snapshots import Snapshots
from pipeline.state.store import Folder, store_at
from pipeline.stream import PartitionStream, Plan
from pipeline.work import Work
from tests.test_image import part, telemetry


def bundle_of(digest):
    return Bundle("shifted", digest, threshold_shift=2.0) if digest else None


def new_work(live_from=0, stream=None):
    return Work(stream or PartitionStream(Plan(), "t", 0), 0, 0, live_from, bundle_of)


def sealed(stream, offset=0, sequence=0):
    made = encode(stream.image(), Mark("t", 0, "life", offset, sequence, 1), Buffer())
    seal(made)
    return made.tobytes()


def mark(offset, sequence=0, generation=1, life="life"):
    return Mark("t", 0, life, offset, sequence, generation)


@pytest.fixture(scope="module")
def stream():
    made = PartitionStream(Plan(), "t", 0)
    made.step(telemetry(n_steps=220))
    return made


def test_a_snapshot_is_read_as_it_was_taken(stream):
    found, image = decode(sealed(stream, 220, 3))
    assert found == mark(220, 3)
    assert PartitionStream.of_image(image, "t", 0, None).digest() == stream.digest()


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "foreign"])
def test_a_damaged_snapshot_is_refused(stream, damage):
    data = bytearray(sealed(stream))
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "flip":
        data[len(data) // 3] ^= 1
    elif damage == "empty":
        data = bytearray()
    else:
        data[:4] = b"else"
    with pytest.raises(SnapshotDamaged, match=r"bytes that do not|checksum"):
        decode(bytes(data))


@pytest.mark.parametrize(("step", "readable"), [(-1, True), (0, True), (1, True), (2, False), (-2, False)])
def test_snapshots_are_read_one_schema_both_ways(stream, monkeypatch, step, readable):
    written = snapshot_file.SCHEMA
    data = sealed(stream)
    monkeypatch.setattr(snapshot_file, "SCHEMA", written + step)
    if readable:
        assert decode(data)[1].rows["series"] == stream.catalog.n_series
    else:
        with pytest.raises(SnapshotDamaged, match=f"written in schema {written}"):
            decode(data)


def test_a_snapshot_with_a_column_less_is_laid_out_with_the_rest_as_new(stream):
    image = stream.image()
    name = next(n for n, t in image.tables.items() if t.axis == "series" and t.array.ndim == 2 and not t.scratch)
    fewer = image.tables[name]._replace(array=image.tables[name].array[:, :-1].copy())
    other = PartitionStream.of_image(replace(image, tables={**image.tables, name: fewer}), "t", 0, None)
    n = stream.catalog.n_series
    assert np.array_equal(other.image().tables[name].array[:n, :-1], image.tables[name].array[:n, :-1])


def test_the_newest_valid_snapshot_at_or_before_the_offset_is_used(stream, tmp_path):
    snapshots = Snapshots(Folder(tmp_path), 60)
    for offset in (100, 200):
        snapshots.take(stream.image(), mark(offset))
    snapshots.finish()
    assert snapshots.newest(mark(250))[0].offset == 200
    assert snapshots.newest(mark(199))[0].offset == 100
    assert snapshots.newest(mark(99)) is None
    newest = next((tmp_path / "t-0-life").glob("*200-*.state"))
    newest.write_bytes(newest.read_bytes()[:-1])
    assert snapshots.newest(mark(250))[0].offset == 100
    assert snapshots.failures == 1
    snapshots.close()


def test_snapshots_of_another_life_are_never_used(stream, tmp_path):
    snapshots = Snapshots(Folder(tmp_path), 60)
    snapshots.take(stream.image(), mark(100, life="another"))
    snapshots.finish()
    assert snapshots.newest(mark(250)) is None
    snapshots.close()


def test_two_snapshots_are_kept_and_newer_ones_of_others_are_never_pruned(stream, tmp_path):
    mine, theirs = Snapshots(Folder(tmp_path), 60), Snapshots(Folder(tmp_path), 60)
    for offset in (100, 200, 300):
        mine.take(stream.image(), mark(offset))
    mine.finish()
    kept = sorted(path.name[:20] for path in (tmp_path / "t-0-life").iterdir())
    assert [int(name) for name in kept] == [200, 300]
    for offset in (400, 500):
        theirs.take(stream.image(), mark(offset, generation=2))
    theirs.finish()
    mine.take(stream.image(), mark(350))  # a zombie that was frozen after its commit
    mine.finish()
    left = {int(path.name[:20]) for path in (tmp_path / "t-0-life").iterdir()}
    assert {400, 500} <= left
    mine.close()
    theirs.close()


def test_a_store_that_fails_is_counted_and_costs_no_input(stream, tmp_path):
    (tmp_path / "t-0-life").write_text("a file where a folder should be")
    snapshots = Snapshots(Folder(tmp_path), 60)
    snapshots.take(stream.image(), mark(100))
    snapshots.finish()
    assert snapshots.failures == 1
    assert snapshots.last("t", 0) == ""
    snapshots.close()


def test_partitions_are_kept_in_turn_and_none_starves(monkeypatch, stream, tmp_path):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    snapshots, places = Snapshots(Folder(tmp_path), 60), [("t", n) for n in range(8)]
    assert snapshots.due(places) is None
    taken = []
    for _ in range(40):
        now += 10  # slower than they fall due: eight in 60 seconds
        place = snapshots.due(places)
        if place is not None:
            taken.append(place)
            snapshots.take(stream.image(), mark(0)._replace(partition=place[1]))
            snapshots.finish()
    assert sorted(taken[:8]) == places
    assert sorted(taken[8:16]) == places
    snapshots.close()


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    folder = Folder(tmp_path)
    faults.arm("in-snapshot:1:disk")
    with pytest.raises(StoreFailed, match="no space left"):
        folder.write("a/b", memoryview(b"12345678"))
    assert list((tmp_path / "a").iterdir()) == []
    folder.write("a/b", memoryview(b"12345678"))
    assert folder.read("a/b") == b"12345678"
    faults.arm("")


def test_an_unreadable_folder_is_told_apart_from_an_empty_one(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root reads every folder")
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(0)
    try:
        with pytest.raises(StoreFailed, match="listing"):
            Folder(tmp_path).names("a")
    finally:
        (tmp_path / "a").chmod(stat.S_IRWXU)


def test_a_url_keeps_what_a_folder_keeps(stream):
    pytest.importorskip("fsspec")
    snapshots = Snapshots(store_at("memory://foreshock-test"), 60)
    for offset in (100, 200, 300):
        snapshots.take(stream.image(), mark(offset))
    snapshots.finish()
    assert snapshots.newest(mark(250))[0].offset == 200
    assert snapshots.newest(mark(150)) is None
    assert snapshots.failures == 0
    snapshots.close()


def test_the_bundle_in_force_is_kept_beside_the_snapshots(tmp_path):
    store = Folder(tmp_path)
    digest = Bundles(store).put(Bundle("fleet", "7", threshold_shift=0.5))
    found = Bundles(store).get(digest)
    assert (found.name, found.version, found.threshold_shift) == ("fleet", "7", 0.5)
    assert Bundles(store).get("") is None


def decided(work, records):
    """A first life: settings at the start, a model switch, a tick while idle, a switch back; told and recorded."""
    told, log = [], []

    def take(kind, value):
        decision, result = work.decide(kind, value)
        log.append(decision)
        told.extend(result.incidents)

    take("begin", {"listens_from": 0, "n_partitions": 2, "life": "x"})
    take("settings", asdict(Plan()))
    for rows, kind, value in (
        (slice(0, 100), "model", {"hash": "abc"}),
        (slice(100, 205), "model", {"hash": ""}),
        (slice(205, 260), "idle", {"clock_ms": records.times[259] + 3_600_000}),
        (slice(260, None), "model", {"hash": "def"}),
    ):
        for result in work.step(part(records, rows)):
            told.extend(result.incidents)
        take(kind, value)
    return told, log


@pytest.mark.parametrize("chunk", [1, 7, 300])
def test_a_replay_obeys_decisions_at_their_places_whatever_the_polls(chunk):
    records = telemetry()
    first = new_work()
    told, log = decided(first, records)
    assert any(event.data.track == "silence" for event in told)
    again = new_work(live_from=len(records))
    again.ahead = deque(log)
    for at in range(0, len(records), chunk):
        assert len(again.listen(part(records, slice(at, at + chunk)))) == 0
    again.published = [event.data for event in told]
    assert again.go_live() == 0
    assert (again.at, again.sequence, again.model) == (first.at, first.sequence, "def")
    assert again.stream.digest() == first.stream.digest()


def test_a_replay_from_a_snapshot_between_decisions_obeys_only_what_came_later():
    records = telemetry()
    first = new_work()
    _, log = decided(first, records)
    half = new_work()
    decided_half = [one for one in log if one.offset <= 100]
    half.ahead, half.live_from = deque(decided_half), 100
    half.listen(part(records, slice(0, 100)))
    half.go_live()
    image = decode(sealed(half.stream, half.at, half.sequence))[1]
    again = Work(PartitionStream.of_image(image, "t", 0, bundle_of("abc")), half.at, half.sequence, 300, bundle_of)
    again.ahead = deque(one for one in log if one.sequence >= half.sequence)
    again.listen(part(records, slice(100, None)))
    again.published = []
    while again.ahead:
        again.obey(again.ahead.popleft())
    assert again.stream.digest() == first.stream.digest()


def test_settings_changed_over_a_restart_hold_from_their_offset_only():
    plan = replace(Plan(), silence_rhythms=99)
    work = new_work()
    work.step(telemetry(n_steps=10))
    decision, _ = work.decide("settings", asdict(plan))
    again = msgspec.json.decode(msgspec.json.encode(decision), type=Decision)
    assert decision.offset == 10
    other = new_work()
    other.obey(again)
    assert other.stream.plan == plan == work.stream.plan
    assert other.stream.grid.limits == work.stream.grid.limits


@pytest.fixture
def poison():
    faults.arm("poison:poisonous")
    yield
    faults.arm("")


def poisoned(records, rows):
    values = list(records.values)
    for row in rows:
        values[row] = values[row][:-1] + b',{"timestamp":1,"entity":"poisonous","metric":"x","value":1}]'
    return replace(records, values=values)


def test_parts_are_all_records_in_order_and_as_large_as_what_records_held():
    records, work = telemetry(), new_work()
    work.step(part(records, slice(0, 100)))
    each = work.stream.counts.decoded / 100
    parts = list(work.parts(part(records, slice(100, None)), n_samples=round(30 * each)))
    assert [offset for one in parts for offset in one.offsets] == records.offsets[100:]
    assert [len(one) for one in parts] == [30] * 6 + [20]
    assert [len(one) for one in work.parts(records, n_samples=1)] == [1] * 300
    assert list(work.parts(part(records, slice(0, 0)))) == []


def test_a_record_that_breaks_the_code_fails_the_whole_batch(poison):
    with pytest.raises(StepFailed, match=r"t \[0\] offsets 0 to 299: RuntimeError: poison"):
        new_work().step(poisoned(telemetry(), [123]))


def test_a_batch_that_failed_twice_loses_its_culprits_only(poison):
    records = telemetry()
    work = new_work()
    work.careful = True
    results = work.step(poisoned(records, [123, 250]))
    rejected = [one for result in results for one in result.rejected]
    assert [(one.offset, one.reason, one.detail) for one in rejected] == [
        (123, "internal_error", "poison"),
        (250, "internal_error", "poison"),
    ]
    assert work.found == [123, 250]
    without = new_work()
    rows = [row for row in range(len(records)) if row not in (123, 250)]
    for row in rows:
        without.step(part(records, slice(row, row + 1)))
    assert work.stream.digest() == without.stream.digest()
    assert sum(result.counts.records for result in results) == len(records)


def test_a_replay_leaves_out_what_was_found_to_be_poison(poison):
    records = poisoned(telemetry(), [123])
    work = new_work()
    work.careful = True
    work.step(records)
    again = new_work()
    again.obey(Decision("t", 0, 300, 0, "poison", {"culprit": 123}))
    again.step(records)
    assert again.stream.digest() == work.stream.digest()


def test_a_quiet_partition_is_idle_only_while_others_are_not():
    idle = Idle(60)
    idle.hear([("t", 0), ("t", 1)], 0.0)
    assert idle.look({("t", 0): 5, ("t", 1): 5}, 0.0) == {}
    idle.hear([("t", 1)], 70.0)
    assert idle.is_due(70.0)
    assert idle.look({("t", 0): 5, ("t", 1): 9}, 70.0) == {("t", 0): 70_000}
    assert not idle.input_silent


def test_a_silent_input_is_one_fact_and_no_partition_is_idle():
    idle = Idle(60)
    idle.hear([("t", 0), ("t", 1)], 0.0)
    idle.look({("t", 0): 5, ("t", 1): 5}, 0.0)
    assert idle.look({("t", 0): 5, ("t", 1): 5}, 61.0) == {}
    assert idle.input_silent
    idle.look({("t", 0): 6, ("t", 1): 5}, 70.0)
    assert not idle.input_silent


def test_an_input_of_one_partition_is_silent_never_idle():
    idle = Idle(60)
    idle.hear([("t", 0)], 0.0)
    idle.look({("t", 0): 5}, 0.0)
    assert idle.look({("t", 0): 5}, 500.0) == {}
    assert idle.input_silent
