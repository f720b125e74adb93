"""A snapshot's bytes: an image of one partition at (offset, sequence), checked from its first byte to its last.

Layout::

    MAGIC │ arrays, each on a border of 8 │ names │ told │ header, JSON │ its length, u32 │ SHA-256 of all before
"""

from __future__ import annotations

import hashlib
import platform
import re
import struct
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline._version import __version__
from pipeline.errors import SnapshotDamaged
from pipeline.image import Axis, Image, Moving, Table, Touched
from pipeline.state import draft as drafts
from pipeline.state.draft import Draft, Placed

__all__ = ["MAGIC", "SCHEMA", "Buffer", "Mark", "decode", "encode", "room_for", "seal", "tail_bytes", "written"]

MAGIC = b"foreshock state, arrays first: \n"
SCHEMA = 23
LENGTH = struct.Struct("<I")
SLICE_BYTES = 8_388_608
HEADER_BYTES = 512  # more than an array's line in the header, and than the header's own fields
UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
SEAL_BYTES = hashlib.sha256().digest_size

Bytes = npt.NDArray[np.uint8]


class Mark(NamedTuple):
    """Where a snapshot stands.

    Parameters
    ----------
    topic, partition
        Whose state it is.
    life
        A word drawn when this state began: another cluster, group or topic of the same name has another.
    offset, sequence
        The next record's offset and the next decision's number.
    generation
        The group's generation in which it was taken.
    """

    topic: str
    partition: int
    life: str
    offset: int
    sequence: int
    generation: int

    @property
    def folder(self) -> str:
        """Where the snapshots of this state lie."""
        return f"{UNSAFE.sub('_', self.topic)}-{self.partition}-{self.life}"

    @property
    def name(self) -> str:
        """The file's name; names sort as their marks do."""
        return f"{self.offset:020d}-{self.sequence:010d}-{max(0, self.generation):010d}.state"


class _Header(msgspec.Struct, frozen=True):
    """Unknown fields are ignored and new ones need defaults: releases one schema apart read each other."""

    schema: int
    release: str
    machine: str
    mark: Mark
    rows: dict[Axis, int]
    names_bytes: int
    told_bytes: int
    arrays: list[Placed]


_header_of = msgspec.json.Decoder(_Header)


class Buffer:
    """Memory that is touched once and used for every snapshot: fresh memory costs thirty times a copy."""

    def __init__(self) -> None:
        self._memory: Bytes = np.empty(0, np.uint8)

    def fits(self, n_bytes: int) -> bool:
        """Whether there is room for so much, touched already."""
        return n_bytes <= len(self._memory)

    def grow(self, n_bytes: int) -> None:
        """Make room for a quarter more than ``n_bytes``; touched in slices, so that other threads get their turns."""
        fresh = np.empty(n_bytes + n_bytes // 4, np.uint8)
        for start in range(0, len(fresh), SLICE_BYTES):
            fresh[start : start + SLICE_BYTES] = 0
        self._memory = fresh

    def take(self, n_bytes: int) -> Bytes:
        """The first ``n_bytes`` of it, grown if need be; what was there before is overwritten."""
        if not self.fits(n_bytes):
            self.grow(n_bytes)
        return self._memory[:n_bytes]


def room_for(image: Image) -> int:
    """At most how many bytes an image takes in a snapshot."""
    return drafts.room_for(image) + tail_bytes(image)


def tail_bytes(image: Image) -> int:
    """At most how many bytes follow the arrays of an image."""
    return sum(map(len, image.names)) + len(image.told) + HEADER_BYTES * (len(image.tables) + 1) + SEAL_BYTES


def encode(image: Image, mark: Mark, buffer: Buffer) -> Bytes:
    """Copy an image into the buffer at once, with room left for the seal."""
    owner = np.zeros(image.rows["series"], np.int64)
    state = Moving(image, owner, Touched(), lambda: image)
    out = buffer.take(room_for(image))
    return written(Draft(state, out, len(MAGIC)), state, image, mark, out)


def written(draft: Draft, state: Moving, whole: Image, mark: Mark, out: Bytes) -> Bytes:
    """Finish a draft as the snapshot of a mark, in ``out``; the only part that the stream has to wait for."""
    arrays = draft.finish(state)
    sizes = (dict(whole.rows), sum(map(len, whole.names)), len(whole.told))
    header = msgspec.json.encode(_Header(SCHEMA, __version__, platform.machine(), mark, *sizes, arrays))
    out[: len(MAGIC)] = np.frombuffer(MAGIC, np.uint8)
    at = draft.end
    for piece in (*whole.names, whole.told, header, LENGTH.pack(len(header))):
        out[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
        at += len(piece)
    return out[: at + SEAL_BYTES]


def seal(snapshot: Bytes) -> None:
    """Write the checksum into the room that :func:`encode` left for it."""
    digest = hashlib.sha256(snapshot[:-SEAL_BYTES].data).digest()
    snapshot[-SEAL_BYTES:] = np.frombuffer(digest, np.uint8)


def decode(data: bytes) -> tuple[Mark, Image]:
    """Read a sealed snapshot.

    Raises
    ------
    SnapshotDamaged
        It is not whole, not ours, or of a schema more than one version away.
    """
    if not data.startswith(MAGIC) or len(data) < len(MAGIC) + LENGTH.size + SEAL_BYTES:
        raise SnapshotDamaged(f"{len(data)} bytes that do not begin as a snapshot does")
    if hashlib.sha256(memoryview(data)[:-SEAL_BYTES]).digest() != data[-SEAL_BYTES:]:
        raise SnapshotDamaged("the checksum does not fit: cut off or changed since it was written")
    header_end = len(data) - SEAL_BYTES - LENGTH.size
    (length,) = LENGTH.unpack_from(data, header_end)
    encoded = data[header_end - length : header_end]
    schema = msgspec.json.decode(encoded)["schema"]
    if abs(schema - SCHEMA) > 1:
        raise SnapshotDamaged(f"written in schema {schema}; this release reads {SCHEMA - 1} to {SCHEMA + 1}")
    header = _header_of.decode(encoded)
    told_at = header_end - length - header.told_bytes
    tables: dict[str, Table] = {}
    for one in header.arrays:
        count = int(np.prod(one.shape, dtype=np.int64))
        tables[one.name] = Table(one.axis, np.frombuffer(data, np.dtype(one.dtype), count, one.at).reshape(one.shape))
    names, told = data[told_at - header.names_bytes : told_at], data[told_at : told_at + header.told_bytes]
    return header.mark, Image((names,), header.rows, tables, told)
