"""Why it fired, and why it did not: one step of one entity, seen again through the stream that judged it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np

from models.bundle import Bundle
from pipeline.baselines import FEATURE_NAMES
from pipeline.errors import InputError
from pipeline.events import ScoreRow
from pipeline.incident import Incident, epoch_ms
from pipeline.kernels.energy import LINGERS
from pipeline.narrative import BAND_WIDTH, iso_time
from pipeline.recordings import Recording
from pipeline.replay import run_through
from pipeline.scoring import DIGITS
from pipeline.stream import Judged, PartitionStream, Plan

__all__ = ["Explanation", "MetricSeen", "explain", "explain_published"]

DECADES = 12.0
AFTERWARDS_MS = 7_200_000
NEAR_STEPS = 2


class MetricSeen(msgspec.Struct, frozen=True):
    """One metric at the step: its value, what was usual, its share of the deviation, and its features by name."""

    metric: str
    value: float | None
    expected: float | None
    lower: float | None
    upper: float | None
    share: float
    features: dict[str, float]
    rule: str | None = None


class Explanation(msgspec.Struct, frozen=True):
    """The answer; ``reasons`` say it in words, most important first. Times are event times, RFC 3339 UTC.

    ``fired`` means that an incident was open at the step; score and threshold are None where no step was judged.
    """

    entity: str
    asked_at: str
    step_at: str | None
    fired: bool
    reasons: list[str]
    score: float | None
    threshold: float | None
    warming: bool
    hold: bool
    metrics: list[MetricSeen]
    incidents: list[str]


class _Step(msgspec.Struct):
    """What was seen of the entity at the last step up to the time asked for."""

    time_ms: int
    n_before: int
    score: float
    threshold: float
    warming: bool
    hold: bool
    metrics: list[MetricSeen]
    over: int = 0
    under: int = 0
    status: str = ""
    started_ms: int = 0


class _Witness:
    """Watches a stream for one entity and keeps its last step up to a time."""

    def __init__(self, stream: PartitionStream, entity: str, at_ms: int) -> None:
        self._stream, self._name, self._at_ms = stream, entity, at_ms
        self._entity = -1
        self.step: _Step | None = None
        self._n_seen = 0
        self._held = False

    def see(self, judged: Judged) -> None:
        """Look at one wave."""
        wave = judged.wave
        if self._entity < 0:
            self._entity = [name for name, _ in self._stream.catalog.entities].index(self._name)
        mine = wave.entity[wave.bounds[:-1]] == self._entity
        for group in np.flatnonzero(mine & judged.scored.judged):
            rows = slice(wave.bounds[group], wave.bounds[group + 1])
            time_ms = int(wave.time_ms[rows].max())
            if time_ms <= self._at_ms:
                self.step = self._step(judged, int(group), rows, time_ms)
            self._n_seen += 1
            # adaptation at a step waits for an incident that was open before it
            self._held = self._stream.incidents.holds(self._entity, time_ms)

    def _step(self, judged: Judged, group: int, rows: slice, time_ms: int) -> _Step:
        scored, life = judged.scored, self._stream.incidents.lives.get((self._entity, "behaviour"))
        step = _Step(
            time_ms,
            self._n_seen,
            float(scored.score[group]),
            float(scored.threshold[group]),
            bool(scored.warming[group]),
            self._held,
            self._metrics(judged, rows),
        )
        if life is not None:
            step.over, step.under, step.status, step.started_ms = life.over, life.under, life.status, life.started_ms
        return step

    def _metrics(self, judged: Judged, rows: slice) -> list[MetricSeen]:
        stream, wave = self._stream, judged.wave
        blame = judged.scored.contribution[rows]
        total = float(blame.sum()) or 1.0
        seen = []
        for i, series in enumerate(wave.series[rows].tolist()):
            expected, scale = stream.judge.features.expected(series)
            rule = stream.judge.rules.of(series)
            said = zip(FEATURE_NAMES, judged.features[rows][i], strict=True)
            seen.append(
                MetricSeen(
                    stream.catalog.identities[series].name,
                    float(wave.value[rows][i]),
                    expected,
                    expected - BAND_WIDTH * scale,
                    expected + BAND_WIDTH * scale,
                    round(float(blame[i]) / total, 4),
                    {name: round(float(value), 2) for name, value in said},
                    str(rule) if rule else None,
                )
            )
        return sorted(seen, key=lambda one: (-one.share, one.metric))


def explain(
    recordings: Sequence[Recording], entity: str, at_ms: int, plan: Plan, bundle: Bundle | None = None
) -> Explanation:
    """Replay recordings up to two hours after a time, and answer for one entity's last step up to it.

    Parameters
    ----------
    recordings
        Of the entity, and of others if silence matters.
    entity, at_ms
        Who and when, ms since 1970.
    plan, bundle
        As in a backtest.

    Raises
    ------
    InputError
        There is no such entity.
    """
    if entity not in {one.entity for one in recordings}:
        raise InputError(f"no recording of {entity}; there are {', '.join(one.entity for one in recordings)}")
    stream = PartitionStream(replace(plan, low_mark=2.0, publish_all_scores=False), "explain", 0, bundle)
    cut = [_until(one, at_ms + AFTERWARDS_MS) for one in recordings]
    witness = _Witness(stream, entity, at_ms)
    stream.observer = witness.see
    told = [event.data for result in run_through(stream, cut, None) for event in result.incidents]
    mine = [one for one in told if one.entity.id == entity]
    recorded = next(one for one in recordings if one.entity == entity)
    reasons = _reasons(witness.step, mine, at_ms, plan) if witness.step else []
    reasons = _absent(recorded, witness.step, at_ms, plan) + reasons
    return _answer(entity, at_ms, witness.step, mine, reasons)


def explain_published(
    entity: str, at_ms: int, scores: Sequence[ScoreRow], incidents: Sequence[Incident], low_mark: float
) -> Explanation:
    """Answer from what a job published: its scores and incidents; what was below the low mark was not kept."""
    mine = [one for one in incidents if one.entity.id == entity]
    near = [row for row in scores if row.entity == entity and row.time_ms <= at_ms]
    last = max(near, key=lambda row: row.time_ms, default=None)
    if last is None or at_ms - last.time_ms > AFTERWARDS_MS:
        why = f"no score of {entity} was published shortly before: scores below {low_mark:g} are not kept"
        return _answer(
            entity, at_ms, None, mine, [f"{why} (scores.publish_all keeps all)", *_incident_lines(mine, at_ms)]
        )
    total = sum(last.contributions.values()) or 1.0
    metrics = [
        MetricSeen(name, None, None, None, None, round(part / total, 4), {})
        for name, part in sorted(last.contributions.items(), key=lambda item: (-item[1], item[0]))
    ]
    step = _Step(last.time_ms, 0, last.score, last.threshold, False, False, metrics)
    return _answer(entity, at_ms, step, mine, [_compared(step), *_incident_lines(mine, at_ms)])


def _answer(entity: str, at_ms: int, step: _Step | None, mine: Sequence[Incident], reasons: list[str]) -> Explanation:
    return Explanation(
        entity,
        iso_time(at_ms),
        iso_time(step.time_ms) if step else None,
        any(_open_at(mine, at_ms)),
        reasons,
        step.score if step and not step.warming else None,
        step.threshold if step else None,
        step.warming if step else True,
        step.hold if step else False,
        step.metrics if step else [],
        sorted({one.incident_id for one in mine}),
    )


def _reasons(step: _Step, mine: Sequence[Incident], at_ms: int, plan: Plan) -> list[str]:
    """Why, in the order in which one would ask."""
    if step.warming:
        said = f"the score is withheld: only {step.n_before} steps of it had been seen, too few to know what is usual"
        return [said, *_incident_lines(mine, at_ms)]
    reasons = [_compared(step)]
    if step.score > 0.0 and abs(step.threshold - LINGERS * step.score) <= 2.0 * 10.0**-DIGITS:
        reasons.append("the step itself shows little: what only lingers of the steps before is no anomaly")
    rule = plan.incidents
    if step.score >= step.threshold and step.status == "quiet":
        reasons.append(f"over the threshold for {step.over} of the {rule.open_steps} steps that open an incident")
    if step.status == "open" and step.under:
        reasons.append(f"calm for {step.under} of the {rule.resolve_steps} steps that resolve the incident")
    if step.status == "resolved":
        reasons.append("an incident was resolved shortly before: another within the cool-down reopens it")
    if step.hold:
        reasons.append("the baselines held still, so that they do not learn the incident")
    reasons += [f"{one.metric} is seen through the rule {one.rule}" for one in step.metrics if one.rule]
    return reasons + _incident_lines(mine, at_ms)


def _compared(step: _Step) -> str:
    way = "at or over" if step.score >= step.threshold else "under"
    return (
        f"the score {step.score:.3f} is {way} the threshold {step.threshold:.3f}: such a step has a chance of "
        f"10^-{step.score * DECADES:.1f} in the entity's own past, and 10^-{step.threshold * DECADES:.1f} is asked for"
    )


def _absent(one: Recording, step: _Step | None, at_ms: int, plan: Plan) -> list[str]:
    """What is missing: samples around the time, or everything because nobody watches it."""
    times = one.times // 1_000_000
    if not len(times) or times[0] > at_ms:
        return ["nothing had been received of it by then"]
    reasons = []
    usual = int(np.median(np.diff(times))) if len(times) > 1 else 0
    last = int(times[np.searchsorted(times, at_ms, "right") - 1])
    if usual and at_ms - last > NEAR_STEPS * usual:
        reasons.append(f"nothing was received between {iso_time(last)} and then, its usual step is {usual // 1000} s")
    if step is None:
        excluded = plan.watch.include or plan.watch.exclude
        reasons.append("none of its metrics is watched" if excluded else "no step of it was closed by then")
    return reasons


def _incident_lines(mine: Sequence[Incident], at_ms: int) -> list[str]:
    lines = [f"{one.track} incident {one.incident_id[:8]} was open: {one.title}" for one in _open_at(mine, at_ms)]
    later = [one for one in mine if one.revision == 1 and at_ms < epoch_ms(one.detected_at) <= at_ms + AFTERWARDS_MS]
    return lines + [f"{one.track} incident {one.incident_id[:8]} opened later, {one.detected_at}" for one in later]


def _open_at(mine: Sequence[Incident], at_ms: int) -> list[Incident]:
    """Revisions in force at a time of incidents that were open then."""
    last: dict[str, Incident] = {}
    for one in mine:
        if epoch_ms(one.updated_at) <= at_ms:
            last[one.incident_id] = one
    return [one for one in last.values() if one.status == "open"]


def _until(one: Recording, end_ms: int) -> Recording:
    n = int(np.searchsorted(one.times, end_ms * 1_000_000, "right"))
    return replace(one, times=one.times[:n], values=one.values[:n], label=None)
