"""Who is missed: the clock of a partition, and how long each of its entities has said nothing by it.

All of this goes by arrival: what came late cannot have been missed the less.
"""

from __future__ import annotations

from numba import njit

from pipeline.kernels.clock import close_due
from pipeline.kernels.horizon import forget
from pipeline.kernels.layout import FIRST_SERIES, INNER, LEAN, N_CLOSED, N_LEARN, RHYTHM, WATERMARK

# columns of what is known of an entity's speaking
# PACE is the finest step as the last look found it: between two looks an entity may wait to be replayed; SERVICE is
# 1 + the entity at which one that comes and goes is judged, 0: none
HEARD, SILENT, BEAT, N_BEATS, HEARD_FLOW, EPHEMERAL, UNCALLED, PACE, SERVICE, N_EAR_COLUMNS = range(10)
# columns of the partition's own state; NOW is the partition clock, by which entities are missed
TOP, TOP_ENTITY, SECOND, CHECKED, RECORD_TIME, FLOW, N_HEARD, NOW, N_CLOCK_COLUMNS = range(9)
# what a notice tells of an entity
SPOKE, FELL_SILENT, MOVED = range(3)
# columns of the notices of silence: the entity, what it did, since when or when, sample and clock that showed it
NOTICE_ENTITY, NOTICE_WHAT, NOTICE_TIME, NOTICE_TRIGGER, NOTICE_CLOCK, N_NOTICE_COLUMNS = range(6)
# a pause of the whole input counts at most so much when it is asked how long the others went on without an entity
PAUSE_MS = 15_000
# spacing of looks where there is but one, because nothing comes any more
ALONE = 0
# what an entity says of so long ago is a backfill, which ends some day and is no life that could be missed
BACKFILL_MS = 3_600_000


@njit(**INNER, forceinline=True)
def tick_clock(g, e, t, slowest):
    """Advance the partition clock: the second-newest entity's time, so that one fast clock moves nobody else.

    It does not pass the clock of the slowest source, for of that one's entities nothing later can have come.
    """
    clock = g.clock
    if g.entity[e, WATERMARK] == 0:
        clock[N_HEARD] += 1
    if e == clock[TOP_ENTITY]:
        clock[TOP] = max(clock[TOP], t)
    elif t > clock[TOP]:
        clock[SECOND] = max(clock[SECOND], clock[TOP])
        clock[TOP], clock[TOP_ENTITY] = t, e
    else:
        clock[SECOND] = max(clock[SECOND], t)
    if clock[N_HEARD] == 1:
        clock[SECOND] = clock[TOP]
    clock[NOW] = max(clock[NOW], min(clock[SECOND], slowest))


@njit(**INNER)
def _notice(g, e, what, time, trigger, out):
    """Write down that an entity fell silent, moved away or spoke again."""
    out.notices[out.used[1], NOTICE_ENTITY] = e
    out.notices[out.used[1], NOTICE_WHAT] = what
    out.notices[out.used[1], NOTICE_TIME] = time
    out.notices[out.used[1], NOTICE_TRIGGER] = trigger
    out.notices[out.used[1], NOTICE_CLOCK] = g.clock[NOW]
    out.used[1] += 1


@njit(**INNER, forceinline=True)
def hear(g, e, t, trigger, out):
    """Note that entity e spoke, and for its service, if it comes and goes."""
    _hear(g, e, t, trigger, out)
    service = g.ears[e, SERVICE] - 1
    if service >= 0:
        g.entity[service, WATERMARK] = max(g.entity[service, WATERMARK], t)
        _hear(g, service, t, trigger, out)


