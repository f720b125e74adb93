"""The line a minute, in words: what came in, what was rejected or late, lag, open incidents, model in force."""

from __future__ import annotations

from dataclasses import dataclass, fields

from pipeline.events import Counts

__all__ = ["Standing", "difference", "in_words"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the job stands now; ``lag`` is in records, None while it is not known."""

    lag: int | None = None
    open_incidents: int = 0
    n_entities: int = 0
    n_series: int = 0
    model: str = "built-in baselines"


def difference(now: Counts, before: Counts) -> Counts:
    """Return what was counted since ``before``."""
    formats = {name: count - before.by_format.get(name, 0) for name, count in now.by_format.items()}
    numbers = {
        one.name: getattr(now, one.name) - getattr(before, one.name)
        for one in fields(Counts)
        if one.name != "by_format"
    }
    return Counts(**numbers, by_format={name: count for name, count in formats.items() if count})


def in_words(counts: Counts, seconds: float, standing: Standing) -> str:
    """Say in one line what a stretch of ``seconds`` brought and where the job stands."""
    odd = {
        "rejected records": counts.rejected,
        "late": counts.late,
        "duplicate": counts.duplicate,
        "stale or not finite": counts.stale_or_non_finite,
        "refused": counts.refused,
    }
    told = ", ".join(f"{count:,} {name}" for name, count in odd.items() if count) or "nothing odd"
    came = (
        f"{counts.records:,} records with {counts.decoded:,} samples ({counts.decoded / seconds:,.0f} a second)"
        if counts.records
        else "no input"
    )
    lag = "lag unknown" if standing.lag is None else f"lag {standing.lag:,}"
    incidents = f"{standing.open_incidents:,} open incident{'' if standing.open_incidents == 1 else 's'}"
    entities = "entity" if standing.n_entities == 1 else "entities"
    watched = f"{standing.n_entities:,} {entities} with {standing.n_series:,} series"
    return f"in {seconds:.0f} s: {came}; {told}; {lag}; {watched}; {incidents}; model {standing.model}"
