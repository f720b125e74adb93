"""OTLP protobuf fast: known series by the walk of a whole run of records, all else by the official library.

What the library's reading of a record shows is taught to the walk: both see a record's samples in one order, so that
the n-th sample's raw bytes are those of the n-th sample's series. A record is taught only if all of it was good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.codecs import otlp_proto
from pipeline.codecs.writer import SampleWriter
from pipeline.events import Records, SampleBatch
from pipeline.kernels.otlp import LACKS_ROOM, ROWS, Columns, Taught, walk

__all__ = ["decode_run"]

MOST_ROWS = 1 << 16  # of samples between two hand-overs
NOTHING = Taught(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.uint8))

Judge = Callable[[str, bytes, SampleWriter, int], None]


def decode_run(records: Records, rows: Sequence[int], out: SampleWriter, judge: Judge) -> None:
    """Write the samples of some rows of the records, in their order.

    Parameters
    ----------
    records, rows
        Rows whose values are OTLP protobuf.
    out
        Where samples and rejections go.
    judge
        Reads the current record, given its format, bytes and timestamp (ms), with the official library.
    """
    if not rows:
        return
    values = [records.values[row] or b"" for row in rows]
    data = np.frombuffer(b"".join(values), np.uint8)
    bounds = np.cumsum([0, *(len(value) for value in values)])
    room = _room(min(MOST_ROWS, len(data) // 2))
    at = 0
    while at < len(rows):
        at = walk(data, bounds, at, out.catalog.spellings_of(out.dialect).table, room, NOTHING)
        lacks_room = room.used[LACKS_ROOM] and room.used[ROWS]
        _hand_over(room, np.asarray(rows, np.int32), out)
        if at < len(rows) and not lacks_room:
            before = (len(out), out.refused)
            out.record = rows[at]
            judge(otlp_proto.NAME, values[at], out, records.times[rows[at]])
            if rows[at] not in out.rejections and len(out) > before[0] and out.refused == before[1]:
                _learn(data[bounds[at] : bounds[at + 1]], out, before[0])
            at += 1


def _learn(data: npt.NDArray[np.uint8], out: SampleWriter, first: int) -> None:
    """Teach the walk what the judge read in one record: the samples from row ``first`` on."""
    found, identities = out.since(first), out.catalog.spellings_of(out.dialect)
    taught, bounds = Taught(found.series_id, found.time, found.kind), np.array([0, len(data)])
    walk(data, bounds, 0, identities.table, _room(len(found)), taught)
    while identities.make_room():
        walk(data, bounds, 0, identities.table, _room(len(found)), taught)


def _room(size: int) -> Columns:
    value, used = np.empty(size, np.float64), np.zeros(2, np.int64)
    return Columns(
        series_id=np.empty(size, np.int32),
        time=np.empty(size, np.int64),
        start=np.empty(size, np.int64),
        value=value,
        bits=value.view(np.uint64),
        kind=np.empty(size, np.uint8),
        record=np.empty(size, np.int32),
        used=used,
    )


def _hand_over(room: Columns, rows: npt.NDArray[np.int32], out: SampleWriter) -> None:
    n = int(room.used[ROWS])
    out.append(
        SampleBatch(
            series_id=room.series_id[:n],
            time=room.time[:n],
            value=room.value[:n],
            kind=room.kind[:n],
            start=room.start[:n],
            record=rows[room.record[:n]],
        )
    )
    room.used[:] = 0
