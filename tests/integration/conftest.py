"""A real Kafka for the integration tests: one for the session, its jars kept between runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.kafka import broker as broker_module
from pipeline.kafka.broker import EmbeddedBroker, kafka_home

GUARDED = """\
listener.security.protocol.map=PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
username="admin" password="secret" user_admin="secret" user_stranger="secret" user_watcher="secret";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin;User:ANONYMOUS
"""


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap address of a fresh broker on free loopback ports."""
    embedded = EmbeddedBroker(kafka_home(), tmp_path_factory.mktemp("kafka"), short_lived=True)
    yield embedded.start()
    embedded.stop()


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], dict[str, Any]]]:
    """A broker that asks who one is, and a maker of client options: ``admin`` may do all, others what is granted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(broker_module, "PROPERTIES", broker_module.PROPERTIES + GUARDED)
        embedded = EmbeddedBroker(kafka_home(), tmp_path_factory.mktemp("guarded"))
        bootstrap = embedded.start()

    def client(user: str, password: str = "secret") -> dict[str, Any]:
        who = {"sasl_plain_username": user, "sasl_plain_password": password}
        return {"bootstrap_servers": bootstrap, "security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", **who}

    yield client
    embedded.stop()


_numbers = itertools.count()


@pytest.fixture(scope="session")
def fresh() -> Callable[[str], str]:
    """A maker of names that nothing else uses, a fixture set up a second time included: topics, groups, ids."""
    return lambda word: f"{word}-{next(_numbers)}"
