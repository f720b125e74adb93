"""A model's whole life on a real broker and a real MLflow: trained, refused, promoted, swapped in, taken back."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from pipeline.codecs.encode import encode_json
from pipeline.events import Decision, Kind, Notice, ScoreRow
from pipeline.incident import CloudEvent
from pipeline.kafka.topics import create
from pipeline.simulate.fleet import Fleet
from pipeline.simulate.labels import Label, write_labels
from pipeline.simulate.records import wide_table
from pipeline.simulate.telemetry import telemetry

ROOT = Path(__file__).parents[2]
T0 = 1_767_225_600_000
MINUTE = 60_000
FLEET = Fleet(n_hosts=3, n_metrics=4, seed=11)
N_PAST, N_LATER, N_LIVE = 2_400, 800, 150
FAULT = range(100, 130)
WAIT_SECONDS = 90


def stretch_of(first, n_steps, faults, by=40.0):
    """Healthy telemetry from a step on, with the first metric of a host far too high at the steps given."""
    stretch = telemetry(FLEET, [], T0 + first * MINUTE, n_steps)
    for host, steps in faults:
        stretch.values[host][steps.start : steps.stop, 0] += by
    return stretch


def write(folder, stretch):
    folder.mkdir()
    for host in FLEET.hosts:
        wide_table(stretch, host).to_parquet(folder / f"{host}.parquet")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Short and long clean history, one whose sensor was broken, and a later stretch whose faults are known."""
    folder = tmp_path_factory.mktemp("models")
    write(folder / "short", stretch_of(800, 1_600, []))
    write(folder / "long", stretch_of(0, N_PAST, []))
    broken, rng = stretch_of(0, N_PAST, []), np.random.default_rng(1)
    for host in FLEET.hosts:
        broken.values[host][:, 0] += 30.0 * rng.standard_t(2, N_PAST)
    write(folder / "contaminated", broken)
    known = [(host, range(at, at + 30)) for host in FLEET.hosts for at in (300, 600)]
    write(folder / "later", stretch_of(N_PAST, N_LATER, known))
    begin = T0 + N_PAST * MINUTE
    labels = [Label(host, begin + s.start * MINUTE, begin + s.stop * MINUTE) for host, s in known]
    write_labels(folder / "labels.csv", labels)
    return folder


class Live:
    """A running job that looks for champions, and the topic that it reads."""

    def __init__(self, bootstrap, topic, uri, folder, **more):
        self.bootstrap, self.topic, self.log_path = bootstrap, topic, folder / "job.log"
        create({"bootstrap_servers": bootstrap}, topic)
        settings = {
            "kafka.bootstrap_servers": bootstrap,
            "kafka.topic_prefix": topic,
            "kafka.group": topic,
            "source.topics": topic,
            "source.start": "earliest",
            "state.folder": folder / "state",
            "scores.publish_all": "true",
            "models.uri": uri,
            "models.poll_seconds": "0.5",
            "job.log_format": "json",
            **{f"models.{key}": value for key, value in more.items()},
        }
        overrides = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        with self.log_path.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipeline", "run", *overrides], stdout=log, stderr=log
            )
        self.producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
        self.n_records = self.n_samples = 0

    def wait_for(self, what, deadline=WAIT_SECONDS):
        began = time.monotonic()
        while time.monotonic() - began < deadline:
            if self.log_path.read_text().count(what):
                return time.monotonic() - began
            assert self.process.poll() is None, self.log_path.read_text()
            time.sleep(0.1)
        pytest.fail(f"{what!r} did not come within {deadline} s:\n{self.log_path.read_text()[-3000:]}")

    def send(self, stretch):
        for step, time_ms in enumerate(stretch.times_ms.tolist()):
            for host in FLEET.hosts:
                values = stretch.values[host][step].tolist()
                pairs = zip(FLEET.metrics, values, strict=True)
                rows = [(host, m, (), time_ms * 1_000_000, v, Kind.GAUGE) for m, v in pairs if v == v]
                self.producer.send(self.topic, encode_json(rows), host.encode())
                self.n_records, self.n_samples = self.n_records + 1, self.n_samples + len(rows)
        self.producer.flush(timeout=30)
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=self.topic, enable_auto_commit=False)
        began = time.monotonic()
        while (consumer.committed(TopicPartition(self.topic, 0)) or 0) < self.n_records:
            assert time.monotonic() - began < WAIT_SECONDS, self.log_path.read_text()[-3000:]
            time.sleep(0.2)
        consumer.close(autocommit=False)

    def read(self, name, kind):
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, isolation_level="read_committed")
        partition = TopicPartition(f"{self.topic}.{name}", 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end, values = consumer.end_offsets([partition])[partition], []
        while consumer.position(partition) < end:
            values += [one.value for found in consumer.poll(timeout_ms=500).values() for one in found]
        consumer.close(autocommit=False)
        return [msgspec.json.decode(value, type=kind) for value in values]

    def versions(self):
        return [e.data.model.version for e in self.read("incidents", CloudEvent) if e.data.revision == 1]

    def stop(self):
        self.producer.close(timeout=10)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=WAIT_SECONDS) == 0


