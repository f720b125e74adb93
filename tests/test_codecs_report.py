"""The report and the table tell what was decoded, and nothing that was not."""

from __future__ import annotations

import base64
import gzip
import json
import math
from pathlib import Path

import pandas as pd
import pytest

from pipeline.catalog import Catalog
from pipeline.codecs import Decoded, decode
from pipeline.codecs.capture import read_capture
from pipeline.codecs.encode import encode_json, encode_otlp_proto
from pipeline.codecs.report import frame_of, lines_of, report_of
from pipeline.errors import InputError
from pipeline.events import Kind, Records

START = 1_767_571_200_000_000_000
ROWS = [
    ("db-03", "disk.io", (("device", device),), START + 5 * 10**9 * n, float(n), Kind.COUNTER)
    for n in range(4)
    for device in ("vda", "vdb")
]
STALE = b'{"timestamp":1767571200,"entity":"db-03","metric":"disk.io","value":null}'


def decoded(*values: bytes) -> tuple[Decoded, Catalog]:
    catalog, n = Catalog(), len(values)
    return decode(Records("t", 0, list(range(n)), [0] * n, [None] * n, list(values)), catalog), catalog


def test_the_table_has_a_row_a_sample_with_values_as_sent() -> None:
    frame = frame_of(*decoded(encode_json([*ROWS, ("a", "m", (), START + 1, math.inf, Kind.DELTA)])))
    assert list(frame.columns) == ["time", "entity", "metric", "labels", "value", "kind"]
    assert str(frame["time"].dtype) == "datetime64[ns, UTC]"
    assert frame["value"].tolist() == [row[4] for row in ROWS] + [math.inf]
    assert frame["labels"].tolist() == ['{"device":"vda"}', '{"device":"vdb"}'] * 4 + ["{}"]
    assert frame["kind"].tolist() == ["counter"] * 8 + ["delta"]
    assert frame["time"].iloc[-1] == pd.Timestamp(START + 1, tz="UTC")


def test_a_stale_flag_is_no_row_of_the_table_and_counted_in_the_report() -> None:
    parts = decoded(encode_json(ROWS) + b"\n" + STALE)
    assert len(frame_of(*parts)) == len(ROWS)
    assert report_of([parts]).n_stale == 1


def test_the_report_sums_over_batches_with_catalogs_of_their_own() -> None:
    report = report_of([decoded(encode_json(ROWS)), decoded(encode_otlp_proto(ROWS), b"what?")])
    (metric,) = report.metrics
    assert report.records_by_format == {"json": 1, "otlp-proto": 1}
    assert (report.n_samples, report.entities, report.labels) == (16, {"db-03": 16}, {"device": 2})
    assert (metric.name, metric.kind, metric.n_series, metric.n_samples) == ("disk.io", "counter", 2, 16)
    assert (metric.step_seconds, metric.lowest, metric.highest) == (5.0, 0.0, 3.0)
    assert [(seen.reason, seen.n_records) for seen in report.rejected] == [("unknown_format", 1)]
    assert report.first_time == "2026-01-05T00:00:00.000000000Z"


def test_the_report_reads_as_lines() -> None:
    lines = lines_of(report_of([decoded(encode_json(ROWS), b"what?")]))
    assert lines[0] == "formats   json (1 records)"
    assert lines[2] == "entities  1: db-03 (8)"
    assert lines[3] == "classes   host (1)"
    assert lines[6] == "  disk.io  counter, 2 series, 8 samples, every 5 s, 0 to 3; judged as rate"
    assert lines[-1] == "rejected  1 records: unknown_format (begins with b'what?')"


def test_the_report_counts_what_is_not_taken_at_its_word() -> None:
    line = b'm,host=a a=1,up=true,text="x",top=18446744073709551615u,free_bytes=-1i 1767571200000000000\n'
    odd = encode_json([("a", "m", (), START, value, Kind.GAUGE) for value in (math.nan, math.inf, -math.inf)])
    report = report_of([decoded(line, odd)])
    assert (report.noted, report.skipped) == ({"boolean_as_number": 1}, {"text_field": 1})
    assert (report.n_nan, report.n_infinite, report.n_sentinels) == (1, 2, 2)
    assert report.classes == {"host": 1}
    lines = lines_of(report)
    assert "gaps      1 values are not a number, 2 infinite" in lines
    assert "gaps      2 values stand for none or no limit" in lines
    assert "noted     1 values: boolean_as_number" in lines


def test_nothing_decoded_is_a_report_too() -> None:
    assert lines_of(report_of([]))[0] == "formats   none"
    assert report_of([decoded()]).first_time is None


def test_a_capture_is_read_in_file_order_with_null_keys_and_values(tmp_path: Path) -> None:
    line = {"topic": "t", "partition": 1, "offset": 7, "timestamp": 9, "headers": [], "key": None}
    rows = [line | {"value": base64.b64encode(b"x").decode()}, line | {"offset": 8, "key": "AAE=", "value": None}]
    path = tmp_path / "some.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    assert read_capture(path) == Records("t", 1, [7, 8], [9, 9], [None, b"\x00\x01"], [b"x", None])


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"{}", mtime=0), gzip.compress(b"x" * 99, mtime=0)[:20]])
def test_a_file_that_is_no_capture_is_an_input_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.jsonl\.gz is not a capture"):
        read_capture(path)
