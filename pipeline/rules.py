"""What people say of their metrics: which are watched, and how far, which way and how much each counts.

Rules are read once for each new series and become arrays; no sample looks at a pattern. The first rule that fits a
series is its rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np
import numpy.typing as npt

from pipeline.baselines import FEATURE_NAMES
from pipeline.events import Counts, SampleBatch, SeriesIdentity
from pipeline.grid import Wave

__all__ = ["Rule", "Rules", "Watch"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Direction = Literal["both", "up", "down"]

NO_RULE = -1
SIGNS = {"both": 0, "up": 1, "down": -1}
# rising and falling look alike in it
UNSIGNED = "flat"
LEVEL = FEATURE_NAMES.index("level")
SIGNED = np.array([i for i, name in enumerate(FEATURE_NAMES) if name != UNSIGNED])


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Parameters
    ----------
    entity, metric
        Patterns (``*``, ``?``) of names; a metric's may include its labels.
    direction
        Only deviations this way count.
    min_change
        Deviations from what was expected below this, in the metric's unit, do not count.
    ignore
        Nothing of the series counts.
    weight
        Factor on its deviations.
    limit
        Where it runs out, in its unit; None: as unit and name tell.
    name
        What incidents call the rule; "": what it says.
    """

    entity: str = "*"
    metric: str = "*"
    direction: Direction = "both"
    min_change: float = 0.0
    ignore: bool = False
    weight: float = 1.0
    limit: float | None = None
    name: str = ""

    def fits(self, identity: SeriesIdentity) -> bool:
        """Whether the rule is about a series."""
        return fnmatchcase(identity.entity, self.entity) and _named(identity, self.metric)

    def __str__(self) -> str:
        said = [f"{self.entity} {self.metric}:"]
        said += [f"only {self.direction}"] if self.direction != "both" else []
        said += [f"at least {self.min_change:g}"] if self.min_change else []
        said += ["ignored"] if self.ignore else []
        said += [f"weight {self.weight:g}"] if self.weight != 1.0 else []
        said += [f"limit {self.limit:g}"] if self.limit is not None else []
        return self.name or " ".join(said)


@dataclass(frozen=True, slots=True)
class Watch:
    """Which series are looked at at all: one that fits ``include`` and no ``exclude``.

    Each pattern is a metric's, or an entity's and a metric's with a space between them; no include: all.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def wants(self, identity: SeriesIdentity) -> bool:
        """Whether a series is looked at."""
        included = not self.include or any(_fits(pattern, identity) for pattern in self.include)
        return included and not any(_fits(pattern, identity) for pattern in self.exclude)


class Rules:
    """The rules of one partition, resolved for its series."""

    def __init__(self, rules: Sequence[Rule] = (), watch: Watch | None = None) -> None:
        self._rules, self._watch = rules, watch or Watch()
        self.n_series = 0
        self._rule = np.full(64, NO_RULE)
        self._watched = np.ones(64, bool)
        self._weight, self._least, self._sign = np.ones(64), np.zeros(64), np.zeros(64)
        self._all_watched, self._none_bent = True, True

    def adopt_series(self, identities: Sequence[SeriesIdentity]) -> None:
        """Find the rule of each new series."""
        n = self.n_series + len(identities)
        if n > len(self._rule):
            room = 2 * n - len(self._rule)
            self._rule = np.concatenate([self._rule, np.full(room, NO_RULE)])
            self._watched = np.concatenate([self._watched, np.ones(room, bool)])
            self._weight, self._least, self._sign = (
                np.concatenate([array, np.full(room, empty)])
                for array, empty in ((self._weight, 1.0), (self._least, 0.0), (self._sign, 0.0))
            )
        for s, identity in enumerate(identities, start=self.n_series):
            self._watched[s] = self._watch.wants(identity)
            self._all_watched &= bool(self._watched[s])
            number = next((i for i, rule in enumerate(self._rules) if rule.fits(identity)), NO_RULE)
            if number != NO_RULE:
                rule = self._rules[number]
                self._rule[s], self._sign[s], self._least[s] = number, SIGNS[rule.direction], rule.min_change
                self._weight[s] = 0.0 if rule.ignore else rule.weight
                self._none_bent = False
        self.n_series = n

    def of(self, series: int) -> Rule | None:
        """The rule of a series."""
        number = int(self._rule[series])
        return None if number == NO_RULE else self._rules[number]

    def named(self, series: Iterable[int]) -> str | None:
        """Names of the rules in force for some series, in the order in which they were written; None: there is none."""
        numbers = sorted({int(self._rule[s]) for s in series} - {NO_RULE})
        return "; ".join(str(self._rules[number]) for number in numbers) or None

    def watched(self, samples: SampleBatch, counts: Counts) -> SampleBatch:
        """Leave out samples of series that nobody wants to look at, and count them."""
        if self._all_watched:
            return samples
        kept = (samples.series_id < 0) | self._watched[samples.series_id]
        left_out = int(len(samples) - kept.sum())
        counts.decoded += left_out
        counts.not_watched += left_out
        return SampleBatch(*(getattr(samples, one.name)[kept] for one in fields(SampleBatch)))

    def bend(self, wave: Wave, features: Floats, expected: Callable[[Ints], Floats]) -> Floats:
        """Features as the rules want them seen: deviations that do not count are 0.

        Parameters
        ----------
        wave
            n_rows cells.
        features
            Shape (n_rows, n_features); not changed.
        expected
            Gives what the last cell of each of some series was expected to be.
        """
        if self._none_bent:
            return features
        series = wave.series
        small = np.abs(wave.value - expected(series)) < self._least[series]
        bent: Floats = features * np.where(small, 0.0, self._weight[series])[:, None]
        sign = self._sign[series][:, None]
        # the way back from a peak is a step down, but no low: a step counts as far as the level itself is off
        level = np.where(sign == 0.0, np.inf, np.abs(bent[:, LEVEL, None]))
        way = np.where(bent[:, SIGNED] * sign < 0.0, 0.0, bent[:, SIGNED])
        bent[:, SIGNED] = np.clip(way, -level, level)
        return bent


def _fits(pattern: str, identity: SeriesIdentity) -> bool:
    entity, space, metric = pattern.rpartition(" ")
    return (not space or fnmatchcase(identity.entity, entity)) and _named(identity, metric)


def _named(identity: SeriesIdentity, pattern: str) -> bool:
    return fnmatchcase(identity.metric, pattern) or fnmatchcase(identity.name, pattern)
