"""Builds the parts from the settings; only here do settings become plain values and parts meet each other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from pipeline.codecs import FORMATS
from pipeline.events import SettingsError
from pipeline.incidents import IncidentPlan
from pipeline.kafka.topics import Topics
from pipeline.settings import Settings
from pipeline.stream import Plan

__all__ = ["client_options", "plan_of", "topics_of"]

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
# Seasons stand still when clocks change: the zone's standard time counts, as on this day of no summer time anywhere
# north, and whatever summer time is in force is taken off.
STANDARD_DAY = datetime(2024, 1, 15, tzinfo=UTC)


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
        max_series=settings.entities.max_series_per_partition,
        max_future_ms=round(settings.grid.max_future_seconds * 1000),
        silence_rhythms=incidents.silence_rhythms,
        silence_least_ms=round(incidents.silence_seconds_min * 1000),
        budget_per_week=detection.alert_budget_per_entity_week,
        utc_offset_ms=_standard_offset_ms(settings.entities.time_zone),
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


def _standard_offset_ms(time_zone: str) -> int:
    local = STANDARD_DAY.astimezone(ZoneInfo(time_zone))
    offset, summer = local.utcoffset(), local.dst()
    seconds = (offset.total_seconds() if offset else 0.0) - (summer.total_seconds() if summer else 0.0)
    return round(seconds * 1000)
