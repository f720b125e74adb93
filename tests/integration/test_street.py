"""The whole street on real input: real telemetry, a real broker, the running job, and the backtest beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from integration.street import RunningJob

from pipeline.cli.main import main
from pipeline.codecs.encode import ENCODERS, encode_json
from pipeline.codecs.replay import merged, of_recording
from pipeline.events import Counts, Kind, ScoreRow
from pipeline.incident import CloudEvent
from pipeline.kafka.topics import create
from pipeline.kafka.writer import Writer
from pipeline.recordings import Recording, read_recordings
from pipeline.replay import Backtest, replay
from pipeline.stream import Plan

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
SMD, KPI = "smd/*.test.parquet", "kpi/*.parquet"
SLICE_ROWS = 2_500
PATIENCE_SECONDS = 1_800.0
WHOLE = (pytest.mark.whole, pytest.mark.timeout(2 * 3600))


@dataclass(frozen=True)
class Walk:
    """One stretch of telemetry, sent once and walked twice by the live job, and once by the backtest."""

    prefix: str
    recordings: list[Recording]
    expected: Backtest
    accounting: list[dict[str, Any]]
    incidents: list[list[bytes]]
    scores: list[ScoreRow]


def stretch(name: str, folder: Path) -> list[Path]:
    """The files of a stretch: all of a set, or the first rows of two files of each."""
    if not (SHARED / "smd").is_dir():
        pytest.skip("no open telemetry in ../shared/data: nothing real to send")
    if name != "slice":
        return sorted(SHARED.glob({"smd": SMD, "kpi": KPI}[name]))
    files = [file for pattern in (SMD, KPI) for file in sorted(SHARED.glob(pattern))[:2]]
    for file in files:
        pd.read_parquet(file)[:SLICE_ROWS].to_parquet(folder / file.name, index=False)
    return sorted(folder.glob("*.parquet"))


def send(bootstrap: str, topic: str, recordings: list[Recording]) -> None:
    """Send recordings in step with each other, one record a row, with record time = event time as in a backtest."""
    client = {"bootstrap_servers": bootstrap}
    create(client, topic, settings={"retention.ms": "-1"})  # they are years old
    writer = Writer(client)
    for time_ms, key, value in merged([of_recording(one, ENCODERS["otlp-proto"]) for one in recordings]):
        writer.write(topic, value, key, time_ms)
    writer.close(PATIENCE_SECONDS)


@pytest.fixture(scope="module", params=["slice", pytest.param("smd", marks=WHOLE), pytest.param("kpi", marks=WHOLE)])
def walk(
    request: pytest.FixtureRequest,
    broker: str,
    fresh: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Walk]:
    folder, topic = tmp_path_factory.mktemp("street"), fresh(f"street-{request.param}")
    recordings = read_recordings(stretch(request.param, folder))
    send(broker, topic, recordings)
    n_rows, jobs = sum(map(len, recordings)), []
    accounting = []
    for poll_records, publish_all in ((5_000, True), (777, False)):
        settings = {
            "source.topics": topic,
            "source.start": "earliest",
            "source.max_poll_records": poll_records,
            "scores.publish_all": str(publish_all).lower(),
        }
        with RunningJob(broker, f"{topic}-{poll_records}", folder / f"{poll_records}.log", settings) as job:
            job.wait_for(topic, n_rows, PATIENCE_SECONDS)
            accounting.append(job.stop())
        jobs.append(job)
    scores = [msgspec.json.decode(value, type=ScoreRow) for value in jobs[0].values("scores")]
    incidents = [job.values("incidents") for job in jobs]
    yield Walk(jobs[0].prefix, recordings, replay(recordings, Plan()), accounting, incidents, scores)


def test_accounting_closes_to_the_row(walk: Walk) -> None:
    first, second = (one["counts"] for one in walk.accounting)
    assert first == second
    counts = Counts(**first)
    assert counts.records == sum(map(len, walk.recordings))
    assert counts.rejected == 0
    assert counts.by_format == {"otlp-proto": counts.records}
    assert counts.decoded == sum(int(np.isfinite(one.values).sum()) for one in walk.recordings)
    on_grid = counts.on_grid + counts.replaced + counts.duplicate + counts.late + counts.first_of_counter
    assert counts.decoded == on_grid + counts.stale_or_non_finite + counts.refused + counts.waiting


def test_poll_size_changes_no_byte_of_any_incident(walk: Walk) -> None:
    first, second = walk.incidents
    assert first == second
    assert len(first) > 0
    assert walk.accounting[0]["commits"] < walk.accounting[1]["commits"]


def test_live_incidents_equal_the_backtest_but_for_their_source(walk: Walk) -> None:
    live = [without_source(msgspec.json.decode(value, type=CloudEvent)) for value in walk.incidents[0]]
    told = [without_source(event) for event in walk.expected.incidents]
    assert live == told[: len(live)]
    ends = {one.entity: int(one.times[-1]) for one in walk.recordings}
    # a recording ends and a stream does not: only the backtest closes the last cell of each entity
    for event in told[len(live) :]:
        assert pd.Timestamp(event["data"]["updated_at"]).value >= ends[event["data"]["entity"]["id"]] - 10**9 * 300


def test_live_scores_equal_the_backtest(walk: Walk) -> None:
    live: dict[str, dict[int, ScoreRow]] = {one.entity: {} for one in walk.recordings}
    for row in walk.scores:
        assert row.time_ms not in live[row.entity], "a step is told once"
        live[row.entity][row.time_ms] = row
    for entity, rows in live.items():
        table = walk.expected.tables[entity].dropna(subset="score")
        assert len(table) - len(rows) in (0, 1)  # the last cell of a recording, see above
        assert len(rows) > 0.8 * len(walk.expected.tables[entity])
        told = [(r.score, r.threshold, r.over_threshold, r.anomaly) for _, r in sorted(rows.items())]
        columns = ["score", "threshold", "over_threshold", "anomaly"]
        assert np.array_equal(np.array(told, float), table[columns][: len(rows)].to_numpy(float))


def test_explain_answers_from_what_the_job_published(
    walk: Walk, broker: str, capsys: pytest.CaptureFixture[str]
) -> None:
    events = (msgspec.json.decode(value, type=CloudEvent).data for value in walk.incidents[0])
    opened = next(one for one in events if one.track == "behaviour")
    where = ["--bootstrap-servers", broker, "--set", f"kafka.topic_prefix={walk.prefix}"]
    with pytest.raises(SystemExit) as left:
        main(["explain", opened.entity.id, "--at", opened.detected_at, "--json", *where])
    assert left.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert said["fired"]
    assert said["score"] >= said["threshold"]
    assert said["step_at"] <= opened.detected_at
    assert any(opened.incident_id[:8] in reason for reason in said["reasons"])


def without_source(event: CloudEvent) -> dict[str, Any]:
    """An event without what a backtest cannot know: topic, partition and offsets."""
    plain: dict[str, Any] = msgspec.to_builtins(event)
    del plain["data"]["source"]
    return plain


def test_a_restart_in_mid_incident_gives_one_incident_and_one_resolve(broker: str, tmp_path: Path) -> None:
    topic, log = "restart", tmp_path / "restart.log"
    create({"bootstrap_servers": broker}, topic)
    times = pd.date_range("2026-01-01", periods=900, freq="min", tz="UTC")
    values = [10.0 + (i % 7) * 0.1 + (8.0 if 700 <= i < 715 else 0.0) for i in range(900)]

    def send_rows(rows: range) -> None:
        writer = Writer({"bootstrap_servers": broker})
        for i in rows:
            writer.write(topic, encode_json([("db-01", "load", (), times[i].value, values[i], Kind.GAUGE)]))
        writer.close()

    settings = {"source.topics": topic, "source.start": "earliest"}
    send_rows(range(707))
    with RunningJob(broker, "restart", log, settings) as first:
        first.wait_for(topic, 707)
        first.stop()
    half = first.events()
    assert [event.data.status for event in half][-1:] == ["open"]
    send_rows(range(707, 900))
    with RunningJob(broker, "restart", log, settings) as second:
        second.wait_for(topic, 900)
        second.stop()
    told = second.events()
    assert told[: len(half)] == half
    assert {event.data.incident_id for event in told} == {half[0].data.incident_id}
    assert [event.type.split(".")[2] for event in told].count("opened") == 1
    assert [event.type.split(".")[2] for event in told].count("resolved") == 1
    assert [event.data.revision for event in told] == list(range(1, len(told) + 1))
