"""The doctor on real brokers: what is wrong is found and named with its cure, and the least permissions are enough."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from integration.street import RunningJob
from kafka import KafkaAdminClient
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ConfigResource, ResourcePattern, ResourceType
from kafka.admin import ACLResourcePatternType as Pattern

from pipeline.cli.main import main
from pipeline.codecs import FORMATS
from pipeline.codecs.encode import ENCODERS
from pipeline.events import Kind
from pipeline.kafka.inspection import inspect
from pipeline.kafka.topics import Topics, create, ensure
from pipeline.kafka.writer import Writer
from pipeline.operate.doctor import CURES, snapshots
from pipeline.operate.permissions import permissions

T0_NS = 1_767_571_200 * 10**9


def examined(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Run the doctor; return its exit status and its findings by what was looked at."""
    with pytest.raises(SystemExit) as left:
        main(["doctor", "--json", *arguments])
    found = json.loads(capsys.readouterr().out)
    return int(left.value.code or 0), {one["what"]: one for one in found}


def send(client: dict[str, Any], topic: str, keyed: bool, n_minutes: int = 12) -> None:
    """Send three hosts as OTLP, keyed by host or, so that all wander over the partitions, by minute."""
    writer = Writer(client)
    for minute in range(n_minutes):
        for host in range(3):
            row = (f"web-{host}", "load", (), T0_NS + minute * 60 * 10**9, 1.0 + minute, Kind.GAUGE)
            writer.write(topic, ENCODERS["otlp-proto"]([row], {}), str(host if keyed else minute).encode())
    writer.close()


