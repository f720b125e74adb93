"""The doctor's round: configuration, broker, topics, permissions, telemetry, stores and folders, in that order."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Generator, Iterator
from importlib.metadata import version
from pathlib import Path

from pipeline._version import __version__
from pipeline.app import client_options, dialect_of, plan_of, topics_of
from pipeline.catalog import Catalog
from pipeline.codecs import Decoded, decode
from pipeline.errors import BrokerError, BrokerUnreachable
from pipeline.kafka.broker import kafka_home
from pipeline.kafka.follow import read_last
from pipeline.kafka.inspection import inspect
from pipeline.kafka.topics import ensure
from pipeline.operate import doctor
from pipeline.operate.doctor import Finding
from pipeline.operate.permissions import permissions
from pipeline.settings import Loaded, Settings

__all__ = ["checkup"]


def checkup(loaded: Loaded, create: bool = False, n_records: int = 1000) -> Iterator[Finding]:
    """Yield findings as they are made.

    Parameters
    ----------
    loaded
        The settings in force, and where they came from.
    create
        Create those of our topics that are missing.
    n_records
        How many of the last records of each input topic are looked at.

    Raises
    ------
    SettingsError
        The configuration itself is wrong.
    """
    settings = loaded.settings
    plan_of(settings)
    given = f"{len(loaded.origins)} settings given" if loaded.origins else "all settings at their defaults"
    yield Finding("configuration", "ok", f"{loaded.file or 'no file'}; {given}")
    libraries = ", ".join(f"{name} {version(name)}" for name in ("kafka-python", "numpy", "numba", "scikit-learn"))
    yield Finding("versions", "ok", f"foreshock {__version__}, Python {platform.python_version()}, {libraries}")
    hosts = yield from _at_the_broker(settings, create, n_records)
    yield doctor.registry(settings.models.uri)
    yield doctor.snapshots(settings.state.folder, kafka_home().parent / "state" / settings.kafka.group, hosts)
    yield doctor.folders(Path.cwd(), map(Path, sys.path), Path(__file__).parent)


def _at_the_broker(settings: Settings, create: bool, n_records: int) -> Generator[Finding, None, frozenset[str]]:
    """Yield what is found at the broker; returns the addresses of the processes that are at work now."""
    client, topics = client_options(settings), topics_of(settings)
    wanted, inputs = topics.settings(), settings.source.topics
    began = time.monotonic()
    try:
        created = ensure(client, topics) if create else []
        seen = inspect(client, [*inputs, *wanted], settings.kafka.group)
    except BrokerUnreachable as away:
        yield Finding("broker", "wrong", str(away), "start it, or name it with --bootstrap-servers")
        return frozenset()
    except BrokerError as refused:
        yield Finding("broker", "wrong", str(refused), "foreshock doctor --acls; kafka.client holds user and password")
        return frozenset()
    said = f"{settings.kafka.bootstrap_servers}: {seen.n_brokers} of Kafka {seen.version} or newer"
    yield Finding("broker", "ok", f"{said}, answered in {time.monotonic() - began:.1f} s")
    yield from doctor.own_topics(seen, wanted, created)
    yield from doctor.inputs(seen, inputs, settings.source.keyed_by_entity)
    creates = settings.kafka.create_topics
    yield doctor.may(seen, permissions("run", inputs, topics, settings.kafka.group, creates))
    for name in inputs:
        if seen.topics[name].n_partitions and "READ" in seen.topics[name].operations:
            yield from doctor.telemetry(name, _looked_at(settings, name, n_records))
    return seen.group_hosts


def _looked_at(settings: Settings, topic: str, n_records: int) -> list[tuple[int, Decoded, Catalog]]:
    catalogs: dict[int, Catalog] = {}
    dialect, parts = dialect_of(settings), []
    for records in read_last(client_options(settings), topic, n_records):
        catalog = catalogs.setdefault(records.partition, Catalog())
        decoded = decode(records, catalog, settings.source.formats, dialect)
        parts.append((records.partition, decoded, catalog))
    return parts
