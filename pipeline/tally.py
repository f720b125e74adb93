"""How a job stands: what it did since it was started, for people and programs that look on; it decides nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from models.bundle import Bundle
from models.trial import Trial
from pipeline.drifting import Drift
from pipeline.events import Counts
from pipeline.work import Work

__all__ = ["Summary"]

BUILT_IN = "built-in baselines"


@dataclass(slots=True)
class Summary:
    """What the job did since it was started, and how it stands.

    ``waiting`` are partitions whose state is still to be loaded, ``catching_up`` those that listen to their past;
    ``swaps`` counts models that came into force, ``swap_failures`` those that must not, and ``refused`` says why.
    """

    counts: Counts = field(default_factory=Counts)
    incidents: int = 0
    commits: int = 0
    take_overs: int = 0
    mismatches: int = 0
    snapshot_failures: int = 0
    partitions: int = 0
    waiting: int = 0
    scattered: int = 0
    catching_up: int = 0
    open_incidents: int = 0
    series: int = 0
    entities: int = 0
    lag: int = 0
    model: str = BUILT_IN
    swaps: int = 0
    swap_failures: int = 0
    refused: str = ""
    watch_failures: int = 0
    trials: list[Trial] = field(default_factory=list)
    drift: list[Drift] = field(default_factory=list)

    def look(self, works: Collection[Work], n_waiting: int) -> None:
        """Count what the partitions at work hold, and how many wait for their state."""
        self.partitions, self.waiting = len(works), n_waiting
        self.catching_up = sum(not work.live for work in works)
        self.open_incidents = sum(len(work.stream.open_incidents()) for work in works)
        self.series = sum(work.stream.catalog.n_series for work in works)
        self.entities = sum(work.stream.catalog.n_entities for work in works)
        self.model = ", ".join(sorted({_called(work.stream.bundle) for work in works})) or BUILT_IN


def _called(bundle: Bundle | None) -> str:
    return BUILT_IN if bundle is None else f"{bundle.name} {bundle.version}"
