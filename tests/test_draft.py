"""Laws of a copy in slices: whatever moves meanwhile, what is kept in the end is the state as it stands then."""

from dataclasses import replace
from itertools import count

import msgspec
import numpy as np
import pytest

from models.bundle import Bundle
from pipeline.events import Records
from pipeline.image import Touched
from pipeline.state import draft as drafts
from pipeline.state.snapshot import Mark
from pipeline.state.snapshots import Snapshots
from pipeline.state.store import Folder
from pipeline.stream import PartitionStream, Plan

T0, STEP = 1_700_000_000_000, 10_000
PLAN = Plan(late_steps=4, silence_rhythms=3, silence_least_ms=30_000)


class Street:
    """A stream and what happens to it, a step at a time, drawn by chance."""

    def __init__(self, seed):
        self.chance = np.random.default_rng(seed)
        self.stream, self.at, self.offset = PartitionStream(PLAN, "t", 0), 0, 0
        self.hosts, self.quiet = [f"host-{n}" for n in range(90)], set()

    def step(self):
        chance, rows = self.chance, []
        if chance.random() < 0.2:
            self.hosts.append(f"{'late' if chance.random() < 0.5 else 'aa'}-host-{self.at}")
        if chance.random() < 0.3:
            self.quiet = set(chance.choice(self.hosts, 20).tolist())
        for host in self.hosts:
            if host not in self.quiet and chance.random() < 0.9:
                late = int(chance.integers(0, 4)) if chance.random() < 0.05 else 0
                rows.append(self.said(host, self.at - late, "host"))
        for pod in range(3):
            if chance.random() < 0.5:
                rows.append(self.said(f"web-7d4b9c6f5d-abcd{pod}", self.at, "pod"))
        self.tell(rows)
        self.at += 1
        if chance.random() < 0.05:
            self.stream.swap(Bundle("b", str(self.at), threshold_shift=0.1) if chance.random() < 0.5 else None)
        if chance.random() < 0.05:
            self.stream.call_roll()
        if chance.random() < 0.05:
            self.stream.tick(self.stream.silence_clock_ms + 40_000, self.offset)
        if chance.random() < 0.05:
            self.stream.obey(replace(PLAN, late_steps=int(chance.integers(2, 5))))

    def said(self, host, at, kind):
        lift = 400.0 * (host == "host-3" and at % 20 > 15)
        samples = [("load", 50 + self.chance.normal() + lift), ("disk.utilization", min(1.0, 0.3 + at / 400))]
        return [
            {"timestamp": T0 + at * STEP, "entity": host, "class": kind, "metric": metric, "value": value}
            for metric, value in samples
        ]

    def tell(self, rows):
        n, now = len(rows), T0 + self.at * STEP
        values = [msgspec.json.encode(row) for row in rows]
        self.stream.step(Records("t", 0, list(range(self.offset, self.offset + n)), [now] * n, [None] * n, values))
        self.offset += n

    def mark(self):
        return Mark("t", 0, "life", self.offset, 0, 1)


def copied(street, folder, slice_bytes, n_steps):
    """Let time pass while the state is copied in slices; returns how often, and compares each time."""
    snapshots, n_kept, n_slices = Snapshots(Folder(folder), 0, slice_bytes), 0, 0
    for _ in range(n_steps):
        before = snapshots._writing
        snapshots.go_on(street.stream.moving(), street.mark())
        n_slices += 1
        if snapshots._writing is not before and snapshots._draft is None:
            snapshots.finish()
            found = snapshots.newest(street.mark())
            if found is not None and found[0] == street.mark():
                again = PartitionStream.of_image(found[1], "t", 0, street.stream.bundle)
                assert again.digest() == street.stream.digest()
                n_kept += 1
        street.step()
    assert snapshots.failures == 0
    snapshots.close()
    return n_kept, n_slices


@pytest.mark.parametrize(("seed", "few", "slice_bytes"), [(1, 0, 300_000), (2, 0, 100_000), (3, 2**27, 60_000)])
def test_a_state_copied_while_it_moves_on_is_kept_as_it_stands_in_the_end(
    tmp_path, monkeypatch, seed, few, slice_bytes
):
    street = Street(seed)
    for _ in range(30):
        street.step()
    monkeypatch.setattr(drafts, "FEW_BYTES", few)
    monkeypatch.setattr(drafts, "MOST_PASSES", 3)
    n_kept, n_slices = copied(street, tmp_path, slice_bytes, 60)
    assert 1 <= n_kept < n_slices / 2, "copied in slices, and to an end"


def test_a_draft_that_does_not_know_who_was_touched_would_be_found_out(tmp_path, monkeypatch):
    street = Street(1)
    for _ in range(30):
        street.step()
    monkeypatch.setattr(Touched, "mark", lambda self, entities: None)
    monkeypatch.setattr(Touched, "mark_all", lambda self: None)
    with pytest.raises(AssertionError):
        copied(street, tmp_path, 100_000, 60)


def test_a_draft_of_another_stream_is_begun_anew(tmp_path):
    snapshots, streets = Snapshots(Folder(tmp_path), 0, 20_000), [Street(2), Street(3)]
    for street in streets:
        for _ in range(12):
            street.step()
    for street, often in ((streets[0], 4), (streets[1], 60)):
        for _ in range(often):
            snapshots.go_on(street.stream.moving(), street.mark())
    snapshots.finish()
    found = snapshots.newest(streets[1].mark())
    assert PartitionStream.of_image(found[1], "t", 0, None).digest() == streets[1].stream.digest()
    snapshots.close()


def test_room_is_made_in_the_background_and_for_what_is_told_too(monkeypatch, tmp_path):
    monkeypatch.setattr("pipeline.state.snapshots.TAIL_BYTES", 10)
    street, snapshots, tries = Street(4), Snapshots(Folder(tmp_path), 0), count()
    for _ in range(12):
        street.step()
    street.stream.lateness.known[0] = dict.fromkeys(range(T0, T0 + 60_000), 1)
    while not snapshots.last("t", 0):
        snapshots.go_on(street.stream.moving(), street.mark())
        snapshots.finish()
        assert next(tries) < 6
    assert next(tries) >= 3
    snapshots.close()


def test_who_is_touched_is_noted_only_while_somebody_watches():
    touched = Touched()
    assert touched.flags(3).tolist() == [True] * 3
    touched.watch(3)
    touched.mark(np.array([1, 5]))
    assert touched.flags(7).tolist() == [False, True, False, True, True, True, True]
    touched.mark_all()
    assert touched.flags(2).all()
    touched.rest()
    assert not touched.watched
