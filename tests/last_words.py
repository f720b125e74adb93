"""What incidents say in the end, whatever they were revised to on the way."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.incident import Incident


def last_words(incidents: Iterable[Incident]) -> set[tuple[object, ...]]:
    """What the last revision of each incident says, but for those that were retracted."""
    last = {one.incident_id: one for one in incidents}
    return {
        (
            one.entity.id,
            one.track,
            one.started_at,
            one.ended_at,
            one.kind,
            tuple((metric.metric, metric.share) for metric in one.contributing_metrics),
        )
        for one in last.values()
        if one.reason != "retracted"
    }
