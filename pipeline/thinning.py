"""Which steps stand for all: chosen by their time alone, so that groups, processes and polls choose the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["chosen"]

# a multiplier of good mixing (Knuth, 1998, 6.4)
MIX = np.uint64(0x9E3779B97F4A7C15)


def chosen(time_ms: npt.NDArray[np.int64], share: float) -> npt.NDArray[np.bool_]:
    """Whether each step is one of the share that is looked at, shape of ``time_ms``."""
    mixed = (time_ms.astype(np.uint64) // np.uint64(1000)) * MIX
    picked: npt.NDArray[np.bool_] = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53 < share
    return picked
