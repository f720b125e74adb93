"""A slot: which of several processes of one group on this machine this one is, the same again after a restart.

A transactional id must differ between processes that live, and stay the same over a restart, so that what the
former life left open ends at once and not after the transaction time-out.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
from pathlib import Path

__all__ = ["transactional_id"]

MOST = 1000


def transactional_id(group: str, folder: Path) -> str:
    """Return ``<group>-<host>-<slot>`` with the lowest slot that no living process of this machine holds.

    Parameters
    ----------
    group
        The consumer group.
    folder
        Where lock files may be written. Where that is impossible, the process id stands for the slot: a restart is
        then a new id, and an open transaction of the former life ends by its time-out.
    """
    name = f"{group}-{socket.gethostname()}"
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for slot in range(MOST):
            # Never closed: the system lets go of the lock when the process ends.
            lock = os.open(folder / f"{safe}-{slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            return f"{name}-{slot}"
    except OSError:
        return f"{name}-{os.getpid()}"
    return f"{name}-{os.getpid()}"
