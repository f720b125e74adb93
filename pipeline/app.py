"""Builds the parts from the settings; only here do settings become plain values and parts meet each other."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict
from typing import Any

from models.registry import Registry
from pipeline.baselines import FEATURE_NAMES
from pipeline.codecs import FORMATS
from pipeline.dialect import RSYSLOG, Dialect, JsonMapping
from pipeline.errors import SettingsError
from pipeline.events import Counts
from pipeline.job import Job
from pipeline.kafka.broker import kafka_home
from pipeline.kafka.reader import decisions, published
from pipeline.kafka.sink import Sink
from pipeline.kafka.slot import Slot
from pipeline.kafka.source import Source
from pipeline.kafka.topics import Topics, count_partitions, create, ensure
from pipeline.lifecycle import IncidentPlan
from pipeline.operate.champion import ChampionWatch, Desk
from pipeline.operate.summary import Standing, in_words
from pipeline.rekey import Rekey, RekeyParts, RekeyPlan
from pipeline.rules import Rule, Watch
from pipeline.settings import Settings
from pipeline.state.bundles import Bundles
from pipeline.state.snapshots import Snapshots
from pipeline.state.store import store_at
from pipeline.stream import Plan
from pipeline.takeover import JobPlan, Parts
from pipeline.tally import Summary
from pipeline.warm import compile_kernels

__all__ = ["client_options", "dialect_of", "make_job", "make_rekey", "make_watch", "plan_of", "topics_of"]

log = logging.getLogger(__name__)

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
# Seasons stand still when clocks change: the zone's standard time counts, as on this day of no summer time anywhere
# north, and whatever summer time is in force is taken off.


def client_options(settings: Settings) -> dict[str, Any]:
    """Return the options that all Kafka clients share."""
    return {**settings.kafka.client, "bootstrap_servers": settings.kafka.bootstrap_servers}


def topics_of(settings: Settings) -> Topics:
    """Return the names of our topics."""
    return Topics(settings.kafka.topic_prefix)


def plan_of(settings: Settings) -> Plan:
    """Return everything that decides, as plain values.

    Raises
    ------
    SettingsError
        ``source.formats`` names a format that there is not.
    """
    unknown = [name for name in settings.source.formats if name not in FORMATS]
    if unknown:
        raise SettingsError(f"source.formats: {unknown[0]!r} is not a format; there are {', '.join(FORMATS)}")
    incidents, detection = settings.incidents, settings.detection
    return Plan(
        formats=settings.source.formats,
        dialect=dialect_of(settings),
        max_series=settings.entities.max_series_per_partition,
        max_future_ms=round(settings.grid.max_future_seconds * 1000),
        late_steps=settings.grid.late_steps,
        silence_rhythms=incidents.silence_rhythms,
        silence_least_ms=round(incidents.silence_seconds_min * 1000),
        ephemeral=incidents.ephemeral_classes,
        budget_per_week=detection.alert_budget_per_entity_week,
        time_zone=settings.entities.time_zone,
        rules=tuple(Rule(**one.model_dump()) for one in detection.rules),
        watch=Watch(settings.watch.include, settings.watch.exclude),
        exhaustion_ms=round(detection.exhaustion_hours * HOUR_MS),
        low_mark=settings.scores.low_mark,
        publish_all_scores=settings.scores.publish_all,
        incidents=IncidentPlan(
            job=settings.job.name,
            open_steps=incidents.open_steps,
            resolve_steps=incidents.resolve_steps,
            resolve_ratio=incidents.resolve_ratio,
            cool_down_ms=round(incidents.cool_down_minutes * MINUTE_MS),
            max_open_ms=round(incidents.max_open_hours * HOUR_MS),
            hold_ms=round(detection.hold_hours * HOUR_MS),
        ),
    )


def dialect_of(settings: Settings) -> Dialect:
    """Return how senders are read.

    Raises
    ------
    SettingsError
        ``codecs.topics`` names a format that there is not.
    """
    entities, codecs = settings.entities, settings.codecs
    for pair in codecs.topics:
        if pair.partition("=")[2] not in FORMATS:
            raise SettingsError(f"codecs.topics: {pair!r} names no format; there are {', '.join(FORMATS)}")
    return Dialect(
        entity_attributes=entities.attributes,
        resource_labels=entities.resource_labels,
        dropped_labels=entities.dropped_labels,
        entity_pattern=entities.name_pattern,
        graphite_pattern=entities.graphite_pattern,
        classes=_pairs(entities.classes),
        unknown=entities.unknown,
        rising_metrics=codecs.rising_metrics,
        collectd_rates=codecs.collectd_rates,
        topic_formats=_pairs(codecs.topics),
        mappings=(*(JsonMapping(**one.model_dump()) for one in codecs.json), *RSYSLOG),
    )


def _pairs(given: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((left, right) for left, _, right in (pair.partition("=") for pair in given))


def make_job(settings: Settings) -> Job:
    """Build the job: kernels compiled, nothing connected yet.

    Raises
    ------
    SettingsError
        A value that only shows to be wrong beside another.
    """
    plan, client, topics = plan_of(settings), client_options(settings), topics_of(settings)
    log.info("compiling kernels (seconds; longer on the first start)")
    began = time.monotonic()
    compile_kernels(plan)
    log.info("kernels ready after %.1f s", time.monotonic() - began)

    slot = Slot(settings.kafka.group, kafka_home().parent / "slots")
    name = settings.kafka.transactional_id or slot.name
    store = store_at(settings.state.folder or str(kafka_home().parent / "state" / settings.kafka.group))

    def open_sink() -> Sink:
        if settings.kafka.create_topics:
            ensure(client, topics)
        return Sink(client, name, topics)

    kafka = settings.kafka
    parts = Parts(
        source=lambda: Source(client, settings.source.topics, kafka.group, kafka.group_instance_id, slot),
        sink=open_sink,
        published=lambda: published(client, topics.current),
        decisions=lambda: decisions(client, topics.decisions),
        snapshots=Snapshots(store, settings.state.snapshot_every_seconds),
        bundles=Bundles(store, settings.models.trusted_types),
        plan=plan,
    )
    source = settings.source
    job_plan = JobPlan(
        start=source.start,
        history_ms=round(source.history_hours * HOUR_MS),
        keyed_by_entity=source.keyed_by_entity,
        max_poll_records=source.max_poll_records,
        poll_timeout_ms=source.poll_timeout_ms,
        idle_seconds=source.idle_seconds,
        summary_every_seconds=settings.job.summary_every_seconds,
        drift_ms=round(settings.models.drift_hours * HOUR_MS),
    )
    return Job(parts, job_plan, _teller())


def make_watch(settings: Settings, desk: Desk) -> ChampionWatch:
    """Build the watch that hands models to a job; it has not begun to look."""
    models = settings.models
    registry = Registry(models.name, models.uri, models.trusted_types)
    return ChampionWatch(registry, FEATURE_NAMES, desk, models.poll_seconds, models.shadow)


def make_rekey(settings: Settings) -> Rekey:
    """Build the job that gathers scattered entities; nothing is connected yet.

    Raises
    ------
    SettingsError
        ``source.formats`` names a format that there is not, or the input is the samples topic itself.
    """
    plan, client, topics = plan_of(settings), client_options(settings), topics_of(settings)
    source, rekey = settings.source, settings.rekey
    if topics.samples in source.topics:
        raise SettingsError(f"source.topics: {topics.samples} is what rekey writes; name the senders' topics")
    slot = Slot(rekey.group, kafka_home().parent / "slots")

    def open_sink() -> Sink:
        if settings.kafka.create_topics:
            ensure(client, topics)
            retention = {"cleanup.policy": "delete", "retention.ms": str(round(rekey.retention_hours * HOUR_MS))}
            wanted = rekey.partitions or max(1, sum(count_partitions(client, topic) for topic in source.topics))
            create(client, topics.samples, wanted, retention)
        return Sink(client, slot.name, topics)

    parts = RekeyParts(
        source=lambda: Source(client, source.topics, rekey.group, slot=slot),
        sink=open_sink,
        partitions=lambda: count_partitions(client, topics.samples),
    )
    rekey_plan = RekeyPlan(
        start=source.start,
        formats=source.formats,
        dialect=plan.dialect,
        max_series=plan.max_series,
        max_future_ms=plan.max_future_ms,
        max_poll_records=source.max_poll_records,
        poll_timeout_ms=source.poll_timeout_ms,
        idle_seconds=rekey.idle_seconds,
        summary_every_seconds=settings.job.summary_every_seconds,
    )

    def tell(counts: Counts, lag: int) -> None:
        log.info(
            "%d records with %d samples so far, %d rejected; lag %d",
            counts.records,
            counts.decoded,
            counts.rejected,
            lag,
        )

    return Rekey(parts, rekey_plan, tell)


def _teller() -> Callable[[Summary], None]:
    """A voice that says in words what came since it last spoke, and to programs what came since the start."""
    before, told_at = Counts(), time.monotonic()

    def tell(summary: Summary) -> None:
        nonlocal before, told_at
        standing = Standing(summary.lag, summary.open_incidents, summary.entities, summary.series, summary.model)
        seconds = max(time.monotonic() - told_at, 1e-3)
        words = in_words(summary.counts.since(before), seconds, standing)
        log.info("%s", words, extra={"summary": asdict(summary)})
        before, told_at = deepcopy(summary.counts), time.monotonic()

    return tell
