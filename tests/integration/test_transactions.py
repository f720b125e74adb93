"""Laws of the two ends at Kafka: all of a transaction or nothing, one owner at a time, causes told apart."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.street import event, wait_until
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from pipeline.batch import Batch, Outbox
from pipeline.errors import BrokerUnreachable, Fenced, PermissionDenied, SettingsError, StepFailed
from pipeline.events import Rejected
from pipeline.kafka.follow import read_all
from pipeline.kafka.reader import published
from pipeline.kafka.sink import REJECTED_BYTES, Sink
from pipeline.kafka.slot import Slot
from pipeline.kafka.source import Committed, Partition, Source
from pipeline.kafka.topics import Topics, create, ensure
from pipeline.kafka.writer import Writer
from pipeline.plan import StepResult


@pytest.fixture
def client(broker: str) -> dict[str, Any]:
    return {"bootstrap_servers": broker}


@pytest.fixture
def topics(client: dict[str, Any], fresh: Callable[[str], str]) -> Topics:
    made = Topics(fresh("room"))
    assert sorted(ensure(client, made)) == sorted(made.settings())
    assert ensure(client, made) == []
    return made


@pytest.fixture
def source(client: dict[str, Any], fresh: Callable[[str], str]) -> Iterator[Source]:
    topic = fresh("telemetry")
    create(client, topic)
    opened = Source(client, [topic], fresh("group"))
    wait_until(lambda: [opened.poll(100, 100), opened.changes()][1])
    yield opened
    opened.close()


def _ids(client: dict[str, Any], topic: str) -> list[bytes | None]:
    return [key for records in read_all(client, topic) for key in records.keys]


def test_aborted_work_is_never_seen(client: dict[str, Any], topics: Topics, source: Source) -> None:
    place = source.partitions()[0]
    sink = Sink(client, topics.prefix, topics)
    sink.begin()
    sink.send_incident(event("a", 1))
    sink.abort()
    sink.begin()
    sink.send_incident(event("b", 1))
    sink.commit({place: Committed(7, 1_234)}, source.group_metadata())
    sink.close()
    assert _ids(client, topics.incidents) == [b"b"]
    assert [one.incident_id for one in published(client, topics.current)] == ["b"]
    assert source.committed(place) == Committed(7, 1_234)


def test_offsets_move_only_with_their_transaction(client: dict[str, Any], topics: Topics, source: Source) -> None:
    sink = Sink(client, topics.prefix, topics)
    assert source.committed(source.partitions()[0]) is None
    sink.begin()
    sink.send_incident(event("a", 1))
    sink.close()  # a crash: neither committed nor aborted
    Sink(client, topics.prefix, topics).close()
    assert source.committed(source.partitions()[0]) is None
    assert _ids(client, topics.incidents) == []


def test_offsets_that_hang_are_loosened_and_none_moves(client: dict[str, Any], topics: Topics, source: Source) -> None:
    place = source.partitions()[0]
    sink, other = Sink(client, topics.prefix, topics), Sink(client, f"{topics.prefix}-other", topics)
    sink.begin()
    sink.commit({place: Committed(7, 1_234)}, source.group_metadata())
    rows = {TopicPartition(*place): OffsetAndMetadata(9, "", -1)}
    other.begin()
    other._producer.send_offsets_to_transaction(rows, source.group_metadata())
    with pytest.raises(BrokerUnreachable, match="committed offsets"):
        sink.standings(source, [place])  # somebody else's transaction: ours must not end it
    other.abort()
    assert sink.standings(source, [place]) == {place: Committed(7, 1_234)}
    sink.begin()
    sink.commit({place: Committed(8, 1_235)}, source.group_metadata())
    assert sink.standings(source, [place]) == {place: Committed(8, 1_235)}
    sink.close()
    other.close()


def test_batches_leave_one_after_the_other_and_none_is_under_way_after_a_failure(
    client: dict[str, Any], topics: Topics, source: Source
) -> None:
    place, committed = source.partitions()[0], list[int]()
    sink = Sink(client, topics.prefix, topics)
    with (
        pytest.raises(StepFailed),
        Outbox(source, sink, lambda batch: committed.append(batch.offsets[place].offset)) as outbox,
    ):
        for number in (1, 2, 3):
            batch = Batch(results=[StepResult(incidents=[event("a", number)])], offsets={place: Committed(number, 1)})
            assert batch.has_news
            assert number == 3 or wait_until(lambda: outbox.is_free)  # the third one waits where it is published
            outbox.publish(batch)
            assert committed == list(range(1, number))
        raise StepFailed("while the third is under way")
    assert committed == [1, 2, 3]
    assert source.committed(place) == Committed(3, 1)
    assert [one.revision for one in published(client, topics.current)] == [3]
    sink.close()


def test_who_fell_out_of_the_group_commits_nothing(client: dict[str, Any], topics: Topics, source: Source) -> None:
    place, sink = source.partitions()[0], Sink(client, topics.prefix, topics)
    source._consumer._coordinator.reset_generation()  # as when a heartbeat learns that the group knows it no more
    batch = Batch(results=[StepResult(incidents=[event("a", 1)])], offsets={place: Committed(1, 1)})
    with pytest.raises(Fenced, match="fell out of group"), Outbox(source, sink, print) as outbox:
        outbox.publish(batch)
    sink.close()
    assert source.committed(place) is None
    assert published(client, topics.current) == []


def test_the_younger_owner_of_an_id_fences_the_elder(client: dict[str, Any], topics: Topics, source: Source) -> None:
    elder = Sink(client, topics.prefix, topics)
    elder.begin()
    elder.send_incident(event("elder", 1))
    younger = Sink(client, topics.prefix, topics)
    with pytest.raises(Fenced, match=r"ProducerFenced|InvalidProducerEpoch"):
        elder.commit({source.partitions()[0]: Committed(1, 1)}, source.group_metadata())
    elder.close()
    younger.close()
    assert _ids(client, topics.incidents) == []


def test_the_published_view_waits_for_a_commit_on_its_way(
    client: dict[str, Any], topics: Topics, source: Source
) -> None:
    sink = Sink(client, topics.prefix, topics)
    sink.begin()
    sink.send_incident(event("a", 1))
    sink.send_incident(event("a", 2))
    sink._producer.flush(5)
    late = threading.Timer(1.0, sink.commit, ({source.partitions()[0]: Committed(1, 1)}, source.group_metadata()))
    late.start()
    assert [(one.incident_id, one.revision) for one in published(client, topics.current)] == [("a", 2)]
    late.join()
    sink.close()


def test_a_rejected_record_keeps_its_origin_and_at_most_256_kb(
    client: dict[str, Any], topics: Topics, source: Source
) -> None:
    sink = Sink(client, topics.prefix, topics)
    sink.begin()
    sink.send_rejected(Rejected("telemetry", 3, 42, 99, "truncated", "cut off", b"x" * 300_000, b"key"))
    sink.commit({}, source.group_metadata())
    sink.close()
    consumer = KafkaConsumer(bootstrap_servers=client["bootstrap_servers"], auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topics.rejected, 0)])
    got = next(iter(consumer))
    consumer.close()
    said = {name: value.decode() for name, value in got.headers}
    assert len(got.value) == REJECTED_BYTES
    assert (said["reason"], said["topic"], said["partition"], said["offset"]) == ("truncated", "telemetry", "3", "42")
    assert said["length"] == "300000"


@pytest.mark.parametrize(
    ("start", "offset"), [("earliest", 0), ("latest", 4), ("1970-01-01T00:00:02Z", 1), ("1970-01-01T00:00:02.500", 2)]
)
def test_a_new_group_begins_where_it_was_told(client: dict[str, Any], source: Source, start: str, offset: int) -> None:
    place = source.partitions()[0]
    writer = Writer(client)
    for second in (1, 2, 3, 4):
        writer.write(place.topic, b"x", time_ms=1000 * second)
    writer.close()
    assert source.start(place, start).offset == offset
    with pytest.raises(SettingsError, match="'noon' is not latest, earliest or an ISO time"):
        source.start(place, "noon")


def test_a_misspelt_client_option_is_named_with_the_right_one(client: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"linger is not an option.*did you mean linger_ms"):
        Writer({**client, "linger": 5})


def test_nobody_there_is_unreachable_however_often_and_leaves_no_thread() -> None:
    nobody = {"bootstrap_servers": "127.0.0.1:1", "bootstrap_timeout_ms": 300}
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(BrokerUnreachable, match=r"nobody answers at 127\.0\.0\.1:1"):
            Source(nobody, ["telemetry"], "group")
    assert threading.active_count() == before


def test_a_wrong_password_is_told_from_nobody_there(guarded: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(PermissionDenied, match="check user, password and mechanism"):
        create(guarded("admin", "wrong"), "telemetry")
    assert create(guarded("admin"), "telemetry-of-the-admin")


def test_partitions_come_and_go_as_values(client: dict[str, Any], fresh: Callable[[str], str]) -> None:
    topic, group = fresh("telemetry"), fresh("group")
    create(client, topic, 4)
    first, second = Source(client, [topic], group), None
    seen: list[tuple[str, int]] = []

    def polled() -> bool:
        assert first.poll(50, 100) == []
        if second is not None:
            second.poll(50, 100)
        seen.extend((one.kind, len(one.partitions)) for one in first.changes())
        return bool(seen)

    wait_until(polled)
    assert seen == [("assigned", 4)]
    for number in range(4):
        first.begin(Partition(topic, number), 0)
    seen.clear()
    second = Source(client, [topic], group)
    wait_until(polled)
    assert seen == [("revoked", 2)]
    first.close()
    second.close()


def test_no_assignment_is_lost_between_two_polls_however_short(
    client: dict[str, Any], fresh: Callable[[str], str]
) -> None:
    topic = fresh("telemetry")
    create(client, topic)
    source, polls = Source(client, [topic], fresh("group")), 0
    while not source.changes():
        source.poll(1, 100)
        polls += 1
        assert polls < 60, "the group is joined again and again"
    source.close()


MEMBER = """
import sys, time
from pathlib import Path
from pipeline.kafka.slot import Slot
from pipeline.kafka.source import Source
broker, topic, group, folder, session = sys.argv[1:]
client = {"bootstrap_servers": broker, "session_timeout_ms": int(session)}
source = Source(client, [topic], group, slot=Slot(group, Path(folder)))
while not source.changes():
    source.poll(50, 100)
