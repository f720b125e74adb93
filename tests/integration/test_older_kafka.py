"""The last Kafka before 4 serves as well: the doctor finds nothing wrong there, and the job finds its incident."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.street import RunningJob, wait_until
from integration.test_doctor import examined

from pipeline.codecs.encode import ENCODERS
from pipeline.events import Kind
from pipeline.kafka.broker import EmbeddedBroker, kafka_home
from pipeline.kafka.topics import create
from pipeline.kafka.writer import Writer

OLDER = "3.9.1"
T0_NS, STEP_NS, N_STEPS, BREAK = 1_767_571_200 * 10**9, 10 * 10**9, 400, 340


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap address of a fresh broker of the older version."""
    embedded = EmbeddedBroker(kafka_home(), tmp_path_factory.mktemp("older"), short_lived=True, version=OLDER)
    yield embedded.start()
    assert embedded.status().version == OLDER
    embedded.stop()


@pytest.mark.whole
def test_doctor_and_job_serve_on_the_older_broker(
    older: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create({"bootstrap_servers": older}, "telemetry")
    writer = Writer({"bootstrap_servers": older})
    for step in range(N_STEPS):
        load = 50.0 + step % 7 + (40.0 if step >= BREAK else 0.0)
        row = ("web-0", "load", (), T0_NS + step * STEP_NS, load, Kind.GAUGE)
        writer.write("telemetry", ENCODERS["otlp-proto"]([row], {}), b"web-0")
    writer.close()

    code, found = examined(capsys, "--bootstrap-servers", older, "--create")
    assert (code, {one["state"] for one in found.values()}) == (0, {"ok"})
    assert found["broker"]["said"].startswith(f"{older}: 1 of Kafka 3.9")
    assert found["telemetry: telemetry"]["said"] == f"otlp-proto ({N_STEPS} records): 1 entities, 1 metrics, every 10 s"

    with RunningJob(older, "foreshock", tmp_path / "run.log", {"source.start": "earliest"}) as job:
        job.wait_for("telemetry", N_STEPS)
        wait_until(job.events)
        accounting = job.stop()
    assert accounting["counts"]["decoded"] == N_STEPS
    opened = job.events()[0]
    assert (opened.data.entity.id, opened.data.status) == ("web-0", "open")
    assert [json.loads(value)["subject"] for value in job.values("incidents.current")] != []
