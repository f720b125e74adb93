"""Local time: where an event time stands in the day and the week of those whose load it is, summer time included."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

__all__ = ["Zone"]

Ints = npt.NDArray[np.int64]
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
HOURS_A_WEEK = 168
# 1970-01-01 was a Thursday
DAYS_SINCE_MONDAY = 3
FIRST_YEAR, LAST_YEAR = 1990, 2060


class Zone:
    """The clock of a time zone, with all its changes known beforehand.

    Parameters
    ----------
    name
        As in the IANA database: UTC, Europe/Berlin.
    """

    def __init__(self, name: str) -> None:
        self._changes, self._offsets = _changes(name)

    def local_ms(self, time_ms: Ints) -> Ints:
        """Local time of event times, as if the local clock were UTC; outside 1990 to 2060 by the nearest offset."""
        local: Ints = time_ms + self._offsets[np.searchsorted(self._changes, time_ms, "right")]
        return local


def hour_of_week(local_ms: Ints) -> Ints:
    """Hours since Monday 0:00 of local times, in [0, 168)."""
    hours: Ints = (local_ms // HOUR_MS + 24 * DAYS_SINCE_MONDAY) % HOURS_A_WEEK
    return hours


@lru_cache(maxsize=16)
def _changes(name: str) -> tuple[Ints, Ints]:
    """When the offset of a zone changes, ms since 1970, and the offsets before, between and after the changes."""
    zone = ZoneInfo(name)
    first, last = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (FIRST_YEAR, LAST_YEAR))
    changes, offsets = [], [_offset_seconds(zone, first)]
    for day in range(first, last, DAY_MS // 1000):
        low, high = day, day + DAY_MS // 1000
        if _offset_seconds(zone, high) == offsets[-1]:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _offset_seconds(zone, middle) == offsets[-1] else (low, middle)
        changes.append(high)
        offsets.append(_offset_seconds(zone, high))
    return np.array(changes, np.int64) * 1000, np.array(offsets, np.int64) * 1000


def _offset_seconds(zone: ZoneInfo, seconds: int) -> int:
    offset = datetime.fromtimestamp(seconds, zone).utcoffset()
    return round(offset.total_seconds()) if offset else 0