print("joined", flush=True)
time.sleep(600)
"""


def test_a_killed_process_that_comes_back_need_not_wait_for_its_dead_session(
    client: dict[str, Any], fresh: Callable[[str], str], tmp_path: Path
) -> None:
    topic, group, session_ms = fresh("telemetry"), fresh("group"), 300_000
    create(client, topic)
    told = [client["bootstrap_servers"], topic, group, str(tmp_path), str(session_ms)]
    with subprocess.Popen([sys.executable, "-c", MEMBER, *told], stdout=subprocess.PIPE, text=True) as member:
        assert member.stdout is not None
        assert member.stdout.readline() == "joined\n"
        member.kill()
    again = Source({**client, "session_timeout_ms": session_ms}, [topic], group, slot=Slot(group, tmp_path))
    wait_until(lambda: [again.poll(50, 100), again.changes()][1], session_ms / 5_000)
    again.close()


def test_a_member_that_loads_for_longer_than_its_session_stays(
    client: dict[str, Any], fresh: Callable[[str], str]
) -> None:
    topic = fresh("telemetry")
    create(client, topic)
    short = {"session_timeout_ms": 6_000, "heartbeat_interval_ms": 1_000}
    source = Source({**client, **short}, [topic], fresh("group"))
    wait_until(lambda: [source.poll(1, 100), source.changes()][1])
    generation, until = source.generation(), time.monotonic() + 8
    while time.monotonic() < until:
        sum(range(10_000))  # Python at work, as loading is
    for _ in range(20):
        source.poll(50, 100)
    assert (source.changes(), source.generation()) == ([], generation)
    source.close()


def test_partitions_added_later_are_assigned_however_short_the_polls(
    client: dict[str, Any], fresh: Callable[[str], str]
) -> None:
    topic = fresh("telemetry")
    create(client, topic)
    source, seen = Source(client, [topic], fresh("group")), set[Partition]()

    def assigned(n_partitions: int) -> bool:
        source.poll(1, 100)
        seen.update(one for change in source.changes() for one in change.partitions)
        return len(seen) == n_partitions

    wait_until(lambda: assigned(1))
    admin = KafkaAdminClient(**client)
    admin.create_partitions({topic: 3})
    admin.close()
    wait_until(lambda: assigned(3), 60)
    assert seen == {Partition(topic, number) for number in range(3)}
    source.close()