def test_a_model_is_trained_refused_promoted_swapped_in_and_taken_back(broker, fresh, on_store, data, tmp_path):
    over = ("--data", data / "later", "--labels", data / "labels.csv")
    on_store("train", "--data", data / "short")
    on_store("models", "compare", "untrained", "1", *over)
    on_store("models", "promote", "1", "--force", "--because", "the first")
    live = Live(broker, fresh("models"), on_store.registry.uri, tmp_path)
    live.wait_for("the champion is version 1")
    first = N_PAST + N_LATER
    live.send(stretch_of(first, N_LIVE, [(FLEET.hosts[0], FAULT)], by=150.0))
    assert set(live.versions()) == {"1"}

    on_store("train", "--data", data / "contaminated", "--alias", "none")
    on_store("models", "compare", "champion", "2", *over)
    assert "faults, the champion" in on_store("models", "promote", "2", status=3)

    on_store("train", "--data", data / "long", "--alias", "none")
    told = json.loads(on_store("models", "compare", "champion", "3", *over, "--json"))
    assert told["after"]["event_recall"] >= told["before"]["event_recall"] > 0.5
    on_store("models", "promote", "3")
    assert live.wait_for("the champion is version 3", 5.0) < 5.0
    live.send(stretch_of(first + N_LIVE, N_LIVE, [(FLEET.hosts[1], FAULT)], by=150.0))
    assert live.versions()[-1] == "3"

    on_store("models", "rollback")
    began = live.log_path.read_text().count("the champion is version 1")
    deadline = time.monotonic() + 5.0
    while live.log_path.read_text().count("the champion is version 1") == began == 1:
        assert time.monotonic() < deadline, live.log_path.read_text()[-2000:]
        time.sleep(0.1)
    live.send(stretch_of(first + 2 * N_LIVE, N_LIVE, [(FLEET.hosts[2], FAULT)], by=150.0))
    live.stop()
    versions = live.versions()
    assert versions[-1] == "1"
    assert [v for i, v in enumerate(versions) if i == 0 or v != versions[i - 1]] == ["1", "3", "1"]

    swaps = [one for one in live.read("decisions", Decision) if one.kind == "model"]
    assert next(one.value["hash"] for one in swaps) == swaps[2].value["hash"] != swaps[1].value["hash"]
    assert 0 <= swaps[0].offset < swaps[1].offset < swaps[2].offset <= live.n_records
    # a series' first eight samples wait for its step and are judged one series after the other
    begin = T0 + (first + 8) * MINUTE
    scores = [(row.entity, row.time_ms) for row in live.read("scores", ScoreRow) if row.time_ms >= begin]
    assert len(scores) == len(set(scores))
    judged = {host: sorted(t for e, t in scores if e == host) for host in FLEET.hosts}
    for times in judged.values():
        assert all(b - a == MINUTE for a, b in pairwise(times))
        assert len(times) >= 3 * N_LIVE - 10
    assert live.n_samples == 3 * N_LIVE * len(FLEET.hosts) * len(FLEET.metrics)


