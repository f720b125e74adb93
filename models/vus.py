"""VUS-PR: the volume under the range-aware precision-recall surface, in O(n log n) instead of hours.

Definition: Paparrizos et al., "Volume Under the Surface", VLDB 2022, in the form that TSB-AD 1.5 computes (version
``opt``): labels get soft shoulders of every width up to a window, recall is damped by the share of events that were
met, and the areas under precision over recall are averaged over the widths. The TSB-AD package itself pulls in deep
learning frameworks for this one number; a test holds this file to that package where it is installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["period", "segments", "vus_pr"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

N_THRESHOLDS = 250
# how the period of a series is sought: in its first rows, at lags of this range
ROWS_LOOKED_AT, FIRST_LAG, LAST_LAG = 20_000, 3, 400
LONGEST_PERIOD, NO_PERIOD = 300, 125
# values that differ less are equal, so that noise of the last bits finds no period
PERIOD_DIGITS = 6


def segments(label: npt.ArrayLike) -> list[tuple[int, int]]:
    """Runs of ones in a 0/1 array, as (first row, row after the last)."""
    steps = np.diff(np.concatenate([[0], np.asarray(label, np.int64), [0]]))
    return list(zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True))


def period(values: npt.ArrayLike) -> int:
    """Rows of the strongest rhythm of a series, the window that TSB-AD takes for it; 125 where there is none.

    Parameters
    ----------
    values
        The series (of several: the first), shape (n_rows,).
    """
    x = np.asarray(values, np.float64)[:ROWS_LOOKED_AT].round(PERIOD_DIGITS)
    x = x - x.mean()
    size = 1 << (2 * len(x) - 1).bit_length()
    power = np.abs(np.fft.rfft(x, size)) ** 2
    correlation = np.fft.irfft(power, size)[FIRST_LAG : min(LAST_LAG + 1, len(x))]
    inner = correlation[1:-1]
    peaks = 1 + np.flatnonzero((inner > correlation[:-2]) & (inner > correlation[2:]))
    if not len(peaks) or not power.any():
        return NO_PERIOD
    strongest = int(peaks[np.argmax(correlation[peaks])])
    return strongest + FIRST_LAG if FIRST_LAG <= strongest <= LONGEST_PERIOD else NO_PERIOD


def vus_pr(label: npt.ArrayLike, score: npt.ArrayLike, window: int) -> float:
    """Volume under the range precision-recall surface, at 250 thresholds spread evenly over the ranks.

    Parameters
    ----------
    label
        0 or 1, shape (n_rows,), with at least one 1.
    score
        Higher is more anomalous, shape (n_rows,); finite.
    window
        Widest shoulder in rows: see :func:`period`.

    Raises
    ------
    ValueError
        There is no labelled row, or a score is not finite.
    """
    labels, scores = np.asarray(label, np.int64), np.asarray(score, np.float64)
    if not labels.any():
        raise ValueError("VUS-PR needs at least one labelled row")
    if not np.isfinite(scores).all():
        raise ValueError("VUS-PR needs finite scores")
    thresholds = -np.sort(-scores)[np.linspace(0, len(scores) - 1, N_THRESHOLDS).astype(np.int64)]
    n_over = len(scores) - np.searchsorted(np.sort(scores), thresholds, "left")
    events = segments(labels)
    # every shoulder lies within the widest: no other row can be a true positive
    near = np.flatnonzero(_shoulders(labels, events, window))
    order = near[np.argsort(-scores[near], kind="stable")]
    upto = np.searchsorted(-scores[order], -thresholds, "right")
    inside = _running(labels[order])[upto]
    areas = []
    for width in range(window + 1):
        hits = _running(_shoulders(labels, events, width)[order])[upto]
        n_true = labels.sum() + 0.5 * (hits - inside)
        recall = np.minimum(hits / n_true, 1.0) * _share_met(events, scores, width, thresholds)
        areas.append(np.dot(np.diff(recall, prepend=0.0), hits / n_over))
    return float(np.mean(areas))


def _shoulders(label: Ints, events: list[tuple[int, int]], width: int) -> Floats:
    """Labels that fade out over half a width on both sides of each event; where two meet they add up, to 1 at most."""
    soft = label.astype(np.float64)
    half = width // 2
    fade = np.sqrt(1.0 - np.arange(1, half + 1) / max(width, 1))
    for start, end in events:
        after, before = min(half, len(label) - end), min(half, start)
        soft[end : end + after] += fade[:after]
        soft[start - before : start] += fade[:before][::-1]
    return np.minimum(soft, 1.0)


def _share_met(events: list[tuple[int, int]], score: Floats, width: int, thresholds: Floats) -> Floats:
    """Share of events, shoulders included and merged where they touch, with a row over each threshold."""
    half = width // 2
    merged: list[list[int]] = []
    for start, end in events:
        if merged and merged[-1][1] + half >= start - half + 1:
            merged[-1][1] = end
        else:
            merged.append([start, end])
    peaks = np.sort([score[max(0, start - half) : end + half].max() for start, end in merged])
    share: Floats = (len(peaks) - np.searchsorted(peaks, thresholds, "left")) / len(peaks)
    return share


def _running(values: npt.NDArray[Any]) -> Floats:
    """Sums of the first 0, 1, 2, … values."""
    return np.concatenate([[0.0], np.cumsum(values)])
