"""The entity view bound to a metric set: windows of all metrics of an entity, judged by a bundle's fitted sets.

``Recent`` keeps the last cells of every series; the live job and the training run lay windows out of it alike.
``MetricSets`` knows which series stand where in the window of each entity, ``WindowSample`` gathers some to learn from.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.bundle import Bundle
from models.metric_sets import CELLS, MetricSet, Windows
from pipeline.catalog import Catalog
from pipeline.grid import Wave
from pipeline.image import Table
from pipeline.kernels import window as k
from pipeline.kernels.baseline import SHORT
from pipeline.thinning import chosen

__all__ = ["MetricSets", "Recent", "WindowSample"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
NOBODY = -1


class Recent:
    """The last cells of all series of one partition, as signed logarithms of their surprise over minutes."""

    def __init__(self) -> None:
        self._ring = np.full((0, CELLS), np.nan)
        self._at = np.zeros(0, np.int64)

    def tables(self) -> dict[str, Table]:
        """The arrays that make up the state."""
        return {"ring": Table("series", self._ring), "at": Table("series", self._at)}

    def adopt(self, n_series: int) -> None:
        """Make room for so many series."""
        had = len(self._at)
        if n_series > had:
            ring, at = np.full((2 * n_series, CELLS), np.nan), np.zeros(2 * n_series, np.int64)
            ring[:had], at[:had] = self._ring, self._at
            self._ring, self._at = ring, at

    def push(self, wave: Wave, features: Floats) -> None:
        """Take the cells of a wave, with their features of shape (n_rows, n_features)."""
        k.push((wave.series, wave.time_ms, wave.gap), features[:, SHORT], self._ring, self._at)

    def windows(self, members: Ints, times: Ints, step_ms: Ints) -> Floats:
        """Windows of entities whose series are ``members`` (n, n_metrics), -1 for none; shape (n, n_metrics * CELLS).

        ``times`` (n,) is now of each, in ms; ``step_ms`` the step of every series.
        """
        out = np.empty((len(members), members.shape[1] * CELLS))
        k.gather(members, times, step_ms, self._ring, self._at, out)
        return out


class MetricSets:
    """The windows of all entities of one partition and the sets that judge them.

    Parameters
    ----------
    bundle
        A trained model, or None. One without sets costs nothing.
    """

    def __init__(self, bundle: Bundle | None) -> None:
        self.swap(bundle)

    def swap(self, bundle: Bundle | None) -> None:
        """Let another bundle's sets judge from now on, on windows that begin anew; adopt the catalog after it."""
        sets = {} if bundle is None else bundle.sets
        self._sets: list[MetricSet] = list(sets.values())
        self._set_of_class = {name: i for i, name in enumerate(sets)}
        self._columns = [{name: i for i, name in enumerate(one.metrics)} for one in self._sets]
        self._members = [np.full((8, len(one.metrics)), NOBODY) for one in self._sets]
        self._n_members = [0] * len(self._sets)
        self._set_of, self._place = np.full(8, NOBODY), np.zeros(8, np.int64)
        self._n_entities = self._n_series = 0
        self.recent = Recent()

    def tables(self) -> dict[str, Table]:
        """The arrays that make up the state; none where there are no sets."""
        return self.recent.tables() if self._sets else {}

    def adopt(self, catalog: Catalog) -> None:
        """Find the place of series and entities that the catalog has met since the last call."""
        if not self._sets:
            return
        self.recent.adopt(catalog.n_series)
        self._adopt_entities([kind for _, kind in catalog.entities[self._n_entities :]])
        for s, identity in enumerate(catalog.identities[self._n_series :], start=self._n_series):
            e = catalog.entity_of[s]
            which = self._set_of[e]
            column = NOBODY if which < 0 else self._columns[which].get(identity.name, NOBODY)
            if column >= 0:
                self._members[which][self._place[e], column] = s
        self._n_series = catalog.n_series

    def excess(self, wave: Wave, features: Floats, step_ms: Ints) -> Floats:
        """How far each entity's window is beyond what training saw, shape (n_groups,); learns nothing.

        Parameters
        ----------
        wave
            n_rows rows in n_groups groups.
        features
            Shape (n_rows, n_features).
        step_ms
            Step of every series.
        """
        out = np.zeros(len(wave.bounds) - 1)
        if not self._sets:
            return out
        self.recent.push(wave, features)
        entities, times = wave.entity[wave.bounds[:-1]], np.maximum.reduceat(wave.time_ms, wave.bounds[:-1])
        which = self._set_of[entities]
        for i, one in enumerate(self._sets):
            mine = np.flatnonzero(which == i)
            if len(mine):
                members = self._members[i][self._place[entities[mine]]]
                out[mine] = one.excess(self.recent.windows(members, times[mine], step_ms))
        return out

    def _adopt_entities(self, kinds: list[str]) -> None:
        n = self._n_entities + len(kinds)
        if n > len(self._set_of):
            self._set_of = np.concatenate([self._set_of, np.full(2 * n, NOBODY)])
            self._place = np.concatenate([self._place, np.zeros(2 * n, np.int64)])
        for e, kind in enumerate(kinds, start=self._n_entities):
            which = self._set_of_class.get(kind, NOBODY)
            if which >= 0:
                self._set_of[e], self._place[e] = which, self._n_members[which]
                self._n_members[which] += 1
                members = self._members[which]
                if self._n_members[which] > len(members):
                    self._members[which] = np.concatenate([members, np.full_like(members, NOBODY)])
        self._n_entities = n


