"""Garbage collection at quiet moments: never in the middle of a poll, where a pass over all objects would cost most.

Reading a record makes half a dozen objects, so Python's collector comes by every hundred records, and again and again
looks through everything that the imports left. What a job leaves to it is next to nothing: reference counts free
the rest. In its first minute it still loads kernels, a third of a million objects that stay: they are looked through
once, for a look at them takes 150 ms.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Sweeper", "swept"]

EVERY_SECONDS, LOADING_SECONDS = 10.0, 60.0


class Sweeper:
    """Collects garbage when asked, if it has not done so for a while."""

    def __init__(self) -> None:
        self._begun_at = self._done_at = time.monotonic()

    def sweep(self) -> None:
        """Collect now if it is due; called where nothing else waits."""
        if time.monotonic() - self._done_at >= EVERY_SECONDS:
            gc.collect()
            self._done_at = time.monotonic()
            if self._done_at - self._begun_at <= LOADING_SECONDS:
                gc.freeze()


@contextmanager
def swept() -> Iterator[Sweeper]:
    """Leave garbage to a sweeper, and what exists already to nobody; all is as before at the end."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield Sweeper()
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()
