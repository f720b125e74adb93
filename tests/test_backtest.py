"""Recordings down the road of the live job: files read, entities side by side, verdicts at the right rows."""

import msgspec
import numpy as np
import pandas as pd
import pytest

import pipeline.replay as module
from pipeline.codecs.encode import ENCODERS
from pipeline.codecs.replay import of_recording
from pipeline.errors import InputError
from pipeline.events import Records
from pipeline.recordings import read_recordings, recording
from pipeline.replay import replay, train
from pipeline.stream import PartitionStream, Plan

N = 900


def a_frame(seed, start="2026-01-01", step="min"):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(N, 3)).cumsum(0) * 0.1 + rng.normal(size=(N, 3))
    values[700:720, seed % 3] += 40
    frame = pd.DataFrame(values, columns=["a", "b", "c"])
    frame.insert(0, "timestamp", pd.date_range(start, periods=N, freq=step, tz="UTC"))
    return frame


@pytest.fixture(scope="module")
def fleet():
    return [recording(a_frame(seed), f"host-{seed}") for seed in range(3)]


def without_place(events):
    plain = [msgspec.to_builtins(event) for event in events if event.data.track == "behaviour"]
    for one in plain:
        del one["data"]["source"]
    return sorted(plain, key=lambda one: one["id"])


def test_entities_side_by_side_are_judged_as_each_alone(fleet):
    together = replay(fleet, Plan())
    for one in fleet:
        alone = replay([one], Plan())
        pd.testing.assert_frame_equal(together.tables[one.entity], alone.tables[one.entity])
        mine = [event for event in together.incidents if event.data.entity.id == one.entity]
        assert without_place(mine) == without_place(alone.incidents)
    assert len({event.data.entity.id for event in together.incidents}) == 3


@pytest.mark.parametrize("chunk_samples", [3, 700, 10**9])
def test_any_chunking_gives_the_same_tables_and_the_same_bytes(fleet, monkeypatch, chunk_samples):
    expected = replay(fleet, Plan())
    monkeypatch.setattr(module, "CHUNK_SAMPLES", chunk_samples)
    found = replay(fleet, Plan())
    assert msgspec.json.encode(found.incidents) == msgspec.json.encode(expected.incidents)
    for name, table in expected.tables.items():
        pd.testing.assert_frame_equal(found.tables[name], table)


def test_training_on_a_fleet_is_training_on_each_of_it(fleet):
    bundle = train(fleet, Plan())
    alone = train(fleet[1:2], Plan())
    test = [recording(a_frame(7, "2026-01-02"), "host-1")]
    pd.testing.assert_frame_equal(
        replay(test, Plan(), bundle).tables["host-1"], replay(test, Plan(), alone).tables["host-1"]
    )


def test_a_verdict_stands_at_the_last_row_of_its_cell():
    frame = a_frame(1)
    jitter = np.random.default_rng(0).integers(-20, 20, N)
    jittered = frame.assign(timestamp=frame["timestamp"] + pd.to_timedelta(jitter, "s"))
    table = replay([recording(jittered, "x")], Plan()).tables["x"]
    assert table["score"].notna().sum() > 0.9 * N
    again = frame[300:].assign(timestamp=frame["timestamp"] + pd.Timedelta("10s"))
    twice = pd.concat([frame, again]).sort_values("timestamp", kind="stable", ignore_index=True)
    scored = replay([recording(twice, "x")], Plan()).tables["x"]["score"].notna()
    assert scored[100:300].all()
    assert not scored[300::2].any() and scored[301::2].all()


def test_long_and_wide_tables_and_folders_say_the_same(tmp_path):
    frames = {f"host-{seed}": a_frame(seed) for seed in range(2)}
    (tmp_path / "wide").mkdir()
    long = []
    for name, frame in frames.items():
        frame.assign(label=1).to_parquet(tmp_path / "wide" / f"{name}.test.parquet")
        long.append(frame.melt("timestamp", var_name="metric").assign(entity=name))
    pd.concat(long).sample(frac=1.0, random_state=1).to_csv(tmp_path / "long.csv", index=False)
    one_file = pd.concat([frame.assign(entity=name) for name, frame in frames.items()])
    one_file.to_csv(tmp_path / "grouped.csv", index=False)
    expected = read_recordings([tmp_path / "wide"])
    assert [(one.entity, one.metrics) for one in expected] == [("host-0", ["a", "b", "c"]), ("host-1", ["a", "b", "c"])]
    assert expected[0].label is not None and expected[0].label.all()
    for path in ("long.csv", "grouped.csv"):
        for one, other in zip(read_recordings([tmp_path / path]), expected, strict=True):
            assert (one.entity, one.metrics) == (other.entity, other.metrics)
            assert np.array_equal(one.times, other.times)
            np.testing.assert_allclose(one.values, other.values, rtol=1e-12)


def test_files_that_are_no_recording_are_refused_with_their_name(tmp_path):
    with pytest.raises(InputError, match=r"no such|cannot|is not a table"):
        read_recordings([tmp_path / "missing.csv"])
    with pytest.raises(InputError, match="holds no table"):
        read_recordings([tmp_path])
    (tmp_path / "x.csv").write_text("timestamp,a\nyesterday,1\n")
    with pytest.raises(InputError, match="not a time"):
        read_recordings([tmp_path])
    frame = a_frame(0)
    frame.to_csv(tmp_path / "x.csv", index=False)
    frame.to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match="another table about x"):
        read_recordings([tmp_path])


def test_a_table_is_judged_with_the_units_of_the_records_that_send_makes_of_it():
    rng, n = np.random.default_rng(4), 1_600
    used, latency = 0.5 + 0.004 * rng.normal(size=n), 20 + rng.normal(size=n)
    used[1_000:1_020] += 0.3
    latency[1_300:1_320] += 60.0
    frame = pd.DataFrame({"disk.utilization": used, "requests.latency_ms": latency})
    frame.insert(0, "timestamp", pd.date_range("2026-01-01", periods=n, freq="min", tz="UTC"))
    one = recording(frame, "db-03")
    sent = list(of_recording(one, ENCODERS["otlp-proto"]))
    times, keys, values = (list(column) for column in zip(*sent, strict=True))
    live = PartitionStream(Plan(), "t", 0).step(Records("t", 0, list(range(n)), times, keys, values)).incidents
    told = replay([one], Plan()).incidents
    plain = [[msgspec.to_builtins(event) for event in events] for events in (live, told)]
    for event in (*plain[0], *plain[1]):
        del event["data"]["source"]
    assert plain[0] == plain[1][: len(live)]
    assert any(" % " in event.data.title for event in live)
    assert any(" ms since" in event.data.title for event in live)
