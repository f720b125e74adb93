"""300 seeded records that mean harm, between good ones: the good arrive, the bad have a reason, memory stays flat."""

from __future__ import annotations

import resource

from hostile import GOOD, hostile_records

from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.codecs.encode import ENCODERS
from pipeline.events import Records


def records_of(values: list[bytes]) -> Records:
    n = len(values)
    return Records("t", 0, list(range(n)), [1_700_000_000_000] * n, [None] * n, list(values))


def test_all_good_records_arrive_and_all_bad_ones_have_a_reason() -> None:
    bad = hostile_records(300, seed=11)
    good = [ENCODERS[name](GOOD) for name in sorted(ENCODERS)]
    catalog, arrived, rejected = Catalog(), 0, 0
    peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for first in range(0, 300, 10):
        values = [value for i in range(first, first + 10) for value in (good[i % len(good)], bad[i])]
        found = decode(records_of(values), catalog)
        rows = found.samples.record[found.samples.record % 2 == 0]
        arrived += len(rows)
        assert {one.offset for one in found.rejected} == set(range(1, 20, 2)), [one.reason for one in found.rejected]
        rejected += len(found.rejected)
    assert (arrived, rejected) == (300 * len(GOOD), 300)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_before < 700_000  # KB: one record's worth
