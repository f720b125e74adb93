"""Faults injected beside incidents found: after how long, the right metric blamed or not, false ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.incident import CloudEvent, Incident, epoch_ms
from pipeline.simulate.faults import FAULTS, INNOCENT, Injection
from pipeline.simulate.fleet import Fleet

if TYPE_CHECKING:
    from models.evaluate import Span

__all__ = ["Sighting", "Tally", "Verdict", "sightings", "tally"]


@dataclass(slots=True)
class Sighting:
    """One incident as it was told: its first revision, and the last one before it was over."""

    first: Incident
    worst: Incident
    ended: str | None = None

    def span(self, now_ms: int) -> Span:
        """From the first anomalous step to the end, or to now; with when it was detected."""
        from models.evaluate import Span

        end = now_ms if self.ended is None else epoch_ms(self.ended)
        return Span(self.first.entity.id, epoch_ms(self.first.started_at), end, epoch_ms(self.first.detected_at))


@dataclass(slots=True)
class Verdict:
    """What became of one fault.

    ``delay_ms`` is event time from its start to the detection of the first incident; None: not found.
    ``blamed`` is the metric most to blame at the host at fault (or where it was seen first), ``rank`` the place of the
    right one among the metrics blamed, from 1; None: not among them.
    """

    injection: Injection
    sightings: list[Sighting] = field(default_factory=list)
    delay_ms: int | None = None
    blamed: str = ""
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """All faults that have begun, deploys among them, and the incidents that belong to no fault."""

    verdicts: list[Verdict]
    false: list[Sighting]

    @property
    def faults(self) -> list[Verdict]:
        """Those that are faults."""
        return [one for one in self.verdicts if one.injection.kind != INNOCENT]

    @property
    def n_found(self) -> int:
        """How many faults an incident met."""
        return sum(one.delay_ms is not None for one in self.faults)

    @property
    def n_right(self) -> int:
        """How many of those have the right metric on top of the blamed ones."""
        return sum(one.rank == 1 for one in self.faults)


def sightings(events: Iterable[CloudEvent]) -> list[Sighting]:
    """Gather the revisions of each incident; an incident that came again counts from its first opening on."""
    seen: dict[str, Sighting] = {}
    for event in events:
        incident = event.data
        one = seen.setdefault(incident.incident_id, Sighting(incident, incident))
        one.ended = incident.ended_at
        if incident.status == "open":
            one.worst = incident
    return list(seen.values())


def tally(fleet: Fleet, plan: Sequence[Injection], seen: Sequence[Sighting], now_ms: int) -> Tally:
    """Hold what was found until ``now_ms`` (event time) against what was injected.

    An incident belongs to a fault if it overlaps it at the host at fault, or at a host that waits for it; one that
    ends just before or begins just after belongs to it as well and is not false, but does not count as found.
    """
    # Its import takes a second or two: it waits until the job is starting and nobody looks.
    from models.evaluate import Span, found

    begun = [one for one in plan if one.start_ms <= now_ms]
    spans = [one.span(now_ms) for one in seen]
    near: set[int] = set()
    verdicts = []
    for injection in begun:
        verdict = Verdict(injection)
        labels = [Span(x.entity, x.start_ms, x.end_ms) for x in injection.labels(fleet) if x.is_fault]
        for i, span in enumerate(spans):
            one = found(labels, [span])
            if labels and not one.n_false:
                near.add(i)
            if one.n_met or (not labels and _beside(injection, span)):
                verdict.sightings.append(seen[i])
        verdicts.append(_judged(verdict, now_ms))
    return Tally(verdicts, [seen[i] for i in range(len(seen)) if i not in near])


def _beside(deploy: Injection, span: Span) -> bool:
    """Whether an incident opened at a host while it was deployed to."""
    return span.entity == deploy.host and deploy.start_ms <= span.start < deploy.end_ms


def _judged(verdict: Verdict, now_ms: int) -> Verdict:
    if not verdict.sightings:
        return verdict
    injection = verdict.injection
    known = min(one.span(now_ms).known for one in verdict.sightings)
    verdict.delay_ms = max(0, known - injection.start_ms)
    at_fault = [one for one in verdict.sightings if one.first.entity.id == injection.host]
    incident = min(at_fault or verdict.sightings, key=lambda one: one.span(now_ms).known).worst
    metric = FAULTS[injection.kind].metric
    if not metric:  # the whole host: silence is the right word
        verdict.blamed, verdict.rank = incident.kind, 1 if incident.track == "silence" else None
        return verdict
    blamed = [one.metric for one in incident.contributing_metrics]
    verdict.blamed = blamed[0] if blamed else incident.kind
    verdict.rank = blamed.index(metric) + 1 if metric in blamed else None
    return verdict
