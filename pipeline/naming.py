"""The kind of an incident: when it is looked at, what is known then of the metric most to blame, which name stays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.baselines import FEATURE_NAMES, Features
from pipeline.catalog import Catalog
from pipeline.course import Course, scatter
from pipeline.grid import Wave
from pipeline.image import Table
from pipeline.incident import IncidentKind
from pipeline.kernels.baseline import MAD, RING
from pipeline.kinds import BRIEF, LEAD, STUCK, YOUNG, Named, Seen, kind_of
from pipeline.life import Life
from pipeline.lifecycle import Evidence, top_of
from pipeline.room import roomy

__all__ = ["Naming", "alike"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# at which steps of an incident its kind is looked at anew: soon at first, later each time that it is twice as old
LOOKS = frozenset({8, 14, 25, 45, 90, 180, 360, 720, 1_440})
# in how many steps its course is continued at the latest: values are remembered for 60 rows
CONTINUED = 45
# steps over the threshold from which on an incident is no brief one
LONG = 20
# two series have the same day where their profiles are so correlated, over so many slots at least; of how many such
# an incident watches what they do
ALIKE, FEWEST_SLOTS, MOST_BESIDE = 0.8, 20, 6
# standard deviations of the noise in a scale, which is MAD times a mean size
NOISES = MAD * np.sqrt(2.0 / np.pi)
FLAT = FEATURE_NAMES.index("flat")


class Naming:
    """Names incidents of one partition.

    Parameters
    ----------
    catalog
        Its series.
    features
        Their baselines, which have seen each step before it is named.
    """

    def __init__(self, catalog: Catalog, features: Features) -> None:
        self._catalog, self._features = catalog, features
        self._still = np.zeros((64, 1), np.float32)

    def table(self) -> Table:
        """How still each series stood when it was seen last: what there is to keep."""
        return Table("series", self._still, settles=False)

    def adopt(self) -> None:
        """Make room for the series that the catalog has met."""
        self._still = roomy(self._still, self._catalog.n_series)

    def see(self, wave: Wave, features: Floats) -> None:
        """Remember of a wave what tells a kind."""
        self._still[wave.series, 0] = features[:, FLAT]

    def look(self, life: Life, evidence: Evidence, step_ms: Ints, n_held: int, what: str | None) -> IncidentKind:
        """Name an incident by all that its course shows up to now.

        Parameters
        ----------
        life
            The incident; its course is continued.
        evidence
            Its last step.
        step_ms
            Step of each series of the partition.
        n_held
            In how many of the last steps adaptation waited.
        what
            What there is to tell of it; None: nothing, then it is looked at now and then only.
        """
        goes_on = life.status == "open" and life.steps % CONTINUED == 0
        is_due = what is not None or (life.status == "open" and life.steps in LOOKS)
        if not life.blame or not (is_due or goes_on):
            return life.kind
        top = top_of(life)
        values, usual = self._continue(life, top, evidence, n_held, step_ms)
        if not is_due or life.course is None:
            return life.kind
        is_still = bool(self._still[top, 0] > 1.0) and _stands(values[-life.steps :])
        seen = Seen(life.steps, life.course, values - usual, is_still, is_last=what == "resolved")
        return _settled(life, kind_of(seen), seen.is_last)

    def _continue(self, life: Life, top: int, evidence: Evidence, n_held: int, step_ms: Ints) -> tuple[Floats, Floats]:
        """Take up in an incident's course what came since; returns the last values and what was usual of them."""
        step, n_rows = int(step_ms[top]), self._features.n_rows(top)
        values = self._features.recent(top)
        times = evidence.time_ms - step * np.arange(len(values) - 1, -1, -1)
        usual, reach = self._features.before(top, times, step, n_held)
        course = life.course
        # another metric is most to blame by now, or values went by unseen
        if course is None or course.series != top or n_rows - course.n_rows > RING:
            beside = self._beside(top, [series for series, _ in evidence.blame], step_ms)
            noise = max(self._noise(top), _noise_before((values - usual)[: -life.steps - LEAD]))
            course = Course(top, beside, noise, self._features.offset_scale(top), reach)
        company = self._company(course.beside, times, step, n_held)
        course.take(np.column_stack([values, usual, company])[max(0, len(values) - (n_rows - course.n_rows)) :])
        course.n_rows, life.course = n_rows, course
        return values, usual

    def _beside(self, top: int, series: list[int], step_ms: Ints) -> list[int]:
        """Those of some series whose days look like the top one's, in name order."""
        n_rows = min(RING, self._features.n_rows(top))
        known = [one for one in series if step_ms[one] == step_ms[top] and self._features.n_rows(one) >= n_rows]
        others = np.array([one for one in known if one != top], np.int64)
        same = others[alike(self._features.days(np.array([top]))[0], self._features.days(others))]
        return sorted(same.tolist(), key=lambda one: self._catalog.identities[one].name)[:MOST_BESIDE]

    def _company(self, beside: list[int], times: Ints, step_ms: int, n_held: int) -> Floats:
        """How far some series are from what is usual, each in its own noise, on average; 0 where there are none."""
        away = np.zeros(len(times))
        for one in beside:
            usual = self._features.before(one, times, step_ms, n_held).usual
            away += (self._features.recent(one, len(times)) - usual) / self._noise(one) / len(beside)
        return away

    def _noise(self, series: int) -> float:
        """Standard deviation of what a series does beside what is expected of it."""
        return float(self._features.expected(series)[1] / NOISES)


def alike(day: Floats, others: Floats) -> npt.NDArray[np.bool_]:
    """Which of some profiles of the day, (n, n_slots), go up and down as another does, (n_slots,); NaN: not known."""
    known = ~np.isnan(day) & ~np.isnan(others)
    n = known.sum(axis=1)
    mine, theirs = (np.where(known, one, 0.0) for one in (day, others))
    mine, theirs = (np.where(known, one - (one.sum(axis=1) / np.maximum(n, 1))[:, None], 0.0) for one in (mine, theirs))
    together = (mine * theirs).sum(axis=1)
    alone = np.sqrt((mine**2).sum(axis=1) * (theirs**2).sum(axis=1))
    same: npt.NDArray[np.bool_] = (n >= FEWEST_SLOTS) & (together > ALIKE * alone)
    return same


def _noise_before(deviation: Floats) -> float:
    """Noise in the quieter half of what was before an incident: the other may belong to the trouble already."""
    half = len(deviation) // 2
    return min(scatter(deviation[:half]), scatter(deviation[half:])) if half >= YOUNG else 0.0


def _stands(values: Floats) -> bool:
    """Whether most of the values are the one before."""
    return len(values) < 2 or float(np.mean(np.diff(values) == 0.0)) > STUCK


def _settled(life: Life, found: Named, is_last: bool) -> IncidentKind:
    """What to call an incident that is called something already."""
    life.came_back |= found.is_back
    life.stays = is_last and found.stays
    if life.kind in BRIEF:
        return found.kind
    # what lasted, or had lasted, is no spike, not even when it is over; what stands still by now did not do so all the
    # time; and an end shows nothing new
    has_lasted = life.over >= LONG or life.came_back or life.kind == "flatline"
    is_kept = is_last or found.kind == "flatline" or (found.kind in BRIEF and has_lasted)
    return life.kind if is_kept else found.kind
