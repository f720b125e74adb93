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
from pipeline.image import Image, Moving
from pipeline.state.draft import Draft
from pipeline.state.snapshot import MAGIC, Buffer, Bytes, Mark, decode, encode, room_for, seal, tail_bytes, written
from pipeline.state.store import Store

__all__ = ["Snapshots"]

log = logging.getLogger(__name__)

KEPT = 2
SLICE_BYTES = 128 * 2**20  # copied between two polls: 15 ms
TAIL_BYTES = 4 * 2**20  # that come after the arrays, where nothing is known of them yet
NAME = re.compile(r"^(\d{20})-(\d{10})-(\d{10})\.state$")


class Snapshots:
    """The snapshots of all partitions that this process works on.

    Taking one costs the loop a copy into one reused buffer, in slices between polls; sealing, writing and pruning
    happen on a thread, one snapshot at a time. A store that fails costs no input: it is told, counted, and tried again
    when next due.

    Parameters
    ----------
    store
        Where they lie.
    every_seconds
        How often each partition is due, partitions in turn.
    slice_bytes
        How much is copied between two polls.
    """

    def __init__(self, store: Store, every_seconds: float, slice_bytes: int = SLICE_BYTES) -> None:
        self.failures = 0
        self._store, self._every, self._slice_bytes = store, every_seconds, slice_bytes
        self._buffer, self._tail_bytes = Buffer(), TAIL_BYTES
        self._draft: tuple[tuple[str, int], Draft] | None = None
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
        """The partition that is being copied, else the one that has waited longest for its turn, if one is due.

        None while another is being written.
        """
        if self._writing is not None and not self._writing.done():
            return None
        places = list(places)
        if self._draft is not None and self._draft[0] in places:
            return self._draft[0]
        now = time.monotonic()
        waits: list[tuple[float, tuple[str, int]]] = []
        for topic, partition in places:  # in turn, not all in one moment
            share = zlib.crc32(f"{topic}/{partition}".encode()) % 1000 / 1000
            first = now + self._every * (0.5 + 0.5 * share)
            waits.append((self._due.setdefault((topic, partition), first), (topic, partition)))
        since, place = min(waits, default=(now + 1, ("", 0)))
        return place if since <= now else None

    def go_on(self, state: Moving, mark: Mark) -> None:
        """Copy a slice of a state whose work is committed, and keep it once little is left: see :class:`Draft`.

        A buffer that is too small is made larger in the background first; the partition stays due.
        """
        self.finish()
        draft = self._draft[1] if self._draft is not None else None
        if draft is None or not draft.fits(state):
            draft = self._begun(state, mark)
        if draft is None or not draft.advance(state, self._slice_bytes):
            return
        self._draft = None
        whole = state.whole()
        if not self._buffer.fits(draft.end + tail_bytes(whole)):  # begun anew with more room for what is told
            self._tail_bytes = 2 * tail_bytes(whole)
            return
        out = self._buffer.take(draft.end + tail_bytes(whole))
        self._submit(written(draft, state, whole, mark, out), mark)

    def take(self, image: Image, mark: Mark) -> None:
        """Keep a state whose work is committed at once. Returns when it is copied; it is written in the background."""
        self.finish()
        self._draft = None
        reach("before-snapshot")
        self._submit(encode(image, mark, self._buffer), mark)

    def _begun(self, state: Moving, mark: Mark) -> Draft | None:
        """A draft that was begun just now; None while there is no room for one."""
        self._draft = None
        room = room_for(state.tables) + self._tail_bytes
        if not self._buffer.fits(room):
            self._writing = self._writer.submit(self._buffer.grow, room)
            return None
        reach("before-snapshot")
        draft = Draft(state, self._buffer.take(room), len(MAGIC))
        self._draft = (mark.topic, mark.partition), draft
        return draft

    def _submit(self, snapshot: Bytes, mark: Mark) -> None:
        """Seal and write a snapshot in the background."""
        self._due[mark.topic, mark.partition] = time.monotonic() + self._every

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
