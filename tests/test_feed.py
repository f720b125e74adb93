"""Laws of feeding: the pace of life or faster, never ahead of event time, recordings in step, captures untouched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.cli.main import main
from pipeline.codecs.capture import read_capture, write_capture
from pipeline.codecs.encode import encode_json
from pipeline.codecs.replay import merged, of_capture, of_recording
from pipeline.kafka.feed import Fed, Pace, feed
from pipeline.recordings import epoch_ns, read_recordings, recording

T0_MS = 1_767_571_200_000


class HandMoved:
    """A clock that only naps move."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def now(self) -> float:
        return self.seconds

    def nap(self, seconds: float) -> None:
        self.seconds += seconds


class Kept:
    """Where records end that go nowhere: the seam of ``Writer``, with the time of each."""

    def __init__(self, clock: HandMoved) -> None:
        self.clock, self.rows = clock, []

    def write(self, topic, value, key=None):
        self.rows.append((self.clock.now(), key, value))

    def flush(self):
        self.flushed = len(self.rows)


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 240.0), (60.0, 4.0), (None, 0.0)])
def test_a_recording_takes_its_time_divided_by_the_speed(speed, seconds):
    clock = HandMoved(T0_MS / 1000 + 10_000)
    kept, fed = Kept(clock), Fed()
    feed([(T0_MS + i * 60_000, b"k", b"v") for i in range(5)], kept, "t", Pace(speed, clock.now, clock.nap), fed)
    assert kept.rows[-1][0] - kept.rows[0][0] == pytest.approx(seconds)
    assert (fed.n_records, fed.event_ms, kept.flushed) == (5, T0_MS + 240_000, 5)


@pytest.mark.parametrize("speed", [0.5, 1.0, 1000.0, None])
def test_event_time_never_passes_the_clock(speed):
    clock = HandMoved(T0_MS / 1000 - 30)
    kept = Kept(clock)
    feed([(T0_MS + i * 1000, None, b"%d" % i) for i in range(60)], kept, "t", Pace(speed, clock.now, clock.nap), Fed())
    assert all(T0_MS / 1000 + int(value) <= at + 1e-6 for at, _, value in kept.rows)


def test_stopping_ends_before_the_next_record_even_while_it_waits():
    clock, fed = HandMoved(T0_MS / 1000), Fed()
    kept = Kept(clock)

    def nap(seconds: float) -> None:
        clock.nap(seconds)
        if clock.now() > T0_MS / 1000 + 90:
            fed.stop()

    feed([(T0_MS + i * 60_000, None, b"") for i in range(5)], kept, "t", Pace(1, clock.now, nap), fed)
    assert (fed.n_records, fed.stopped, kept.flushed) == (2, True, 2)
    assert clock.now() < T0_MS / 1000 + 100


def test_several_recordings_go_in_step_and_each_in_its_own_order():
    times = pd.date_range("2026-01-01", periods=4, freq="min", tz="UTC")
    parts = [
        of_recording(recording(pd.DataFrame({"timestamp": times, "x": [1.0, np.nan, 3.0, 4.0]}), name), encode_json)
        for name in ("a", "b")
    ]
    order = [(time_ms, key) for time_ms, key, _ in merged(parts)]
    assert order == sorted(order)
    assert [key for _, key in order] == [b"a", b"b"] * 3


def test_a_capture_written_is_read_again_byte_for_byte(tmp_path: Path):
    rows = [(T0_MS + i, b"key", bytes([i, 255, 0])) for i in range(9)]
    assert write_capture(tmp_path / "c.jsonl.gz", "t", rows) == 9
    assert list(of_capture(read_capture(tmp_path / "c.jsonl.gz"))) == rows


@pytest.mark.parametrize(("unit", "digits"), [("s", 9), ("ms", 6), ("us", 3), ("ns", 0)])
def test_the_unit_of_numeric_times_is_told_by_their_size(unit, digits):
    numbers = pd.Series([T0_MS * 10**6 // 10**digits, (T0_MS + 60_000) * 10**6 // 10**digits])
    assert epoch_ns(numbers).tolist() == [T0_MS * 10**6, (T0_MS + 60_000) * 10**6]


def test_tables_of_all_shapes_name_their_entities(tmp_path: Path):
    times = ["2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"]
    pd.DataFrame({"timestamp": times[::-1], "cpu": [2, 1]}).to_csv(tmp_path / "web-01.csv", index=False)
    wide = {"timestamp": times * 2, "entity": ["x", "x", "y", "y"], "cpu": [1, 2, 3, 4]}
    pd.DataFrame(wide).to_csv(tmp_path / "two.csv", index=False)
    long = {"timestamp": times, "entity": ["z", "z"], "metric": ["cpu", "cpu"], "value": [7, 8]}
    pd.DataFrame(long).to_parquet(tmp_path / "long.parquet", index=False)
    found = {one.entity: one.values[:, 0].tolist() for one in read_recordings([tmp_path])}
    assert found == {"web-01": [1, 2], "x": [1, 2], "y": [3, 4], "z": [7, 8]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.csv"], "absent.csv: there is no such file or folder"),
        (["empty"], "empty holds no telemetry; wanted are files that end in"),
        (["a.csv", "--speed", "fast"], "--speed fast: should be a number above 0, such as 1 or 60, or max"),
        (["a.csv", "--speed", "0"], "--speed 0: should be a number above 0"),
        (["a.csv", "--format", "morse"], "--format morse: foreshock writes otlp-proto"),
        (["a.csv", "b.csv", "--entity", "x"], "--entity x: names one table, but 2 files are to be sent"),
        (["b.csv"], "b.csv: no column 'timestamp' among when, cpu"),
        (["future.csv"], "future: its last time is 2100-01-01T00:00:00.000000000Z, which is still to come"),
        (["c.jsonl.gz", "--format", "json"], "c.jsonl.gz is a capture, whose bytes go as they are"),
    ],
)
def test_send_says_what_it_cannot_send(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("a.csv").write_text("timestamp,cpu\n2026-01-01,1\n")
    Path("b.csv").write_text("when,cpu\n2026-01-01,1\n")
    Path("future.csv").write_text("timestamp,cpu\n2100-01-01,1\n")
    write_capture(Path("c.jsonl.gz"), "t", [(T0_MS, b"", b"")])
    with pytest.raises(SystemExit) as left:
        main(["send", *arguments, "--topic", "t", "--bootstrap-servers", "127.0.0.1:1"])
    assert left.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name one place to go to: a topic with --topic, or a folder with --out"),
        (["--topic", "t", "--out", "x"], "name one place to go to"),
        (["--out", "x", "--step", "soon"], "--step soon: should be a span of time such as 30s, 10m, 24h or 7d"),
        (["--out", "x", "--duration", "10s"], "--duration 10s is shorter than one step of 60 s"),
        (["--out", "x", "--faults", "fire"], "--faults fire: there are all, none, cpu_saturation"),
        (["--topic", "t", "--start", "2100-01-01"], "--start 2100-01-01: the time would pass now"),
    ],
)
def test_simulate_says_what_it_cannot_do(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["simulate", *arguments])
    assert left.value.code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
