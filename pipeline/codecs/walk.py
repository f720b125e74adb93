"""The fast road: known series by one walk over the bytes of a whole run of records, all else by the format's judge.

The judge is the format's own decoder, which knows every rule. What its reading of a record shows is taught to the walk:
both see a record's samples in one order, so that the n-th sample's raw bytes are those of the n-th sample's series. A
record is taught only if all of it was good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.metrics.v1 import metrics_pb2

from pipeline.codecs import influx, otlp_proto, plain_json
from pipeline.codecs.buckets import Distribution
from pipeline.codecs.writer import SampleWriter
from pipeline.events import Records, SampleBatch
from pipeline.kernels.columns import BOOLEANS, COUNTERS, LACKS_ROOM, ROWS, TEXTS, WHOLES, Batch, Columns, Taught
from pipeline.kernels.identity import Identities
from pipeline.kernels.otlp_distribution import EXPONENTIAL, HISTOGRAM, SUMMARY
from pipeline.kernels.walk import INFLUX, OTLP, PLAIN_JSON, walk

__all__ = ["WALKED", "Run"]

WALKED = {otlp_proto.NAME: OTLP, influx.NAME: INFLUX, plain_json.NAME: PLAIN_JSON}
POINTS: dict[int, Any] = {
    HISTOGRAM: metrics_pb2.HistogramDataPoint,
    EXPONENTIAL: metrics_pb2.ExponentialHistogramDataPoint,
}
WHOLE_COLUMNS, WHOLE_METRIC = 5, 3
MOST_ROWS = 1 << 16  # of samples between two hand-overs
NOTHING = Taught(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.uint8))

Judge = Callable[[str, bytes, int], bool]


class Run:
    """Consecutive records of formats that are walked, waiting to be walked together.

    Parameters
    ----------
    records
        Of which some rows are given.
    out
        Where samples and rejections go.
    judge
        Reads the current record by its format's own decoder, given what it was taken for, its bytes and timestamp (ms);
        tells whether the walk may learn from it.
    """

    def __init__(self, records: Records, out: SampleWriter, judge: Judge) -> None:
        self._records, self._out, self._judge = records, out, judge
        self._rows: list[int] = []
        self._names: list[str] = []

    def take(self, name: str, row: int) -> None:
        """Let a row of a format that is walked wait."""
        self._names.append(name)
        self._rows.append(row)

    def finish(self) -> None:
        """Write the samples of all rows that wait, in their order."""
        rows, names = self._rows, self._names
        self._rows, self._names = [], []
        if not rows:
            return
        out, times = self._out, self._records.times
        values = [self._records.values[row] or b"" for row in rows]
        batch = _batch(values, [times[row] for row in rows], names)
        room = _room(min(MOST_ROWS, len(batch.data) // 2))
        at = 0
        while at < len(rows):
            identities = out.catalog.spellings_of(out.dialect)
            at = walk(batch, at, identities.table, room, NOTHING)
            lacks_room = room.used[LACKS_ROOM] and room.used[ROWS]
            wholes, odd = _wholes(batch.data, room, identities)
            if odd >= 0:  # the library finds fault with a point that the walk did not look into
                _cut(room, odd)
                at, lacks_room = odd, False
            _hand_over(room, np.asarray(rows, np.int32), wholes, out)
            if at < len(rows) and not lacks_room:
                before = (len(out), out.refused, len(out.distributions))
                out.record = rows[at]
                may_learn = self._judge(names[at], values[at], times[rows[at]])
                if may_learn and rows[at] not in out.rejections and len(out) > before[0] and out.refused == before[1]:
                    one = _batch(values[at : at + 1], [times[rows[at]]], names[at : at + 1])
                    _learn(one, out, before[0], before[2])
                at += 1


def _learn(batch: Batch, out: SampleWriter, first: int, first_whole: int) -> None:
    """Teach the walk what the judge read in one record: samples and distributions from these places on."""
    found, identities = out.since(first), out.catalog.spellings_of(out.dialect)
    taught = Taught(found.series_id, found.time, found.kind)
    room = _room(len(found))
    walk(batch, 0, identities.table, room, taught)
    while identities.make_room():
        room = _room(len(found))
        walk(batch, 0, identities.table, room, taught)
    entries = room.whole[: room.used[WHOLES], WHOLE_METRIC].tolist()
    units = [one.unit for one in out.distributions[first_whole:]]
    if len(entries) == len(units):
        identities.units.update(zip(entries, units, strict=True))


def _wholes(data: npt.NDArray[np.uint8], room: Columns, identities: Identities) -> tuple[list[Distribution], int]:
    """Histograms and summaries among the rows, ``sample`` being a row; and the first record with an odd one, or -1."""
    found = []
    for row, first, last, metric, shape in room.whole[: room.used[WHOLES]].tolist():
        unit = identities.units.get(metric)
        try:
            if unit is None:
                raise DecodeError("of a metric that was never learned whole")
            if shape == SUMMARY:
                found.append(Distribution(row, float(room.value[row + 1]), unit, None))
            else:
                raw = POINTS[shape].FromString(data[first:last].tobytes())
                found.append(Distribution(row, otlp_proto.total_of(raw), unit, otlp_proto.buckets_of(raw)))
        except (DecodeError, RecursionError):
            record = int(room.record[row])
            return [one for one in found if room.record[one.sample] < record], record
    return found, -1


def _cut(room: Columns, record: int) -> None:
    """Take back the rows of a record and of all behind it."""
    room.used[ROWS] = np.searchsorted(room.record[: room.used[ROWS]], record)


def _batch(values: list[bytes], times: list[int], names: list[str]) -> Batch:
    bounds = np.cumsum([0, *map(len, values)], dtype=np.int64)
    formats = np.array([WALKED[name] for name in names], np.uint8)
    return Batch(np.frombuffer(b"".join(values), np.uint8), bounds, np.array(times, np.int64), formats)


def _room(size: int) -> Columns:
    value = np.empty(size, np.float64)
    columns: dict[str, npt.NDArray[Any]] = {"value": value, "bits": value.view(np.uint64)}
    return Columns(
        series_id=np.empty(size, np.int32),
        time=np.empty(size, np.int64),
        start=np.empty(size, np.int64),
        kind=np.empty(size, np.uint8),
        record=np.empty(size, np.int32),
        whole=np.empty((size, WHOLE_COLUMNS), np.int64),
        used=np.zeros(COUNTERS, np.int64),
        **columns,
    )


def _hand_over(room: Columns, rows: npt.NDArray[np.int32], wholes: Sequence[Distribution], out: SampleWriter) -> None:
    n, before = int(room.used[ROWS]), len(out)
    out.append(
        SampleBatch(
            series_id=room.series_id[:n].copy(),
            time=room.time[:n].copy(),
            value=room.value[:n].copy(),
            kind=room.kind[:n].copy(),
            start=room.start[:n].copy(),
            record=rows[room.record[:n]],
        )
    )
    for one in wholes:
        out.add_distribution(before + one.sample, one.total, one.unit, one.buckets)
    if room.used[TEXTS]:
        out.skip("text_field", int(room.used[TEXTS]))
    if room.used[BOOLEANS]:
        out.note("boolean_as_number", int(room.used[BOOLEANS]))
    room.used[:] = 0
