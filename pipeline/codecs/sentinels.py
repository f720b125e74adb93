"""Values that are no measurement: those that stand for "none" or "no limit", and what else is a gap, by reason."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.events import Kind, Origin

__all__ = ["gaps_by_reason", "sentinels"]

_LARGEST = 9.2e18  # 2^63 - 1 and 2^64 - 1, as integers of 64 bits say "no limit", lie beyond


def sentinels(
    value: npt.NDArray[np.float64], kind: npt.NDArray[np.uint8], never_negative: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Which samples are sentinels: levels beyond 9.2e18, and -1 where a series' unit is never negative.

    Parameters
    ----------
    value, kind
        Of the samples, shape (n,).
    never_negative
        Of each sample's series, shape (n,).
    """
    with np.errstate(invalid="ignore"):
        beyond = np.isfinite(value) & (np.abs(value) > _LARGEST) & ((kind & 3) == Kind.GAUGE)
        found: npt.NDArray[np.bool_] = beyond | ((value == -1.0) & never_negative)
        return found


def gaps_by_reason(
    value: npt.NDArray[np.float64], kind: npt.NDArray[np.uint8], sentinel: npt.NDArray[np.bool_]
) -> dict[str, int]:
    """How many samples are no measurement, each under one reason; shapes (n,), ``sentinel`` as found here."""
    stale = (kind & Origin.STALE) > 0
    odd = stale | sentinel | ~np.isfinite(value)
    if not odd.any():
        return {}
    stale, value, sentinel = stale[odd], value[odd], sentinel[odd]
    found = {
        "stale": stale,
        "not_a_number": np.isnan(value) & ~stale,
        "infinite": np.isinf(value) & ~stale,
        "sentinel": sentinel & ~stale,
    }
    return {reason: int(rows.sum()) for reason, rows in found.items() if rows.any()}
