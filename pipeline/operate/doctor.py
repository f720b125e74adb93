"""What is right and what is wrong, each finding with its cure: topics, permissions, telemetry, model store, folders."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.catalog import Catalog
from pipeline.codecs import Decoded
from pipeline.codecs.report import Report, report_of
from pipeline.kafka.inspection import ClusterSeen
from pipeline.operate.permissions import Permission

__all__ = ["Finding", "folders", "inputs", "may", "own_topics", "registry", "snapshots", "telemetry"]

STORE_SECONDS = 3.0
SHOWN = 5
_COLLECTOR = "OpenTelemetry Collector, exporter kafka: partition_metrics_by_resource_attributes: true"
_TELEGRAF = 'Telegraf, outputs.kafka: routing_tag = "host"'
# collectd without Key sends another random one with each record
_COLLECTD = "collectd, write_kafka: Key, with the name of the host that it runs on"
# by a part of the format's name
CURES = {
    "otlp": _COLLECTOR,
    "influx": _TELEGRAF,
    "telegraf": _TELEGRAF,
    "prometheus": _TELEGRAF,
    "metricbeat": "Metricbeat, output.kafka: partition.hash: {hash: [host.name]}",
    "collectd": _COLLECTD,
    "graphite": _COLLECTD,
    "putval": _COLLECTD,
    "json-mapped": "rsyslog, omkafka: key, with the name of the host that it runs on",
}
ANY_SENDER = "let the senders use the entity as the record key, or gather it: foreshock rekey"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: ``ok``, ``warn`` (works, but), ``wrong`` (does not), and what cures it."""

    what: str
    state: Literal["ok", "warn", "wrong"]
    said: str
    cure: str = ""


def own_topics(seen: ClusterSeen, wanted: Mapping[str, Mapping[str, str]], created: Sequence[str]) -> list[Finding]:
    """Look at our topics: there, and with the settings that the promises rest on."""
    findings = []
    for name, settings in wanted.items():
        topic = seen.topics[name]
        if not topic.n_partitions:
            findings.append(Finding(name, "wrong", "is missing", "foreshock doctor --create"))
            continue
        there = topic.settings
        if there is None:
            findings.append(Finding(name, "warn", "is there; this user may not read its settings"))
            continue
        odd = [f"{key}={there.get(key, 'as the broker')}" for key, value in settings.items() if there.get(key) != value]
        if odd:
            right = ",".join(f"{key}={value}" for key, value in settings.items())
            cure = f"kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config {right}"
            findings.append(Finding(name, "warn", f"has {', '.join(odd)}", cure))
        else:
            findings.append(Finding(name, "ok", "created" if name in created else "is there"))
    return findings


def inputs(seen: ClusterSeen, names: Sequence[str], keyed_by_entity: bool) -> list[Finding]:
    """Look at the telemetry topics: there, and on as many partitions as the settings allow for."""
    findings = []
    for name in names:
        n = seen.topics[name].n_partitions
        if not n:
            findings.append(
                Finding(name, "wrong", "the input topic is missing", "name it with --set source.topics=...")
            )
        elif n == 1 or keyed_by_entity:
            findings.append(Finding(name, "ok", f"{n} partition{'' if n == 1 else 's'}"))
        else:
            cure = "--set source.keyed_by_entity=true if the senders do, else foreshock rekey"
            findings.append(Finding(name, "wrong", f"{n} partitions, and nobody vouches for keys", cure))
    return findings


def may(seen: ClusterSeen, needed: Iterable[Permission]) -> Finding:
    """Look at what this user may do on the topics; groups and transactional ids are not asked for by Kafka."""
    lacking = []
    for one in needed:
        if one.resource == "topic" and not one.prefixed:
            lacks = [operation for operation in one.operations if operation not in seen.topics[one.name].operations]
            if lacks:
                lacking.append(f"{', '.join(lacks)} on {one.name}")
    if not lacking:
        return Finding("permissions", "ok", "this user may read the input and write our topics")
    return Finding("permissions", "wrong", f"not allowed: {'; '.join(lacking)}", "foreshock doctor --acls")


def telemetry(topic: str, parts: Sequence[tuple[int, Decoded, Catalog]]) -> list[Finding]:
    """Look at what the last records of a topic hold, and whether entities are scattered over its partitions.

    Parameters
    ----------
    topic
        Its name.
    parts
        (partition, what its records became, the catalog of that) of each batch.
    """
    report = report_of([(decoded, catalog) for _, decoded, catalog in parts])
    if not report.n_samples and not report.rejected:
        return [Finding(f"{topic}: telemetry", "warn", "no records yet", "start the senders")]
    steps = sorted({one.step_seconds for one in report.metrics if one.step_seconds is not None})
    every = f", every {' / '.join(f'{step:g}' for step in steps[:SHOWN])} s" if steps else ""
    said = f"{_formats(report)}: {len(report.entities):,} entities, {len(report.metrics):,} metrics{every}"
    findings = [Finding(f"{topic}: telemetry", "ok" if report.n_samples else "wrong", said)]
    for reason in report.rejected:
        example = f"{reason.n_records:,} records cannot be read: {reason.reason} ({reason.example})"
        findings.append(Finding(f"{topic}: rejected", "warn", example, "foreshock decode --topic " + topic))
    return [*findings, *_scattered(topic, parts, report)]


