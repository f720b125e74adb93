"""Decoders and compiled scorers beside what they stand in for, both sides in one run, in CPU time of one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
from opentelemetry.proto.metrics.v1 import metrics_pb2
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from threadpoolctl import threadpool_limits

from models.compiled import compile_scorer
from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.codecs.encode import encode_influx, encode_json, encode_otlp_proto
from pipeline.events import Kind, Records
from tests.benchmarks.speed.telemetry import T0_MS, rate


def timed(call: Callable[[], object], runs: int = 5) -> dict[str, float]:
    """CPU seconds of several runs of a call."""
    spent = []
    for _ in range(runs):
        began = time.process_time()
        call()
        spent.append(time.process_time() - began)
    return {"min": min(spent), "median": median(spent), "max": max(spent)}


def decoders() -> dict[str, dict[str, float]]:
    """Samples of known series a second, by format, and the official package's walk over the same OTLP records."""
    amounts = np.random.default_rng(0).normal(50.0, 20.0, 500).tolist()  # with all the digits that a float has
    named = [(f"h{i // 50}", f"m{i % 50}", (("cpu", "0"),)) for i in range(500)]
    rows = [(*name, T0_MS * 10**6, value, Kind.GAUGE) for name, value in zip(named, amounts, strict=True)]
    found = {}
    for name, encode in (("otlp-proto", encode_otlp_proto), ("influx", encode_influx), ("json", encode_json)):
        values = [encode(rows)] * 200
        records = Records("t", 0, list(range(200)), [T0_MS] * 200, [None] * 200, list(values))
        catalog = Catalog()
        n = len(decode(records, catalog).samples)
        found[name] = rate(n, timed(lambda records=records, catalog=catalog: decode(records, catalog)))
        if name == "otlp-proto":
            found["otlp-proto, official package"] = rate(n, timed(lambda values=values: _official(values), 2))
    return found


def _official(values: list[bytes]) -> int:
    """Read all that a sample needs: time, number, and the texts of its identity."""
    n = 0
    for value in values:
        for resource_metrics in metrics_pb2.MetricsData.FromString(value).resource_metrics:
            for scope in resource_metrics.scope_metrics:
                for metric in scope.metrics:
                    for point in getattr(metric, metric.WhichOneof("data")).data_points:
                        labels = [(pair.key, pair.value.string_value) for pair in point.attributes]
                        _ = metric.name, labels, point.time_unix_nano, point.as_double
                        n += 1
    return n


def scorers() -> dict[str, dict[str, float]]:
    """Microseconds a row, scikit-learn against compiled, alone and at 20,000 rows, on one core."""
    rows = np.random.default_rng(0).normal(size=(20_000, 15))
    forest = IsolationForest(n_estimators=100, max_samples=256, random_state=0).fit(rows[:5_000])
    means = KMeans(8, n_init=1, random_state=0).fit(rows[:5_000])
    sides = {"forest": (forest, forest.score_samples), "k-means": (means, lambda x: means.transform(x).min(axis=1))}
    found = {}
    with threadpool_limits(1):
        for name, (estimator, reference) in sides.items():
            scorer = compile_scorer(estimator)
            for n in (1, 20_000):
                part = rows[:n]
                scorer.score(part)
                slow, fast = (timed(lambda f=f, part=part: f(part), 7) for f in (reference, scorer.score))
                found[f"{name}, {n:,} row{'s' if n > 1 else ''}"] = {
                    "scikit_learn_us": slow["median"] / n * 1e6,
                    "compiled_us": fast["median"] / n * 1e6,
                    "min": slow["min"] / fast["max"],
                    "median": slow["median"] / fast["median"],
                    "max": slow["max"] / fast["min"],
                }
    return found
