"""What a job will watch, found by itself and said once in five lines, as soon as most series have told their rhythm."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.events import Counts
from pipeline.stream import PartitionStream

__all__ = ["Introduction", "overview"]

log = logging.getLogger(__name__)

_KNOWN_SHARE = 0.5
_NAMES_SHOWN = 4


class Introduction:
    """Says once what is watched."""

    def __init__(self) -> None:
        self._said = False

    def say(self, counts: Counts, streams: Iterable[PartitionStream]) -> None:
        """Say it if it was not said yet and most series have told their rhythm."""
        if self._said:
            return
        watched = list(streams)
        steps = np.concatenate([_steps(one) for one in watched]) if watched else np.zeros(0)
        if len(steps) and (steps > 0).mean() >= _KNOWN_SHARE:
            self._said = True
            for line in overview(counts, watched):
                log.info("%s", line)


def overview(counts: Counts, streams: Sequence[PartitionStream]) -> list[str]:
    """Formats, entities, metrics, steps and what was rejected, a line each."""
    entities = {entity for one in streams for entity in one.catalog.entities}
    metrics = sorted({identity.metric for one in streams for identity in one.catalog.identities})
    n_series = sum(one.catalog.n_series for one in streams)
    classes = Counter(entity_class for _, entity_class in entities)
    named = ", ".join(f"{n:,} of class {name}" for name, n in sorted(classes.items()))
    formats = ", ".join(f"{name} ({n:,} records)" for name, n in sorted(counts.by_format.items()))
    return [
        f"reading formats: {formats or 'none yet'}",
        f"watching entities: {named}: {_listed(sorted(name for name, _ in entities))}",
        f"watching metrics: {len(metrics):,} in {n_series:,} series: {_listed(metrics)}",
        f"steps: {_step_words(streams)}",
        f"not understood: {counts.rejected:,} of {counts.records:,} records (see the rejected topic)",
    ]


def _steps(stream: PartitionStream) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return stream.grid.view.links[2][: stream.grid.n_series]


def _step_words(streams: Sequence[PartitionStream]) -> str:
    found = Counter[int]()
    for one in streams:
        steps, n = np.unique(_steps(one), return_counts=True)
        found.update(dict(zip(steps.tolist(), n.tolist(), strict=True)))
    unknown = found.pop(0, 0)
    words = [f"{step / 1000:g} s ({n:,} series)" for step, n in sorted(found.items())]
    return ", ".join([*words, *([f"still to be learned ({unknown:,} series)"] if unknown else [])])


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")
