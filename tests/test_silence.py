"""Laws of silence: who is missed, who is not, and what only looks like silence."""

import msgspec

from pipeline.events import Records
from pipeline.stream import PartitionStream, Plan

T0, STEP = 1_700_000_000_000, 10_000


def feed(stream, rows, first):
    """Rows of (record time, event time, entity, class): one record each."""
    values = [
        msgspec.json.encode([{"timestamp": at, "entity": name, "class": kind, "metric": "m", "value": float(at % 7)}])
        for _, at, name, kind in rows
    ]
    offsets = list(range(first, first + len(rows)))
    return stream.step(Records("t", 0, offsets, [row[0] for row in rows], [None] * len(rows), values)).incidents


def steps(names, numbers, kind="host"):
    return [(T0 + i * STEP, T0 + i * STEP, name, kind) for i in numbers for name in names]


def silent(events):
    return [event.data.entity.id for event in events if event.data.track == "silence"]


def test_a_host_alone_on_its_partition_is_missed_by_a_tick():
    stream = PartitionStream(Plan(), "t", 0)
    feed(stream, steps("a", range(40)), 0)
    assert not stream.would_miss(stream.silence_clock_ms + 30_000)
    assert stream.would_miss(stream.silence_clock_ms + 60_000)
    told = stream.tick(stream.silence_clock_ms + 60_000, 40).incidents
    assert silent(told) == ["a"]
    assert told[0].data.source.last_offset == 40
    back = feed(stream, steps("a", range(60, 62)), 40)
    assert [event.type for event in back] == ["foreshock.incident.resolved.v1"]


def test_a_host_that_reports_in_bursts_is_missed_by_its_own_rhythm():
    stream = PartitionStream(Plan(), "t", 0)
    rows, at = [], 0
    for i in range(400):
        rows += steps("ab", [i])
        if i % 30 == 29:  # the burst: what "c" gathered in five minutes
            rows += [(T0 + i * STEP, T0 + j * STEP, "c", "host") for j in range(at, i)]
            at = i
    told = feed(stream, rows, 0)
    learning = silent(told)
    more = feed(stream, steps("ab", range(400, 460)), len(rows))
    assert silent(more) == []
    gone = feed(stream, steps("ab", range(460, 700)), len(rows) + 120)
    assert silent(gone) == ["c"]
    assert learning.count("a") == learning.count("b") == 0


def test_what_comes_and_goes_is_never_missed():
    stream = PartitionStream(Plan(), "t", 0)
    rows = [row for i in range(60) for row in steps("ab", [i]) + (steps("p", [i], "pod") if i < 30 else [])]
    assert silent(feed(stream, rows, 0)) == []


def test_a_few_that_catch_up_quicker_after_an_outage_make_nobody_silent():
    stream = PartitionStream(Plan(), "t", 0)
    names = [f"h{i}" for i in range(20)]
    feed(stream, steps(names, range(40)), 0)
    back = T0 + 400 * STEP  # an hour later; each host sends at once what it held back
    held = [(back, T0 + i * STEP, name, "host") for name in names for i in range(40, 400)]
    assert silent(feed(stream, held, 800)) == []
    assert silent(feed(stream, steps(names, range(400, 450)), 800 + len(held))) == []


def test_most_hosts_gone_for_good_are_missed_once_the_rest_went_on_without_them():
    stream = PartitionStream(Plan(), "t", 0)
    names = [f"h{i}" for i in range(10)]
    feed(stream, steps(names, range(40)), 0)
    told = feed(stream, steps(names[:2], range(40, 80)), 400)
    assert sorted(silent(told)) == names[2:]


def test_who_moved_to_another_partition_is_not_silent_and_its_incident_ends_as_moved():
    stream = PartitionStream(Plan(), "t", 0)
    names = ["a", "b", "c", "d"]
    feed(stream, steps(names, range(40)), 0)
    opened = feed(stream, steps("abc", range(40, 50)), 160)
    assert silent(opened) == ["d"]
    stream.call_roll()
    told = feed(stream, steps("ab", range(50, 80)), 200)
    assert silent(told) == []
    assert stream.open_incidents() != []
    again = PartitionStream(Plan(), "t", 0)
    feed(again, steps(names, range(40)), 0)
    again.call_roll()
    assert silent(feed(again, steps("ab", range(40, 80)), 160)) == []
