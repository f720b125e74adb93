"""The guides for agents are short, parse, and keep one host on one partition."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

AGENTS = Path(__file__).parents[1] / "configs" / "agents"
README = (AGENTS.parents[1] / "README.md").read_text(encoding="utf-8")
GUIDES = sorted(AGENTS.iterdir())


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_a_guide_is_about_ten_lines_beside_its_comments_and_stands_in_the_readme(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert 5 <= len(lines) <= 11
    assert f"configs/agents/{path.name}" in README


@pytest.mark.parametrize(("name", "receiver"), [("otel-collector", "hostmetrics"), ("prometheus", "prometheus")])
def test_the_collector_keys_records_by_resource_and_knows_the_host(name: str, receiver: str) -> None:
    guide = yaml.safe_load((AGENTS / f"{name}.yaml").read_text())
    assert guide["exporters"]["kafka"]["partition_metrics_by_resource_attributes"] is True
    assert guide["exporters"]["kafka"]["metrics"] == {"topic": "telemetry", "encoding": "otlp_proto"}
    pipeline = guide["service"]["pipelines"]["metrics"]
    assert pipeline["receivers"] == [receiver]
    for part in ("receivers", "processors", "exporters"):
        assert set(pipeline[part]) == set(guide[part])


def test_telegraf_keys_records_by_host() -> None:
    (output,) = tomllib.loads((AGENTS / "telegraf.toml").read_text())["outputs"]["kafka"]
    assert output["routing_tag"] == "host"


def test_metricbeat_hashes_the_host() -> None:
    assert yaml.safe_load((AGENTS / "metricbeat.yml").read_text())["output.kafka"]["partition.hash"] == {
        "hash": ["host.name"]
    }


@pytest.mark.parametrize(("name", "key"), [("collectd", r'^ *Key "[\w-]+"$'), ("rsyslog", r'key="[\w-]+"')])
def test_collectd_and_rsyslog_set_a_key(name: str, key: str) -> None:
    assert re.search(key, (AGENTS / f"{name}.conf").read_text(), re.MULTILINE)