class WindowSample:
    """A share of the windows that a stream judges, by entity, to fit sets on.

    Parameters
    ----------
    catalog
        Series and entities of the stream whose waves are seen.
    share
        Of the windows, in [0, 1]; 0 costs nothing.
    """

    def __init__(self, catalog: Catalog, share: float) -> None:
        self._catalog, self._share = catalog, share
        self._recent = Recent()
        self._series: dict[int, dict[str, int]] = {}
        self._n_series = 0
        self._kept: dict[int, dict[tuple[str, ...], list[Floats]]] = {}

    def see(self, wave: Wave, features: Floats, step_ms: Ints, wanted: npt.NDArray[np.bool_]) -> None:
        """Take a wave as in :meth:`MetricSets.excess`; a share of the ``wanted`` groups (n_groups,) is kept."""
        if self._share <= 0.0:
            return
        self._adopt()
        self._recent.push(wave, features)
        times = np.maximum.reduceat(wave.time_ms, wave.bounds[:-1])
        for group in np.flatnonzero(wanted & chosen(times, self._share)):
            rows = slice(wave.bounds[group], wave.bounds[group + 1])
            entity = int(wave.entity[rows][0])
            names = tuple(sorted(self._series[entity]))
            members = np.array([[self._series[entity][name] for name in names]])
            window = self._recent.windows(members, times[[group]], step_ms)
            self._kept.setdefault(entity, {}).setdefault(names, []).append(window)

    def by_entity(self) -> dict[str, Windows]:
        """What was kept; an entity whose metrics became more has NaN where it did not have them yet."""
        out = {}
        for entity, kept in self._kept.items():
            parts = [Windows(names, np.concatenate(rows)) for names, rows in kept.items()]
            metrics = tuple(sorted(self._series[entity]))
            rows = np.concatenate([part.of(metrics) for part in parts])
            out[self._catalog.entities[entity][0]] = Windows(metrics, rows)
        return out

    def _adopt(self) -> None:
        catalog = self._catalog
        for s, identity in enumerate(catalog.identities[self._n_series :], start=self._n_series):
            self._series.setdefault(catalog.entity_of[s], {})[identity.name] = s
        self._n_series = catalog.n_series
        self._recent.adopt(catalog.n_series)
