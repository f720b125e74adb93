"""The score of the Numenta Anomaly Benchmark, v1.1: early detection is worth more, false alarms cost by distance.

Definition: Lavin & Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms", ICMLA 2015, and the cost profiles that
come with the benchmark. One threshold, the best there is, serves the whole corpus; rows of the probationary period
(the first 15 %, 750 at most) are neither rewarded nor punished; 0 is a detector that says nothing, 100 a perfect one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["PROFILES", "Outcome", "Profile", "Rewards", "nab_score", "rewards"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PROBATION_SHARE, PROBATION_ROWS = 0.15, 750.0
FAR_PAST = 3.0
OUTSIDE = -1


@dataclass(frozen=True, slots=True)
class Profile:
    """What a hit earns, and what a miss and a false alarm cost."""

    hit: float
    miss: float
    false_alarm: float


PROFILES = {
    "standard": Profile(1.0, 1.0, 0.11),
    "reward_low_FP_rate": Profile(1.0, 1.0, 0.22),
    "reward_low_FN_rate": Profile(1.0, 2.0, 0.11),
}


@dataclass(frozen=True, slots=True)
class Rewards:
    """What an alarm on each row of one series would be worth, before the weights of a profile.

    Arrays have shape (n_rows,): ``window`` is the number of the labelled window, -1 outside; ``worth`` lies in
    (0, 1] inside a window and in [-1, 0] outside; ``counts`` is False in the probationary period.
    """

    window: Ints
    worth: Floats
    counts: npt.NDArray[np.bool_]
    n_windows: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The NAB score at its best threshold (an alarm is a score at or above it)."""

    score: float
    threshold: float


def rewards(n_rows: int, windows: Sequence[tuple[int, int]]) -> Rewards:
    """Lay out what alarms on a series are worth.

    Parameters
    ----------
    n_rows
        Length of the series.
    windows
        First and last row (included) of each labelled window, in order of time.
    """
    window, worth = np.full(n_rows, OUTSIDE), np.full(n_rows, -1.0)
    for number, (first, last) in enumerate(windows):
        width = last - first + 1
        window[first : last + 1] = number
        worth[first : last + 1] = _sigmoid(-np.arange(width, 0, -1) / width) / _sigmoid(np.array([-1.0]))
        until = windows[number + 1][0] if number + 1 < len(windows) else n_rows
        worth[last + 1 : until] = _sigmoid(np.arange(1, until - last) / max(width - 1, 1e-9))
    probation = int(min(np.floor(PROBATION_SHARE * n_rows), PROBATION_ROWS))
    return Rewards(window, worth, np.arange(n_rows) >= probation, len(windows))


def nab_score(
    laid_out: Sequence[Rewards], scores: Sequence[npt.ArrayLike], profile: Profile, threshold: float | None = None
) -> Outcome:
    """The normalised score of a corpus under one threshold.

    Parameters
    ----------
    laid_out
        One for each series.
    scores
        Anomaly scores of the same series, higher is more anomalous, each of shape (n_rows,).
    profile
        Costs.
    threshold
        As found on a larger corpus; None: the best there is for this one.
    """
    score, gain, n_windows = _changes(laid_out, scores, profile)
    order = np.argsort(-score, kind="stable")
    score, gain = score[order], gain[order]
    total = -profile.miss * n_windows + np.cumsum(gain)
    last_of_threshold = np.flatnonzero(np.append(score[1:] != score[:-1], True))
    nothing, perfect = -profile.miss * n_windows, profile.hit * n_windows
    if threshold is None:
        best = int(last_of_threshold[np.argmax(total[last_of_threshold])])
        reached, threshold = float(total[best]), float(score[best])
    else:
        reached = nothing + float(gain[score >= threshold].sum())
    return Outcome(100.0 * (reached - nothing) / (perfect - nothing), threshold)


def _changes(
    laid_out: Sequence[Rewards], scores: Sequence[npt.ArrayLike], profile: Profile
) -> tuple[Floats, Floats, int]:
    """Scores of all rows that count, and by how much the total grows once the threshold reaches each of them."""
    found, gains, n_windows = [], [], 0
    for layout, given in zip(laid_out, scores, strict=True):
        score = np.asarray(given, np.float64)
        gain = np.where(layout.window == OUTSIDE, profile.false_alarm * layout.worth, 0.0)
        for number in range(layout.n_windows):
            inside = np.flatnonzero((layout.window == number) & layout.counts)
            if not len(inside):
                continue
            # a window is worth its best alarm: of all alarms so far, from high scores to low
            falling = inside[np.argsort(-score[inside], kind="stable")]
            best = np.maximum.accumulate(profile.hit * layout.worth[falling])
            gain[falling] = np.diff(best, prepend=-profile.miss)
        n_windows += layout.n_windows
        found.append(score[layout.counts])
        gains.append(gain[layout.counts])
    return np.concatenate(found), np.concatenate(gains), n_windows


def _sigmoid(position: Floats) -> Floats:
    """NAB's scaled sigmoid: 0.99 at a window's left edge, 0 at its right, -1 far past it."""
    value: Floats = np.where(position > FAR_PAST, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(position, 9.0))) - 1.0)
    return value
