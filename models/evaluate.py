"""How good scores and incidents are, beside labels: the measures that a model is chosen and refused by.

Scores are judged by VUS-PR (``models.vus``) and the area under precision over recall, incidents by what an operator
feels: events found, false incidents an entity and day, delay. The F1 that counts a whole event as found once one row
was is not here: a random score reaches high values under it (Kim et al., "Towards a Rigorous Evaluation of Time-Series
Anomaly Detection", AAAI 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

from models.vus import period, segments, vus_pr

__all__ = ["Alarms", "Found", "Span", "auc_pr", "finite", "found", "hit_rate", "own_threshold", "period", "vus_pr"]

Floats = npt.NDArray[np.float64]


class Span(NamedTuple):
    """A stretch at one entity in ms since 1970: ``start`` to before ``end``; ``known`` is when it was detected."""

    entity: str
    start: int
    end: int
    known: int = 0


@dataclass(frozen=True, slots=True)
class Alarms:
    """What an operator would have seen, row by row of one entity.

    ``false_incidents`` are runs of anomalous rows with no labelled row near; ``f1`` counts rows.
    """

    event_recall: float
    false_incidents: int
    f1: float
    n_events: int
    delay_steps: float


@dataclass(frozen=True, slots=True)
class Found:
    """What became of labelled events among the incidents of a fleet.

    ``delay_ms`` is the median time from an event's start to the detection of the first incident that met it; NaN
    where none was met.
    """

    n_events: int
    n_met: int
    n_incidents: int
    n_false: int
    delay_ms: float

    @property
    def event_recall(self) -> float:
        """Share of the events that an incident met; NaN without events."""
        return self.n_met / self.n_events if self.n_events else float("nan")


def finite(score: npt.ArrayLike) -> Floats:
    """Scores with the least of them where the score was withheld (0 everywhere if all were)."""
    given = np.asarray(score, np.float64)
    known = given[np.isfinite(given)]
    filled: Floats = np.nan_to_num(given, nan=float(known.min()) if len(known) else 0.0)
    return filled


def auc_pr(label: npt.ArrayLike, score: npt.ArrayLike) -> float:
    """Area under precision over recall of rows (average precision)."""
    return float(average_precision_score(np.asarray(label, np.int64), np.asarray(score, np.float64)))


def own_threshold(label: npt.ArrayLike, anomaly: npt.ArrayLike, slack_rows: int = 10) -> Alarms:
    """Judge the detector's own verdicts on one entity.

    Parameters
    ----------
    label, anomaly
        0 or 1 a row, shape (n_rows,).
    slack_rows
        An incident that ends so shortly before an event, or begins so shortly after it, is not false.
    """
    labels, alarms = np.asarray(label, np.int64), np.asarray(anomaly, np.int64)
    events = segments(labels)
    met = [int(np.argmax(alarms[start:end])) for start, end in events if alarms[start:end].any()]
    near = np.convolve(labels, np.ones(2 * slack_rows + 1), "same") > 0
    false_incidents = sum(not near[start:end].any() for start, end in segments(alarms))
    flagged = int(alarms.sum() + labels.sum())
    return Alarms(
        event_recall=len(met) / len(events) if events else float("nan"),
        false_incidents=false_incidents,
        f1=2.0 * int((labels & alarms).sum()) / flagged if flagged else float("nan"),
        n_events=len(events),
        delay_steps=float(np.median(met)) if met else float("nan"),
    )


def found(events: Sequence[Span], incidents: Sequence[Span], slack_ms: int = 600_000) -> Found:
    """Hold the incidents of a fleet against its labelled events, in event time.

    Parameters
    ----------
    events
        Labelled faults.
    incidents
        From first anomalous step to end, with when each was detected.
    slack_ms
        As in :func:`own_threshold`, as a time. An event counts as met only by an incident that overlaps it.
    """
    delays, met, near = [], 0, [False] * len(incidents)
    for event in events:
        first: int | None = None
        for i, incident in enumerate(incidents):
            if incident.entity != event.entity:
                continue
            if incident.start < event.end + slack_ms and incident.end >= event.start - slack_ms:
                near[i] = True
            if incident.start < event.end and incident.end >= event.start:
                first = incident.known if first is None else min(first, incident.known)
        if first is not None:
            met += 1
            delays.append(max(0, first - event.start))
    delay = float(np.median(delays)) if delays else float("nan")
    return Found(len(events), met, len(incidents), near.count(False), delay)


def hit_rate(
    contribution: Floats,
    causes: Sequence[tuple[int, int, Sequence[str]]],
    metrics: Sequence[str],
    percent: int = 100,
) -> float:
    """Share of the metrics at fault that stand among the most blamed ones, over labelled events (hit@100, hit@150).

    Parameters
    ----------
    contribution
        Blame of each metric at each row, shape (n_rows, n_metrics).
    causes
        (first row, row after the last, metrics at fault) of each event.
    metrics
        Names of the columns.
    percent
        How many of the most blamed metrics are looked at, in percent of the number at fault.
    """
    shares = []
    for start, end, at_fault in causes:
        mean = np.nan_to_num(contribution[start : max(end, start + 1)].mean(0))
        blamed = [metrics[i] for i in np.argsort(-mean)]
        n_looked_at = max(1, percent * len(at_fault) // 100)
        shares.append(len(set(blamed[:n_looked_at]) & set(at_fault)) / len(at_fault))
    return float(np.mean(shares))
