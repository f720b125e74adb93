"""The gate: champion and challenger over the same stretch, and the written rule that says whether one may serve.

No challenger serves because it is newer. It serves if it finds no fewer of the labelled faults, keeps the alert
budget, costs no more than the rule allows, and answers its golden rows as it did when it was trained (that is checked
whenever a bundle is loaded).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy import stats

from models.bundle import Bundle
from models.drift import histogram, quantile_edges, stability_index
from models.errors import ModelError, ModelNotFound, PromotionRefused
from models.evaluate import Span, found
from models.registry import CHAMPION, Registry, Version
from models.skopsfile import dumped
from models.trial import Trial

__all__ = ["Comparison", "Outcome", "Rule", "Side", "compare", "promote", "recall_comparison", "remember_comparison"]

Floats = npt.NDArray[np.float64]
COMPARED = "foreshock.compared"
MOST_TAG = 4_500
NOBODY = "untrained"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one model made of a stretch: its incidents, all its scores, processor seconds, and the stretch's size."""

    incidents: list[Span]
    scores: Floats
    cpu_seconds: float
    entity_weeks: float


class Judge(Protocol):
    """A recorded stretch that any model can be sent over: ``pipeline.history.History`` is one."""

    budget_per_week: float

    def judge(self, bundle: Bundle | None) -> Outcome:
        """Send a model (None: the untrained baselines) over the stretch."""


@dataclass(frozen=True, slots=True)
class Side:
    """One model's figures over the stretch; recall and delay are None where there are no labels."""

    incidents: int
    per_entity_week: float
    false: int | None
    event_recall: float | None
    delay_seconds: float | None
    score_p99: float
    cpu_seconds: float
    megabytes: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both models over the same stretch.

    ``agreement`` is the share of all incidents that overlap one of the other model's; ``score_drift`` the population
    stability index between their scores; ``n_events`` how many labelled faults the stretch holds.
    """

    champion: str
    challenger: str
    before: Side
    after: Side
    agreement: float
    score_drift: float
    n_events: int
    entity_weeks: float
    budget_per_week: float
    trial: Trial | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """When a challenger may serve."""

    recall_loss_max: float = field(
        default=0.0, metadata={"says": "Share of labelled faults that it may miss beyond the champion's misses"}
    )
    budget_factor_max: float = field(
        default=1.0,
        metadata={"says": "Incidents (false ones if faults are labelled) a week and entity, in alert budgets"},
    )
    confidence: float = field(
        default=0.95, metadata={"says": "How sure it must be that they are more, for a short stretch tells little"}
    )
    false_factor_max: float = field(
        default=1.25, metadata={"says": "False incidents on labelled stretches, in those of the champion (plus one)"}
    )
    cost_factor_max: float = field(
        default=2.0, metadata={"says": "Processor time over the stretch, in that of the champion"}
    )
    megabytes_max: float = field(default=2000.0, metadata={"says": "Size of the bundle in memory"})
    entity_weeks_min: float = field(
        default=0.0, metadata={"says": "A shorter stretch proves nothing; 0: any length will do"}
    )

    def reasons(self, told: Comparison) -> list[str]:
        """Why the challenger must not serve; empty when it may."""
        a, b, out = told.before, told.after, []
        if told.entity_weeks < self.entity_weeks_min:
            out.append(f"the stretch is {told.entity_weeks:.2f} entity-weeks, {self.entity_weeks_min:g} are wanted")
        if a.event_recall is not None and b.event_recall is not None:
            lost = a.event_recall - b.event_recall
            if lost > self.recall_loss_max + 1e-9:
                out.append(
                    f"it finds {b.event_recall:.0%} of {told.n_events} faults, the champion {a.event_recall:.0%}"
                )
        allowed = max(self.budget_factor_max * told.budget_per_week, _unwanted(a) / max(told.entity_weeks, 1e-9))
        most = self._most_by_chance(allowed * told.entity_weeks)
        if _unwanted(b) > most:
            what = "incidents" if b.false is None else "false incidents"
            out.append(
                f"{_unwanted(b)} {what} in {told.entity_weeks:.3g} entity-weeks, by chance at most {most} where"
                f" {allowed:.3g} a week are allowed"
            )
        if a.false is not None and b.false is not None and b.false > self.false_factor_max * a.false + 1:
            out.append(f"{b.false} false incidents, the champion has {a.false}")
        if b.cpu_seconds > self.cost_factor_max * a.cpu_seconds + 1.0:
            out.append(f"it takes {b.cpu_seconds:.1f} s of processor time, the champion {a.cpu_seconds:.1f} s")
        if b.megabytes > self.megabytes_max:
            out.append(f"it takes {b.megabytes:,.0f} MB, {self.megabytes_max:,.0f} are allowed")
        return out

    def _most_by_chance(self, expected: float) -> int:
        """The largest count that is no proof of a rate above the one expected: Poisson's; one alone proves nothing."""
        return max(1, int(stats.poisson.ppf(self.confidence, expected)))

    def as_yaml(self) -> str:
        """The rule as a file that a person can change."""
        lines = ["# When a challenger may become champion: foreshock models promote --rule this-file", ""]
        for one in fields(self):
            lines += [f"# {one.metadata['says']}", f"{one.name}: {getattr(self, one.name):g}", ""]
        return "\n".join(lines).rstrip() + "\n"

    @classmethod
    def read(cls, path: Path) -> Rule:
        """Read a rule; an unknown key is an error.

        Raises
        ------
        ModelError
            The file cannot be read, or holds a key or a value that is none.
        """
        import yaml

        try:
            said = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
            known = {one.name for one in fields(cls)}
            unknown = sorted(set(said) - known)
            if unknown:
                raise ModelError(f"{path}: there is no rule {unknown[0]!r}; there are {', '.join(sorted(known))}")
            return cls(**{key: float(value) for key, value in said.items()})
        except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
            raise ModelError(f"{path} is not a rule: {error}") from error


