"""The whole street on real input: real telemetry, a real broker, the running job, and the backtest beside it."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from pipeline.cli.main import main
from pipeline.codecs.encode import encode_json
from pipeline.events import CloudEvent, Kind, ScoreRow
from pipeline.kafka.topics import create
from pipeline.recordings import epoch_ns, numeric_columns
from pipeline.replay import backtest
from pipeline.stream import Plan

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
N_ROWS = 2_500
WAIT_SECONDS = 120


@pytest.fixture(scope="module")
def frames():
    files = [*sorted((SHARED / "smd").glob("*.test.parquet"))[:2], *sorted((SHARED / "kpi").glob("*.parquet"))[:2]]
    if not files:
        pytest.skip("no open telemetry in ../shared/data: nothing real to send")
    return {file.name.split(".")[0]: pd.read_parquet(file)[:N_ROWS] for file in files}


def send(bootstrap, topic, frames):
    """One record a row, the entities in turn, as a fleet would."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, batch_size=131_072)
    rows = {name: (epoch_ns(f["timestamp"]), f[numeric_columns(f)].to_numpy(float)) for name, f in frames.items()}
    for i in range(N_ROWS):
        for name, (times, values) in rows.items():
            metrics = numeric_columns(frames[name])
            samples = [
                (name, metric, (), int(times[i]), float(v), Kind.GAUGE)
                for metric, v in zip(metrics, values[i], strict=True)
            ]
            producer.send(topic, encode_json(samples), name.encode())
    producer.flush(timeout=60)
    producer.close(timeout=10)


def run_job(bootstrap, tmp_path, topic, prefix, poll_records):
    settings = {
        "kafka.bootstrap_servers": bootstrap,
        "kafka.topic_prefix": prefix,
        "kafka.group": prefix,
        "source.topics": topic,
        "source.start": "earliest",
        "source.max_poll_records": poll_records,
        "scores.publish_all": "true",
    }
    overrides = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    with (tmp_path / f"{prefix}.log").open("a") as log:
        return subprocess.Popen([sys.executable, "-m", "pipeline", "run", *overrides], stdout=log, stderr=log)


def stop(process):
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0


def wait_until_read(bootstrap, group, topic, offset):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    deadline = time.monotonic() + WAIT_SECONDS
    try:
        while time.monotonic() < deadline:
            if (consumer.committed(TopicPartition(topic, 0)) or 0) >= offset:
                return
            time.sleep(0.3)
    finally:
        consumer.close(autocommit=False)
    pytest.fail(f"the job did not commit offset {offset} within {WAIT_SECONDS} s")


def read(bootstrap, topic):
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end, values = consumer.end_offsets([partition])[partition], []
    while consumer.position(partition) < end:
        values += [record.value for records in consumer.poll(timeout_ms=500).values() for record in records]
    consumer.close(autocommit=False)
    return values


def without_source(events):
    """Incidents by entity, in order, without what a backtest cannot know: topic, partition and offsets."""
    out = {}
    for event in events:
        plain = json.loads(msgspec.json.encode(event))
        del plain["data"]["source"]
        out.setdefault(event.data.entity.id, []).append(plain)
    return out


@pytest.fixture(scope="module")
def live(broker, frames, tmp_path_factory):
    """The same telemetry read twice, with different poll sizes, by jobs of their own groups."""
    bootstrap, tmp_path = broker, tmp_path_factory.mktemp("street")
    create({"bootstrap_servers": bootstrap}, "street")
    send(bootstrap, "street", frames)
    results = {}
    for prefix, poll_records in (("street-a", 5_000), ("street-b", 333)):
        process = run_job(bootstrap, tmp_path, "street", prefix, poll_records)
        wait_until_read(bootstrap, prefix, "street", N_ROWS * len(frames))
        stop(process)
        results[prefix] = (read(bootstrap, f"{prefix}.incidents"), read(bootstrap, f"{prefix}.scores"))
    return results


