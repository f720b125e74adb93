"""When snapshots are taken, which is the newest that may be used, and which may go."""

from __future__ import annotations

import logging
import re
import time
import zlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from pipeline.errors import SnapshotDamaged, StoreFailed
from pipeline.faults import reach
from pipeline.image import Image
from pipeline.state.snapshot import Buffer, Mark, decode, encode, room_for, seal
from pipeline.state.store import Store

__all__ = ["Snapshots"]

log = logging.getLogger(__name__)

KEPT = 2
NAME = re.compile(r"^(\d{20})-(\d{10})-(\d{10})\.state$")


class Snapshots:
    """The snapshots of all partitions that this process works on.

    Taking one costs the loop a copy into one reused buffer; sealing, writing and pruning happen on a thread, one
    snapshot at a time. A store that fails costs no input: it is told, counted, and tried again when next due.

    Parameters
    ----------
    store
        Where they lie.
    every_seconds
        How often each partition is due, partitions in turn.
    """

    def __init__(self, store: Store, every_seconds: float) -> None:
        self.failures = 0
        self._store, self._every = store, every_seconds
        self._buffer = Buffer()
        self._due: dict[tuple[str, int], float] = {}
        self._last: dict[tuple[str, int], str] = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="snapshots")
        self._writing: Future[None] | None = None

    def newest(self, until: Mark) -> tuple[Mark, Image] | None:
        """The newest valid snapshot at or before an offset; damaged ones are told, counted and passed over."""
        folder, offset = until.folder, until.offset
        try:
            names = [name for name in self._store.names(folder) if NAME.match(name)]
        except StoreFailed as failure:
            self._fail(failure)
            return None
        for name in sorted(names, reverse=True):
            if int(name[:20]) > offset:
                continue
            try:
                found = decode(self._store.read(f"{folder}/{name}"))
            except (SnapshotDamaged, StoreFailed) as failure:
                self._fail(f"{folder}/{name} is passed over: {failure}")
                continue
            self._last[until.topic, until.partition] = name
            return found
        return None

    def last(self, topic: str, partition: int) -> str:
        """Name of the partition's last snapshot that is known to be whole, "" if there is none."""
        return self._last.get((topic, partition), "")

    def due(self, places: Iterable[tuple[str, int]]) -> tuple[str, int] | None:
        """The partition that has waited longest for its turn, if one is due; none while another is being written."""
        if self._writing is not None and not self._writing.done():
            return None
        now = time.monotonic()
        waits: list[tuple[float, tuple[str, int]]] = []
        for topic, partition in places:  # in turn, not all in one moment
            share = zlib.crc32(f"{topic}/{partition}".encode()) % 1000 / 1000
            first = now + self._every * (0.5 + 0.5 * share)
            waits.append((self._due.setdefault((topic, partition), first), (topic, partition)))
        since, place = min(waits, default=(now + 1, ("", 0)))
        return place if since <= now else None

    def take(self, image: Image, mark: Mark, at_once: bool = False) -> None:
        """Keep a state whose work is committed. Returns when it is copied; it is written in the background.

        A buffer that is too small is made larger in the background first, unless it must be ``at_once``; the
        partition stays due.
        """
        self.finish()
        if not at_once and not self._buffer.fits(room_for(image)):
            self._writing = self._writer.submit(self._buffer.grow, room_for(image))
            return
        reach("before-snapshot")
        self._due[mark.topic, mark.partition] = time.monotonic() + self._every
        snapshot = encode(image, mark, self._buffer)

        def write() -> None:
            seal(snapshot)
            self._write(mark, snapshot.data)

        self._writing = self._writer.submit(write)

    def finish(self) -> None:
        """Wait until what was taken is written."""
        if self._writing is not None:
            self._writing.result()
            self._writing = None

    def close(self) -> None:
        """Finish, and take no more."""
        self.finish()
        self._writer.shutdown()

    def _write(self, mark: Mark, snapshot: memoryview) -> None:
        try:
            self._store.write(f"{mark.folder}/{mark.name}", snapshot)
            self._last[mark.topic, mark.partition] = mark.name
            reach("after-snapshot")
            self._prune(mark.folder, mark.name)
        except (StoreFailed, OSError) as failure:
            self._fail(failure)

    def _prune(self, folder: str, mine: str) -> None:
        """Remove all but the newest; what is newer than our own belongs to somebody who came after us, and stays."""
        names = sorted(name for name in self._store.names(folder) if NAME.match(name))
        for name in names[:-KEPT]:
            if name < mine:
                self._store.remove(f"{folder}/{name}")

    def _fail(self, failure: object) -> None:
        self.failures += 1
        log.error("snapshots: %s", failure)
