"""Scores to incidents: when one opens, what it says, when it changes, when it resolves.

A life on the behaviour track::

    quiet ──open_steps over the threshold──► open ──resolve_steps below resolve_ratio x threshold──► resolved
                                              ▲ └─severity, kind, breadth or top metric changed─► updated   │
                                              └──────────── over the threshold within cool_down ────────────┘

The silence track opens and resolves with the grid's notices, the exhaustion track with forecasts. Each entity has at
most one open incident a track.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.exhaustion import Outlook
from pipeline.incident import IncidentKind, Reason, Severity, Track
from pipeline.life import Change, Life

__all__ = ["Evidence", "IncidentPlan", "Incidents", "top_of"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error", "critical")
DECADES = 12.0
# one step so many times over the threshold opens an incident alone
STRONG = 1.5
# hours to exhaustion below which it is critical, an error; blocks without growth that resolve it, and in which a
# forecast is not told anew
CRITICAL_HOURS, ERROR_HOURS = 2.0, 12.0
CALM_BLOCKS, QUIET_BLOCKS = 4, 4
BLOCK_MS = 900_000


@dataclass(frozen=True, slots=True)
class IncidentPlan:
    """How many steps open and resolve an incident, and how long it may live; times in ms."""

    job: str = "foreshock"
    open_steps: int = 2
    resolve_steps: int = 7
    resolve_ratio: float = 0.7
    cool_down_ms: int = 1_800_000
    max_open_ms: int = 172_800_000
    # slow borders keep a lasting fault unusual by themselves; to hold cost VUS-PR on every open set
    hold_ms: int = 0


@dataclass(slots=True)
class Evidence:
    """One group's verdict on one entity: what the step showed and which series showed it.

    ``blame`` is (series, contribution) of the step's rows; ``record`` the row of the record that closed it; ``missing``
    how many cells of its series stayed empty since the last.
    """

    entity: int
    time_ms: int
    score: float
    threshold: float
    record: int
    blame: list[tuple[int, float]] = field(default_factory=list)
    missing: int = 0


class Incidents:
    """The lives of all incidents of one partition.

    Parameters
    ----------
    plan
        When they begin and end.
    remembers
        Whether those that were told and are over are kept in ``gone``, by entity, until late data cannot change them.
    """

    def __init__(self, plan: IncidentPlan, remembers: bool = False) -> None:
        self.plan, self.remembers = plan, remembers
        self.lives: dict[tuple[int, Track], Life] = {}
        self.gone: dict[int, list[Life]] = {}

    def open_lives(self) -> Iterable[Life]:
        """Lives that are open now, in order of entity and track."""
        return (self.lives[key] for key in sorted(self.lives) if self.lives[key].status == "open")

    def of(self, entity: int) -> list[Life]:
        """The lives of an entity that hang on its own samples: silence is what others show."""
        tracks: tuple[Track, ...] = ("behaviour", "exhaustion")
        return [self.lives[(entity, track)] for track in tracks if (entity, track) in self.lives]

    def is_open(self, entity: int) -> bool:
        """Whether the entity has an open incident on the behaviour track."""
        life = self.lives.get((entity, "behaviour"))
        return life is not None and life.status == "open"

    def open_among(self, entities: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which entities have an open incident on the behaviour track."""
        lives = self.lives.items()
        alive = [entity for (entity, track), life in lives if track == "behaviour" and life.status == "open"]
        return np.isin(entities, alive) if alive else np.zeros(len(entities), bool)

    def attention(
        self, entities: npt.NDArray[np.int64], over: npt.NDArray[np.bool_], judged: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.int64]:
        """Which judged groups of a wave need a look: over the threshold now, or with a life that is not over."""
        alive = [entity for entity, track in self.lives if track == "behaviour"]
        return np.flatnonzero(judged & (over | np.isin(entities, alive)) if alive else judged & over)

    def holding(self, entities: npt.NDArray[np.int64], times: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Of which groups of a wave adaptation waits: see :meth:`holds`."""
        hold = np.zeros(len(entities), bool)
        alive = [entity for entity, track in self.lives if track == "behaviour"]
        if alive:
            for group in np.flatnonzero(np.isin(entities, alive)):
                hold[group] = self.holds(int(entities[group]), int(times[group]))
        return hold

    def holds(self, entity: int, now_ms: int) -> bool:
        """Whether adaptation waits for an open incident of the entity, for ``hold_ms`` at most."""
        life = self.lives.get((entity, "behaviour"))
        return life is not None and life.status == "open" and now_ms - life.started_ms < self.plan.hold_ms

    def judge(self, evidence: Evidence, offset: int) -> Change | None:
        """Move an entity's behaviour life one step on; returns the change to publish, if any."""
        key: tuple[int, Track] = (evidence.entity, "behaviour")
        life = self.lives.get(key)
        is_over = evidence.score >= evidence.threshold
        if life is None or (life.status == "resolved" and self._cooled(life, evidence.time_ms)):
            self._drop(key)
            if not is_over:
                return None
            life = self.lives[key] = Life(evidence.entity, "behaviour", evidence.time_ms, first_record_offset=offset)
        is_calm = evidence.score < self.plan.resolve_ratio * evidence.threshold
        _gather(life, evidence, offset, is_over, is_calm or life.status == "quiet")
        if life.status == "quiet":
            return self._maybe_open(key, life, evidence)
        if life.status == "resolved":
            return self._maybe_reopen(life, evidence)
        return self._open_step(life, evidence, is_over)

    def renamed(self, life: Life, kind: IncidentKind, evidence: Evidence) -> Change:
        """Tell that an open incident turned out to be of another kind."""
        life.kind = kind
        at = (evidence.time_ms, evidence.record, life.last_record_offset)
        return self._publish(life, "updated", "new_evidence", at)

    def silence(self, entity: int, began: bool, time_ms: int, at: tuple[int, int, int]) -> Change | None:
        """Open or resolve an entity's silence; ``at`` is (clock in ms, record row, offset)."""
        clock_ms, record, offset = at
        key: tuple[int, Track] = (entity, "silence")
        life = self.lives.get(key)
        if began:
            life = self.lives[key] = Life(entity, "silence", time_ms, kind="silence", severity="error")
            life.first_record_offset, life.score, life.threshold = offset, 1.0, 1.0
            return self._publish(life, "opened", "opened", (clock_ms, record, offset))
        if life is None:
            return None
        del self.lives[key]
        life.ended_ms = time_ms
        # what it said before it was missed only came late: in time, it would not have been missed
        reason: Reason = "retracted" if time_ms < life.detected_ms else "recovered"
        return self._publish(life, "resolved", reason, (time_ms, record, offset))

    def leave(self, entity: int, at: tuple[int, int, int]) -> list[Change]:
        """Resolve what is open of an entity whose records go elsewhere now; ``at`` as in :meth:`silence`.

        A resolved life stays for its cool-down, as after any other end.
        """
        changes = []
        for key in sorted(key for key, life in self.lives.items() if key[0] == entity and life.status != "resolved"):
            life = self.lives[key]
            if life.status == "open":
                life.ended_ms = at[0]
                changes.append(self._publish(life, "resolved", "moved", at))
            if life.status == "quiet" or life.track != "behaviour":
                del self.lives[key]
        return changes

    def followed(self) -> set[int]:
        """Series whose forecasts carry an open incident."""
        return {s for (_, track), life in self.lives.items() if track == "exhaustion" for s in life.blame}

    def forecast(self, entity: int, outlook: Outlook, record: int, offset: int) -> Change | None:
        """Open, revise or resolve an entity's exhaustion by what a finished block says of one of its series."""
        key: tuple[int, Track] = (entity, "exhaustion")
        life = self.lives.get(key)
        at = (outlook.time_ms, record, offset)
        if life is None:
            if not outlook.ripe:
                return None
            life = self.lives[key] = Life(entity, "exhaustion", outlook.time_ms, kind="exhaustion")
            life.first_record_offset, life.score, life.threshold = offset, 1.0, 1.0
            _foresee(life, outlook)
            return self._publish(life, "opened", "opened", at)
        if life.top not in life.blame:  # as restored from what was published: the first that fills carries it on
            life.top = outlook.series
            _foresee(life, outlook)
        if outlook.series != life.top:
            _foresee_beside(life, outlook)
            return None
        life.under = 0 if outlook.full_ms else life.under + 1
        if life.under >= CALM_BLOCKS or outlook.time_ms - life.started_ms >= self.plan.max_open_ms:
            self._drop(key)
            life.ended_ms = outlook.time_ms
            return self._publish(life, "resolved", "recovered" if life.under else "timeout", at)
        return self._revise(life, outlook, at) if outlook.full_ms else None

    def _revise(self, life: Life, outlook: Outlook, at: tuple[int, int, int]) -> Change | None:
        """Tell a forecast anew when it became severer, or left the interval that was told."""
        told = life.outlook
        worse = SEVERITIES.index(_urgency(outlook)) > SEVERITIES.index(life.severity)
        is_full = told is not None and told.full_ms <= told.time_ms
        elsewhere = told is not None and not is_full and not told.earliest_ms <= outlook.full_ms <= told.latest_ms
        if not worse and (not elsewhere or outlook.time_ms - life.updated_ms < QUIET_BLOCKS * BLOCK_MS):
            return None
        _foresee(life, outlook)
        return self._publish(life, "updated", "severity" if worse else "new_evidence", at)

    def _drop(self, key: tuple[int, Track]) -> None:
        life = self.lives.pop(key, None)
        if life is not None and life.revision > 0 and self.remembers:
            self.gone.setdefault(life.entity, []).append(life)

    def _cooled(self, life: Life, now_ms: int) -> bool:
        return now_ms - life.ended_ms > self.plan.cool_down_ms

    def _maybe_open(self, key: tuple[int, Track], life: Life, evidence: Evidence) -> Change | None:
        if life.under:
            del self.lives[key]
            return None
        strong = evidence.score >= min(1.0, STRONG * evidence.threshold)
        if life.over < self.plan.open_steps and not strong:
            return None
        at = (evidence.time_ms, evidence.record, life.last_record_offset)
        before = self._retracted(life)
        if before is None:
            return self._publish(life, "opened", "opened", at)
        life.incident_id, life.revision = before.incident_id, before.revision
        return self._publish(life, "reopened", "recurred", at)

    def _retracted(self, life: Life) -> Life | None:
        """Take up the life of the same start that late data took back: it has the id that this one would get."""
        gone = self.gone.get(life.entity, [])
        for before in gone:
            if (before.track, before.started_ms) == (life.track, life.started_ms) and before.incident_id:
                gone.remove(before)
                return before
        return None

    def _maybe_reopen(self, life: Life, evidence: Evidence) -> Change | None:
        if life.over < self.plan.open_steps:
            return None
        return self._publish(life, "reopened", "recurred", (evidence.time_ms, evidence.record, life.last_record_offset))

    def _open_step(self, life: Life, evidence: Evidence, is_over: bool) -> Change | None:
        at = (evidence.time_ms, evidence.record, life.last_record_offset)
        if life.under >= self.plan.resolve_steps:
            life.ended_ms = life.last_over_ms
            return self._publish(life, "resolved", "recovered", at)
        if evidence.time_ms - life.started_ms >= self.plan.max_open_ms:
            life.ended_ms = evidence.time_ms
            return self._publish(life, "resolved", "timeout", at)
        severity = _severity(life)
        if is_over and SEVERITIES.index(severity) > SEVERITIES.index(life.severity):
            return self._publish(life, "updated", "severity", at)
        top = top_of(life)
        if is_over and life.over in (5, 15, 45) and top != life.top:
            return self._publish(life, "updated", "new_evidence", at)
        return None

    def _publish(self, life: Life, what: str, reason: Reason, at: tuple[int, int, int]) -> Change:
        now_ms, record, offset = at
        life.revision += 1
        life.status = "resolved" if what == "resolved" else "open"
        life.updated_ms, life.last_record_offset = now_ms, offset
        if what in ("opened", "reopened"):
            life.detected_ms, life.ended_ms = now_ms, 0
        if what == "resolved":
            life.over = life.under = 0
        elif life.track == "behaviour":
            life.severity = _severity(life)
        life.top = top_of(life)
        return Change(life, what, reason, record)


def _gather(life: Life, evidence: Evidence, offset: int, is_over: bool, is_calm: bool) -> None:
    life.last_record_offset = offset
    life.cells += len(evidence.blame)
    life.missing += evidence.missing if life.steps else 0  # what was missing before it began is not its own
    life.steps += 1
    if is_over:
        life.over, life.under, life.last_over_ms = life.over + 1, 0, evidence.time_ms
        if evidence.score >= life.score:
            life.score, life.threshold = evidence.score, evidence.threshold
        for series, contribution in evidence.blame:
            life.blame[series] = life.blame.get(series, 0.0) + contribution
    else:
        life.under = life.under + 1 if is_calm else 0
        if life.status == "resolved":
            life.over = 0


def _severity(life: Life) -> Severity:
    """From how unlikely it is and how long it lasts: each step up is a decade or two more."""
    decades = (life.score - life.threshold) * DECADES + np.log10(max(life.over, 1))
    return SEVERITIES[1 + int(decades >= 1.5) + int(decades >= 3.0)]


def _urgency(outlook: Outlook) -> Severity:
    hours = (outlook.full_ms - outlook.time_ms) / 3.6e6
    return "critical" if hours < CRITICAL_HOURS else "error" if hours < ERROR_HOURS else "warning"


def _foresee(life: Life, outlook: Outlook) -> None:
    """Let a forecast be the one that is told."""
    life.outlook, life.severity = outlook, _urgency(outlook)
    life.blame[outlook.series] = _haste(outlook)


def _foresee_beside(life: Life, outlook: Outlook) -> None:
    """Count a second series that fills to the blame; one that stopped is forgotten."""
    if outlook.full_ms:
        life.blame[outlook.series] = min(_haste(outlook), life.blame[life.top])
    else:
        life.blame.pop(outlook.series, None)


def _haste(outlook: Outlook) -> float:
    """Blame of a series that fills: the sooner the more."""
    return 1.0 / max(outlook.full_ms - outlook.time_ms, BLOCK_MS)


def top_of(life: Life) -> int:
    """The series that carried most of the blame; ties go to the smaller id."""
    return min(life.blame, key=lambda s: (-life.blame[s], s)) if life.blame else -1
