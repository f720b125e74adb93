"""Windows to features: what each closed cell looks like beside its own past, as a feature matrix.

A row is one (series, step); the columns are ``FEATURE_NAMES``, signed and in scales of the series itself, so that
rows of all series of a fleet can be pooled. This is the only place where features are computed: the live job, the
backtest and the training run come through here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.grid import Wave
from pipeline.image import Table
from pipeline.kernels import baseline as k
from pipeline.kernels.notes import undo
from pipeline.kernels.season import N_HOURS, N_SLOTS, PROFILE, PROFILE_DAYS, of_day_before
from pipeline.zones import DAY_MS, Zone, hour_of_week

__all__ = ["FEATURE_NAMES", "Before", "Features", "empty_state"]

FEATURE_NAMES = ("innovation", "short", "level", "day_level", "seasonal", "beyond", "flat", "reach", "shift", "novel")
HELD_ADAPTATION = 0.1
# slots of a day from which on it can be said how far it reaches
FEWEST_SLOTS = 20
# arrays that say what is known of a series; the rest are notes to undo its last rows by
KNOWN = ("levels", "scales", "day", "seen", "week", "ring")


class Before(NamedTuple):
    """What was usual of a series at some times, shape (n_times,), and its lowest and highest hour; None: unknown."""

    usual: npt.NDArray[np.float64]
    reach: tuple[float, float] | None


class Features:
    """The baselines of all series of one partition.

    Parameters
    ----------
    time_zone
        Whose clock says which hour of the day and of the week it is.
    n_notes
        How many rows of a series can be undone.
    """

    def __init__(self, time_zone: str = "UTC", n_notes: int = 0) -> None:
        self._zone, self._n_notes = Zone(time_zone), n_notes
        self._state = empty_state(64, n_notes)
        self.n_series = 0

    def obey(self, time_zone: str, n_notes: int) -> None:
        """Work by other settings from now on; parameters as at construction. No row before can be undone."""
        self._zone, self._n_notes = Zone(time_zone), n_notes
        blank = empty_state(len(self._state.levels), n_notes)
        self._state = blank._replace(**{name: getattr(self._state, name) for name in KNOWN})

    def tables(self) -> dict[str, Table]:
        """The arrays that make up the state."""
        arrays = self._state._asdict()
        levels = arrays.pop("levels")
        arrays |= {"levels": levels[:, : k.N_SETTLED], "said": levels[:, k.N_SETTLED :]}
        # the rest is undone by notes (seasons), or overwritten with the same rows again
        settling = ("levels", "scales")
        return {name: Table("series", array, settles=name in settling) for name, array in arrays.items()}

    def rewind(self, series: npt.NDArray[np.int64], n_rows: npt.NDArray[np.float64]) -> None:
        """Undo in the seasons what rows after the first ``n_rows`` of each series changed."""
        undo(series, self._state.levels[series, k.N_ROWS], n_rows, self._state)

    def adopt_series(self, priors: list[npt.NDArray[np.float64] | None]) -> None:
        """Make room for new series, each with what a bundle knows of it, or None.

        Parameters
        ----------
        priors
            One packed row (see ``pack``) or None for each new series, in order of id.
        """
        n = self.n_series + len(priors)
        if n > len(self._state.levels):
            grown = empty_state(2 * n, self._n_notes)
            for name, old in self._state._asdict().items():
                getattr(grown, name)[: len(old)] = old
            self._state = grown
        for s, prior in enumerate(priors, start=self.n_series):
            if prior is not None:
                self._unpack(s, prior)
        self.n_series = n

    def observe(
        self, wave: Wave, step_ms: npt.NDArray[np.int64], hold: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float64]:
        """Compute the feature matrix of a wave and learn from it.

        Parameters
        ----------
        wave
            Closed cells, each series at most once.
        step_ms
            Learned step of each row's series, shape (n_rows,).
        hold
            True where an open incident asks adaptation to wait, shape (n_rows,).

        Returns
        -------
        ndarray of shape (n_rows, len(FEATURE_NAMES))
        """
        out = np.empty((len(wave.series), k.N_FEATURES))
        local = self._zone.local_ms(wave.time_ms)
        slots = (local % DAY_MS) * (N_SLOTS / DAY_MS)
        adapt = np.where(hold, HELD_ADAPTATION, 1.0)
        cells = (wave.series, wave.value, wave.gap)
        k.observe(cells, slots, hour_of_week(local), DAY_MS / step_ms, adapt, self._state, np.empty(k.N_ROW), out)
        return out

    def expectations(self, series: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """What the last row of each series was expected to be, in its unit, shape (n_series,)."""
        expected: npt.NDArray[np.float64] = self._state.levels[series, k.EXPECTED]
        return expected

    def value(self, series: int) -> float:
        """The last value of a series; NaN before its first."""
        row = self._state.levels[series]
        return float(row[k.LAST_VALUE]) if row[k.N_ROWS] else np.nan

    def expected(self, series: int) -> tuple[float, float]:
        """What the last row of a series was expected to be, and the scale of its usual misses, in its unit."""
        row = np.empty(k.N_STATE)
        k.take_up(self._state, series, row)
        return float(row[k.EXPECTED]), float(row[k.BAND])

    def lowest(self, series: int) -> float:
        """The least value that a series has had for a long while; NaN before its first."""
        return float(self._state.levels[series, k.LO]) if self.n_rows(series) else np.nan

    def offset_scale(self, series: int) -> float:
        """How far a series usually is from what is usual at its hour, for a while, in its unit."""
        return k.MAD * float(self._state.scales[series, k.OFFSET_SCALE - k.N_EXACT])

    def n_rows(self, series: int) -> int:
        """How many rows a series has had."""
        return int(self._state.levels[series, k.N_ROWS])

    def recent(self, series: int, n: int = k.RING) -> npt.NDArray[np.float64]:
        """The last values of a series, oldest first, shape (at most n,).

        They are kept in 32 bit as distances from the first value.
        """
        values: npt.NDArray[np.float64] = self._state.levels[series, k.BASE] + self._distances(series, n)
        return values

    def told(self, series: int) -> npt.NDArray[np.float64]:
        """The last values for people to read: in no more digits than 32 bit are good for."""
        distances = self._distances(series, k.RING).astype(np.float32).astype(str).astype(np.float64)
        values: npt.NDArray[np.float64] = self._state.levels[series, k.BASE] + distances
        return values

    def _distances(self, series: int, n: int) -> npt.NDArray[np.float64]:
        n_rows = self.n_rows(series)
        last = np.arange(n_rows - min(n, n_rows), n_rows) % k.RING
        distances: npt.NDArray[np.float64] = self._state.ring[series, last].astype(np.float64)
        return distances

    def days(self, series: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Profiles of the day of some series, shape (n_series, N_SLOTS), as distances; NaN where a slot is unknown."""
        profiles = self._state.day[series, :, PROFILE].astype(np.float64)
        return np.where(self._state.seen[series] > 0, profiles, np.nan)

    def before(self, series: int, times_ms: npt.NDArray[np.int64], step_ms: int, n_held: int = 0) -> Before:
        """What was usual before the last values of a series were seen: its profile has learned some of them since.

        Parameters
        ----------
        series
            Whose values.
        times_ms
            Their times, oldest first.
        step_ms
            Step of the series.
        n_held
            In how many of the last of them adaptation waited.
        """
        row, day = self._state.levels[series], self._state.day[series].astype(np.float64)
        seen, distances = self._state.seen[series].astype(np.int64), self._distances(series, len(times_ms))
        slots = (self._zone.local_ms(times_ms) % DAY_MS) * (N_SLOTS / DAY_MS)
        adapt = np.ones(len(slots))
        adapt[max(0, len(slots) - n_held) :] = HELD_ADAPTATION
        rate = 1.0 - 0.5 ** (1.0 / (PROFILE_DAYS * max(1.0, DAY_MS / step_ms / N_SLOTS)))
        usual = np.empty(len(slots))
        of_day_before(row[k.BASE], day, seen, (slots, distances, adapt), rate, row[k.SLOW], usual)
        known = row[k.BASE] + day[seen > 0, PROFILE]
        return Before(usual, (float(known.min()), float(known.max())) if len(known) >= FEWEST_SLOTS else None)

    def pack(self, series: int) -> npt.NDArray[np.float64]:
        """Everything a bundle hands on about one series, as one row."""
        return np.concatenate([getattr(self._state, name)[series].ravel() for name in KNOWN]).astype(np.float64)

    def _unpack(self, series: int, prior: npt.NDArray[np.float64]) -> None:
        at = 0
        for array in (getattr(self._state, name) for name in KNOWN):
            array[series] = prior[at : at + array[series].size].reshape(array[series].shape)
            at += array[series].size


def empty_state(n_series: int, n_notes: int) -> k.BaselineState:
    """Room for so many series that have had no row, and notes of so many rows of each."""
    return k.BaselineState(
        np.zeros((n_series, k.N_EXACT)),
        np.zeros((n_series, k.N_STATE - k.N_EXACT), np.float32),
        np.zeros((n_series, N_SLOTS, 2), np.float32),
        np.zeros((n_series, N_SLOTS), np.uint16),
        np.zeros((n_series, N_HOURS), np.int16),
        np.zeros((n_series, k.RING), np.float32),
        np.zeros((n_series, n_notes, 2), np.uint8),
        np.zeros((n_series, n_notes, 2), np.float32),
        np.zeros((n_series, n_notes), np.int16),
    )
