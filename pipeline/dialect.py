"""What the configuration says of senders: who is the entity, which labels count, which metrics only count up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pipeline.events import Kind
from pipeline.names import MAX_NAME_CHARS, remembered

__all__ = [
    "DEFAULT",
    "ENTITY_ATTRIBUTES",
    "RESOURCE_LABELS",
    "RISING_METRICS",
    "RSYSLOG",
    "Dialect",
    "JsonMapping",
]

Labels = tuple[tuple[str, str], ...]

ENTITY_ATTRIBUTES = (
    "host.name",
    "host",
    "hostname",
    "k8s.pod.name",
    "k8s.node.name",
    "instance",
    "server.address",
    "net.host.name",
    "service.name",
    "service",
    "job",
)
# Without these, two services or processes of one host would be one series that jumps between them.
RESOURCE_LABELS = (
    "service.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "process.executable.name",
    "process.pid",
)
# What Telegraf's inputs count since boot; its line protocol, its JSON and its remote write say no kind.
RISING_METRICS = (
    "cpu.time_*",
    "diskio.io_time",
    "diskio.merged_*",
    "diskio.read_bytes",
    "diskio.read_time",
    "diskio.reads",
    "diskio.weighted_io_time",
    "diskio.write_bytes",
    "diskio.write_time",
    "diskio.writes",
    "kernel.context_switches",
    "kernel.interrupts",
    "kernel.processes_forked",
    "net.bytes_*",
    "net.drop_*",
    "net.err_*",
    "net.packets_*",
    "swap.in",
    "swap.out",
)
_CLASSES = {"k8s.pod.name": "pod", "service.name": "service", "service": "service", "job": "service"}
_HOSTLY = ("host.name", "host", "hostname", "instance", "server.address", "net.host.name", "k8s.node.name")
_WITH_PORT = re.compile(r"([^:]+|\[[^\]]+\]):[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class JsonMapping:
    """Where a home-grown JSON object keeps what a sample needs; paths are keys joined by dots, "" the whole body.

    Parameters
    ----------
    name
        For people.
    requires
        Paths that an object must have to be read by this mapping.
    values
        Path of the object whose numbers are the values; nested names are joined by dots.
    time, entity
        Paths; "" means the record's time, and the named unknown.
    metric
        Path of a text that metric names begin with, "" for none.
    labels
        Paths whose texts become labels, named by their last part.
    counters
        Patterns of metric names that only count up.
    ignored
        Patterns of value names that are no values.
    strip
        Prefix to take off the value names.
    """

    name: str
    requires: tuple[str, ...] = ()
    values: str = ""
    time: str = ""
    entity: str = ""
    metric: str = ""
    labels: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    strip: str = ""


# A dot within a name becomes an exclamation mark in rsyslog's format for Elasticsearch.
_RSYSLOG_COUNTERS = tuple(
    f"*.{name}"
    for name in (
        "processed failed failed[.!]* suspended suspended[.!]duration resumed submitted enqueued full discarded[.!]* "
        "ratelimit[.!]* called[.!]* msgs[.!]* bytes[.!]* sessions[.!]* response[.!]* acked failures* errors_* "
        "topicdynacache[.!]* utime stime minflt majflt inblock oublock nvcsw nivcsw"
    ).split()
)
# rsyslog's impstats: wrapped by a template that adds time and host, and bare.
RSYSLOG = (
    JsonMapping(
        name="rsyslog impstats with time and host",
        requires=("stats.name", "stats.origin"),
        values="stats",
        time="@timestamp",
        entity="host",
        metric="stats.name",
        labels=("stats.origin",),
        counters=_RSYSLOG_COUNTERS,
    ),
    JsonMapping(
        name="rsyslog impstats",
        requires=("name", "origin"),
        metric="name",
        labels=("origin",),
        counters=_RSYSLOG_COUNTERS,
    ),
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the senders of a job are read; equal dialects read equal bytes equally.

    Parameters
    ----------
    entity_attributes
        Attributes, tags or labels that name the entity, the first present one wins.
    resource_labels
        Attributes of an OTLP resource that become labels of its metrics.
    dropped_labels
        Patterns of label names to leave out; two series that then look alike become one.
    entity_pattern
        Regular expression: what it finds (its group ``entity``, if it has one) is the entity's name.
    graphite_pattern
        Regular expression on a Graphite path with a group ``entity`` and, if wanted, ``metric``; "" finds the host
        as the first part that is no common prefix.
    classes
        (pattern of entity names, class) pairs, the first match wins over what the attribute says.
    unknown
        Name of the entity of records that name none.
    rising_metrics
        Patterns of metric names that only count up, for formats that do not say it; a dot fits an underscore too,
        as names become in Prometheus.
    collectd_rates
        collectd's StoreRates: derives are rates already.
    topic_formats
        (topic, format) pairs that fix a topic's format.
    mappings
        Home-grown JSON, asked in order.
    """

    entity_attributes: tuple[str, ...] = ENTITY_ATTRIBUTES
    resource_labels: tuple[str, ...] = RESOURCE_LABELS
    dropped_labels: tuple[str, ...] = ()
    entity_pattern: str = ""
    graphite_pattern: str = ""
    classes: tuple[tuple[str, str], ...] = ()
    unknown: str = "unknown"
    rising_metrics: tuple[str, ...] = RISING_METRICS
    collectd_rates: bool = True
    topic_formats: tuple[tuple[str, str], ...] = ()
    mappings: tuple[JsonMapping, ...] = RSYSLOG

    def entity_of(self, attributes: Mapping[str, str]) -> tuple[str, str, str]:
        """Entity, its class, and the attribute that named it ("" for the named unknown)."""
        for key in self.entity_attributes:
            name = attributes.get(key)
            if name:
                return *self.named(name, key), key
        return self.unknown, "unknown", ""

    def named(self, name: str, attribute: str = "host") -> tuple[str, str]:
        """Entity and class for a name as sent: without port and domain, as the patterns say."""
        return _named(self, name, attribute)

    def split(self, labels: Mapping[str, str]) -> tuple[str, str, Labels]:
        """Entity, class and remaining sorted labels of one flat set of labels that names both."""
        entity, entity_class, key = self.entity_of(labels)
        whole = entity_class == "host" and key == "instance" and ":" in labels[key]  # its port tells two apart
        rest = labels if whole else {name: text for name, text in labels.items() if name != key}
        return entity, entity_class, tuple(sorted(rest.items()))

    def kind_of(self, metric: str) -> Kind:
        """Counter or gauge, for formats that do not say it."""
        return _rising_kind(self.rising_metrics, metric)

    def drops(self, label: str) -> bool:
        """Whether a label is left out."""
        return any(fnmatchcase(label, pattern) for pattern in self.dropped_labels)


@remembered
def _named(dialect: Dialect, name: str, attribute: str) -> tuple[str, str]:
    if attribute == "instance" and (found := _WITH_PORT.fullmatch(name)):
        name = found.group(1)
    if dialect.entity_pattern and len(name) <= MAX_NAME_CHARS and (found := re.search(dialect.entity_pattern, name)):
        name = (found.group("entity") if "entity" in found.re.groupindex else found.group()) or name
    for pattern, entity_class in dialect.classes:
        if fnmatchcase(name, pattern):
            return name, entity_class
    return name, "host" if attribute in _HOSTLY else _CLASSES.get(attribute, attribute)


@remembered
def _rising_kind(patterns: tuple[str, ...], metric: str) -> Kind:
    rises = any(fnmatchcase(metric, pattern.replace(".", "[._]")) for pattern in patterns)
    return Kind.COUNTER if rises else Kind.GAUGE


DEFAULT = Dialect()
