"""What a cluster says of itself, of topics, and of what this user may do there; only asks, changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource

from pipeline.errors import BrokerUnreachable, PermissionDenied
from pipeline.kafka.clients import Client, connected, translated

__all__ = ["ClusterSeen", "TopicSeen", "inspect"]

DENIED = 29  # Kafka's error code of a topic that this user may not see


@dataclass(frozen=True, slots=True)
class TopicSeen:
    """One topic: ``n_partitions`` is 0 where it is missing or hidden, ``operations`` are what this user may do.

    ``settings`` are those that differ from the broker's own, None where this user may not read them.
    """

    n_partitions: int
    hidden: bool
    operations: frozenset[str]
    settings: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class ClusterSeen:
    """The cluster: brokers that answer, the newest protocol that both sides speak, the topics and the group asked for.

    ``group_hosts`` are the addresses of the group's members; empty where none runs or this user may not know.
    """

    n_brokers: int
    version: str
    topics: dict[str, TopicSeen]
    group_hosts: frozenset[str]


def inspect(client: Client, names: Sequence[str], group: str) -> ClusterSeen:
    """Ask for the cluster, for topics by name, and for the hosts of a consumer group.

    Raises
    ------
    BrokerUnreachable, PermissionDenied
        Nobody answers; the broker refuses the user.
    """
    admin = connected(KafkaAdminClient, client)
    try:
        with translated("asking for the cluster"):
            brokers = admin.describe_cluster()["brokers"]
            found = {one["name"]: one for one in admin.describe_topics(list(names))}
        topics = {name: _topic(admin, found[name]) for name in names}
        version = ".".join(str(part) for part in admin._manager.broker_version)
        return ClusterSeen(len(brokers), version, topics, _hosts(admin, group))
    finally:
        admin.close()


def _hosts(admin: KafkaAdminClient, group: str) -> frozenset[str]:
    try:
        with translated(f"asking for the group {group}"):
            found = admin.describe_groups([group])[group]
    except (PermissionDenied, BrokerUnreachable):  # it is nobody's yet, so no broker keeps it
        return frozenset()
    return frozenset(member["client_host"].lstrip("/") for member in found["members"])


def _topic(admin: KafkaAdminClient, about: dict[str, object]) -> TopicSeen:
    partitions, operations = about["partitions"], about["authorized_operations"]
    n_partitions = len(partitions) if isinstance(partitions, list) else 0
    may = frozenset(operations) if isinstance(operations, list | set) else frozenset[str]()
    settings = _settings(admin, str(about["name"])) if n_partitions and "DESCRIBE_CONFIGS" in may else None
    return TopicSeen(n_partitions, about["error_code"] == DENIED, may, settings)


def _settings(admin: KafkaAdminClient, name: str) -> dict[str, str]:
    with translated(f"asking for the settings of {name}"):
        found = admin.describe_configs([ConfigResource("TOPIC", name)])["topic"][name]
    return {key: str(said["value"]) for key, said in found.items()}
