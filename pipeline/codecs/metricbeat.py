"""Metricbeat's JSON: one event a record, nested by module, every number a metric named by its path.

``{"@timestamp": ..., "host": {"name": "web-01"}, "metricset": {"name": "cpu"}, "system": {"cpu": ...}}`` gives
``system.cpu.total.norm.pct`` and its like. Envelope fields (agent, ecs, event, ...) are no metrics. Texts and lists are
skipped and counted; names and ids that tell one filesystem, interface or process from another become labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from pipeline.codecs.clock import time_ns
from pipeline.codecs.json_input import found_at, parsed
from pipeline.codecs.scalars import label_text, number
from pipeline.codecs.units import unit_of
from pipeline.codecs.writer import SampleWriter
from pipeline.dialect import Dialect
from pipeline.errors import CodecError
from pipeline.events import Kind, SeriesIdentity
from pipeline.names import MAX_LABELS, remembered

__all__ = ["NAME", "decode"]

NAME = "metricbeat"
_ENVELOPE = frozenset(
    """
    @timestamp @metadata agent beat cloud container docker_meta ecs error event fields host input labels log
    message metricset observer orchestrator process service tags type user
    """.split()
)
_ENTITY_PATHS = ("host.name", "host.hostname", "agent.hostname", "beat.hostname", "agent.name", "service.name")
# Texts and ids that tell apart what one event each is sent for.
_TELLING = frozenset(
    """
    id name pid mount_point device_name device type interface pod namespace node container database topic
    partition client group queue vhost index server core replica
    """.split()
)
_ENVELOPE_LABELS = ("process.name", "process.pid", "container.name", "service.address", "metricset.host")
# Objects whose texts are labels as their makers meant them: scraped from Prometheus, or of a cloud's metrics.
_LABELS = re.compile(r"prometheus\.(?:[^.]+\.)?labels?\.|[^.]+\.dimensions\.")
# What its modules count since a start; what they divide by time themselves, as iostat does, stays a level.
_RISING = tuple(
    """
    docker.*.inbound.* docker.*.outbound.* docker.diskio.*.bytes docker.diskio.*.ops docker.diskio.*_time
    docker.cpu.*.ticks kafka.*.offset.* kubernetes.*.core.ns kubernetes.*.network.rx.* kubernetes.*.network.tx.*
    kubernetes.*pagefaults kubernetes.*.restarts mysql.status.aborted.* mysql.status.binlog.cache.* mysql.status.bytes.*
    mysql.status.command.* mysql.status.connections mysql.status.created.tmp.* mysql.status.flush_commands
    mysql.status.handler.* mysql.status.innodb.*.reads mysql.status.innodb.*requests mysql.status.opened_tables
    mysql.status.queries mysql.status.questions mysql.status.threads.created nginx.stubstatus.accepts
    nginx.stubstatus.handled nginx.stubstatus.requests prometheus.*_total prometheus.*_bucket prometheus.*.counter
    redis.info.cpu.used.* redis.info.stats.commands_processed redis.info.stats.connections.*
    redis.info.stats.keys.* redis.info.stats.keyspace.* redis.info.stats.net.*.bytes redis.info.stats.sync.*
    system.core.*.ticks system.cpu.*.ticks system.diskio.io.* system.diskio.read.* system.diskio.write.*
    system.network.in.* system.network.out.* system.process.*.ticks system.process.cpu.total.value
    system.process.cgroup.blkio.total.* system.process.cgroup.cpu.stats.* system.process.cgroup.cpuacct.*
    system.process.cgroup.*.failures system.process.cgroup.*page_faults system.process.cgroup.*.pages_*
    """.split()
)
_MOST_DEEP = 32
_LONGEST_PERIOD_MS = 7 * 86_400_000


def decode(value: bytes, out: SampleWriter, record_time_ms: int) -> None:
    """Write the samples of one record.

    Raises
    ------
    CodecError
        If the bytes are not JSON, or no event of Metricbeat.
    """
    event = parsed(value)
    if not isinstance(event, dict):
        raise CodecError("not_an_object", repr(event)[:60])
    moment = time_ns(event.get("@timestamp"))
    entity, entity_class = _entity(event, out.dialect)
    leaves = [leaf for key, part in event.items() if key not in _ENVELOPE for leaf in _leaves(key, part, 0)]
    leaves += [leaf for leaf in _leaves("host", event.get("host"), 0) if _is_number(leaf[1])]
    period_ms = _period_ms(event)
    told = [(path, found_at(event, path)) for path in _ENVELOPE_LABELS] + [leaf for leaf in leaves if _tells(*leaf)]
    labels = _labels(told)
    for name, amount in leaves:
        if _tells(name, amount):
            continue
        if not _is_number(amount):
            out.skip("null_field" if amount is None else "text_field" if isinstance(amount, str) else "odd_field")
            continue
        try:
            identity = SeriesIdentity(entity, entity_class, name, labels, unit_of(name))
            out.add(out.series(identity), moment, number(amount), _kind(out.dialect, name))
            if period_ms:
                out.cadences[name] = period_ms / 1000
        except CodecError as error:
            out.reject(error.reason, error.detail)


def _period_ms(event: dict[str, Any]) -> float:
    """How often the event's metricset is fetched, 0 where that is not said."""
    period = found_at(event, "metricset.period")
    return (
        float(period)
        if _is_number(period) and isinstance(period, int | float) and 0 < period < _LONGEST_PERIOD_MS
        else 0.0
    )


def _entity(event: dict[str, Any], dialect: Dialect) -> tuple[str, str]:
    for path in _ENTITY_PATHS:
        name = label_text(found_at(event, path))
        if name:
            return dialect.named(name, "service.name" if path == "service.name" else "host")
    return dialect.unknown, "unknown"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tells(path: str, value: object) -> bool:
    """Whether a leaf is a name, or a whole number that serves as one."""
    if isinstance(value, str) and _LABELS.match(path):
        return True
    return path.rpartition(".")[2] in _TELLING and isinstance(value, str | int) and not isinstance(value, bool)


def _leaves(path: str, part: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > _MOST_DEEP:
        raise CodecError("too_deep", path[:200])
    if isinstance(part, dict):
        for key, inner in part.items():
            yield from _leaves(f"{path}.{key}", inner, depth + 1)
    else:
        yield path, part


def _labels(told: list[tuple[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Labels by the shortest names that keep them apart."""
    found: dict[str, str] = {}
    for path, value in told:
        if value is not None:
            key = path.rpartition(".")[2]
            found[path if key in found else key] = label_text(value)
    if len(found) > MAX_LABELS:  # before they are compared for every value of the event
        raise CodecError("too_many_labels", f"{len(found)}")
    return tuple(sorted(found.items()))


@remembered
def _kind(dialect: Dialect, name: str) -> Kind:
    rising = any(fnmatchcase(name, pattern) for pattern in _RISING)
    return Kind.COUNTER if rising else dialect.kind_of(name)