@njit(**INNER, forceinline=True)
def _hear(g, e, t, trigger, out):
    """Note that entity e spoke, and learn how long it usually pauses: its longest recent pause, slowly forgotten."""
    pause = g.clock[NOW] - g.ears[e, HEARD]
    if g.ears[e, SILENT]:
        g.ears[e, SILENT] = 0
        _notice(g, e, SPOKE, t, trigger, out)
    if pause > 0 and g.ears[e, HEARD] > 0:
        beat = g.ears[e, BEAT]
        # One long pause is not a rhythm: once there is one, each teaches at most twice what was known.
        if g.ears[e, N_BEATS] >= N_LEARN:
            pause = min(pause, 2 * max(beat, g.ears[e, PACE]))
        g.ears[e, BEAT] = max(pause, beat - beat // 16)
        g.ears[e, N_BEATS] += 1
    g.ears[e, HEARD], g.ears[e, HEARD_FLOW], g.ears[e, UNCALLED] = g.clock[NOW], g.clock[FLOW], 0


@njit(**INNER)
def _patience(g, e, rhythms, least_ms):
    """For how long entity e may say nothing."""
    return max(rhythms * max(g.ears[e, PACE], g.ears[e, BEAT]), least_ms)


@njit(**INNER)
def _expected(g, e):
    """Whether entity e would be missed: it has a rhythm, spoke of now, and is not of a kind that comes and goes."""
    if g.ears[e, HEARD] - g.entity[e, WATERMARK] > BACKFILL_MS:
        return False
    has_cells = g.entity[e, N_CLOSED] >= 2 * N_LEARN or g.entity[e, FIRST_SERIES] < 0  # a service may have none
    earned = has_cells and g.ears[e, PACE] > 0 and g.ears[e, N_BEATS] >= N_LEARN
    return earned and g.ears[e, SILENT] == 0 and g.ears[e, EPHEMERAL] == 0


@njit(**LEAN)
def count_missing(g, n_entities, now, rhythms, least_ms):
    """Count the entities that would be missed, and those that a clock at ``now`` has outrun."""
    expected, missing = 0, 0
    for e in range(n_entities):
        if _expected(g, e):
            expected += 1
            last = max(g.ears[e, HEARD], g.entity[e, WATERMARK])
            if now - last >= _patience(g, e, rhythms, least_ms):
                missing += 1
    return expected, missing


@njit(**INNER)
def _learn_paces(g, n_entities):
    """Take over the finest step of each entity; that of a service is the finest of those that are judged at it."""
    for e in range(n_entities):
        g.ears[e, PACE] = g.entity[e, RHYTHM]
    for e in range(n_entities):
        service, pace = g.ears[e, SERVICE] - 1, g.entity[e, RHYTHM]
        if service >= 0 and pace > 0 and (g.ears[service, PACE] == 0 or pace < g.ears[service, PACE]):
            g.ears[service, PACE] = pace


@njit(**INNER)
def find_silent(g, n_entities, limits, trigger, out):
    """Find the entities whose own rhythm the partition clock has outrun since their last record.

    When most are missing at once, it may be that a few were quicker to send what an outage held back: then the
    others must also have gone on without them for as long in record time, pauses of the whole input not counted.
    Limits are rhythms of silence, least silence in ms, and the spacing of looks in ms; ALONE: nobody was quicker.
    """
    rhythms, least_ms, look_ms = limits
    now = g.clock[NOW]
    _learn_paces(g, n_entities)
    expected, missing = count_missing(g, n_entities, now, rhythms, least_ms)
    if missing == 0:
        return
    doubtful = 2 * missing > expected and look_ms != ALONE
    for e in range(n_entities):
        patience = _patience(g, e, rhythms, least_ms)
        if not _expected(g, e) or now - max(g.ears[e, HEARD], g.entity[e, WATERMARK]) < patience:
            continue
        if doubtful and g.clock[FLOW] - g.ears[e, HEARD_FLOW] < patience:
            continue
        g.ears[e, SILENT] = 1
        close_due(g, e, now, trigger, out)
        what = MOVED if g.ears[e, UNCALLED] else FELL_SILENT
        if what == MOVED:
            forget(g, e)
        _notice(g, e, what, g.entity[e, WATERMARK], trigger, out)


@njit(**LEAN)
def tick(g, n_entities, now, limits, trigger, out):
    """Advance the partition clock to ``now`` without a record; write the silences that this shows."""
    g.clock[NOW] = max(g.clock[NOW], now)
    find_silent(g, n_entities, limits, trigger, out)
