"""What notebooks read back from a real broker: the samples that went in, and the incidents that came out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import msgspec
import numpy as np
import pandas as pd
import pytest
from test_notebooks import KERNEL_WARNINGS, NOTEBOOKS, run

import models
import pipeline
from pipeline.errors import BrokerUnreachable
from pipeline.kafka.topics import create
from pipeline.kafka.writer import Writer


def test_samples_are_read_back_from_a_topic_from_a_time_on(broker: str, fresh: Callable[[str], str]) -> None:
    topic, times = fresh("telemetry"), pd.date_range("2026-01-05", periods=60, freq="min", tz="UTC")
    client = {"bootstrap_servers": broker}
    create(client, topic, 2)
    writer = Writer(client)
    for i, time in enumerate(times):
        row = {"timestamp": time.isoformat(), "entity": f"web-{i % 2}", "metric": "load", "value": i}
        writer.write(topic, json.dumps(row).encode(), f"web-{i % 2}".encode(), time.value // 1_000_000)
    writer.close()
    settings = {"kafka.bootstrap_servers": broker}
    whole = pipeline.read_samples(topic, settings=settings)
    assert sorted(whole["value"]) == list(range(60))
    part = pipeline.read_samples(topic, since=times[30], until=times[40], entities="web-1", settings=settings)
    assert sorted(part["value"]) == [31, 33, 35, 37, 39]
    with pytest.raises(BrokerUnreachable, match="the topic nowhere does not exist"):
        pipeline.read_samples("nowhere", settings=settings)


README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
T0 = pd.Timestamp("2026-01-03", tz="UTC")
N_PAST, N_LATER, FAULT = 1_500, 600, slice(400, 430)
HOSTS = ("db-01", "db-02")


def stretch(first: int, n_rows: int, fault: slice = slice(0)) -> pd.DataFrame:
    """A long table of two servers from a minute on; in the fault the first one's load is far too high."""
    tables = []
    for seed, host in enumerate(HOSTS):
        chance = np.random.default_rng([seed, first])
        load = 40 + 5 * np.sin(np.arange(first, first + n_rows) / 60) + chance.normal(size=n_rows)
        load[fault if seed == 0 else slice(0)] += 60
        times = T0 + pd.to_timedelta(np.arange(first, first + n_rows), unit="min")
        wide = {"timestamp": times, "entity": host, "load": load, "free": 100 - load / 2 + chance.normal(size=n_rows)}
        tables.append(pd.DataFrame(wide).melt(["timestamp", "entity"], var_name="metric"))
    return pd.concat(tables).sort_values("timestamp", kind="stable")


@pytest.fixture
def published(broker: str, fresh: Callable[[str], str]) -> tuple[str, str, str]:
    """A broker, the topic of what two servers sent on it, and the prefix under which their incidents were published."""
    topic, prefix, client = fresh("nights"), fresh("notebook"), {"bootstrap_servers": broker}
    whole = pd.concat([stretch(0, N_PAST), stretch(N_PAST, N_LATER, FAULT)])
    for name in (topic, f"{prefix}.incidents"):
        create(client, name, 1, {"retention.ms": "-1"})
    writer = Writer(client)
    for row in whole.itertuples():
        sample = {
            "timestamp": row.timestamp.isoformat(),
            "entity": row.entity,
            "metric": row.metric,
            "value": row.value,
        }
        writer.write(topic, json.dumps(sample).encode(), row.entity.encode(), row.timestamp.value // 1_000_000)
    for event in pipeline.backtest(whole.rename(columns={"timestamp": "time"})).events:
        writer.write(f"{prefix}.incidents", msgspec.json.encode(event), event.data.incident_id.encode())
    writer.close()
    return broker, topic, prefix


def test_the_ten_lines_of_the_readme_lead_from_data_to_a_promotion(
    published: tuple[str, str, str],
    mlflow_store: Callable[[Path], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker, _, prefix = published
    (block,) = re.findall(r"```python\n(import models, pipeline\n.*?)```", README, re.DOTALL)
    lines = [line for line in block.splitlines() if line]
    assert len(lines) <= 10
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path))
    monkeypatch.setenv("FORESHOCK_KAFKA__BOOTSTRAP_SERVERS", broker)
    monkeypatch.setenv("FORESHOCK_KAFKA__TOPIC_PREFIX", prefix)
    mpl.use("Agg")
    for name, table in (("past", stretch(0, N_PAST)), ("later", stretch(N_PAST, N_LATER, FAULT))):
        (tmp_path / "recordings" / name).mkdir(parents=True)
        table.to_parquet(tmp_path / "recordings" / name / "servers.parquet")
    (tmp_path / "models").mkdir()
    mlflow_store(tmp_path / "models")
    first = models.train(pipeline.recorded(pipeline.read_samples(tmp_path / "recordings" / "past"))).bundle
    registry = models.Registry()
    registry.save(first)
    registry.promote("1", None, "the first")
    known: dict[str, object] = {}
    exec("\n".join(lines[:-1]), known)
    assert registry.aliases() == {"champion": "2", "previous": "1"}
    assert known["told"].before.incidents > 0  # type: ignore[attr-defined]
    table = eval(lines[-1], known)
    assert HOSTS[0] in set(table["entity"])


def test_training_from_a_topic_learns_nothing_from_published_incidents_if_asked(
    published: tuple[str, str, str], on_store: Any
) -> None:
    broker, topic, prefix = published
    read = ("--from-topic", topic, "--bootstrap-servers", broker, "--set", f"kafka.topic_prefix={prefix}")
    on_store("train", *read)
    on_store("train", *read, "--exclude-incidents", "--alias", "none")
    told = pipeline.incidents(settings={"kafka.bootstrap_servers": broker, "kafka.topic_prefix": prefix})
    whole, apart = (on_store.registry.load(version).series for version in ("1", "2"))
    for host in HOSTS:
        mine = told[told["entity"] == host]
        minutes = (mine["ended_at"].fillna(mine["updated_at"]) - mine["started_at"]).sum() / pd.Timedelta(minutes=1)
        assert whole[host, "load"][0] - apart[host, "load"][0] == minutes
    assert minutes == 0 < (told["entity"] == HOSTS[0]).sum()
    assert "no samples between these times" in on_store("train", *read, "--last", "1h", status=2)


@pytest.mark.filterwarnings(KERNEL_WARNINGS)
def test_last_night_is_told_from_the_topics_of_a_job(published: tuple[str, str, str], tmp_path: Path) -> None:
    broker, topic, prefix = published
    (path,) = (path for path in NOTEBOOKS if path.stem.startswith("4_"))
    told = run(path, tmp_path, {"SOURCE": topic, "TOPIC_PREFIX": prefix, "BOOTSTRAP": broker, "NIGHT": "10h"})
    events = pipeline.revisions(settings={"kafka.bootstrap_servers": broker, "kafka.topic_prefix": prefix})
    life = [event.data for event in events if event.data.entity.id == HOSTS[0]]
    assert life[0].title in told
    assert f"after {len(life)} revisions" in told
