"""Notes of what the last rows of a series changed in its seasons, by which late data takes it back.

A note lies at its row's number modulo n_notes: in ``note_at`` (n_series, n_notes, 2) which slot of the day the row
moved and which hour of the week was being visited, from 1; in ``note_day`` (n_series, n_notes, 2) and ``note_week``
(n_series, n_notes) what stood there before. Settled copies of all slots and hours would be five times as large.
"""

from __future__ import annotations

from numba import njit

from pipeline.kernels.layout import INNER, LEAN
from pipeline.kernels.season import MOST_SLOT_ROWS


@njit(**INNER, forceinline=True)
def note(b, i, n, slot, hour):
    """Note what the n-th row of series ``i`` may change: a slot of the day, and the hour that it may leave."""
    n_notes = b.note_at.shape[1]
    if n_notes > 0:
        at = n % n_notes
        b.note_at[i, at, 0], b.note_at[i, at, 1] = slot, hour
        b.note_day[i, at, 0], b.note_day[i, at, 1] = b.day[i, slot, 0], b.day[i, slot, 1]
        b.note_week[i, at] = b.week[i, hour - 1] if hour > 0 else 0


@njit(**LEAN)
def undo(series, had, stay, b):
    """Undo what all rows from the ``stay``-th on changed, the last first.

    Parameters
    ----------
    series : int64[n]
    had, stay : float64[n]
        How many rows there were, and are to stay; no more are to go than the notes reach back.
    b : BaselineState
    """
    n_notes = b.note_at.shape[1]
    for j in range(series.size):
        i = series[j]
        for n in range(int(had[j]) - 1, int(stay[j]) - 1, -1):
            at = n % n_notes
            slot, hour = b.note_at[i, at, 0], b.note_at[i, at, 1]
            b.day[i, slot, 0], b.day[i, slot, 1] = b.note_day[i, at, 0], b.note_day[i, at, 1]
            if b.seen[i, slot] < MOST_SLOT_ROWS:  # as many rows come again: one that is full will be full
                b.seen[i, slot] -= 1
            if hour > 0:
                b.week[i, hour - 1] = b.note_week[i, at]
