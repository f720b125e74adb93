"""Laws of subscribing on a real broker: committed events only, none lost between runs, readable by anyone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_structured_event
from cloudevents.core.formats.json import JSONFormat
from kafka import KafkaConsumer

from pipeline import subscribe
from pipeline.cli.main import main
from pipeline.incident import CloudEvent
from pipeline.kafka.sink import Sink
from pipeline.kafka.topics import Topics, ensure

NUMBERED = "5d2f2cf0-7e0f-5c38-9c4b-{:012d}"


def _event(number: int, entity: str = "db-01", severity: str = "warning", **data: Any) -> CloudEvent:
    incident = {
        "incident_id": NUMBERED.format(number),
        "revision": 1,
        "track": "behaviour",
        "status": "open",
        "severity": severity,
        "score": 0.75,
        "kind": "spike",
        "entity": {"id": entity, "class": "host", "name": entity, "labels": {}},
        "title": f"{entity}: load jumped to {number}",
        "started_at": "2026-01-31T06:00:00.000Z",
        "detected_at": "2026-01-31T06:01:00.000Z",
        "updated_at": "2026-01-31T06:01:00.000Z",
        "ended_at": None,
        "contributing_metrics": [
            {
                "metric": "load",
                "unit": "1",
                "share": 1.0,
                "value": 9.0,
                "expected": 1.0,
                "lower": 0.5,
                "upper": 1.5,
                "recent": [1.0, None, 1.2, 9.0],
            }
        ],
        "model": {"name": "foreshock", "version": "1", "threshold": 0.5},
        "data_quality": {},
        "source": {"topic": "telemetry", "partition": 0, "first_offset": 1, "last_offset": 2},
        "reason": "opened",
    } | data
    envelope = {
        "specversion": "1.0",
        "id": f"{incident['incident_id']}:{incident['revision']}",
        "source": "foreshock/foreshock",
        "type": "foreshock.incident.opened.v1" if incident["status"] == "open" else "foreshock.incident.resolved.v1",
        "time": "2026-01-31T06:01:00.000Z",
        "subject": entity,
        "datacontenttype": "application/json",
        "data": incident,
    }
    return msgspec.convert(envelope, CloudEvent)


class Publisher:
    """Publishes events as the job does, under a prefix of its own."""

    def __init__(self, broker: str, prefix: str) -> None:
        self.broker, self.prefix = broker, prefix
        ensure({"bootstrap_servers": broker}, Topics(prefix))
        self.sink = Sink({"bootstrap_servers": broker}, prefix, Topics(prefix))

    def publish(self, *events: CloudEvent, abort: bool = False) -> None:
        self.sink.begin()
        for event in events:
            self.sink.send_incident(event)
        if abort:
            self.sink.abort()
        else:
            self.sink.commit({}, self._nobody())

    @staticmethod
    def _nobody() -> Any:
        from kafka.structs import ConsumerGroupMetadata

        return ConsumerGroupMetadata("nobody", -1, "", None)

    def titles(self, **options: Any) -> list[str]:
        options = {"from_beginning": True, "idle_seconds": 1.5} | options
        with subscribe(self.broker, topic_prefix=self.prefix, **options) as events:
            return [event.data.title.rpartition(" ")[2] for event in events]


@pytest.fixture
def publisher(broker: str, fresh: Callable[[str], str]) -> Iterator[Publisher]:
    one = Publisher(broker, fresh("subscribed"))
    yield one
    one.sink.close()


def test_aborted_events_are_never_seen(publisher: Publisher) -> None:
    publisher.publish(_event(1))
    publisher.publish(_event(2), abort=True)
    publisher.publish(_event(3))
    assert publisher.titles() == ["1", "3"]


def test_filters_pass_only_what_was_asked_for(publisher: Publisher) -> None:
    publisher.publish(_event(1), _event(2, "web-01", "critical"), _event(3, "db-02", "error"))
    assert publisher.titles(entity="db-*") == ["1", "3"]
    assert publisher.titles(min_severity="error") == ["2", "3"]
    assert publisher.titles(entity="db-*", min_severity="error", track="behaviour") == ["3"]


def test_group_goes_on_after_what_it_handled(publisher: Publisher, fresh: Callable[[str], str]) -> None:
    publisher.publish(_event(1), _event(2), _event(3))
    options = {"topic_prefix": publisher.prefix, "group": fresh("pager"), "from_beginning": True}
    with subscribe(publisher.broker, **options) as events:
        assert next(events).data.title.endswith("1")
        assert next(events).data.title.endswith("2")
    publisher.publish(_event(4))
    assert publisher.titles(group=options["group"], idle_seconds=4.0) == ["3", "4"]
    assert publisher.titles(group=options["group"], idle_seconds=4.0) == []


def test_event_whose_handling_failed_comes_again(publisher: Publisher, fresh: Callable[[str], str]) -> None:
    publisher.publish(_event(1), _event(2))
    options = {"topic_prefix": publisher.prefix, "group": fresh("pager"), "from_beginning": True}
    with pytest.raises(RuntimeError, match="pager is down"), subscribe(publisher.broker, **options) as events:
        next(events)
        next(events)
        raise RuntimeError("pager is down")
    assert publisher.titles(group=options["group"], idle_seconds=4.0) == ["2"]


def test_follower_waits_for_a_topic_that_does_not_exist_yet(broker: str, fresh: Callable[[str], str]) -> None:
    prefix = fresh("later")
    with subscribe(broker, topic_prefix=prefix, idle_seconds=30) as events:
        publisher = Publisher(broker, prefix)
        publisher.publish(_event(7))
        assert next(events).data.title.endswith("7")
    publisher.sink.close()


def test_plain_consumer_and_cloudevents_package_read_the_same_events(publisher: Publisher) -> None:
    sent = _event(1)
    publisher.publish(sent)
    consumer = KafkaConsumer(
        f"{publisher.prefix}.incidents",
        bootstrap_servers=publisher.broker,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        consumer_timeout_ms=3000,
    )
    (record,) = list(consumer)
    consumer.close()
    headers = dict(record.headers)
    read = from_structured_event(KafkaMessage(headers, record.key, record.value), JSONFormat())
    assert headers["content-type"] == b"application/cloudevents+json"
    assert record.key == sent.data.incident_id.encode()
    assert (read.get_id(), read.get_type(), read.get_subject()) == (sent.id, sent.type, sent.subject)
    assert read.get_data() == json.loads(msgspec.json.encode(sent.data))


def _foreshock(publisher: Publisher, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    here = ["--bootstrap-servers", publisher.broker, "--set", f"kafka.topic_prefix={publisher.prefix}"]
    with pytest.raises(SystemExit) as left:
        main([*arguments, *here])
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


def test_watch_list_and_show_tell_of_the_same_incident(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    publisher.publish(_event(1), _event(2, "web-01"))
    publisher.publish(_event(2, "web-01", revision=2, status="resolved", reason="recovered"))
    code, out, _ = _foreshock(publisher, capsys, "incidents", "watch", "--from-beginning", "--until-idle", "1")
    assert code == 0
    assert [line.split("  ")[1].strip() for line in out.splitlines()] == ["opened", "opened", "resolved"]
    _, out, _ = _foreshock(publisher, capsys, "incidents", "list")
    assert "db-01" in out
    assert "web-01" not in out
    _, out, _ = _foreshock(publisher, capsys, "incidents", "list", "--all", "--json")
    assert [json.loads(line)["data"]["status"] for line in out.splitlines()] == ["open", "resolved"]
    _, out, _ = _foreshock(publisher, capsys, "incidents", "show", NUMBERED.format(2))
    assert "recovered" in out
    assert "load, last 4 values" in out
    assert "100%  9, expected 0.5 to 1.5" in out


def test_showing_an_incident_that_is_not_there_says_how_to_find_one(
    publisher: Publisher, capsys: pytest.CaptureFixture[str]
) -> None:
    publisher.publish(_event(1), _event(2))
    code, _, complaint = _foreshock(publisher, capsys, "incidents", "show", "ffff")
    assert (code, complaint) == (
        2,
        "foreshock: no incident whose id begins with ffff; foreshock incidents list --all lists them\n",
    )
    code, _, complaint = _foreshock(publisher, capsys, "incidents", "show", "5d2f")
    assert "5d2f is the beginning of 2 ids" in complaint


def test_decode_reads_the_last_records_of_a_topic(publisher: Publisher, capsys: pytest.CaptureFixture[str]) -> None:
    from pipeline.kafka.topics import create
    from pipeline.kafka.writer import Writer

    client = {"bootstrap_servers": publisher.broker}
    topic = f"{publisher.prefix}.telemetry"
    create(client, topic, 2)
    writer = Writer(client)
    for second in range(20):
        row = {"timestamp": 1_700_000_000 + second, "entity": "db-01", "metric": "load", "value": second}
        writer.write(topic, json.dumps(row).encode(), str(second).encode())
    writer.close()
    code, out, _ = _foreshock(publisher, capsys, "decode", "--topic", topic, "--records", "1000", "--json")
    report = json.loads(out)
    assert (code, report["n_samples"], report["entities"]) == (0, 20, {"db-01": 20})
    code, _, complaint = _foreshock(publisher, capsys, "decode", "--topic", "nowhere")
    assert (code, complaint) == (1, "foreshock: the topic nowhere does not exist\n")
