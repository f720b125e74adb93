"""The line a minute, in words: what came in, what was rejected or late, lag, open incidents, model in force."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.events import Counts

__all__ = ["Standing", "in_words"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the job stands now; ``lag`` is in records, None while it is not known."""

    lag: int | None = None
    open_incidents: int = 0
    n_entities: int = 0
    n_series: int = 0
    model: str = "built-in baselines"


def in_words(counts: Counts, seconds: float, standing: Standing) -> str:
    """Say in one line what a stretch of ``seconds`` brought and where the job stands."""
    odd = {
        "rejected records": counts.rejected,
        "late": counts.late,
        "duplicate": counts.duplicate,
        "refused": counts.refused,
        **{reason.replace("_", " "): n for reason, n in counts.by_reason.items()},
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
