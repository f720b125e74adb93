"""Laws of silence: who is missed, who is not, and what only looks like silence."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from pipeline.catalog import Catalog
from pipeline.codecs.samples import EntityBatch, encode, entity_batches
from pipeline.events import Records, SampleBatch, SeriesIdentity
from pipeline.names import service_of
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


def test_what_a_host_said_before_it_was_missed_and_only_came_late_takes_its_silence_back():
    for back, reason in ((range(40, 80), "retracted"), (range(60, 80), "recovered")):
        stream = PartitionStream(Plan(), "t", 0)
        feed(stream, steps("abc", range(40)), 0)
        told = feed(stream, steps("ab", range(40, 60)), 120)
        assert silent(told) == ["c"]
        late = [(T0 + 60 * STEP, T0 + i * STEP, "c", "host") for i in back]
        (end,) = [event.data for event in feed(stream, late, 160) if event.data.track == "silence"]
        assert (end.incident_id, end.status, end.reason) == (told[-1].data.incident_id, "resolved", reason)


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


@pytest.mark.parametrize("old_steps_a_step", [1, 20])
def test_a_backfill_that_ends_makes_nobody_silent(old_steps_a_step):
    stream, rows, old = PartitionStream(Plan(), "t", 0), [], T0 - 10 * 8640 * STEP
    for i in range(300):
        rows += steps("abc", [i])
        for j in range(old_steps_a_step * (i - 60), old_steps_a_step * (i - 59) if 60 <= i < 160 else 0):
            rows += [(T0 + i * STEP, old + j * STEP, name, "host") for name in ("a", "long gone")]
    assert silent(feed(stream, rows, 0)) == []
    assert silent(feed(stream, steps("ac", range(300, 340)), len(rows))) == ["b"]


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


def pods(service, number, at):
    """Names of so many pods of a deployment; every restart gives others."""
    suffixes = ("x7k2p", "b9dfz", "m4tvq", "c2hjw")
    return [f"{service}-6d4cf56db6-{suffixes[(number + at) % 4]}"]


def test_a_deployment_is_missed_when_every_pod_is_gone_and_no_pod_of_it_before():
    stream = PartitionStream(Plan(), "t", 0)
    first, second = pods("web", 0, 0), pods("web", 0, 1)
    rows = [row for i in range(40) for row in steps("ab", [i]) + steps(first + second, [i], "pod")]
    assert silent(feed(stream, rows, 0)) == []
    restarted = pods("web", 0, 2)
    more = [row for i in range(40, 80) for row in steps("ab", [i]) + steps(second + restarted, [i], "pod")]
    assert silent(feed(stream, more, len(rows))) == []
    gone = feed(stream, steps("ab", range(80, 110)), len(rows) + len(more))
    assert [(event.data.entity.id, event.data.entity.entity_class) for event in gone] == [("web", "service")]
    back = [row for i in range(110, 112) for row in steps("ab", [i]) + steps(pods("web", 0, 3), [i], "pod")]
    told = feed(stream, back, len(rows) + len(more) + 60)
    assert [(event.data.entity.id, event.data.status) for event in told] == [("web", "resolved")]


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("web-6d4cf56db6-x7k2p", "web"),
        ("kube-proxy-x7k2p", "kube-proxy"),
        ("db-0", "db"),
        ("shop/check-out-7c9b5d8f6d-zz2p4", "shop/check-out"),
        ("backup-28371230-x7k2p", None),
        ("web", None),
    ],
)
def test_a_pod_is_judged_at_the_service_that_its_name_tells(name, service):
    assert service_of(name) == service


def rekeyed(source, clock_ms, names, numbers):
    """Records of the samples topic: each a step of an entity, and how far its source had come."""
    catalog, values = Catalog(), []
    for i in numbers:
        for name in names:
            series = np.array([catalog.series_id(SeriesIdentity(name, "host", "m"))], np.int32)
            times = np.array([(T0 + i * STEP) * 10**6])
            one = SampleBatch(
                series, times, np.ones(1) * (i % 7), np.zeros(1, np.uint8), times * 0, np.zeros(1, np.int32)
            )
            values += [encode(batch) for batch, _ in entity_batches(one, [], catalog, source, clock_ms(i))]
    return values


def take(stream, values, first):
    n = len(values)
    return stream.step(Records("t", 0, list(range(first, first + n)), [T0 + 9_000 * STEP] * n, [None] * n, values))


@pytest.mark.parametrize("guarded", [True, False])
def test_entities_of_a_source_hours_behind_another_are_not_silent_while_it_catches_up(guarded):
    stream = PartitionStream(Plan(), "t", 0)
    clock = (lambda i: T0 + i * STEP) if guarded else (lambda i: 0)
    begin = [
        value
        for i in range(40)
        for value in rekeyed("telemetry/0", clock, ["a", "b", "c"], [i]) + rekeyed("telemetry/1", clock, ["d"], [i])
    ]
    assert silent(take(stream, begin, 0).incidents) == []
    # the first source is read hours ahead of the second, which then comes after
    ahead = rekeyed("telemetry/0", clock, ["a", "b", "c"], range(40, 400))
    image = stream.image()
    stream = PartitionStream.of_image(replace(image, tables=copied(image)), "t", 0, None)
    told = silent(take(stream, ahead, len(begin)).incidents)
    told += silent(take(stream, rekeyed("telemetry/1", clock, ["d"], range(40, 400)), 2_000).incidents)
    assert told == ([] if guarded else ["d", "d"])
    # a source that fell idle holds up nobody: its entities are missed then
    idle = [encode(EntityBatch("telemetry/1", 0)), *rekeyed("telemetry/0", clock, ["a", "b", "c"], range(400, 440))]
    assert silent(take(stream, idle, 4_000).incidents) == ["d"]


def copied(image):
    return {name: table._replace(array=table.array.copy()) for name, table in image.tables.items()}
