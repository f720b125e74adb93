"""Laws of ``foreshock run``: it waits, it leaves in good order, it begins where it was told, it says what is wrong."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.street import LEAVE_SECONDS, RunningJob, wait_until
from kafka import KafkaConsumer, TopicPartition

from pipeline.codecs.encode import encode_json
from pipeline.events import Kind
from pipeline.kafka.broker import EmbeddedBroker, kafka_home
from pipeline.kafka.topics import create
from pipeline.kafka.writer import Writer

MINUTE_MS = 60_000
DAY_MS = 1440 * MINUTE_MS
T0_MS = (time.time_ns() // 1_000_000 // DAY_MS - 2) * DAY_MS  # two days ago: what is older than a week expires
FAULTS = (range(500, 520), range(800, 820))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A broker that a test may stop, freeze and start again."""
    embedded = EmbeddedBroker(kafka_home(), tmp_path / "kafka")
    yield embedded
    state = embedded.status()
    if state.pid is not None:
        os.kill(state.pid, signal.SIGCONT)
    embedded.stop()


def send_minutes(bootstrap: str, topic: str, minutes: range) -> None:
    """Send a load that is steady but for two faults, one record a minute, with record time = event time."""
    writer = Writer({"bootstrap_servers": bootstrap})
    for minute in minutes:
        value = 10.0 + (minute % 7) * 0.1 + (8.0 if any(minute in fault for fault in FAULTS) else 0.0)
        time_ms = T0_MS + minute * MINUTE_MS
        rows = [("db-01", "load", (), time_ms * 1_000_000, value, Kind.GAUGE)]
        writer.write(topic, encode_json(rows), b"db-01", time_ms)
    writer.close()