def compare(champion: Bundle | None, challenger: Bundle, stretch: Judge, events: Sequence[Span] = ()) -> Comparison:
    """Send both over the same stretch.

    Parameters
    ----------
    champion
        None: the untrained baselines, with which a first promotion is compared.
    challenger
        The rival.
    stretch
        Recorded telemetry, the later and the longer the better.
    events
        Labelled faults of the stretch.
    """
    a, b = stretch.judge(champion), stretch.judge(challenger)
    edges = quantile_edges(a.scores[:, None]) if len(a.scores) else np.zeros((1, 9))
    drift = stability_index(histogram(a.scores[:, None], edges), histogram(b.scores[:, None], edges))
    return Comparison(
        NOBODY if champion is None else champion.version,
        challenger.version,
        _side(a, champion, events),
        _side(b, challenger, events),
        _agreement(a.incidents, b.incidents),
        float(drift[0]),
        len(events),
        a.entity_weeks,
        stretch.budget_per_week,
    )


def promote(registry: Registry, wanted: str, rule: Rule, told: Comparison | None = None, because: str = "") -> Version:
    """Let a version serve if the rule allows it, or because somebody says so.

    Parameters
    ----------
    registry
        Where.
    wanted
        Version number or alias.
    rule
        What must hold.
    told
        A fresh comparison with the present champion; None: the one that ``compare`` left on the version.
    because
        Not empty: the rule is passed over, and this is written on the version.

    Raises
    ------
    PromotionRefused
        The rule is not met, or there is no comparison with the present champion.
    AliasMoved
        The champion changed in the meantime.
    BundleRefused
        The bundle cannot be loaded, or its golden rows do not reproduce; no word of anybody passes over that.
    """
    version = registry.version(wanted)
    champion = registry.aliases().get(CHAMPION)
    registry.load(version.number)
    told = told or recall_comparison(version)
    reasons = _reasons(told, rule, champion, version.number)
    if reasons and not because:
        raise PromotionRefused(version.number, reasons)
    noted = f"{because} (against the rule: {'; '.join(reasons)})" if reasons else because
    return registry.promote(version.number, champion, noted)


def _reasons(told: Comparison | None, rule: Rule, champion: str | None, challenger: str) -> list[str]:
    if told is None:
        return ["it was never compared: foreshock models compare"]
    if told.challenger != challenger or told.champion != (champion or NOBODY):
        return [f"it was compared with {told.champion}, but {champion or NOBODY} serves now: compare again"]
    return rule.reasons(told)


def remember_comparison(registry: Registry, told: Comparison) -> None:
    """Leave a comparison on the challenger's version, for ``promote`` to find."""
    registry.tag(told.challenger, {COMPARED: json.dumps(asdict(told))[:MOST_TAG]})


def recall_comparison(version: Version) -> Comparison | None:
    """The comparison that was left on a version, or None."""
    text = version.tags.get(COMPARED)
    if not text:
        return None
    said: dict[str, Any] = json.loads(text)
    sides = {key: Side(**said[key]) for key in ("before", "after")}
    trial = said.get("trial")
    return Comparison(**{**said, **sides, "trial": Trial(**trial) if trial else None})


def champion_of(registry: Registry) -> Bundle | None:
    """The bundle that serves, or None."""
    try:
        return registry.load(CHAMPION)
    except ModelNotFound:
        return None


def _side(outcome: Outcome, bundle: Bundle | None, events: Sequence[Span]) -> Side:
    held = found(events, outcome.incidents) if events else None
    return Side(
        incidents=len(outcome.incidents),
        per_entity_week=len(outcome.incidents) / max(outcome.entity_weeks, 1e-9),
        false=None if held is None else held.n_false,
        event_recall=None if held is None else held.n_met / held.n_events,
        delay_seconds=None if held is None or not held.n_met else held.delay_ms / 1000,
        score_p99=float(np.quantile(outcome.scores, 0.99)) if len(outcome.scores) else 0.0,
        cpu_seconds=outcome.cpu_seconds,
        megabytes=0.0 if bundle is None else _megabytes(bundle),
    )


def _megabytes(bundle: Bundle) -> float:
    """Size of what a bundle knows: its arrays, and its estimators as they are saved."""
    tables = (bundle.series, bundle.entities, bundle.classes)
    arrays = sum(row.nbytes for table in tables for row in table.values())
    estimators = [bundle.estimator, *(one.estimator for one in bundle.sets.values())]
    return (arrays + sum(len(dumped(one)) for one in estimators if one is not None)) / 1e6


def _unwanted(side: Side) -> int:
    """How many incidents nobody can be glad of: where faults are labelled, the false ones alone."""
    return side.incidents if side.false is None else side.false


def _agreement(a: Sequence[Span], b: Sequence[Span]) -> float:
    """Share of the incidents of both that overlap one of the other's; 1 where neither has any."""
    shared = sum(any(_overlap(x, y) for y in b) for x in a) + sum(any(_overlap(y, x) for x in a) for y in b)
    return shared / (len(a) + len(b)) if a or b else 1.0


def _overlap(x: Span, y: Span) -> bool:
    return x.entity == y.entity and x.start <= y.end and y.start <= x.end
