"""The one line that is read at 3 a.m.: what, where, how much and since when; and once it is over, what it was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pipeline.amounts import amount, band, number
from pipeline.exhaustion import Outlook
from pipeline.incident import ContributingMetric, IncidentKind, Reason
from pipeline.life import Life

__all__ = ["title_of"]

# kinds that may go on when nothing stands out any more
LASTING = ("level_shift", "trend", "season", "correlation")
# what a metric does when an incident opens and it is still there, and while the incident goes on, with its value and
# its start to be put in
FIRST = {
    "spike": "jumped to {now} since {since}",
    "dip": "fell to {now} since {since}",
    "level_shift": "moved to a new level of {now} since {since}",
    "trend": "has been drifting since {since}, now {now}",
    "variance": "has been unusually restless since {since}, now {now}",
    "flatline": "is stuck at {now} since {since}",
    "season": "broke its daily rhythm at {now} since {since}",
    "correlation": "has not gone with the others since {since}, now {now}",
}
LATER = {
    **FIRST,
    "spike": "jumped at {since} and is {now} now",
    "dip": "fell at {since} and is {now} now",
    "level_shift": "moved to a new level at {since} and is {now} now",
    "season": "broke its daily rhythm at {since} and is {now} now",
}
# and what it did
PAST = {
    "spike": "jumped",
    "dip": "fell",
    "level_shift": "was at a new level",
    "trend": "drifted",
    "variance": "was unusually restless",
    "flatline": "was stuck",
    "season": "was out of its daily rhythm",
    "correlation": "did not go with the others",
}
# and what it did until it came back, where the way back is what stood out
UNTIL = "{was} until {since} and is {now} now"
# ends that are no recovery
ENDS: dict[str, str] = {
    "timeout": "taken for the new normal from now on",
    "moved": "its records go to another partition now",
    "retracted": "late data shows that it was nothing",
}
# what is said at the end of what goes on
STAYS = "that goes on, but stands out no more"
# beside the metric most to blame, those are counted that carry so large a share of what it carries
WORTH_COUNTING = 0.25
# hours in a minute, an hour and a day, and below how many hours each is used
SPANS = ((1 / 60, "min", 3.0), (1.0, "h", 72.0), (24.0, "d", float("inf")))


def title_of(entity: str, life: Life, metrics: Sequence[ContributingMetric], reason: Reason) -> str:
    """Say what is to be said of a life at one of its turns.

    Parameters
    ----------
    entity
        Whose it is.
    life
        Of which track, kind and status.
    metrics
        Those to blame, most first.
    reason
        Why it is told now; of an end, what ended it.
    """
    is_over = life.status == "resolved" and reason not in ENDS
    start = _clock(life.started_ms, life.ended_ms if is_over else life.updated_ms)
    when = f"from {start} to {_clock(life.ended_ms, life.ended_ms)} UTC" if is_over else f"since {start} UTC"
    since = f"{start} UTC"
    when = f"until {since}" if is_over and _is_back(life) else when
    if life.track == "silence" or not metrics:
        said = f"{_unnamed(life)} {when}"
    else:
        said = f"{metrics[0].metric} {_was(life, metrics, when, since) if is_over else _is(life, metrics, since)}"
    end = f": {ENDS[reason]}" if life.status == "resolved" and not is_over else ""
    return f"{entity}: {said}{end}"


def _is(life: Life, metrics: Sequence[ContributingMetric], since: str) -> str:
    """What the first metric does."""
    if life.outlook is not None:
        return _outlook(life.outlook)
    words = FIRST if life.revision == 1 and _is_there(life.kind, metrics[0]) else LATER
    phrase = UNTIL if _is_back(life) else words[life.kind]
    now = amount(metrics[0].value, metrics[0].unit)
    return f"{phrase.format(was=PAST[life.kind], now=now, since=since)}{_usually(metrics)}"


def _is_there(kind: IncidentKind, top: ContributingMetric) -> bool:
    """Whether the last value is where it went, so far as that is known: it may be back already."""
    if top.value is None or top.lower is None or top.upper is None:
        return True
    above, below = top.value > top.upper, top.value < top.lower
    return above if kind == "spike" else below if kind == "dip" else above or below


def _was(life: Life, metrics: Sequence[ContributingMetric], span: str, since: str) -> str:
    """What the first metric did."""
    if life.stays and life.kind in LASTING and not _is_back(life):
        said = LATER[life.kind].format(now=amount(metrics[0].value, metrics[0].unit), since=since)
        return f"{said}{_others(metrics)}: {STAYS}"
    now = f"now {amount(metrics[0].value, metrics[0].unit)}"
    if life.outlook is not None:
        return f"{'no longer runs out' if life.outlook.left else 'no longer fills'}, {now}"
    return f"{PAST[life.kind]} {span}, {now}{_usually(metrics)}"


def _is_back(life: Life) -> bool:
    """Whether a kind that lasts is told that was over when it was found."""
    return life.came_back and life.kind in (*LASTING, "flatline")


def _unnamed(life: Life) -> str:
    """What is wrong where there is no metric to name: all are silent, or a recovery knows none any more."""
    if life.track == "silence":
        return "no telemetry"
    return "a limit within reach" if life.track == "exhaustion" else "unusual behaviour"


def _usually(metrics: Sequence[ContributingMetric]) -> str:
    """What is usual of the first metric, and how many others there are to look at."""
    top = metrics[0]
    usual = "" if top.lower is None else f", usually {band(top.lower, top.upper, top.unit)} at this hour"
    return f"{usual}{_others(metrics)}"


def _others(metrics: Sequence[ContributingMetric]) -> str:
    """How many metrics there are to look at beside the first."""
    others = sum(one.share >= WORTH_COUNTING * metrics[0].share for one in metrics[1:])
    return f" (and {others} more metric{'s' if others > 1 else ''})" if others else ""


def _clock(time_ms: int, now_ms: int) -> str:
    """Time of the day, with its date unless that is today's."""
    time, now = (datetime.fromtimestamp(at / 1000, UTC) for at in (time_ms, now_ms))
    return f"{time:%H:%M}" if time.date() == now.date() else f"{time:%Y-%m-%d %H:%M}"


def _outlook(outlook: Outlook) -> str:
    """``full in 6 h (4–11 h), now 82 %``: shares are of the limit; what counts down is used up instead of full."""
    end = "used up" if outlook.left else "full"
    now = f"now {number(100.0 * outlook.used / outlook.limit)} %{' left' if outlook.left else ''}"
    if outlook.full_ms <= outlook.time_ms:
        return f"is {end}, {now}"
    hours = [(at - outlook.time_ms) / 3.6e6 for at in (outlook.full_ms, outlook.earliest_ms, outlook.latest_ms)]
    size, sign = next((size, sign) for size, sign, most in SPANS if hours[0] < most)
    middle, low, high = (round(one / size) for one in hours)
    return f"{end} in {middle} {sign} ({low}–{high} {sign}), {now}"
