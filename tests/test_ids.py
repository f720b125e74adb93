"""The law of ids: who gets which hangs on the records in their order, never on how they were polled."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_meaning import AT, histogram

from pipeline.codecs.encode import encode_influx, encode_json, encode_otlp_proto
from pipeline.events import Kind, Records
from pipeline.stream import PartitionStream, Plan

N = 120


def mixed(seed: int) -> Records:
    """Records of all kinds of senders, in which new series appear all the time, histograms beside numbers."""
    chance, values = np.random.default_rng(seed), list[bytes | None]()
    for i in range(N):
        time_ns, new = AT + i * 10**9, f"m{int(chance.integers(0, 1 + i // 3))}"
        rows = [("a", new, (), time_ns, 1.0, Kind.GAUGE), ("b", f"{new}.{i % 5}", (), time_ns, 2.0, Kind.COUNTER)]
        kind = int(chance.integers(0, 5))
        if kind == 3:
            values.append(histogram(i, 4 * i, 6.0 * i, [2 * i, 2 * i, 0, 0]))
        elif kind == 4:
            pod = {"timestamp": time_ns // 10**6, "entity": f"web-7d4b9c6f5d-abcd{i % 9}", "class": "pod"}
            values.append(json.dumps([{**pod, "metric": new, "value": 1}]).encode())
        else:
            values.append((encode_json, encode_influx, encode_otlp_proto)[kind](rows))
    return Records("t", 0, list(range(N)), [AT // 10**6 + 1000 * i for i in range(N)], [None] * N, values)


def polled(records: Records, n: int) -> PartitionStream:
    stream = PartitionStream(Plan(), "t", 0)
    for at in range(0, N, n):
        rows = slice(at, at + n)
        columns = (records.offsets[rows], records.times[rows], records.keys[rows], records.values[rows])
        stream.step(Records("t", 0, *columns))
    return stream


@pytest.mark.parametrize("seed", range(3))
def test_series_are_numbered_alike_however_they_were_polled(seed: int) -> None:
    records = mixed(seed)
    expected = polled(records, 1)
    names = [one.name for one in expected.catalog.identities]
    assert "lag.mean" in names
    for n in (2, 7, 40, N):
        found = polled(records, n)
        assert [one.name for one in found.catalog.identities] == names
        assert found.digest() == expected.digest()
