"""What kind of trouble it is, from the last values of the metric most to blame: before the incident, and since.

::

    spike, dip        a deviation that is over, or too young to tell        ──╱╲──
    level_shift       it stays, further out than the series usually goes    ──┌───
    season            it stays where the series often is, at another hour
    correlation       so it does, while others whose days look like its own go on as usual
    trend             it grows, without a first jump                        ──╱╱──
    variance          both sides in turn, about as far                      ──╱╲╱╲
    flatline          no change at all, for longer than ever
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.baselines import FEATURE_NAMES
from pipeline.incident import IncidentKind

__all__ = ["BRIEF", "LONG", "LOOKS", "TELLING", "alike", "ended", "kind_of"]

Floats = npt.NDArray[np.float64]

# features that tell a kind, as columns of the feature matrix
TELLING = tuple(FEATURE_NAMES.index(name) for name in ("beyond", "flat", "shift"))
# kinds of a deviation that is over or young
BRIEF = frozenset({"spike", "dip"})
# at which steps of an incident its kind is looked at anew
LOOKS = (8, 14, 25, 45)
# steps over the threshold from which on an incident is no brief one
LONG = 20
# rows before the first anomalous one that may belong to the trouble already, and rows of before that must be known
LEAD, FEWEST_BEFORE = 3, 6
# rows from which on it can be told whether a deviation stays, and whether it is out of its hour or its company for good
YOUNG, GROWN = 6, 12
# shares of the greatest deviation below which one is over, and above which the other side counts too
OVER, BOTH_SIDES = 0.35, 0.4
# where the day's profile moves by so many times the noise, it can be told whether the series goes with it, and it does
# where it moves at least so far for each unit
TELLING_SPREAD, GOES_WITH = 3.0, 0.5
# of the band between the borders, how far beyond one is further out than a series goes
FAR = 0.1
# scales that a series' offset was away at least to have come back, and how many equal values call it stuck
WAS_AWAY, STUCK = 2.0, 10
# two series have the same day where their profiles are so correlated, over so many slots at least
ALIKE, FEWEST_SLOTS = 0.8, 20
# a trend's first third is at most so large a share of its last; its largest step so large a share of its whole rise;
# and of that at least so much lies between the halves of its last third, where one that jumped a while ago is level
FIRST_THIRD, LARGEST_STEP, GOES_ON = 0.4, 0.35, 0.05


def kind_of(
    n_steps: int, recent: Floats, features: npt.NDArray[np.floating], usual: Floats, parted: bool
) -> IncidentKind:
    """Name what happened.

    Parameters
    ----------
    n_steps
        How many steps the incident is old, its first anomalous one counted.
    recent
        Last values of the metric most to blame, oldest first, shape (n_values,).
    features
        Its latest features, those that are ``TELLING``.
    usual
        What the profile of the day says of the last values, shape (n_values,).
    parted
        Whether others of the entity whose days look like its own go on as usual.
    """
    beyond, flat, shift = features
    if flat > 1.0:
        return "flatline"
    cut = _cut(n_steps, len(recent))
    before, since = recent[:cut], recent[cut:]
    deviation = since - (float(np.median(before)) if len(before) else 0.0)
    farthest = float(deviation[np.argmax(np.abs(deviation))]) if len(deviation) else 0.0
    single: IncidentKind = "spike" if farthest > 0 else "dip"
    now = float(np.median(deviation[-3:]))
    if n_steps >= YOUNG and _both_sides(deviation, abs(farthest)):
        return "variance"
    if _grows(recent, shift):
        return "trend"
    away = float(np.median((recent - usual)[-3:]))
    # what is young, over, or came back to where it usually is at this hour
    if n_steps < YOUNG or abs(now) < OVER * abs(farthest) or abs(away) < OVER * abs(now):
        return single
    if _late(deviation[LEAD:]):
        return "trend"
    if abs(beyond) > FAR or _slope(since[LEAD:], usual[cut + LEAD :]) > GOES_WITH:
        return "level_shift"
    if n_steps < GROWN:
        return single
    return "correlation" if parted else "season"


def ended(
    n_steps: int, recent: Floats, features: npt.NDArray[np.floating], usual: Floats, parted: bool
) -> IncidentKind | None:
    """Name what ended where an incident is the way back to what is usual; None where it is not. Parameters as above."""
    cut = _cut(n_steps, len(recent))
    values, away = recent[:cut], recent - usual
    was, now = (float(np.median(some)) if len(some) else 0.0 for some in (away[:cut], away[-min(3, n_steps) :]))
    shift = float(features[-1])
    is_back = abs(now) < OVER * abs(was) and abs(was) > OVER * float(np.abs(away).max())
    if cut < 2 * YOUNG or not is_back or shift * np.sign(was) < WAS_AWAY:
        return None
    if np.ptp(values[-STUCK:]) == 0.0:
        return "flatline"
    if _grows(away[:cut], was):
        return "trend"
    slope = _slope(values, usual[:cut])
    if np.isnan(slope) or slope > GOES_WITH:
        return "level_shift"
    return "correlation" if parted else "season"


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


def _cut(n_steps: int, n_values: int) -> int:
    """How many of the last values were before the incident."""
    cut = max(0, n_values - n_steps - LEAD)
    return cut if cut >= FEWEST_BEFORE else min(FEWEST_BEFORE, n_values // 2)


def _slope(since: Floats, usual: Floats) -> float:
    """How far the values go for each unit that the day's profile goes; NaN where that cannot be told."""
    if len(since) < YOUNG:
        return float("nan")
    spread, noise = float(np.ptp(usual)), float(np.std(np.diff(since))) / np.sqrt(2.0)
    moves = usual - usual.mean()
    return float(moves @ since) / float(moves @ moves) if spread > TELLING_SPREAD * noise else float("nan")


def _both_sides(deviation: Floats, farthest: float) -> bool:
    """Whether it goes both ways about as far, and often."""
    middle = deviation - np.median(deviation)
    least = BOTH_SIDES * farthest
    crossings = int((np.diff(np.sign(middle)) != 0).sum())
    return bool(middle.max() > least and -middle.min() > least and 3 * crossings >= len(deviation))


def _grows(recent: Floats, shift: float) -> bool:
    """Whether all of the last values lie on a slope away from what is usual, with no jump in it."""
    n = len(recent)
    if n < 3 * YOUNG:
        return False
    at = np.arange(n) - (n - 1) / 2.0
    slope = float(at @ recent) / float(at @ at)
    rise = slope * (n - 1)
    rest = recent - recent.mean() - slope * at
    jump = float(np.abs(np.diff(recent)).max())
    last = recent[-(n // 3) :]
    goes_on = float(np.median(last[len(last) // 2 :]) - np.median(last[: len(last) // 2])) / rise if rise else 0.0
    is_slope = abs(rise) > 4.0 * float(rest.std()) and jump < LARGEST_STEP * abs(rise)
    return is_slope and goes_on > GOES_ON and rise * shift > 0.0


def _late(deviation: Floats) -> bool:
    """Whether the first third of a deviation is small beside its last."""
    third = max(1, len(deviation) // 3)
    return abs(float(deviation[:third].mean())) < FIRST_THIRD * abs(float(deviation[-third:].mean()))