def iso_minute(minute: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:00.000Z", time.gmtime(T0_MS / 1000 + minute * 60))


@pytest.fixture(scope="module")
def day(broker: str, fresh: Callable[[str], str]) -> str:
    topic = fresh("day")
    create({"bootstrap_servers": broker}, topic)
    send_minutes(broker, topic, range(900))
    return topic


@pytest.mark.parametrize(
    ("start", "history_hours", "found"),
    [
        ("earliest", 24, [500, 800]),
        ("minute 700", 24, [800]),
        ("minute 700", 0, [800]),
    ],
)
def test_a_new_group_begins_where_it_was_told_with_history_read_muted(
    broker: str, day: str, fresh: Callable[[str], str], tmp_path: Path, start: str, history_hours: int, found: list[int]
) -> None:
    begin = 0 if start == "earliest" else 700
    start = start if start == "earliest" else iso_minute(begin)
    settings = {"source.topics": day, "source.start": start, "source.history_hours": history_hours}
    settings |= {"scores.publish_all": "true", "detection.hold_hours": 0}
    with RunningJob(broker, fresh("start"), tmp_path / "run.log", settings) as job:
        job.wait_for(day, 900)
        counts = job.stop()["counts"]
    assert (counts["records"], counts["decoded"]) == (900 - begin, 900 - begin)
    opened = [event.data.started_at for event in job.events() if event.type.endswith("opened.v1")]
    assert opened == [iso_minute(minute) for minute in found]
    # only history makes it judge from its first minute on
    assert (len(job.values("scores")) >= 898 - begin) == (start != "earliest" and history_hours > 0)


def test_incidents_of_a_backlog_carry_their_age_and_the_job_stays_in_its_group(
    broker: str, day: str, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    prefix = fresh("backlog")
    settings = {"source.topics": day, "source.start": "earliest", "source.max_poll_records": 10}
    with RunningJob(broker, prefix, tmp_path / "run.log", settings) as job:
        job.wait_for(day, 900)
        assert job.stop()["take_overs"] == 1
    consumer = KafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest", consumer_timeout_ms=2_000)
    consumer.assign([TopicPartition(f"{prefix}.incidents", 0)])
    ages = [int(value) for record in consumer for key, value in record.headers if key == "age-seconds"]
    consumer.close()
    assert len(ages) == len(job.events()) > 0
    assert all(age >= 24 * 3600 for age in ages)


def test_a_scattered_input_is_refused_with_both_cures_and_told_of_where_somebody_vouched_wrongly(
    broker: str, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    topic, prefix = fresh("telemetry"), fresh("scattered")
    create({"bootstrap_servers": broker}, topic, 2)
    writer = Writer({"bootstrap_servers": broker})
    for minute in range(20):
        rows = [("db-01", "load", (), (T0_MS + minute * MINUTE_MS) * 1_000_000, 1.0, Kind.GAUGE)]
        writer._producer.send(topic, encode_json(rows), partition=minute % 2)
    writer.close()
    settings: dict[str, object] = {"source.topics": topic, "source.start": "earliest"}
    with RunningJob(broker, prefix, tmp_path / "refused.log", settings) as job:
        assert job.process.wait(90) == 2
    said = (tmp_path / "refused.log").read_text()
    assert "source.keyed_by_entity: true" in said and "foreshock rekey" in said
    with RunningJob(broker, prefix, tmp_path / "run.log", {**settings, "source.keyed_by_entity": "true"}) as job:
        wait_until(lambda: any(b"entity.scattered" in value for value in job.values("heartbeat")))
        assert job.stop()["scattered"] == 1


def test_latest_begins_after_what_is_there(broker: str, fresh: Callable[[str], str], tmp_path: Path) -> None:
    topic = fresh("telemetry")
    create({"bootstrap_servers": broker}, topic)
    send_minutes(broker, topic, range(700))
    with RunningJob(broker, fresh("latest"), tmp_path / "run.log", {"source.topics": topic}) as job:
        wait_until(lambda: job.said("live from offset 700"))
        send_minutes(broker, topic, range(700, 900))
        job.wait_for(topic, 900)
        job.stop(signal.SIGINT)
    assert job.accounting()["counts"]["records"] == 200
    assert job.said("SIGINT: finishing the batch; once more to leave at once")


def test_a_broker_that_is_away_is_waited_for_and_said(own: EmbeddedBroker, tmp_path: Path) -> None:
    bootstrap = own.start()
    create({"bootstrap_servers": bootstrap}, "day")
    send_minutes(bootstrap, "day", range(50))
    own.stop()
    settings = {"source.topics": "day", "source.start": "earliest", "kafka.client.bootstrap_timeout_ms": 1000}
    with RunningJob(bootstrap, "patient", tmp_path / "run.log", settings) as job:
        wait_until(lambda: job.said(f"nobody answers at {bootstrap}"))
        assert own.start() == bootstrap
        job.wait_for("day", 50)
        job.stop()
    assert job.accounting()["counts"]["decoded"] == 50


def test_told_to_stop_while_nobody_answers_it_leaves_in_time(tmp_path: Path) -> None:
    with RunningJob("127.0.0.1:1", "lonely", tmp_path / "run.log", {}) as job:
        wait_until(lambda: job.said("nobody answers at 127.0.0.1:1"))
        job.process.send_signal(signal.SIGTERM)
        assert job.process.wait(LEAVE_SECONDS) == 0


def test_the_second_signal_leaves_at_once(own: EmbeddedBroker, tmp_path: Path) -> None:
    bootstrap = own.start()
    create({"bootstrap_servers": bootstrap}, "day")
    with RunningJob(bootstrap, "hasty", tmp_path / "run.log", {"source.topics": "day"}) as job:
        wait_until(lambda: job.said("live from offset 0"))
        pid = own.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # the first signal alone would wait for an answer
        job.process.send_signal(signal.SIGTERM)
        wait_until(lambda: job.said("SIGTERM: finishing the batch"))
        began = time.monotonic()
        job.process.send_signal(signal.SIGTERM)
        assert job.process.wait(LEAVE_SECONDS) == 130
        assert time.monotonic() - began < 3


def test_wrong_settings_end_with_2_before_anything_is_connected(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.5)
        bootstrap = f"127.0.0.1:{listener.getsockname()[1]}"
        for key, value, complaint in (
            ("kafka.grup", "x", "unknown key kafka.grup; did you mean kafka.group?"),
            ("source.formats", "morse", "source.formats: 'morse' is not a format"),
            ("kafka.client.linger", "5", "linger is not an option of kafka-python; did you mean linger_ms?"),
        ):
            log = tmp_path / f"{key}.log"
            with RunningJob(bootstrap, "wrong", log, {key: value}) as job:
                assert job.process.wait(60) == 2
            assert complaint in log.read_text()
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize(
    ("user", "password", "complaint"),
    [
        ("admin", "wrong", "refuses this user (check user, password and mechanism)"),
        ("stranger", "secret", "the broker refuses this user"),
    ],
)
def test_a_user_who_is_refused_ends_with_1_and_the_reason(
    guarded: Callable[..., dict[str, Any]], tmp_path: Path, user: str, password: str, complaint: str
) -> None:
    client = guarded(user, password)
    bootstrap, log = client.pop("bootstrap_servers"), tmp_path / "run.log"
    settings = {f"kafka.client.{option}": value for option, value in client.items()}
    settings["kafka.client.bootstrap_timeout_ms"] = "4000"
    with RunningJob(bootstrap, "refused", log, settings) as job:
        assert job.process.wait(60) == 1
    assert complaint in log.read_text()


def test_a_summary_is_words_for_people_and_a_table_for_programs(
    broker: str, day: str, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    settings = {"source.topics": day, "source.start": "earliest", "job.summary_every_seconds": 1}
    with RunningJob(broker, fresh("words"), tmp_path / "run.log", settings) as job:
        lines = wait_until(
            lambda: [one for one in job.lines() if one.get("summary", {}).get("counts", {}).get("records")]
        )
        job.stop()
    told: dict[str, Any] = lines[0]
    assert "900 records with 900 samples" in told["message"]
    assert told["message"].endswith(
        "nothing odd; lag 0; 1 entity with 1 series; 0 open incidents; model built-in baselines"
    )
    assert told["summary"]["entities"] == told["summary"]["series"] == 1
