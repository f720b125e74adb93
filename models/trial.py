"""A trial: what a challenger said beside the champion on live data, counted and never published."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Trial"]

WEEK_MS = 604_800_000


@dataclass(slots=True)
class Trial:
    """Counts of steps (of entities) that both models judged, neither of them warming up.

    ``over_*`` are steps at or above a model's threshold, ``opened_*`` incidents that it opened or reopened on the
    behaviour track, or would have; ``entity_ms`` is the event time judged, summed over entities. Each step counts once:
    what late data takes back and judges again does not.
    """

    champion: str
    challenger: str
    steps: int = 0
    over_champion: int = 0
    over_challenger: int = 0
    over_both: int = 0
    opened_champion: int = 0
    opened_challenger: int = 0
    entity_ms: int = 0

    def add(self, other: Trial) -> None:
        """Take in what was counted elsewhere of the same pair."""
        for name in self.counts():
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.type == "int"}

    @property
    def agreement(self) -> float:
        """Of the steps that either model found anomalous the share that both did; 1 where neither found any."""
        either = self.over_champion + self.over_challenger - self.over_both
        return self.over_both / either if either else 1.0

    @property
    def entity_weeks(self) -> float:
        """How much was judged."""
        return self.entity_ms / WEEK_MS
