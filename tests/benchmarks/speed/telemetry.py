"""What the benchmarks put on topics: fleets of hosts with twenty metrics, a step after the other, encoded quickly.

Encoding costs more than reading, so each record is encoded in a few variants only, and the times of a step are put
into their bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from pipeline.codecs import decode
from pipeline.codecs.encode import Row, encode_json, encode_otlp_proto
from pipeline.events import Kind, Records, SampleBatch
from pipeline.stream import PartitionStream, Plan

STEP_MS = 10_000
METRICS = 20  # of each host
VARIANTS = 16  # different values of each series, one after the other
T0_MS = 1_700_000_000_000
A_RECORD = 500  # series to a record where they are met
MARK_NS = 1_234_567_890_123_456_789  # stands where a time will be


def rate(n: int, spent: dict[str, float]) -> dict[str, float]:
    """How many a second, of ``n`` in some seconds, at least, in the middle and at most."""
    return {"min": n / spent["max"], "median": n / spent["median"], "max": n / spent["min"]}


class Fleet:
    """Hosts whose records are ready to be stamped with a time.

    Parameters
    ----------
    n_series
        Twenty to a host.
    points
        Samples in a record, a multiple of twenty; 1: each sample is a JSON record of its own.
    """

    def __init__(self, n_series: int, points: int) -> None:
        self.n_series, self.points = n_series, points
        chance = np.random.default_rng(0)
        self.levels = 50.0 + 10.0 * chance.normal(size=n_series)
        self._variants = [self._encoded(self.levels + chance.normal(size=n_series)) for _ in range(VARIANTS)]

    def records(self, step: int, time_ms: int) -> Iterator[bytes]:
        """One step of all hosts."""
        for template in self._variants[step % VARIANTS]:
            yield self.stamped(template, time_ms)

    def record(self, step: int, number: int, time_ms: int) -> bytes:
        """One record of a step."""
        return self.stamped(self._variants[step % VARIANTS][number], time_ms)

    @property
    def n_records(self) -> int:
        """Records in a step."""
        return len(self._variants[0])

    def stamped(self, template: bytes, time_ms: int) -> bytes:
        """A record at a time."""
        if self.points == 1:
            return template.replace(b"%d" % MARK_NS, b"%d" % (time_ms * 1_000_000))
        return template.replace(struct.pack("<Q", MARK_NS), struct.pack("<Q", time_ms * 1_000_000))

    def _encoded(self, values: np.ndarray) -> list[bytes]:
        encode = encode_json if self.points == 1 else encode_otlp_proto
        rows = [_row(i, float(value)) for i, value in enumerate(values)]
        return [encode(rows[at : at + self.points]) for at in range(0, len(rows), self.points)]


def _row(i: int, value: float) -> Row:
    return f"host-{i // METRICS:05d}", f"metric.{i % METRICS}", (), MARK_NS, value, Kind.GAUGE


class Series:
    """Samples of so many series as they leave the decoders, pushed into one partition's stream in even calls.

    The decoders have met each series once: what they remember of it is part of its memory.
    """

    def __init__(self, n_series: int, per_call: int = 10_000) -> None:
        self.n_series, self.per_call = n_series, min(per_call, n_series)
        self.stream = PartitionStream(Plan(max_series=n_series), "t", 0)
        for at in range(0, n_series, A_RECORD):
            rows = [_row(i, 0.0) for i in range(at, min(at + A_RECORD, n_series))]
            decode(Records("t", 0, [at], [T0_MS], [None], [encode_otlp_proto(rows)]), self.stream.catalog)
        self._chance = np.random.default_rng(0)
        self._level = 50.0 + 10.0 * self._chance.normal(size=n_series)
        self._ids = np.arange(n_series, dtype=np.int32)

    def values(self) -> np.ndarray:
        """New values of all series."""
        return self._level + self._chance.normal(size=self.n_series)

    def push(self, ids: np.ndarray, times_ms: np.ndarray, values: np.ndarray, number: int) -> None:
        """One call: so many samples of one record."""
        zeros = np.zeros(len(ids), np.int64)
        batch = SampleBatch(ids, times_ms * 1_000_000, values, zeros.astype(np.uint8), zeros, zeros.astype(np.int32))
        self.stream.advance(batch, [int(times_ms.max())], [number])

    def step(self, number: int, offsets_ms: np.ndarray | None = None) -> None:
        """One step of all series, in order of time.

        Parameters
        ----------
        number
            Which step.
        offsets_ms
            When in the step each series' host speaks, None: all at once.
        """
        values, ids = self.values(), self._ids
        times = np.full(self.n_series, T0_MS + number * STEP_MS)
        if offsets_ms is not None:
            times += offsets_ms
            order = np.argsort(times, kind="stable")
            values, ids, times = values[order], ids[order], times[order]
        for at in range(0, self.n_series, self.per_call):
            part = slice(at, at + self.per_call)
            self.push(ids[part], times[part], values[part], number)
