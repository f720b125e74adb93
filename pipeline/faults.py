"""Named places where a test makes the job fail; outside of tests each costs one comparison.

``FORESHOCK_FAULTS`` names them: ``point:n:action`` separated by commas, meaning that the n-th time (from 1) that
this process reaches ``point`` it does ``action``:

* ``kill``: the process dies on the spot, as by SIGKILL;
* ``kill-soon``: it dies some milliseconds later, while what follows the point is under way;
* ``freeze``: it stops as by SIGSTOP, until somebody continues it;
* ``unheard``: whatever was asked of the broker succeeded, but the answer never arrives;
* ``disk``: the disk fails.

``poison:TEXT`` makes every record whose bytes hold TEXT fail after it was half worked on. What fired is appended to
the file named by ``FORESHOCK_FAULTS_LOG``.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline.errors import Fenced

__all__ = ["POINTS", "arm", "reach", "taste"]

POINTS = (
    "after-step",
    "after-send",
    "after-offsets",
    "in-commit",
    "after-commit",
    "before-snapshot",
    "in-snapshot",
    "after-snapshot",
)
SOON_SECONDS = 0.003


_planned: dict[tuple[str, int], str] = {}
_poisons: list[bytes] = []
_reached: Counter[str] = Counter()


def arm(plan: str) -> None:
    """Plan faults for this process, in the words of ``FORESHOCK_FAULTS``, and count anew."""
    words = [word for word in plan.split(",") if word]
    _poisons[:] = [word[7:].encode() for word in words if word.startswith("poison:")]
    triples = (word.split(":") for word in words if not word.startswith("poison:"))
    _planned.clear()
    _planned.update({(point, int(n)): action for point, n, action in triples})
    _reached.clear()


def reach(point: str) -> None:
    """Say that the job is at ``point``; does what the environment planned for this place, if anything.

    Raises
    ------
    Fenced, OSError
        As planned.
    """
    if not _planned:
        return
    _reached[point] += 1
    action = _planned.get((point, _reached[point]))
    if action is not None:
        _note(point, action)
        _ACTIONS[action]()


def taste(values: Iterable[bytes | None]) -> None:
    """Fail if one of the values is planned to be poison.

    Raises
    ------
    RuntimeError
        As a mistake in the code would.
    """
    if _poisons and any(poison in value for value in values if value for poison in _poisons):
        raise RuntimeError("poison")


def _note(point: str, action: str) -> None:
    log = os.environ.get("FORESHOCK_FAULTS_LOG")
    if log:
        with Path(log).open("a") as file:
            file.write(f"{point} {action}\n")


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_soon() -> None:
    threading.Timer(SOON_SECONDS, _kill).start()


def _freeze() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _unheard() -> None:
    raise Fenced("the answer to a commit never arrived (planned)")


def _disk() -> None:
    raise OSError(errno.ENOSPC, "no space left (planned)")


_ACTIONS: dict[str, Callable[[], None]] = {
    "kill": _kill,
    "kill-soon": _kill_soon,
    "freeze": _freeze,
    "unheard": _unheard,
    "disk": _disk,
}

arm(os.environ.get("FORESHOCK_FAULTS", ""))
