"""Beginning anew after trouble that can heal by itself, each time waiting longer, awake for a stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.errors import BrokerUnreachable, Fenced, StepFailed

__all__ = ["Patience"]

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 30.0
NAP_SECONDS = 0.1


@dataclass(slots=True)
class Patience:
    """Serves until somebody asks to stop, whatever Kafka does meanwhile.

    Parameters
    ----------
    log
        Where trouble is told.
    """

    log: logging.Logger
    stopping: bool = False
    _wait: float = FIRST_WAIT_SECONDS

    def keep(self, serve: Callable[[], None]) -> None:
        """Call ``serve`` again and again until :attr:`stopping`; other errors than those that heal pass through."""
        while not self.stopping:
            try:
                serve()
            except (Fenced, BrokerUnreachable, StepFailed) as trouble:
                self.log.warning("%s; beginning anew in %.1f s", trouble, self._wait)
                self._rest()

    def calm(self) -> None:
        """Forget past trouble: work has been done since."""
        self._wait = FIRST_WAIT_SECONDS

    def _rest(self) -> None:
        until = time.monotonic() + self._wait
        self._wait = min(2 * self._wait, LONGEST_WAIT_SECONDS)
        while not self.stopping and time.monotonic() < until:
            time.sleep(NAP_SECONDS)
