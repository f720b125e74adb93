"""What a backtest came to: lives of incidents, the events they met, and the measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.evaluate import Found, Span, auc_pr, finite, found, own_threshold, period, vus_pr
from models.vus import segments
from pipeline.incident import Incident, epoch_ms
from pipeline.recordings import Recording
from pipeline.replay import Backtest
from pipeline.simulate.labels import Label

__all__ = ["Life", "Story", "story_of"]

WEEK_MS = 604_800_000
SLACK_MS = 600_000


@dataclass(frozen=True, slots=True)
class Life:
    """One incident: its last revision that was open, when it ended (ms since 1970), and the labels that it met.

    ``met`` is None where there are no labels to meet.
    """

    last: Incident
    started_ms: int
    detected_ms: int
    ended_ms: int
    met: list[Label] | None


@dataclass(frozen=True, slots=True)
class Story:
    """All that the page tells.

    ``found`` is None without labels; ``measures`` has a row of named figures for each entity whose rows are labelled.
    """

    lives: list[Life]
    labels: list[Label]
    found: Found | None
    measures: dict[str, dict[str, float]]
    entity_weeks: float

    @property
    def incidents_a_week(self) -> float:
        """Incidents an entity and week."""
        return len(self.lives) / self.entity_weeks if self.entity_weeks else float("nan")


def story_of(recordings: Sequence[Recording], result: Backtest, labels: Sequence[Label]) -> Story:
    """Hold incidents against labels, those given and those that stand in the recordings' own rows."""
    known = [*labels, *(label for one in recordings for label in _row_labels(one))]
    end_ms = max(int(one.times[-1]) for one in recordings) // 1_000_000
    faults = [label for label in known if label.is_fault]
    lives = [_life(revisions, end_ms, known) for revisions in _by_incident(result).values()]
    spans = [Span(life.last.entity.id, life.started_ms, life.ended_ms, life.detected_ms) for life in lives]
    events = [Span(label.entity, label.start_ms, label.end_ms) for label in faults]
    weeks = sum((int(one.times[-1]) - int(one.times[0])) / 1e6 / WEEK_MS for one in recordings)
    measures = {one.entity: _measures(one, result) for one in recordings if one.label is not None and one.label.any()}
    return Story(lives, known, found(events, spans) if known else None, measures, weeks)


def _by_incident(result: Backtest) -> dict[str, list[Incident]]:
    lives: dict[str, list[Incident]] = {}
    for event in result.incidents:
        lives.setdefault(event.data.incident_id, []).append(event.data)
    return lives


def _life(revisions: list[Incident], end_ms: int, labels: Sequence[Label]) -> Life:
    last = [one for one in revisions if one.status == "open"][-1]
    started, detected = epoch_ms(last.started_at), epoch_ms(revisions[0].detected_at)
    ended_at = revisions[-1].ended_at
    ended = epoch_ms(ended_at) if ended_at else end_ms
    near = [
        label
        for label in labels
        if label.entity == last.entity.id and started < label.end_ms + SLACK_MS and ended >= label.start_ms - SLACK_MS
    ]
    return Life(last, started, detected, ended, near if labels else None)


def _row_labels(one: Recording) -> list[Label]:
    if one.label is None:
        return []
    times = one.times // 1_000_000
    step = int(np.median(np.diff(times))) if len(times) > 1 else 0
    return [
        Label(one.entity, int(times[a]), int(times[b - 1]) + step, kind="labelled rows") for a, b in segments(one.label)
    ]


def _measures(one: Recording, result: Backtest) -> dict[str, float]:
    table = result.tables[one.entity]
    label, score = np.asarray(one.label), finite(table["score"])
    alarms = own_threshold(label, table["anomaly"])
    return {
        "VUS-PR": vus_pr(label, score, period(one.values[:, 0])),
        "AUC-PR": auc_pr(label, score),
        "event recall": alarms.event_recall,
        "false incidents": float(alarms.false_incidents),
        "F1 of rows": alarms.f1,
        "steps to find": alarms.delay_steps,
    }
