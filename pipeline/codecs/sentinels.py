"""Values that stand for "none" or "no limit": what no measurement can be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.events import Kind

__all__ = ["sentinels"]

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
