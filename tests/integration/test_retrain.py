"""Retraining as cron does it, on a real broker and a real MLflow: asked for by age or drift, promoted or refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from kafka import KafkaProducer

from pipeline.codecs.encode import encode_json
from pipeline.events import Kind
from pipeline.kafka.topics import create
from pipeline.simulate.fleet import Fleet
from pipeline.simulate.labels import Label, write_labels
from pipeline.simulate.records import wide_table
from pipeline.simulate.telemetry import telemetry

# a Monday
T0, MINUTE = 1_767_571_200_000, 60_000
FLEET = Fleet(n_hosts=3, n_metrics=3, seed=13)
N_STEPS = 14 * 1_440
CUT = round(0.8 * N_STEPS)


def sent(bootstrap, topic, stretch):
    """Put a stretch on a new topic, an hour of a host a record."""
    create(
        {"bootstrap_servers": bootstrap}, topic, 1, {"retention.ms": "-1"}
    )  # records bear the times of their samples
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
    times = stretch.times_ms.tolist()
    for first in range(0, len(times), 60):
        for host in FLEET.hosts:
            steps = range(first, min(first + 60, len(times)))
            rows = [
                (host, metric, (), times[step] * 1_000_000, float(stretch.values[host][step, at]), Kind.GAUGE)
                for step in steps
                for at, metric in enumerate(FLEET.metrics)
            ]
            producer.send(topic, encode_json(rows), host.encode(), timestamp_ms=times[steps[-1]])
    producer.flush(timeout=30)
    producer.close(timeout=10)


@pytest.fixture(scope="module")
def contaminated(tmp_path_factory):
    """A window whose sensors were broken while it is learned from, and whole when a known fault came."""
    folder, rng = tmp_path_factory.mktemp("retrain"), np.random.default_rng(2)
    stretch = telemetry(FLEET, [], T0 + N_STEPS * MINUTE, N_STEPS)
    (folder / "window").mkdir()
    labels = []
    for host in FLEET.hosts:
        stretch.values[host][:CUT] += stretch.values[host][:CUT].std(0) * 10 * rng.standard_t(2, (CUT, 3))
        for at in (CUT + 400, CUT + 700):
            stretch.values[host][at : at + 30, 0] += 30.0
            begin = T0 + (N_STEPS + at) * MINUTE
            labels.append(Label(host, begin, begin + 30 * MINUTE))
        wide_table(stretch, host).to_parquet(folder / "window" / f"{host}.parquet")
    write_labels(folder / "labels.csv", labels)
    return folder


def test_retraining_is_asked_for_compared_promoted_or_refused_and_told(broker, fresh, on_store, contaminated):
    topic = fresh("retrain")
    sent(broker, topic, telemetry(FLEET, [], T0, N_STEPS))
    budget = ("--set", "detection.alert_budget_per_entity_week=20")
    read = ("--from-topic", topic, "--bootstrap-servers", broker, *budget)
    first = on_store("retrain", *read)
    assert "Trained version 1 (baseline) because there was no champion yet; over 1.20 entity-weeks" in first
    assert "untrained had" in first
    assert first.strip().endswith("It is champion now.")
    assert first.count("\n") == 1
    assert on_store.registry.aliases() == {"champion": "1"}

    nothing = on_store("retrain", *read)
    assert "Nothing was trained: version 1 is 0 days old and no feature moved (PSI at most" in nothing
    aged = json.loads(on_store("retrain", *read, "--set", "models.retrain_after_days=0.000001", "--json"))
    assert (aged["why"], aged["version"]) == ("because version 1 is 0 days old", "2")
    assert aged["promoted"] is (on_store.registry.aliases()["champion"] == "2")

    champion = on_store.registry.aliases()["champion"]
    over = ("--data", contaminated / "window", "--labels", contaminated / "labels.csv", *budget)
    drifted = json.loads(on_store("retrain", *over, "--json"))
    assert f"drifted from the training of version {champion} (PSI" in drifted["why"]
    assert (drifted["version"], drifted["promoted"]) == ("3", False)
    assert any("faults, the champion" in reason for reason in drifted["refused"])
    assert on_store.registry.aliases()["champion"] == champion
    assert "challenger: it finds" in drifted["told"] or "stays on trial, so it has no alias" in drifted["told"]
