"""What kind of trouble it is, from the course of the metric most to blame: since an hour before, beside its usual day.

::

    spike, dip        a deviation that is over soon, or too young to tell       ──╱╲──
    variance          both sides in turn, far wider than its noise              ──╱╲╱╲
    flatline          no change at all, for longer than ever                    ──────
    trend             it grew, without a first jump                             ──╱╱──
    season            it and its company are where they often are, but at another hour
    correlation       its company goes on as usual, and it does not go along
    level_shift       it goes along with day and company, further up or down    ──┌───

What is read is the stretch of the course that weighs most, whether it goes on or has come to an end: so a fault that
is found by the way back is called by what ended. A growth and a metric that goes against its company look alike within
an hour; which of the two leaves less of the course unexplained is the name.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.course import Course, scatter
from pipeline.incident import IncidentKind

__all__ = ["BRIEF", "LEAD", "STUCK", "YOUNG", "Named", "Seen", "kind_of"]

Floats = npt.NDArray[np.float64]

# kinds of a deviation that is over or young
BRIEF = frozenset({"spike", "dip"})
# steps before the first anomalous one that may belong to the trouble already
LEAD = 3
# steps from which on there is anything to read, and from which on a deviation is none that is over soon
YOUNG, GROWN = 6, 12
# share of the greatest deviation below which it is over
OVER = 0.35
# times its noise that a restless metric scatters from step to step, more by such a share of so many steps, for few are
# wide by chance; it changes sides every fourth step at least
WILD, FEW, CHANGES = 1.75, 3.0, 0.25
# times the offset that a series often has for a while, to be away from before an incident began
OFTEN_AWAY = 2.0
# share of equal neighbours in a stretch that stood still
STUCK = 0.8
# a trend has no step of means of so many rows as large as such a share of its end, and grows by such a share of its
# mean at least, so many times more than the scatter around it lets a line grow by chance (noise has a memory)
JUMP_ROWS, JUMP, GROWTH, CHANCE = 5, 0.6, 0.1, 6.0
# noises beyond the profile of the day at which a value is still where the series often is, and from which on company
# is away itself
REACH, AWAY = 3.0, 3.0
# how far a metric goes for each unit that day and company go, to go along; less than a half, for company has its noise
ALONG = 0.15
# the most that a metric goes against its company, and how much less of a growth that must leave unexplained
AGAINST, BETTER = -1.2, 0.85


class Seen(NamedTuple):
    """What is known of the metric most to blame.

    ``n_steps`` is how old the incident is; ``latest`` are deviations of the last single steps from what is usual,
    oldest first; ``is_still`` says that it has not changed for longer than ever, ``is_last`` that nothing will be seen
    any more, for the incident resolves.
    """

    n_steps: int
    course: Course
    latest: Floats
    is_still: bool = False
    is_last: bool = False


class Named(NamedTuple):
    """A kind.

    ``is_back`` says that it had ended when the incident began, so what stood out is the way back; ``stays`` that it
    lasts and goes on.
    """

    kind: IncidentKind
    is_back: bool = False
    stays: bool = False


class _Stretch(NamedTuple):
    """Rows [begin, end) of a course in which it is away, up (1) or down (-1)."""

    begin: int
    end: int
    sign: int


def kind_of(seen: Seen) -> Named:
    """Name what happened."""
    since = seen.latest[-seen.n_steps :]
    rows = seen.course.rows()
    if seen.is_still and _stopped(rows[:, 0], seen.course.noise):
        return Named("flatline")
    if _is_restless(since, seen.course.noise):
        return Named("variance")
    deviation = rows[:, 0] - rows[:, 1]
    stretch = _weightiest(seen, deviation) if len(rows) >= YOUNG + LEAD else None
    if stretch is None:
        return Named(_brief(seen))
    is_over = (len(rows) - stretch.end) * seen.course.stride >= LEAD
    kind = _kind_of_stretch(seen, rows, stretch, is_over)
    is_back = kind not in BRIEF and _is_way_back(seen, deviation, stretch)
    return Named(kind, is_back, kind not in BRIEF and not is_back and not is_over)


def _kind_of_stretch(seen: Seen, rows: Floats, stretch: _Stretch, is_over: bool) -> IncidentKind:
    """Name a stretch."""
    begin, end = stretch.begin, stretch.end
    n_steps, away = (end - begin) * seen.course.stride, rows[begin:end]
    if n_steps < YOUNG or (is_over and n_steps < GROWN):
        return _brief(seen)
    is_stuck = n_steps >= GROWN and end - begin > 1 and float(np.mean(np.diff(away[:, 0]) == 0.0)) > STUCK
    if is_stuck and _is_near(rows[:begin, 0], float(away[0, 0]), seen.course.noise):
        return "flatline"
    kind = _lasting(seen.course, rows, stretch)
    return kind if n_steps >= GROWN or seen.is_last or kind == "trend" else _brief(seen)


def _lasting(course: Course, rows: Floats, stretch: _Stretch) -> IncidentKind:
    """Name a stretch that lasts: of the explanations, the one that leaves least of it unexplained."""
    begin, end, sign = stretch
    values, usual, company = rows[begin:end].T
    motion = usual - usual.mean() + course.noise * (company - company.mean())
    moved = values - values.mean()
    along = float(motion @ moved) / max(float(motion @ motion), 1e-300)
    growth, unexplained = _growth(sign * (moved - motion))
    level = float(np.mean(sign * (values - usual)))
    by_chance = CHANCE * unexplained * float(np.sqrt(12.0 / len(values)))
    grows = growth > max(GROWTH * level, by_chance) and _jump(sign * (rows[:, 0] - rows[:, 1]), stretch) < JUMP
    is_inside = _is_inside(course, values)
    if is_inside and course.beside and float(np.median(np.abs(company))) > AWAY:
        return "season"
    against = _rms(moved - min(max(along, AGAINST), 0.0) * motion)
    if grows:
        # what leaves where it ever is has no company to be out of
        return "correlation" if course.beside and is_inside and against < BETTER * unexplained else "trend"
    if course.beside:
        parts = along < ALONG if is_inside else against < BETTER * _rms(moved - motion)
        return "correlation" if parts else "level_shift"
    return "season" if is_inside and along < ALONG else "level_shift"


def _growth(deviation: Floats) -> tuple[float, float]:
    """How far the straight line through a deviation climbs, and how far the deviation is from it, root mean square.

    Of a single row, which stands for many steps in a long course, nothing is known to climb.
    """
    at = np.arange(len(deviation)) - (len(deviation) - 1) / 2.0
    slope = float(at @ deviation) / max(float(at @ at), 1e-300)
    return slope * (len(deviation) - 1), _rms(deviation - deviation.mean() - slope * at)


def _jump(deviation: Floats, stretch: _Stretch) -> float:
    """The largest step up on the way into a stretch and in it, as a share of how far it gets."""
    way = deviation[max(0, stretch.begin - JUMP_ROWS) : stretch.end]
    if len(way) <= 2 * JUMP_ROWS:
        return 0.0
    means = np.convolve(way, np.full(JUMP_ROWS, 1.0 / JUMP_ROWS), "valid")
    furthest = np.sort(deviation[stretch.begin : stretch.end])
    return float((means[JUMP_ROWS:] - means[:-JUMP_ROWS]).max() / np.median(furthest[-max(3, len(furthest) // 3) :]))


def _is_inside(course: Course, values: Floats) -> bool:
    """Whether most of the values are where the series is at some hour of its day."""
    if course.reach is None:
        return False
    low, high = np.percentile(values, (20, 80))
    slack = REACH * course.noise
    return bool(course.reach[0] - slack <= low and high <= course.reach[1] + slack)


def _stopped(values: Floats, noise: float) -> bool:
    """Whether what stands still does so where it was before; what jumped to where it stands has moved."""
    moves = np.flatnonzero(np.diff(values))
    return _is_near(values[: moves[-1] + 1], float(values[-1]), noise) if len(moves) else True


def _is_near(before: Floats, value: float, noise: float) -> bool:
    """Whether a value is near the last ones before it, if there are any."""
    return not len(before) or abs(value - float(np.median(before[-JUMP_ROWS:]))) <= REACH * noise


def _is_restless(since: Floats, noise: float) -> bool:
    """Whether it goes from side to side, and far wider than its noise does."""
    if len(since) < YOUNG:
        return False
    changes = np.count_nonzero(np.diff(np.sign(since - np.median(since))))
    by_chance = 1.0 + FEW / len(since)
    return bool(scatter(since) > WILD * by_chance * noise and changes >= CHANGES * len(since))


def _weightiest(seen: Seen, deviation: Floats) -> _Stretch | None:
    """The stretch of a deviation that weighs most, of those that an incident may be about."""
    smooth, began = _smooth(deviation), int(_began(seen, deviation, LEAD))
    least = OVER * max(float(np.abs(smooth).max()), float(np.abs(deviation[began:]).max()))
    stretches = [
        _Stretch(int(begin), int(end), sign)
        for sign in (1, -1)
        for begin, end in _runs(np.maximum(sign * deviation, sign * smooth) > least)
    ]
    candidates = [one for one in stretches if _concerns(seen, deviation, one)]
    return max(candidates, key=lambda one: float(np.abs(deviation[one.begin : one.end]).sum()), default=None)


def _concerns(seen: Seen, deviation: Floats, stretch: _Stretch) -> bool:
    """Whether an incident may be about a stretch.

    One that was there before must be further away than the series often is for a while; one that was over before the
    incident began must have ended in what is usual, or else the incident is about what followed.
    """
    level = float(deviation[stretch.begin : stretch.end].mean())
    if stretch.end <= _began(seen, deviation, LEAD):
        return False
    if stretch.begin < int(_began(seen, deviation, LEAD)) and abs(level) <= OFTEN_AWAY * seen.course.offset:
        return False
    return stretch.end > _began(seen, deviation) or _is_at_usual(seen, level)


def _began(seen: Seen, deviation: Floats, lead: int = 0) -> float:
    """At which row of a course the incident began, or so many steps before."""
    return max(0.0, len(deviation) - (seen.n_steps + lead) / seen.course.stride)


def _is_at_usual(seen: Seen, level: float) -> bool:
    """Whether the last values are where they usually are, beside a level that is away."""
    return abs(float(np.median(seen.latest[-min(LEAD, seen.n_steps) :]))) < OVER * abs(level)


def _runs(away: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Begins and ends of runs of true, shape (n_runs, 2); a single false between two true is taken for true."""
    filled = away.copy()
    filled[1:-1] |= away[:-2] & away[2:]
    return np.flatnonzero(np.diff(filled.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)


def _smooth(values: Floats) -> Floats:
    """Medians of three neighbours."""
    wide = np.concatenate([values[:1], values, values[-1:]])
    smooth: Floats = np.median(np.lib.stride_tricks.sliding_window_view(wide, 3), axis=1)
    return smooth


def _is_way_back(seen: Seen, deviation: Floats, stretch: _Stretch) -> bool:
    """Whether a stretch that had lasted was over when the incident began."""
    stride, began = seen.course.stride, _began(seen, deviation)
    lasted = (began - stretch.begin) * stride >= GROWN and stretch.end <= began + LEAD / stride
    return lasted and _is_at_usual(seen, float(np.median(deviation[stretch.begin : stretch.end])))


def _brief(seen: Seen) -> IncidentKind:
    """A spike or a dip: by the furthest that it went from where it was before."""
    before, since = seen.latest[: -seen.n_steps - LEAD], seen.latest[-seen.n_steps - LEAD :]
    change = since - (float(np.median(before)) if len(before) else 0.0)
    return "spike" if float(change[np.argmax(np.abs(change))]) > 0.0 else "dip"


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))
