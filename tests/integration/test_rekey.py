"""Laws of rekey on a real broker: every sample once, each entity on one partition, whatever is killed meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.kafka.follow import read_all
from pipeline.kafka.topics import Topics, count_partitions, create
from pipeline.kafka.writer import Writer

N_STEPS, N_HOSTS, N_SOURCES = 400, 12, 3
WAIT_SECONDS = 90
START_MS = 1_767_225_600_000


@pytest.fixture
def place(broker: str, fresh: Callable[[str], str], tmp_path: Path) -> Iterator[tuple[dict[str, Any], str, list[str]]]:
    prefix = fresh("rekey")
    client, topic = {"bootstrap_servers": broker}, f"{prefix}-telemetry"
    create(client, topic, N_SOURCES)
    settings = {
        "kafka.bootstrap_servers": broker,
        "kafka.topic_prefix": prefix,
        "rekey.group": prefix,
        "rekey.partitions": "2",
        "source.start": "earliest",
        "source.max_poll_records": "200",
    }
    yield client, prefix, [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]


def rekey(topic: str, overrides: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "pipeline", "rekey", "--topic", topic, *overrides])


def send_scattered(client: dict[str, Any], topic: str, steps: range) -> None:
    """Each host's records in turn on all partitions, as agents without a record key do."""
    writer = Writer(client)
    for step in steps:
        for host in range(N_HOSTS):
            row = {
                "timestamp": START_MS + step * 10_000,
                "entity": f"web-{host:02d}",
                "metric": "load",
                "value": step + host / 100,
            }
            writer.write(topic, json.dumps(row).encode(), str(step * N_HOSTS + host).encode())
    writer.write(topic, b"\xffno telemetry at all")
    writer.close()


def rekeyed(client: dict[str, Any], topic: str) -> tuple[Counter[tuple[str, int, float]], dict[str, set[int]]]:
    """What subscribers of committed records see: samples with how often each is there, and partitions by entity."""
    seen: Counter[tuple[str, int, float]] = Counter()
    partitions: dict[str, set[int]] = {}
    for records in read_all(client, topic):
        catalog = Catalog()
        samples = decode(records, catalog).samples
        for s, t, value in zip(samples.series_id, samples.time, samples.value, strict=True):
            entity = catalog.identities[s].entity
            seen[entity, int(t) // 1_000_000, float(value)] += 1
            partitions.setdefault(entity, set()).add(records.partition)
    return seen, partitions


def wait_for(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not found():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS} s"
        time.sleep(0.3)


def test_every_sample_is_rekeyed_exactly_once_through_a_kill_and_a_restart(place):
    client, prefix, overrides = place
    topic, samples = f"{prefix}-telemetry", Topics(prefix).samples
    send_scattered(client, topic, range(N_STEPS // 2))
    first = rekey(topic, overrides)
    wait_for(lambda: count_partitions(client, samples) == 2 and sum(rekeyed(client, samples)[0].values()) > 0)
    first.send_signal(signal.SIGKILL)
    first.wait()
    send_scattered(client, topic, range(N_STEPS // 2, N_STEPS))
    second = rekey(topic, overrides)
    wait_for(lambda: sum(rekeyed(client, samples)[0].values()) >= N_STEPS * N_HOSTS)
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=15) == 0
    seen, partitions = rekeyed(client, samples)
    expected = {
        (f"web-{host:02d}", START_MS + step * 10_000, step + host / 100)
        for step in range(N_STEPS)
        for host in range(N_HOSTS)
    }
    assert set(seen) == expected
    assert set(seen.values()) == {1}
    assert {len(found) for found in partitions.values()} == {1}
    assert sum(len(records) for records in read_all(client, Topics(prefix).rejected)) == 2


def test_every_partition_hears_the_clock_of_every_source(place):
    client, prefix, overrides = place
    topic, samples = f"{prefix}-telemetry", Topics(prefix).samples
    send_scattered(client, topic, range(40))
    job = rekey(topic, [*overrides, "--set", "rekey.idle_seconds=1"])

    def clocks() -> dict[tuple[int, str], list[int]]:
        heard: dict[tuple[int, str], list[int]] = {}
        for records in read_all(client, samples):
            for _, clock in decode(records, Catalog()).clocks:
                heard.setdefault((records.partition, clock.source), []).append(clock.time_ms)
        return heard

    wait_for(lambda: count_partitions(client, samples) == 2)
    wait_for(lambda: len(clocks()) == 2 * N_SOURCES and all(told[-1] == 0 for told in clocks().values()))
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=15) == 0
    for (_, source), told in clocks().items():
        assert source.startswith(f"{topic}/")
        moving = [clock for clock in told if clock]
        assert moving == sorted(moving)
        assert START_MS < moving[-1] <= START_MS + 39 * 10_000