def test_topics_are_created_and_judged_by_their_settings(
    broker: str, fresh: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    prefix, topic = fresh("doctor"), fresh("telemetry")
    here = ["--bootstrap-servers", broker, "--set", f"kafka.topic_prefix={prefix}", "--set", f"source.topics={topic}"]
    code, found = examined(capsys, *here)
    assert code == 1
    assert (found[topic]["state"], found[topic]["said"]) == ("wrong", "the input topic is missing")
    missing = found[f"{prefix}.incidents"]
    assert (missing["state"], missing["cure"]) == ("wrong", "foreshock doctor --create")

    client = {"bootstrap_servers": broker}
    create(client, topic)
    send(client, topic, keyed=True)
    code, found = examined(capsys, *here, "--create")
    assert (code, {one["state"] for one in found.values()}) == (0, {"ok"})
    assert found[f"{prefix}.incidents"]["said"] == "created"
    assert found["broker"]["said"].startswith(f"{broker}: 1 of Kafka 4")
    telemetry = found[f"{topic}: telemetry"]["said"]
    assert telemetry == "otlp-proto (36 records): 3 entities, 1 metrics, every 60 s"

    admin = KafkaAdminClient(**client)
    admin.alter_configs([ConfigResource("TOPIC", f"{prefix}.incidents.current", {"cleanup.policy": "delete"})])
    admin.close()
    code, found = examined(capsys, *here)
    odd = found[f"{prefix}.incidents.current"]
    assert (code, odd["state"]) == (0, "warn")
    assert "cleanup.policy=" in odd["said"]
    assert "cleanup.policy=compact" in odd["cure"]


def test_scattered_entities_are_found_with_the_setting_that_cures_it(
    broker: str, fresh: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    client = {"bootstrap_servers": broker}
    for keyed in (True, False):
        prefix, topic = fresh("doctor"), fresh("telemetry")
        here = ["--bootstrap-servers", broker, "--set", f"kafka.topic_prefix={prefix}", "--create"]
        create(client, topic, 3)
        send(client, topic, keyed)
        code, found = examined(capsys, *here, "--set", f"source.topics={topic}")
        assert (code, found[topic]["said"]) == (1, "3 partitions, and nobody vouches for keys")
        vouched = ["--set", f"source.topics={topic}", "--set", "source.keyed_by_entity=true"]
        code, found = examined(capsys, *here, *vouched)
        assert code == (0 if keyed else 1)
        keys = found[f"{topic}: keys"]
        if keyed:
            assert keys["said"] == "each entity stays on one partition"
        else:
            assert keys["said"] == "3 of 3 entities are on several partitions, such as web-0"
            assert "partition_metrics_by_resource_attributes: true" in keys["cure"]


def test_every_format_of_an_agent_has_a_cure_for_scattered_entities() -> None:
    assert [name for name in FORMATS if not any(word in name for word in CURES)] == ["json", "samples"]


def test_a_broker_that_is_away_is_one_finding(capsys: pytest.CaptureFixture[str]) -> None:
    away = ["--bootstrap-servers", "127.0.0.1:1", "--set", "kafka.client.bootstrap_timeout_ms=300"]
    code, found = examined(capsys, *away)
    assert (code, found["broker"]["state"]) == (1, "wrong")
    assert "nobody answers at 127.0.0.1:1" in found["broker"]["said"]
    assert found["configuration"]["state"] == found["model store"]["state"] == "ok"


def test_folders_that_would_be_taken_for_ours_are_found(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    away = ["--bootstrap-servers", "127.0.0.1:1", "--set", "kafka.client.bootstrap_timeout_ms=300"]
    _, found = examined(capsys, *away, "--set", "models.uri=http://127.0.0.1:1")
    assert found["model store"]["state"] == found["folders"]["state"] == "warn"
    assert f"models in {tmp_path} cannot be imported beside ours" in found["folders"]["said"]
    (tmp_path / "models" / "__init__.py").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "pipeline.py").touch()
    monkeypatch.syspath_prepend(str(elsewhere))
    _, found = examined(capsys, *away)
    for shadow in (f"models in {tmp_path}", f"pipeline in {elsewhere}"):
        assert f"{shadow} would be imported instead of ours" in found["folders"]["said"]


def test_several_hosts_without_a_place_that_all_reach_are_found(tmp_path: Path) -> None:
    alone, both = frozenset({"10.0.0.1"}), frozenset({"10.0.0.1", "10.0.0.2"})
    assert snapshots("", tmp_path, alone).state == "ok"
    wrong = snapshots("", tmp_path, both)
    assert (wrong.state, wrong.cure) == ("wrong", "with several hosts: a shared folder or URL in state.folder")
    assert wrong.said == f"in {tmp_path}, for this host only; the group works on 2 hosts (10.0.0.1, 10.0.0.2)"
    assert snapshots(str(tmp_path), tmp_path, both).state == "warn"
    assert snapshots(str(tmp_path), tmp_path, alone).state == snapshots("s3://state", tmp_path, both).state == "ok"


def test_the_permissions_it_lists_are_enough_and_none_is_not(
    guarded: Callable[..., dict[str, Any]],
    fresh: Callable[[str], str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prefix, topic = fresh("least"), fresh("telemetry")
    create(guarded("admin"), topic)
    ensure(guarded("admin"), Topics(prefix))
    send(guarded("admin"), topic, keyed=True)
    client = guarded("watcher")
    bootstrap = client.pop("bootstrap_servers")
    settings = {f"kafka.client.{option}": value for option, value in client.items()}
    settings |= {"source.topics": topic, "source.start": "earliest"}
    here = ["--bootstrap-servers", bootstrap, "--set", f"kafka.topic_prefix={prefix}", "--set", f"kafka.group={prefix}"]
    here += [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    code, found = examined(capsys, *here)
    assert code == 1
    assert f"READ, DESCRIBE on {topic}" in found["permissions"]["said"]

    grant(guarded("admin"), [topic], prefix)
    code, found = examined(capsys, *here)
    assert (code, found["permissions"]["state"]) == (0, "ok")
    with RunningJob(bootstrap, prefix, tmp_path / "run.log", settings) as job:
        job.wait_for_line("watching entities: 3 of class host: web-0, web-1, web-2")
        for user in ("admin", "watcher"):
            assert inspect(guarded(user), [topic], prefix).group_hosts == {"127.0.0.1"}
        assert inspect(guarded("stranger"), [topic], prefix).group_hosts == frozenset()
        accounting = job.stop()
    assert (accounting["partitions"], accounting["counts"]["decoded"]) == (1, 36)


def grant(admin: dict[str, Any], inputs: list[str], prefix: str) -> None:
    """Grant what ``foreshock doctor --acls`` lists for the job and for the doctor."""
    client = KafkaAdminClient(**admin)
    resources = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}
    for job in ("run", "doctor"):
        for one in permissions(job, inputs, Topics(prefix), prefix):  # type: ignore[arg-type]
            kind = resources.get(one.resource, ResourceType.TRANSACTIONAL_ID)
            where = ResourcePattern(kind, one.name, Pattern.PREFIXED if one.prefixed else Pattern.LITERAL)
            allow = ACLPermissionType.ALLOW
            client.create_acls(
                [ACL("User:watcher", "*", ACLOperation[operation], allow, where) for operation in one.operations]
            )
    client.close()


def test_the_list_of_permissions_is_commands_of_kafkas_own_tool(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["doctor", "--acls", "--principal", "User:watcher", "--set", "kafka.group=mine"])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("#")] == ["# run", "# rekey", "# doctor", "# subscribe"]
    least = "kafka-acls.sh --bootstrap-server 127.0.0.1:9092 --add --allow-principal User:watcher"
    assert f"{least} --operation READ --operation DESCRIBE --topic telemetry" in lines
    writes = "--operation WRITE --operation DESCRIBE --transactional-id mine --resource-pattern-type prefixed"
    assert f"{least} {writes}" in lines
