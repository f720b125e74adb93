"""The names of our topics, and how each is created."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors

from pipeline.kafka.clients import Client, connected, translated

__all__ = ["Topics", "count_partitions", "create", "ensure"]

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics that the job writes, all under one prefix."""

    prefix: str = "foreshock"

    @property
    def samples(self) -> str:
        """Telemetry keyed by entity, written by ``rekey``; created by it, with as many partitions as asked."""
        return f"{self.prefix}.samples"

    @property
    def incidents(self) -> str:
        """Every revision of every incident."""
        return f"{self.prefix}.incidents"

    @property
    def current(self) -> str:
        """The same events, compacted: the last revision of each incident."""
        return f"{self.prefix}.incidents.current"

    @property
    def scores(self) -> str:
        """Scores above the low mark, by entity."""
        return f"{self.prefix}.scores"

    @property
    def decisions(self) -> str:
        """What decided and is not in the input."""
        return f"{self.prefix}.decisions"

    @property
    def heartbeat(self) -> str:
        """Notices of the job itself, compacted."""
        return f"{self.prefix}.heartbeat"

    @property
    def rejected(self) -> str:
        """Records that could not be read, with the reason in headers."""
        return f"{self.prefix}.rejected"

    def settings(self) -> dict[str, dict[str, str]]:
        """Return the topic settings by name."""
        return {
            self.incidents: {"cleanup.policy": "delete", "retention.ms": str(30 * DAY_MS)},
            self.current: {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"},
            self.scores: {"cleanup.policy": "delete", "retention.ms": str(7 * DAY_MS)},
            # Recovery needs a decision as long as the input it belongs to, whose retention is not ours to know.
            self.decisions: {"cleanup.policy": "delete", "retention.ms": "-1"},
            self.heartbeat: {"cleanup.policy": "compact"},
            self.rejected: {"cleanup.policy": "delete", "retention.ms": str(7 * DAY_MS)},
        }


def ensure(client: Client, topics: Topics) -> list[str]:
    """Create those of our topics that are missing, one partition each; return the names created.

    Raises
    ------
    PermissionDenied
        This user may not create topics; an administrator can, and ``kafka.create_topics`` be set to false.
    """
    return _create(client, {name: (1, settings) for name, settings in topics.settings().items()})


def create(client: Client, name: str, partitions: int = 1, settings: Mapping[str, str] | None = None) -> bool:
    """Create a topic, unless told otherwise with the broker's own settings; False if it was there already."""
    return bool(_create(client, {name: (partitions, settings or {})}))


def count_partitions(client: Client, name: str) -> int:
    """Return how many partitions a topic has; 0 if there is none of this name."""
    admin = connected(KafkaAdminClient, client)
    try:
        with translated(f"looking for topic {name}"):
            if name not in admin.list_topics():
                return 0
            return sum(len(found["partitions"]) for found in admin.describe_topics([name]))
    finally:
        admin.close()


def _create(client: Client, wanted: Mapping[str, tuple[int, Mapping[str, str]]]) -> list[str]:
    admin = connected(KafkaAdminClient, client)
    try:
        with translated("listing topics"):
            there = set(admin.list_topics())
        missing = [name for name in wanted if name not in there]
        for name in missing:
            partitions, settings = wanted[name]
            with translated(f"creating topic {name}"):
                _create_one(admin, name, partitions, settings)
        return missing
    finally:
        admin.close()


def _create_one(admin: KafkaAdminClient, name: str, partitions: int, settings: Mapping[str, str]) -> None:
    try:
        admin.create_topics({name: {"num_partitions": partitions, "configs": dict(settings)}})
    except kafka_errors.TopicAlreadyExistsError:
        return  # another process was quicker
    admin.wait_for_topics([name])
