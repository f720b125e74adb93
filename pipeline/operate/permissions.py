"""The least that each job must be allowed to do on a cluster that asks, and the commands that grant it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pipeline.kafka.topics import Topics

__all__ = ["JOBS", "Permission", "command_of", "permissions"]

Job = Literal["run", "rekey", "doctor", "subscribe"]
JOBS: tuple[Job, ...] = ("run", "rekey", "doctor", "subscribe")


class Permission(NamedTuple):
    """Operations on one resource, or on all whose names begin with ``name``."""

    resource: Literal["topic", "group", "transactional-id"]
    name: str
    prefixed: bool
    operations: tuple[str, ...]


def permissions(job: Job, inputs: Sequence[str], topics: Topics, group: str, creates: bool = True) -> list[Permission]:
    """Return what one job needs.

    Parameters
    ----------
    job
        The command; ``subscribe`` stands for any reader of the incidents.
    inputs
        The telemetry topics.
    topics
        Ours.
    group
        The job's consumer group; a transactional id begins with it unless the settings say otherwise.
    creates
        Whether the job makes our topics when they are missing.
    """
    reads = [Permission("topic", name, False, ("READ", "DESCRIBE")) for name in inputs]
    if job == "subscribe":
        return [_topic(topics.incidents, "READ"), _topic(topics.current, "READ"), _group(group)]
    if job == "doctor":
        looks = [_topic(name, "DESCRIBE_CONFIGS") for name in topics.settings()]
        return [*reads, *looks, Permission("group", group, False, ("DESCRIBE",))]
    owner = [_group(group), Permission("transactional-id", group, True, ("WRITE", "DESCRIBE"))]
    makes = [Permission("topic", f"{topics.prefix}.", True, ("CREATE",))] if creates else []
    if job == "rekey":
        return [*reads, _topic(topics.samples, "WRITE"), _topic(topics.rejected, "WRITE"), *owner, *makes]
    recovery = (topics.current, topics.decisions)
    writes = [_topic(name, "WRITE", *(["READ"] if name in recovery else [])) for name in topics.settings()]
    return [*reads, *writes, *owner, *makes]


def command_of(permission: Permission, principal: str, bootstrap: str) -> str:
    """Return the line of Kafka's own tool that grants a permission."""
    operations = " ".join(f"--operation {operation}" for operation in permission.operations)
    pattern = " --resource-pattern-type prefixed" if permission.prefixed else ""
    who = f"kafka-acls.sh --bootstrap-server {bootstrap} --add --allow-principal {principal}"
    return f"{who} {operations} --{permission.resource} {permission.name}{pattern}"


def _topic(name: str, *operations: str) -> Permission:
    return Permission("topic", name, False, (*operations, "DESCRIBE"))


def _group(name: str) -> Permission:
    return Permission("group", name, False, ("READ", "DESCRIBE"))
