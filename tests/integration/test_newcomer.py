"""The stranger's first minutes on a real Kafka: sending recordings, simulating, the demo, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.codecs.capture import read_capture
from pipeline.kafka.follow import read_all
from pipeline.kafka.topics import Topics, count_partitions, create
from pipeline.kafka.writer import Writer
from pipeline.simulate.labels import read_labels

ROOT = Path(__file__).parents[2]
WIRE = ROOT.parent / "shared" / "data" / "wire"
DEMO = ("demo", "--hosts", "6", "--history", "1d", "--live", "8h", "--seconds", "5")


def start(*arguments: str, **options) -> subprocess.Popen[str]:
    """Start a command as a person would, without a terminal."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-P", "-m", "pipeline", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, **options)


def run(*arguments: str) -> tuple[int, str, str]:
    process = start(*arguments)
    said, complained = process.communicate(timeout=150)
    return process.returncode, said, complained


def rows(bootstrap: str, topic: str) -> list[tuple[int, bytes | None, bytes | None]]:
    """Every record of a topic: record time in ms, key, value."""
    parts = read_all({"bootstrap_servers": bootstrap}, topic)
    return [row for part in parts for row in zip(part.times, part.keys, part.values, strict=True)]


def living(word: str) -> list[str]:
    """Command lines of live processes that mention a word."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line:
            found.append(line)
    return found


def test_a_wide_table_arrives_as_it_is_keyed_by_its_entity_with_the_record_time_of_now(broker, fresh, tmp_path):
    topic, began = fresh("sent"), time.time() * 1000
    times = pd.date_range("2026-01-01", periods=20, freq="min", tz="UTC")
    for name, factor in (("web-01", 1.0), ("web-02", 2.0)):
        frame = pd.DataFrame({"timestamp": times, "cpu": [factor * i for i in range(20)], "label": 1})
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    code, said, _ = run("send", str(tmp_path), "--topic", topic, "--create", "1", "--bootstrap-servers", broker)
    assert code == 0
    assert f"created {topic} with 1 partition" in said
    assert f"sent 40 records to {topic}" in said
    found = rows(broker, topic)
    assert [key for _, key, _ in found] == [b"web-01", b"web-02"] * 20
    assert all(began <= time_ms <= time.time() * 1000 for time_ms, _, _ in found)
    catalog, samples = Catalog(), []
    for part in read_all({"bootstrap_servers": broker}, topic):
        batch = decode(part, catalog).samples
        samples += [
            (catalog.identities[s], t, v) for s, t, v in zip(batch.series_id, batch.time, batch.value, strict=True)
        ]
    assert {identity.metric for identity, _, _ in samples} == {"cpu"}
    assert [v for identity, _, v in samples if identity.entity == "web-02"] == [2.0 * i for i in range(20)]
    assert [t for identity, t, _ in samples if identity.entity == "web-01"] == times.as_unit("ns").asi8.tolist()


def test_a_capture_arrives_byte_for_byte_with_its_keys(broker, fresh):
    capture = WIRE / "otel-otlp_proto-partitioned.jsonl.gz"
    if not capture.exists():
        pytest.skip("no captures in ../shared/data/wire: nothing real to send")
    topic, expected = fresh("captured"), read_capture(capture)
    create({"bootstrap_servers": broker}, topic)
    code, said, _ = run("send", str(capture), "--topic", topic, "--bootstrap-servers", broker)
    assert (code, f"sent {len(expected):,} records" in said) == (0, True)
    found = [row[1:] for row in rows(broker, topic)]
    in_time = sorted(zip(expected.times, expected.keys, expected.values, strict=True), key=lambda row: row[0])
    assert sorted(found) == sorted(row[1:] for row in in_time)


def test_a_missing_topic_is_said_and_not_created(broker, fresh, tmp_path):
    topic, file = fresh("missing"), tmp_path / "a.csv"
    file.write_text("timestamp,x\n2026-01-01,1\n")
    for command in (("send", str(file)), ("simulate", "--duration", "10m")):
        code, _, complaint = run(*command, "--topic", topic, "--bootstrap-servers", broker)
        assert code == 2
        assert complaint == f"foreshock: the topic {topic} does not exist; --create 1 creates it with one partition\n"
    assert not count_partitions({"bootstrap_servers": broker}, topic)


def test_a_simulation_ends_now_and_tells_its_truth(broker, fresh, tmp_path):
    topic, labels = fresh("simulated"), tmp_path / "labels.csv"
    where = ("--topic", topic, "--create", "1", "--bootstrap-servers", broker)
    code, said, _ = run("simulate", *where, "--hosts", "4", "--duration", "3h", "--labels", str(labels))
    assert code == 0
    assert "disk_filling" in said
    catalog, latest_ms = Catalog(), 0
    for part in read_all({"bootstrap_servers": broker}, topic):
        samples = decode(part, catalog).samples
        assert (samples.time // 1_000_000 <= pd.Series(part.times).to_numpy()[samples.record]).all()
        latest_ms = max(latest_ms, int(samples.time.max()) // 1_000_000)
    assert len(catalog.entities) == 4
    assert time.time() * 1000 - latest_ms < 180_000
    assert sum(label.is_fault for label in read_labels(labels)) >= 8


def test_stopping_a_simulation_says_how_far_it_came_and_that_is_in_kafka(broker, fresh):
    topic = fresh("stopped")
    create({"bootstrap_servers": broker}, topic)
    options = ("--topic", topic, "--bootstrap-servers", broker, "--speed", "600", "--duration", "10h")
    process = start("simulate", *options)
    deadline = time.monotonic() + 60
    while not rows(broker, topic) and time.monotonic() < deadline:
        time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    told = re.search(r"stopped: (\d[\d,]*) of 7,200 records are in", complaint)
    assert told is not None
    assert len(rows(broker, topic)) == int(told[1].replace(",", "")) > 0


def test_the_demo_ends_by_itself_with_the_truth_beside_the_findings_and_leaves_nothing_running(tmp_path):
    code, said, complaint = run(*DEMO, "--data", str(tmp_path))
    assert code == 0, complaint
    for line in ("starting Kafka", "sending 1.0 days of calm history: 8,640 records", "live at 5,760 times"):
        assert line in said
    assert re.search(r"opened .* since \d\d:\d\d UTC", said)
    found, faults = map(
        int, re.search(r"(\d) of (\d) faults found, \d with the right metric on top; \d+ false", said).groups()
    )
    assert (faults, found > 0) == (8, True)
    assert said.count("deploy (no fault)") == 2
    for command in ("broker start --data", "incidents show", "run --bootstrap-servers"):
        assert command in said
    assert living(str(tmp_path)) == []


def test_a_demo_that_is_told_to_stop_stops_everything_and_says_what_it_saw(tmp_path):
    process = start(*DEMO, "--forever", "--data", str(tmp_path))
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("live at"):
            break
    second = run(*DEMO, "--data", str(tmp_path))
    assert second[0] == 1
    assert f"a demo is running in {tmp_path}" in second[2]
    process.send_signal(signal.SIGTERM)
    said, complaint = process.communicate(timeout=60)
    assert process.returncode == 0, complaint
    assert "stopping" in said
    assert living(str(tmp_path)) == []


def test_the_subscriber_of_the_readme_prints_what_was_published(broker, tmp_path):
    code = re.search(r"```python\n(from pipeline import subscribe.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert code is not None
    assert code[1].count("\n") <= 11
    script = tmp_path / "subscriber.py"
    script.write_text(code[1].replace("127.0.0.1:9092", broker))
    client = {"bootstrap_servers": broker}
    create(client, Topics().incidents)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment)
    published, writer = threading.Event(), Writer(client)

    def publish() -> None:  # again and again: a group that never read begins with what comes after it joined
        while not published.wait(0.3):
            for status, ended in (("open", None), ("resolved", "2026-01-01T01:00:00.000Z")):
                writer.write(Topics().incidents, incident(status, ended), b"1")
            writer.flush()

    teller = threading.Thread(target=publish)
    teller.start()
    try:
        assert process.stdout is not None
        lines = {process.stdout.readline() for _ in range(2)}
    finally:
        published.set()
        teller.join()
        writer.close()
        process.kill()
        process.communicate()
    assert lines == {"error db-01: disk full\n", "over since 2026-01-01T01:00:00.000Z db-01\n"}


def incident(status: str, ended: str | None) -> bytes:
    """An event as the job would publish it."""
    when = "2026-01-01T00:00:00.000Z"
    data = {"incident_id": "1", "revision": 1, "track": "behaviour", "status": status, "severity": "error"}
    data |= {"score": 0.9, "kind": "trend", "entity": {"id": "db-01", "class": "host", "name": "db-01"}}
    data |= {"title": "db-01: disk full", "started_at": when, "detected_at": when, "updated_at": when}
    data |= {"ended_at": ended, "contributing_metrics": [], "data_quality": {}, "reason": "opened"}
    data |= {"model": {"name": "m", "version": "1", "threshold": 0.5}}
    data |= {"source": {"topic": "t", "partition": 0, "first_offset": 0, "last_offset": 0}}
    event = {"specversion": "1.0", "id": "1:1", "source": "test", "type": "foreshock.incident.opened.v1"}
    event |= {"time": when, "subject": "db-01", "datacontenttype": "application/json", "data": data}
    return json.dumps(event).encode()