def test_a_challenger_in_the_shadow_is_counted_and_never_heard(broker, fresh, on_store, data, tmp_path):
    on_store("train", "--data", data / "long")
    on_store("models", "promote", "1", "--force", "--because", "the first")
    on_store("train", "--data", data / "short", "--detector", "forest")
    live = Live(broker, fresh("shadow"), on_store.registry.uri, tmp_path, shadow="true", drift_hours="8")
    live.wait_for("the champion is version 1")
    live.wait_for("in the shadow: version 2")
    first = N_PAST + N_LATER
    assert "stays with version 2" in on_store("train", "--data", data / "short", status=1)
    live.send(stretch_of(first, N_LIVE, [(FLEET.hosts[0], FAULT)], by=150.0))
    live.send(stretch_of(first + N_LIVE, 400, [(host, range(400)) for host in FLEET.hosts], by=30.0))
    live.stop()
    assert set(live.versions()) == {"1"}
    assert {one.kind for one in live.read("decisions", Decision)} == {"begin", "settings", "model"}

    over = ("--data", data / "later", "--labels", data / "labels.csv")
    trial = json.loads(on_store("models", "compare", "champion", "2", *over, "--json"))["trial"]
    summary = [json.loads(line)["summary"] for line in live.log_path.read_text().splitlines() if "summary" in line][-1]
    assert summary["trials"] == [trial]
    assert (trial["champion"], trial["challenger"]) == ("1", "2")
    assert trial["steps"] > 0.9 * (N_LIVE + 400) * len(FLEET.hosts)
    assert min(trial["opened_champion"], trial["opened_challenger"], trial["over_both"]) > 0
    assert "in the shadow, over 0." in on_store("models", "compare", "champion", "2", *over)

    notices = [one for one in live.read("heartbeat", Notice) if one.kind == "model.drift"]
    assert "of class host moved from the training of version 1 (PSI" in notices[0].told
    assert summary["drift"][0]["entity_class"] == "host"
    assert (summary["model"], summary["swaps"], summary["swap_failures"]) == ("foreshock 1", 1, 0)


OWN = """
import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler


class Farthest(OutlierMixin, BaseEstimator):
    def fit(self, x, y=None):
        self.n_features_in_ = x.shape[1]
        self.middle_ = np.median(x, axis=0)
        return self

    def score_samples(self, x):
        return -np.abs(x - self.middle_).max(axis=1)


def factory():
    return make_pipeline(RobustScaler(quantile_range=(1.0, 99.0)), Farthest())
"""


def test_a_detector_of_ones_own_is_trained_trusted_and_serves_over_a_restart(
    broker, fresh, on_store, data, tmp_path, monkeypatch
):
    home = tmp_path / "home"
    home.mkdir()
    (home / "own_detector.py").write_text(OWN)
    monkeypatch.syspath_prepend(home)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(home)]))
    trust = ("--set", "models.trusted_types=own_detector.Farthest")
    on_store("train", "--data", data / "short", "--detector", "own_detector:factory", *trust)
    refused = on_store("models", "promote", "1", "--force", "--because", "mine", status=1)
    assert "own_detector.Farthest, which is not on the list of trusted types" in refused
    on_store("models", "promote", "1", "--force", "--because", "mine", *trust)
    assert json.loads(on_store("models", "show", "1", "--json", *trust))["facts"]["scorer"] == "row by row"

    topic, uri, first = fresh("own"), on_store.registry.uri, N_PAST + N_LATER
    wary = Live(broker, topic, uri, tmp_path)
    wary.wait_for("which is not on the list of trusted types")
    wary.stop()
    for at, host in enumerate(FLEET.hosts[:2]):  # the second one finds the bundle beside its snapshots
        live = Live(broker, topic, uri, tmp_path, trusted_types="own_detector.Farthest")
        live.n_records = at * N_LIVE * len(FLEET.hosts)
        live.wait_for("the champion is version 1")
        live.send(stretch_of(first + at * N_LIVE, N_LIVE, [(host, FAULT)], by=150.0))
        live.stop()
    assert set(live.versions()) == {"1"}
    assert {e.data.entity.id for e in live.read("incidents", CloudEvent)} >= set(FLEET.hosts[:2])
    assert len([one for one in live.read("decisions", Decision) if one.kind == "model"]) == 1
