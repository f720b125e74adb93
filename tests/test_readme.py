"""The README keeps its word: its commands, targets, files and configuration exist and read as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
import yaml

from pipeline.cli.main import app
from tests.chaos.rounds import KINDS

ROOT = Path(__file__).parents[1]
FILES = r"[(`]((?:configs|notebooks|tests|pipeline)/[\w./-]+)[)`]"
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("named", sorted(set(re.findall(r"foreshock ([a-z]+(?: [a-z]+)?)", README))))
def test_every_command_of_the_readme_exists(named: str) -> None:
    first, _, second = named.partition(" ")
    prose = {"serves", "watches", "installs", "in"}
    if first in prose:
        return
    assert first in COMMANDS
    group = getattr(COMMANDS[first], "commands", None)
    assert group is None or not second or second in group


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z]+)\b", README)) - {"a"}))
def test_every_target_of_the_readme_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"[(`]((?:configs|notebooks|tests|pipeline)/[\w./-]+)[)`]", README)))
)
def test_every_file_of_the_readme_exists(path: str) -> None:
    assert (ROOT / path).exists()


BREAKS = README.partition("## What if it breaks?")[2].partition("\n## ")[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_round_of_chaos_stands_in_the_table_of_faults(kind: str) -> None:
    named = re.findall(r"`([^`]+)`", BREAKS)
    assert kind in named or any(one.endswith("…") and kind.startswith(one[:-1].strip()) for one in named)


@pytest.mark.parametrize("law", sorted(set(re.findall(r"`(test_\w+)`", BREAKS))))
def test_every_test_in_the_table_of_faults_exists(law: str) -> None:
    assert any(f"def {law}(" in path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))


def test_the_collector_of_the_readme_keeps_a_host_on_one_partition() -> None:
    (block,) = re.findall(r"```yaml\n(receivers:.*?)```", README, re.DOTALL)
    assert block.count("\n") <= 10
    collector = yaml.safe_load(block)
    assert collector["exporters"]["kafka"]["partition_metrics_by_resource_attributes"] is True
    assert collector["exporters"]["kafka"]["metrics"] == {"topic": "telemetry", "encoding": "otlp_proto"}
    pipeline = collector["service"]["pipelines"]["metrics"]
    for part in ("receivers", "processors", "exporters"):
        assert set(pipeline[part]) == set(collector[part])
