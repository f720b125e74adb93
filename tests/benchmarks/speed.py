"""How fast: decoders, compiled scorers, and the road from grid to incidents, both sides of each ratio in one run.

usage: speed.py [--series 10000 100000]      (``make bench``)

Figures are process CPU time, so that other work on the machine counts little; min, median and max of several runs go
to speed.json beside this file, with machine and versions.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
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
from pipeline.events import Kind, Records, SampleBatch, SeriesIdentity
from pipeline.stream import PartitionStream, Plan

RESULTS = Path(__file__).with_name("speed.json")
T0_MS, STEP_MS = 1_700_000_000_000, 10_000
WARM_STEPS = 40  # after them every series has learned its rhythm and been judged for a while


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
        found[name] = _rate(n, timed(lambda records=records, catalog=catalog: decode(records, catalog)))
        if name == "otlp-proto":
            found["otlp-proto, official package"] = _rate(n, timed(lambda values=values: _official(values), 2))
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
                slow, fast = (timed(lambda f=f, part=part: f(part), 7)["min"] for f in (reference, scorer.score))
                found[f"{name}, {n:,} row{'s' if n > 1 else ''}"] = {
                    "scikit_learn_us": slow / n * 1e6,
                    "compiled_us": fast / n * 1e6,
                    "ratio": slow / fast,
                }
    return found


def stream(n_series: int) -> dict[str, float]:
    """Samples a second from grid to incidents, all series of 20-metric hosts at one step, agents aligned."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    one = PartitionStream(Plan(max_series=2 * n_series), "t", 0)
    for i in range(n_series):
        one.catalog.series_id(SeriesIdentity(f"host-{i // 20}", "host", f"metric.{i % 20}", (), "1"))
    chance = np.random.default_rng(0)
    level = 50.0 + 10.0 * chance.normal(size=n_series)
    ids, zeros = np.arange(n_series, dtype=np.int32), np.zeros(n_series, np.int64)
    none = zeros.astype(np.uint8)

    def advance(step: int) -> float:
        time_ms = T0_MS + step * STEP_MS
        values = level + chance.normal(size=n_series)
        batch = SampleBatch(ids, zeros + time_ms * 10**6, values, none, zeros, zeros.astype(np.int32))
        began = time.process_time()
        one.advance(batch, [time_ms], [step])
        return time.process_time() - began

    for step in range(WARM_STEPS):
        advance(step)
    spent = [advance(WARM_STEPS + step) for step in range(10)]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    rates = {name: n_series / at for name, at in (("min", max(spent)), ("median", median(spent)), ("max", min(spent)))}
    return {**rates, "peak_bytes_per_series": grown * 1024 / n_series}


def _rate(n: int, spent: dict[str, float]) -> dict[str, float]:
    return {"min": n / spent["max"], "median": n / spent["median"], "max": n / spent["min"]}


def main() -> None:
    """Run all, keep the figures, print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, nargs="*", default=[10_000, 100_000])
    asked = parser.parse_args()
    figures = {
        "machine": {"python": platform.python_version(), "system": platform.platform()},
        "versions": {name: version(name) for name in ("foreshock", "numba", "numpy", "protobuf", "scikit-learn")},
        "decode, samples/s": decoders(),
        "score, µs a row": scorers(),
        "grid to incidents, samples/s": {f"{n:,} series": stream(n) for n in asked.series},
    }
    RESULTS.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(figures, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
