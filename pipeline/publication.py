"""A change in an incident's life as the event that subscribers read, and back again."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from pipeline.exhaustion import Outlook
from pipeline.incident import CloudEvent, DataQuality, Entity, Forecast, Incident, ModelInForce, Source, Track, epoch_ms
from pipeline.life import Change, Life, incident_id
from pipeline.narrative import Narrator, iso_time

__all__ = ["Publication", "reconciled"]


@dataclass(slots=True)
class Publication:
    """Writes the events of one partition.

    Parameters
    ----------
    job, topic, partition
        Who publishes, and where the evidence lies.
    model
        The bundle in force; the threshold of each incident is filled in.
    narrator
        Puts lives into words.
    warming_until_ms
        Incidents up to this time say that what was known before was lost; 0: nothing was.
    """

    job: str
    topic: str
    partition: int
    model: ModelInForce
    narrator: Narrator
    warming_until_ms: int = 0

    def event(self, change: Change, n_late: int) -> CloudEvent:
        """The event of one change, with how many samples came late; fixes the incident's identity at its first."""
        self.name(change.life)
        incident = self._incident(change, n_late)
        return CloudEvent(
            specversion="1.0",
            id=f"{incident.incident_id}:{incident.revision}",
            source=f"/foreshock/{self.job}",
            type=f"foreshock.incident.{change.what}.v1",
            time=incident.updated_at,
            subject=incident.incident_id,
            datacontenttype="application/json",
            data=incident,
        )

    def name(self, life: Life) -> None:
        """Give a life its id, unless it has one: by the first published anomalous step."""
        if not life.incident_id:
            entity = self.narrator.catalog.entities[life.entity][0]
            life.incident_id = incident_id(self.job, entity, life.track, life.started_ms)

    def _incident(self, change: Change, n_late: int) -> Incident:
        life = change.life
        name, entity_class = self.narrator.catalog.entities[life.entity]
        metrics = self.narrator.metrics(life)
        return Incident(
            incident_id=life.incident_id,
            revision=life.revision,
            track=life.track,
            status="resolved" if life.status == "resolved" else "open",
            severity=life.severity,
            score=life.score,
            kind=life.kind,
            entity=Entity(id=name, entity_class=entity_class, name=name),
            title=self.narrator.title(life, metrics, change.reason),
            started_at=iso_time(life.started_ms),
            detected_at=iso_time(life.detected_ms),
            updated_at=iso_time(life.updated_ms),
            ended_at=iso_time(life.ended_ms) if life.status == "resolved" else None,
            contributing_metrics=metrics,
            model=msgspec.structs.replace(self.model, threshold=life.threshold),
            data_quality=DataQuality(life.missing_share, n_late, warming=life.updated_ms < self.warming_until_ms),
            source=Source(self.topic, self.partition, life.first_record_offset, life.last_record_offset),
            reason=change.reason,
            forecast=_forecast(life.outlook),
            rule=self.narrator.rule(life),
        )


def reconciled(
    lives: dict[tuple[int, Track], Life], published: dict[tuple[int, Track], Incident], clock_ms: int, cool_down_ms: int
) -> tuple[dict[tuple[int, Track], Life], int]:
    """Let what was published win over what a replay found; returns the lives, and how many differed.

    A life that nobody was told of yet stays as the replay found it, and so does one that agrees with what was told.
    """
    kept = {key: life for key, life in lives.items() if life.status == "quiet"}
    differed = sum(1 for key, life in lives.items() if life.status != "quiet" and key not in published)
    for key, incident in published.items():
        life = lives.get(key)
        if life is not None and life.status == "quiet" and incident.status == "resolved":
            continue
        if life is not None and _agrees(life, incident):
            kept[key] = life
        elif incident.status == "open" or _may_recur(incident, clock_ms, cool_down_ms):
            differed += 1
            kept[key] = restored(key[0], incident, life)
        elif life is not None:
            differed += 1
    return kept, differed


def _agrees(life: Life, incident: Incident) -> bool:
    return (life.incident_id, life.revision, life.status) == (
        incident.incident_id,
        incident.revision,
        incident.status,
    )


def _may_recur(incident: Incident, clock_ms: int, cool_down_ms: int) -> bool:
    ended = epoch_ms(incident.ended_at) if incident.ended_at else clock_ms
    return incident.track == "behaviour" and clock_ms - ended <= cool_down_ms


def _forecast(outlook: Outlook | None) -> Forecast | None:
    if outlook is None:
        return None
    times = (iso_time(at) for at in (outlook.full_ms, outlook.earliest_ms, outlook.latest_ms))
    return Forecast(outlook.limit, *times)


def restored(entity: int, incident: Incident, replayed: Life | None) -> Life:
    """The life behind a published incident; what a replay found of its steps is kept, its identity is not."""
    life = replayed or Life(entity, incident.track, epoch_ms(incident.started_at))
    life.incident_id, life.revision, life.status = incident.incident_id, incident.revision, incident.status
    life.started_ms, life.updated_ms = epoch_ms(incident.started_at), epoch_ms(incident.updated_at)
    life.ended_ms = epoch_ms(incident.ended_at) if incident.ended_at else 0
    life.severity, life.kind, life.score = incident.severity, incident.kind, incident.score
    life.threshold, life.detected_ms = incident.model.threshold, epoch_ms(incident.detected_at)
    life.first_record_offset = incident.source.first_offset
    life.last_record_offset = max(life.last_record_offset, incident.source.last_offset)
    life.last_over_ms = life.last_over_ms or life.updated_ms
    return life
