"""A slot: which of several processes of one group on this machine this one is, the same again after a restart.

A transactional id must differ between processes that live, and stay the same over a restart, so that what the
former life left open ends at once and not after the transaction time-out. By the same lock a process knows that the
member of the group whose name lies in the slot is dead, and takes its leave for it: Kafka would wait for its session.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import socket
from pathlib import Path

__all__ = ["Slot"]

log = logging.getLogger(__name__)

MOST = 1000
NAME_BYTES = 1000


class Slot:
    """The lowest slot that no living process of this machine holds; :attr:`name` is ``<group>-<host>-<slot>``.

    Parameters
    ----------
    group
        The consumer group.
    folder
        Where lock files may be written. Where that is impossible, the process id stands for the slot: a restart is
        then a new id, an open transaction of the former life ends by its time-out, and its session by its own.
    """

    def __init__(self, group: str, folder: Path) -> None:
        name = f"{group}-{socket.gethostname()}"
        number, self._lock = _locked(folder, re.sub(r"[^A-Za-z0-9._-]", "_", name))
        self.name = f"{name}-{number}"
        self._member = self._read()

    @property
    def member(self) -> str:
        """The group's member that was noted here last, in this life or a former one; "" if none was."""
        return self._member

    def note(self, member: str) -> None:
        """Remember a member for the next life."""
        if member in ("", self._member):
            return
        self._member = member
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, member.encode(), 0)

    def _read(self) -> str:
        return "" if self._lock is None else os.pread(self._lock, NAME_BYTES, 0).decode(errors="replace")


def _locked(folder: Path, name: str) -> tuple[int, int | None]:
    """The number of a slot, and its lock file; never closed, for the system lets go of it when the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for slot in range(MOST):
            lock = os.open(folder / f"{name}-{slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            return slot, lock
    except OSError as trouble:
        log.info("a restart will be a new member of its group: %s", trouble)
    return os.getpid(), None
