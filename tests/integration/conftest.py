"""A real Kafka for the integration tests: one for the session, its jars kept between runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from pipeline.kafka.broker import EmbeddedBroker, kafka_home


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap address of a fresh broker on free loopback ports."""
    embedded = EmbeddedBroker(kafka_home(), tmp_path_factory.mktemp("kafka"), short_lived=True)
    yield embedded.start()
    embedded.stop()


_numbers = itertools.count()


@pytest.fixture
def fresh() -> Callable[[str], str]:
    """A maker of names that no other test uses: topics, groups, transactional ids."""
    return lambda word: f"{word}-{next(_numbers)}"