def test_poll_size_changes_no_byte_of_any_incident(live):
    assert live["street-a"][0] == live["street-b"][0]
    assert len(live["street-a"][0]) > 0


def test_live_incidents_equal_the_backtest_but_for_their_source(live, frames):
    events = [msgspec.json.decode(value, type=CloudEvent) for value in live["street-a"][0]]
    found = without_source(e for e in events if e.data.track == "behaviour")
    expected = {}
    for name, frame in frames.items():
        _, told = backtest(frame, None, Plan(), name)
        last = pd.Timestamp(frame["timestamp"].iloc[-1], tz=None if frame["timestamp"].dt.tz else "UTC")
        expected |= without_source(e for e in told if pd.Timestamp(e.data.updated_at) < last)
    assert found == expected


def test_live_scores_equal_the_backtest(live, frames):
    rows = [msgspec.json.decode(value, type=ScoreRow) for value in live["street-a"][1]]
    for name, frame in frames.items():
        scores = pd.Series({r.time_ms: r.score for r in rows if r.entity == name})
        table, _ = backtest(frame, None, replace(Plan(), publish_all_scores=True), name)
        table["time_ms"] = epoch_ns(frame["timestamp"]) // 1_000_000
        expected = table.dropna(subset="score").set_index("time_ms")["score"][:-1]
        assert len(scores) > 0.9 * N_ROWS
        pd.testing.assert_series_equal(scores, expected.loc[scores.index], check_names=False, check_exact=True)


def test_explain_answers_from_what_the_job_published(live, broker, capsys):
    opened = msgspec.json.decode(live["street-a"][0][0], type=CloudEvent).data
    where = ["--bootstrap-servers", broker, "--set", "kafka.topic_prefix=street-a"]
    with pytest.raises(SystemExit) as left:
        main(["explain", opened.entity.id, "--at", opened.detected_at, "--json", *where])
    assert left.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert said["fired"] and said["score"] >= said["threshold"]
    assert said["step_at"] <= opened.detected_at
    assert any(opened.incident_id[:8] in reason for reason in said["reasons"])


def test_a_restart_in_mid_incident_gives_one_incident_and_one_resolve(broker, tmp_path):
    bootstrap, topic, prefix = broker, "restart", "restart"
    create({"bootstrap_servers": bootstrap}, topic)
    times = pd.date_range("2026-01-01", periods=900, freq="min", tz="UTC")
    values = [10.0 + (i % 7) * 0.1 + (8.0 if 700 <= i < 715 else 0.0) for i in range(900)]
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)

    def send_rows(rows):
        for i in rows:
            sample = ("db-01", "load", (), times[i].value, values[i], Kind.GAUGE)
            producer.send(topic, encode_json([sample]))
        producer.flush(timeout=30)

    send_rows(range(707))
    first = run_job(bootstrap, tmp_path, topic, prefix, 500)
    wait_until_read(bootstrap, prefix, topic, 707)
    stop(first)
    half = [msgspec.json.decode(value, type=CloudEvent) for value in read(bootstrap, f"{prefix}.incidents")]
    assert [e.data.status for e in half][-1:] == ["open"]
    send_rows(range(707, 900))
    producer.close(timeout=10)
    second = run_job(bootstrap, tmp_path, topic, prefix, 500)
    wait_until_read(bootstrap, prefix, topic, 900)
    stop(second)
    told = [msgspec.json.decode(value, type=CloudEvent) for value in read(bootstrap, f"{prefix}.incidents")]
    assert told[: len(half)] == half
    assert {e.data.incident_id for e in told} == {half[0].data.incident_id}
    assert [e.type.split(".")[2] for e in told].count("opened") == 1
    assert [e.type.split(".")[2] for e in told].count("resolved") == 1
    assert [e.data.revision for e in told] == list(range(1, len(told) + 1))
