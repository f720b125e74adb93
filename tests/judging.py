"""The fast road beside the judge: what walks over bytes find, and what the format's own decoder finds alone."""

from __future__ import annotations

import random

import numpy as np

from pipeline.catalog import Catalog
from pipeline.codecs import CODECS, Decoded, decode
from pipeline.codecs.writer import Hopeless, SampleWriter
from pipeline.errors import CodecError
from pipeline.events import Records, SampleBatch

T0 = 1_700_000_000 * 10**9


def records_of(values: list[bytes]) -> Records:
    n = len(values)
    return Records("telemetry", 0, list(range(n)), [T0 // 10**6] * n, [None] * n, list(values))


def by_the_judge(name: str, records: Records, catalog: Catalog) -> SampleWriter:
    out = SampleWriter(catalog)
    for row, value in enumerate(records.values):
        if not value or value.isspace():
            continue
        out.record = row
        try:
            CODECS[name].decode(value, out, records.times[row])
        except (CodecError, RecursionError) as error:
            out.reject(getattr(error, "reason", "too_deep"), getattr(error, "detail", str(error)[:200]))
        except Hopeless:
            pass
    return out


def assert_equal(found: Decoded, judge: SampleWriter, names: tuple[Catalog, Catalog]) -> None:
    expected: SampleBatch = judge.batch()
    for column in ("time", "start", "kind", "record"):
        np.testing.assert_array_equal(getattr(found.samples, column), getattr(expected, column), err_msg=column)
    assert found.samples.value.tobytes() == expected.value.tobytes()
    assert [names[0].identities[s] for s in found.samples.series_id] == [
        names[1].identities[s] for s in expected.series_id
    ]
    assert repr(found.distributions) == repr(judge.distributions)  # so that NaN is NaN
    assert (found.skipped, found.noted, found.refused) == (judge.skipped, judge.noted, judge.refused)
    assert {one.offset: one.reason for one in found.rejected} == {r: why[0] for r, why in judge.rejections.items()}


def assert_same(name: str, values: list[bytes], catalogs: tuple[Catalog, Catalog], times: int = 1) -> None:
    """Read the values ``times`` times on both roads; the first catalog is taught by it."""
    records = records_of(values)
    for _ in range(times):
        assert_equal(decode(records, catalogs[0], [name]), by_the_judge(name, records, catalogs[1]), catalogs)


def mutated(chance: random.Random, value: bytes) -> bytes:
    """The bytes with a few of them flipped, replaced, cut out or doubled."""
    changed = bytearray(value)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(len(changed))
        how = chance.randrange(4)
        if how == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            changed[at] = chance.randrange(256)
        elif how == 2:
            del changed[at : at + chance.randint(1, 9)]
        else:
            other = chance.randrange(len(value))
            changed[at:at] = value[other : other + chance.randint(1, 12)]
        if not changed:
            return value
    return bytes(changed)
