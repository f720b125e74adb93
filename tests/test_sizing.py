"""Laws of sizing: the formula agrees with what was measured, and says itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli.main import main
from pipeline.events import Kind, SampleBatch, SeriesIdentity
from pipeline.image import live_rows
from pipeline.sizing import Cost, Fleet, needed
from pipeline.stream import PartitionStream, Plan

ROOT = Path(__file__).parents[1]
MEASURED = json.loads((ROOT / "tests/benchmarks/results.json").read_text())["figures"]


def test_a_series_in_a_snapshot_takes_what_the_formula_says():
    n = 2_000
    stream = PartitionStream(Plan(), "t", 0)
    for i in range(n):
        stream.catalog.series_id(SeriesIdentity(f"host-{i // 20}", "host", f"metric.{i % 20}"))
    ids, none = np.arange(n, dtype=np.int32), np.zeros(n, np.int64)
    batch = SampleBatch(ids, none + 10**18, none + 1.0, none.astype(np.uint8) + Kind.GAUGE, none, none.astype(np.int32))
    stream.advance(batch, [10**12], [0])
    image = stream.image()
    kept = sum(live_rows(table, image.rows).nbytes for table in image.tables.values())
    assert (kept + len(image.names) + len(image.told)) / n == pytest.approx(Cost().state_bytes, rel=0.1)


@pytest.mark.parametrize("points", [500, 100])
def test_the_cores_agree_with_a_measured_run(points):
    if "end to end" not in MEASURED:
        pytest.skip("no end-to-end figures of this detector yet: make bench")
    measured = MEASURED["end to end"][f"otlp-{points}"]
    rate = measured["samples_per_second"]["median"]
    need = needed(Fleet(series=int(rate * 10), step_seconds=10, points=points))
    assert need.samples == pytest.approx(rate, rel=0.01)
    assert need.cores * Cost().use == pytest.approx(measured["job_cores"]["median"], rel=0.4)


def test_the_memory_agrees_with_a_measured_run():
    sizes = MEASURED["grid to incidents"]
    measured = sizes[max(sizes, key=lambda name: int(name.replace(",", "")))]["bytes a series"]["min"]
    assert Cost().series_bytes == pytest.approx(measured, rel=0.25)


def test_more_of_anything_needs_no_less():
    small, large = needed(Fleet(100_000, 10)), needed(Fleet(10_000_000, 10))
    assert large.cores == pytest.approx(100 * small.cores)
    assert large.partitions >= 50 and large.partitions >= 2 * large.processes
    assert needed(Fleet(100_000, 1)).cores == pytest.approx(10 * small.cores)
    assert needed(Fleet(100_000, 10, points=1)).cores > 10 * small.cores


def test_the_command_prints_need_and_formula(capsys):
    with pytest.raises(SystemExit) as left:
        main(["size", "--series", "1000000", "--step", "10"])
    assert left.value.code == 0
    told = capsys.readouterr().out
    assert "100,000 a second" in told and "samples a second  = series / step" in told and "sample_us" in told
    with pytest.raises(SystemExit):
        main(["size", "--series", "1000000", "--step", "10", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["need"]["samples"] == 100_000 and found["fleet"]["points"] == 500
