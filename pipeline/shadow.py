"""A challenger on trial beside the model that serves one partition: the same features, an own calibration.

It begins where a swap would begin: with a copy of what entities have earned of calibration, and of what is open. So
a challenger that is the champion agrees with it on every step. It reads what the stream judged and writes nothing
into it; it is not part of the state that outlives a process, and begins anew where a partition is taken over.
"""

from __future__ import annotations

from copy import deepcopy

import numpy as np

from models.bundle import Bundle
from models.trial import Trial
from pipeline.judging import Judged
from pipeline.lifecycle import Evidence, Incidents
from pipeline.scoring import Scoring
from pipeline.sets import MetricSets
from pipeline.stream import PartitionStream

__all__ = ["Shadow"]


class Shadow:
    """Scores what a stream judged with another bundle, and counts what would have come of it.

    Parameters
    ----------
    stream
        Whose waves :meth:`see` is shown.
    challenger
        The bundle on trial.
    """

    def __init__(self, stream: PartitionStream, challenger: Bundle) -> None:
        self._stream, self._challenger = stream, challenger
        self._scoring, self._sets = (
            Scoring(stream.plan.budget_per_week, stream.plan.time_zone, challenger),
            MetricSets(challenger),
        )
        self._begin_like(stream)
        self._incidents = Incidents(stream.plan.incidents)
        behaviour = {key: life for key, life in stream.incidents.lives.items() if key[1] == "behaviour"}
        self._incidents.lives = deepcopy(behaviour)
        everybody = np.arange(stream.judge.scoring.n_entities)
        self._was_open = np.column_stack([stream.incidents.open_among(everybody)] * 2)
        self._fresh = self._trial()

    def see(self, judged: Judged) -> None:
        """Score one wave, move the incidents that would be, and count."""
        wave, stream = judged.wave, self._stream
        self._adopt_new()
        entities, times = wave.entity[wave.bounds[:-1]], wave.time_ms[wave.bounds[:-1]]
        hold = self._incidents.holding(entities, times)
        grid = stream.grid.view
        window = self._sets.excess(wave, judged.features, grid.links[2])
        scored = self._scoring.score(wave, judged.features, grid, hold, window)
        over = (scored.score >= scored.threshold) & scored.told
        for group in self._incidents.attention(entities, over, scored.judged):
            time_ms = int(wave.time_ms[wave.bounds[group] : wave.bounds[group + 1]].max())
            score = float(scored.score[group]) if scored.told[group] else 0.0
            self._incidents.judge(Evidence(int(entities[group]), time_ms, score, float(scored.threshold[group]), 0), 0)
        champion_over = judged.scored.score >= judged.scored.threshold
        both = judged.scored.told & scored.told
        fresh = self._fresh
        fresh.steps += int(both.sum())
        fresh.over_champion += int((champion_over & both).sum())
        fresh.over_challenger += int((over & both).sum())
        fresh.over_both += int((champion_over & over & both).sum())
        fresh.entity_ms += int(stream.grid.view.rhythm_ms[entities][both].sum())
        is_open = np.column_stack([judged.is_open, self._incidents.open_among(entities)])
        opened = (is_open & ~self._was_open[entities]).sum(0)
        self._was_open[entities] = is_open
        fresh.opened_champion += int(opened[0])
        fresh.opened_challenger += int(opened[1])

    def taken(self) -> Trial:
        """What was counted since this was last asked."""
        fresh, self._fresh = self._fresh, self._trial()
        return fresh

    def _trial(self) -> Trial:
        serving = self._stream.bundle
        return Trial(serving.version if serving else "built-in", self._challenger.version)

    def _adopt_new(self) -> None:
        catalog, known = self._stream.catalog, self._scoring.n_entities
        new = catalog.entities[known:]
        self._scoring.adopt(catalog.n_series, [self._challenger.entity_prior(*entity) for entity in new])
        self._sets.adopt(catalog)
        if new:
            self._was_open = np.concatenate([self._was_open, np.zeros((len(new), 2), bool)])

    def _begin_like(self, stream: PartitionStream) -> None:
        """Take over the calibration and the windows of a stream as they stand."""
        judge = stream.judge
        sizes = {"series": judge.features.n_series, "entity": judge.scoring.n_entities}
        self._scoring.adopt(sizes["series"], [None] * sizes["entity"])
        self._sets.adopt(stream.catalog)
        pairs = (
            (self._scoring.tables(), judge.scoring.tables()),
            (self._sets.tables(), judge.sets.tables()),
        )
        for ours, theirs in pairs:
            for name in ours.keys() & theirs.keys():
                table = ours[name]
                n = sizes.get(table.axis, len(table.array))
                table.array[:n] = theirs[name].array[:n]
