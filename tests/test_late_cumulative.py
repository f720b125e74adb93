"""The law of late data for what counts up: within the horizon no order of arrival changes what is learned in the end.

Counters with and without start times, deltas, histograms of both layouts and summaries, with restarts and idle times.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from last_words import last_words
from opentelemetry.proto.metrics.v1 import metrics_pb2
from test_late import HORIZON, PLAN

from pipeline.events import Records
from pipeline.image import live_rows
from pipeline.stream import PartitionStream, StepResult

EAGER = replace(PLAN, budget_per_week=50.0)  # of a host that is twenty minutes old hardly anything is sure
T0, STEP, N_STEPS = 1_700_000_000_000, 10_000, 150
HOSTS, FAULT, RESTART = ("a", "b"), range(100, 112), 60
DELTA, CUMULATIVE = 1, 2

Row = tuple[int, str, bytes]


class Service:
    """What a service on one host has counted since it began."""

    def __init__(self, host: str) -> None:
        self.host, self.chance = host, np.random.default_rng(len(host) + ord(host))
        self.total = 0.0
        self.begin(T0)

    def begin(self, at: int) -> None:
        self.started, self.count, self.sum, self.buckets = at, 0, 0.0, np.zeros(4, int)

    def report(self, at: int, i: int) -> Row:
        """Everything it says at one time; now and then nothing was asked of it."""
        if i == RESTART:
            self.begin(at - 3_000)
        n = 0 if i % 7 == 3 else int(self.chance.integers(20, 40))
        seconds = self.chance.exponential(1.0 + 20.0 * (self.host == "a" and i in FAULT), n)
        self.count, self.sum, self.total = self.count + n, self.sum + float(seconds.sum()), self.total + n
        self.buckets += np.histogram(seconds, [0, 1, 2, 4, np.inf])[0]
        return at, self.host, self._message(at, n)

    def _message(self, at: int, n: int) -> bytes:
        message = metrics_pb2.MetricsData()
        resource = message.resource_metrics.add()
        resource.resource.attributes.add(key="host.name").value.string_value = self.host
        metrics = resource.scope_metrics.add().metrics
        times = {"time_unix_nano": at * 10**6, "start_time_unix_nano": self.started * 10**6}
        metric = metrics.add(name="requests")
        metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, CUMULATIVE
        metric.sum.data_points.add(as_double=self.count, **times)
        metric = metrics.add(name="bytes")  # of a sender that does not say since when it counts
        metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, CUMULATIVE
        metric.sum.data_points.add(as_double=self.total, time_unix_nano=at * 10**6)
        metric = metrics.add(name="errors")
        metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, DELTA
        since = {**times, "start_time_unix_nano": (at - STEP) * 10**6}
        metric.sum.data_points.add(as_double=n / 10, **since)
        self._distributions(metrics, times)
        return bytes(message.SerializeToString())

    def _distributions(self, metrics: Any, times: dict[str, int]) -> None:
        whole: dict[str, Any] = {"count": self.count, "sum": self.sum, **times}
        metric = metrics.add(name="lag", unit="s")
        metric.histogram.aggregation_temporality = CUMULATIVE
        metric.histogram.data_points.add(explicit_bounds=[1, 2, 4], bucket_counts=self.buckets.tolist(), **whole)
        metric = metrics.add(name="wait", unit="s")
        metric.exponential_histogram.aggregation_temporality = CUMULATIVE
        point = metric.exponential_histogram.data_points.add(scale=0, zero_count=int(self.buckets[0]), **whole)
        point.positive.bucket_counts.extend(self.buckets[1:].tolist())
        metrics.add(name="pause", unit="s").summary.data_points.add(**whole)


def fleet() -> list[Row]:
    services = [Service(host) for host in HOSTS]
    return [one.report(T0 + i * STEP + 300 * k, i) for i in range(N_STEPS) for k, one in enumerate(services)]


def run(rows: list[Row]) -> tuple[PartitionStream, StepResult]:
    n, stream = len(rows), PartitionStream(EAGER, "t", 0)
    sent = Records("t", 0, list(range(n)), [T0 + N_STEPS * STEP] * n, [None] * n, [value for *_, value in rows])
    return stream, stream.step(sent)


def learned(stream: PartitionStream) -> dict[str, Any]:
    """What is known of each series and entity in the end, by name."""
    image, names = stream.image(), [f"{one.entity} {one.name}" for one in stream.catalog.identities]
    of = {"series": names, "entity": [name for name, _ in stream.catalog.entities]}
    tables = {name: live_rows(table, image.rows) for name, table in image.tables.items() if name.startswith("features")}
    return {
        f"{name} {row}": tables[name][i].tobytes()
        for name in tables
        for i, row in enumerate(of[image.tables[name].axis])
    }


def words(result: StepResult) -> set[tuple[object, ...]]:
    return last_words(event.data for event in result.incidents)


def shuffled(rows: list[Row], seed: int, share: float) -> list[Row]:
    """Rows in order of arrival, some delayed by less than the horizon."""
    chance = np.random.default_rng(seed)
    delays = chance.random(len(rows)) * (chance.random(len(rows)) < share)
    arrival = [at + delay * (HORIZON - 1) * STEP for (at, *_), delay in zip(rows, delays, strict=True)]
    return [rows[i] for i in np.argsort(arrival, kind="stable")]


@pytest.fixture(scope="module")
def in_order() -> tuple[list[Row], PartitionStream, StepResult]:
    rows = fleet()
    return (rows, *run(rows))


@pytest.mark.parametrize(("seed", "share"), [(1, 0.05), (2, 0.3), (3, 1.0)])
def test_any_order_within_the_horizon_teaches_and_tells_the_same(in_order, seed, share):
    rows, straight, told = in_order
    stream, late = run(shuffled(rows, seed, share))
    assert words(late) == words(told) != set()
    assert late.counts.late == 0
    expected, found = learned(straight), learned(stream)
    assert {name for name in expected if found.get(name) != expected[name]} == set()


def test_what_was_told_of_an_empty_time_is_revoked_once_a_late_point_shows_it(in_order):
    rows, _, _ = in_order
    idle = next(k for k, (at, host, _) in enumerate(rows) if host == "a" and at == T0 + 38 * STEP)  # 38 % 7 == 3
    before = next(k for k, (at, host, _) in enumerate(rows) if host == "a" and at == T0 + 37 * STEP)
    moved = [*rows[:before], *rows[before + 1 : idle + 3], rows[before], *rows[idle + 3 :]]
    (straight, _), (stream, told) = run(rows), run(moved)
    assert told.counts.late == 0
    assert learned(stream) == learned(straight)