def _scattered(topic: str, parts: Sequence[tuple[int, Decoded, Catalog]], report: Report) -> list[Finding]:
    places: dict[str, set[int]] = {}
    for partition, decoded, catalog in parts:
        for series in set(decoded.samples.series_id.tolist()):
            places.setdefault(catalog.identities[series].entity, set()).add(partition)
    scattered = sorted(entity for entity, on in places.items() if len(on) > 1)
    if len({partition for partition, _, _ in parts}) < 2:
        return []
    if not scattered:
        return [Finding(f"{topic}: keys", "ok", "each entity stays on one partition")]
    said = f"{len(scattered):,} of {len(places):,} entities are on several partitions, such as {scattered[0]}"
    found = [cure for word, cure in CURES.items() if any(word in name for name in report.records_by_format)]
    return [Finding(f"{topic}: keys", "wrong", said, "; ".join([*dict.fromkeys(found), ANY_SENDER]))]


def registry(uri: str) -> Finding:
    """Look at the model store: none, a file, or a server that answers."""
    if not uri:
        return Finding("model store", "ok", "none: the built-in detectors serve")
    if uri.startswith(("http://", "https://")):
        try:
            with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=STORE_SECONDS) as answer:
                return Finding("model store", "ok", f"{uri} answers {answer.status}")
        except (urllib.error.URLError, OSError) as away:
            return Finding("model store", "warn", f"{uri}: {away}", "the serving model goes on; see models.uri")
    path = Path(uri.removeprefix("sqlite:///").removeprefix("file://"))
    if path.exists():
        return Finding("model store", "ok", f"{path} is there")
    return Finding("model store", "warn", f"{path} is not there yet", "the first training makes it; see models.uri")


def folders(here: Path, path: Iterable[Path], package: Path) -> Finding:
    """Look for what Python would take for our packages, or ours for it.

    Parameters
    ----------
    here
        The current folder.
    path
        The other folders in which Python looks for packages.
    package
        The folder of the package ``pipeline`` that runs now.
    """
    ours = package.resolve().parent
    places = [place for place in dict.fromkeys(one.resolve() for one in (here, *path)) if place != ours]
    found = {name: [place for place in places if _is_package(place / name)] for name in ("pipeline", "models")}
    said = [f"{name} in {place} would be imported instead of ours" for name in found for place in found[name]]
    # without __init__.py a folder is a package only while nobody else has one of that name
    plain = [name for name in found if (here / name).is_dir() and here.resolve() not in (ours, *found[name])]
    said += [f"{name} in {here} cannot be imported beside ours" for name in plain]
    if not said:
        return Finding("folders", "ok", "nothing here or on Python's path is taken for our packages")
    cure = "start foreshock from elsewhere, in an environment of its own"
    return Finding("folders", "warn", f"{'; '.join(said)} (python -m, notebooks)", cure)


def _is_package(place: Path) -> bool:
    return (place / "__init__.py").is_file() or place.with_suffix(".py").is_file()


def snapshots(folder: str, default: Path, hosts: Collection[str]) -> Finding:
    """Look at where state is kept: several hosts that share the work must share it, or each move loses history.

    Parameters
    ----------
    folder
        As set: a folder, a URL, or empty.
    default
        The folder where it is empty.
    hosts
        Addresses of the processes that are at work now.
    """
    several = len(hosts) > 1
    on = f"; the group works on {len(hosts)} hosts ({', '.join(sorted(hosts))})" if several else ""
    if not folder:
        cure = "with several hosts: a shared folder or URL in state.folder"
        said = f"in {default}, for this host only{on}"
        return Finding("snapshots", "wrong" if several else "ok", said, cure)
    if "://" in folder:
        return Finding("snapshots", "ok", f"at {folder}{on}; every host of the group must reach it")
    if not Path(folder).is_dir():
        return Finding("snapshots", "warn", f"{folder} is not there yet", "the job makes it; check that it may")
    if several:
        return Finding("snapshots", "warn", f"in {folder}{on}", "let it be one folder that all of them share")
    return Finding("snapshots", "ok", f"in {folder}; every host of the group must reach it")


def _formats(report: Report) -> str:
    return ", ".join(f"{name} ({n:,} records)" for name, n in sorted(report.records_by_format.items())) or "none known"
