"""The walks over text see what the decoders of Influx lines and plain JSON see, in what is right and in all else."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from judging import T0, assert_same, mutated, records_of
from wire import NAMES, WIRE

from pipeline.catalog import Catalog
from pipeline.codecs import decode, influx, plain_json
from pipeline.codecs.capture import read_capture
from pipeline.codecs.encode import encode_influx, encode_json
from pipeline.codecs.writer import SampleWriter
from pipeline.dialect import DEFAULT, Dialect
from pipeline.events import Kind

ROWS = [
    (f"h{i % 3}", f"cpu.m{i % 5}", (("cpu", f"{i % 2}"), ("dc", 'eu "1",=')), T0 + i, value, kind)
    for i, (value, kind) in enumerate(
        [(1.5, Kind.GAUGE), (7, Kind.COUNTER), (-0.25, Kind.GAUGE), (1e-7, Kind.GAUGE)] * 5
    )
]
LINES = [encode_influx(ROWS), b'cpu,host=a up=true,note="a, b=\\"c\\"",n=3i,m=4u,f=F 1700000000\n  cpu,host=a n=5i\r\n']
OBJECTS = [
    encode_json(ROWS),
    json.dumps({"metric": "m", "value": True, "timestamp": "2023-11-14T22:13:20.5+01:00", "entity": "a"}).encode(),
    b'[{"timestamp":1700000000.25,"entity":"b","metric":"m","value":1e3,"more":{"x":[1,{"y":"]"}]}} ,\n'
    b' {"labels":{"a":"\\u00e9"},"unit":"By","timestamp":1700000000123,"value":-2.5E-3,"metric":"m","class":"k"}]',
]


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Collect the records that the decoders themselves were asked about."""
    asked: list[bytes] = []
    for codec in (influx, plain_json):

        def asking(value: bytes, out: SampleWriter, time_ms: int, real: Any = codec.decode) -> None:
            asked.append(value)
            real(value, out, time_ms)

        monkeypatch.setattr(codec, "decode", asking)
    return asked


@pytest.mark.parametrize(("name", "values"), [("influx", LINES), ("json", OBJECTS)])
def test_a_known_series_needs_no_judge_and_a_new_one_does_once(
    name: str, values: list[bytes], judged: list[bytes]
) -> None:
    catalogs = (Catalog(), Catalog())
    assert_same(name, values, catalogs)
    judged.clear()
    found = decode(records_of(values * 3), catalogs[0], [name])
    assert judged == []
    assert len(found.samples) > 60
    assert_same(name, values * 3, catalogs)


@pytest.mark.skipif(not NAMES, reason="the captures of ../shared/data/wire are absent")
def test_a_capture_of_lines_gives_the_samples_of_the_judge(judged: list[bytes]) -> None:
    values = [value for value in read_capture(WIRE / "telegraf-influx.jsonl.gz").values if value][:400]
    catalogs = (Catalog(), Catalog())
    assert_same("influx", values, catalogs)
    judged.clear()
    decode(records_of(values), catalogs[0])
    assert all(value.startswith(b"system,") for value in judged)  # texts alone: nothing there is a series


@pytest.mark.parametrize(("name", "values"), [("influx", LINES), ("json", OBJECTS)])
@pytest.mark.parametrize("seed", range(3))
def test_mutated_records_of_known_series_give_the_samples_of_the_judge(
    name: str, values: list[bytes], seed: int
) -> None:
    chance, catalogs = random.Random(seed), (Catalog(), Catalog())
    assert_same(name, values, catalogs)
    for _ in range(4):
        assert_same(name, [mutated(chance, chance.choice(values)) for _ in range(150)], catalogs)


KNOWN = b'{"timestamp":1700000000,"entity":"a","metric":"m","value":1}'
ODD_VALUES = """
    01 +1 1. .5 -0 -0.0 1e400 1e-400 123456789012345678901234567890 null "NaN" tru truex 1E+2 1e 1e+ - [1] 0.0000000
""".split()
ODD_TIMES = [
    *"-1 0 017 9223372036854775807 99999999999999999999 1.7e9 1700000000. 1700000000.1234567 1700000000.123456".split(),
    *'1700000000123.25 "1700000000" 99999999999.5 1700000000123456789.75 null true []'.split(),
    '"2024-02-30T00:00:00Z"',
    '"2024-02-29t23:59:60z"',
    '"2100-02-29 00:00:00"',
    '"2024-02-29 00:00:00.1234567891-0330"',
    '"2024-02-29 00:00:00."',
    '"2024-02-29 00:00:00+1"',
    '"2024-02-29T00:00:00.5+05:30"',
    '"2024-02-29T00:00:00Z" ',
    '"2024-02-29T00:00:00Zx"',
    '"2024-2-29T00:00:00Z"',
]
ODD_OBJECTS = [
    *(KNOWN.replace(b":1}", b":" + value.encode() + b"}") for value in ODD_VALUES),
    *(KNOWN.replace(b"1700000000", time.encode()) for time in ODD_TIMES),
    b'{"timestamp":1700000000,"entity":"a","metric":"m","value":1,"value":2}',
    b'{"timestamp":1700000000,"entity":"a","metric":"m","value":1,"timestamp":1700000001}',
    b'{"timestamp":1700000000,"entity":"a","metric":"m","value":1,"val\\u0075e":2}',
    b'{"timestamp":1700000000,"entity":"a","metric":"m","value":1,}',
    b'{"timestamp":1700000000,"entity":"a","metric":"m","value":1}}',
    b'{"timestamp":1700000000,"entity":"a","metric":"m","value":1',
    KNOWN + b" " + KNOWN,
    b'{"timestamp":1700000000,"entity":"a"\n,"metric":"m","value":1}',
    b'{"timestamp":1700000000,"entity":"a"\n,"metric":"m","value":1}\n' + KNOWN,
    b'{"entity":"a","metric":"m","value":1}',
    b'{"timestamp":1700000000,"entity":"a","metric":"m"}',
    b'{"timestamp":1700000000,"entity":"a""metric":"m","value":1}',
    b'{"timestamp":1700000000,"entity":"a" "metric":"m","value":1}',
    b"[" + KNOWN + b"]\n" + KNOWN,
    b"[" + KNOWN + b",]",
    b"[" + KNOWN,
    b"[]",
    KNOWN + b"\n\n\r\n" + KNOWN + b"\n",
    KNOWN + b"\r" + KNOWN,
    KNOWN + b"\x0b" + KNOWN,
    KNOWN + b"\nnonsense\n" + KNOWN,
    b"\xef\xbb\xbf" + KNOWN,
]


@pytest.mark.parametrize("value", ODD_OBJECTS)
def test_odd_objects_of_a_known_series_are_what_the_judge_says(value: bytes) -> None:
    catalogs = (Catalog(), Catalog())
    assert_same("json", [KNOWN, value, KNOWN, value], catalogs, times=2)


@pytest.mark.parametrize(
    "line",
    [
        b"m,host=a v=1 1700000000",
        b"m,host=a v=1",
        b"m,host=a v=1 -5",
        b"m,host=a v=1 0",
        b"m,host=a v=1 5 6",
        b"m,host=a v=1\t1700000000",
        b"m,host=a v=1 1700000000\t\r",
        b"m,host=a v=1\t",
        b"m,host=a   v=1   1700000000  ",
        b"m,host=a v=+1,w=.5,x=1.,y=007 1700000000",
        b"m,host=a v=-0i,w=-0,x=1e5i 1700000000",
        b"m,host=a v=NaN,w=inf 1700000000",
        b"m,host=a v=tRuE,w=FALSE,x=f,y=truex 1700000000",
        b"m,host=a v=1, 1700000000",
        b"m,host=a v=,w=1 1700000000",
        b"m,host=a =1 1700000000",
        b"m,host=a v 1700000000",
        b'm,host=a s="x\ny",v=1 1700000000',
        b'm,host=a s="x 1700000000',
        b'm,host=a s="x"y,v=1 1700000000',
        b"# note\nm,host=a v=1 1700000000",
        b"m,host=a\\ b v=1 1700000000",
        b"m,host=a\\\\ v=1 1700000000",
        b"m,host=a v\\ w=1,v\\=x=2 1700000000",
        b"m 1700000000",
        b"m,host=a v=18446744073709551615u,w=99999999999999999999i 1700000000",
        b"m,host=a v=1 99999999999999999999",
        b"m," + b"host=a," * 1500 + b"x=y v=1 1700000000",
        b"{m v=1 1700000000",
        b"m,host=a\0 v=1,v\0=2,v=3 1700000000",
        b"m,host=a\x01 v=1,v\x01=2,v=3 1700000000",
    ],
)
def test_odd_lines_of_a_known_series_are_what_the_judge_says(line: bytes) -> None:
    known = b"m,host=a v=1 1700000000\n"
    assert_same("influx", [known, line, known, known + line + b"\n" + known, line], (Catalog(), Catalog()), times=2)


def test_kinds_by_setting_hold_for_known_series_and_another_dialect_reads_anew() -> None:
    catalog, line = Catalog(), b"diskio,host=a reads=5i,iops_in_progress=1i 1700000000\n"
    for _ in range(2):
        assert decode(records_of([line]), catalog).samples.kind.tolist() == [Kind.COUNTER, Kind.GAUGE]
    assert decode(records_of([line]), catalog, dialect=Dialect(rising_metrics=())).samples.kind.tolist() == [0, 0]


def test_equal_bytes_in_two_formats_are_two_identities() -> None:
    catalog = Catalog()
    values = [b"m,host=a v=1 1700000000\n", KNOWN]
    for _ in range(3):
        found = decode(records_of(values), catalog)
    assert [catalog.identities[s].metric for s in found.samples.series_id] == ["m.v", "m"]
    assert catalog.spellings_of(DEFAULT).n_entries == 3  # a line's key, its field, and an object


def test_a_line_without_time_has_its_records(judged: list[bytes]) -> None:
    catalog = Catalog()
    for _ in range(2):
        found = decode(records_of([b"m,host=a v=1\nm,host=a v=2 1700000001\n"]), catalog)
        assert found.samples.time.tolist() == [T0, T0 + 10**9]
    assert len(judged) == 1


OTHERS = [
    b'{"fields":{"v":1},"name":"m","tags":{"host":"a"},"timestamp":1700000000}',
    b'{"metric":"m","value":1,"entity":"a","timestamp":1700000000,"fields":{},"name":"n"}',
    b'{"metric":"m","value":1,"entity":"a","timestamp":1700000000,"metrics":[]}',
    b'[{"metric":"m","value":1,"entity":"a","timestamp":1700000000},'
    b'{"metric":"m","value":1,"entity":"a","timestamp":1700000000,"metricset":{"name":"n"},"@timestamp":"2023"}]',
    b'{"metric":"m","value":1,"entity":"a","timestamp":1700000000,"metricset":{"name":"n"},"@timestamp":"2023"}',
    b'{"labels":{"host":"a"},"name":"m","timestamp":"2023-11-14T22:13:20Z","value":"1"}',
    b'{"a":1}',
    b"{",
]


@pytest.mark.parametrize("seed", range(3))
def test_what_follows_plain_json_is_told_apart_as_if_it_came_alone(seed: int) -> None:
    captured = [read_capture(WIRE / f"{name}.jsonl.gz").values[:15] for name in NAMES]
    values = [value for some in [*captured, OBJECTS, ODD_OBJECTS, OTHERS, LINES] for value in some if value]
    chance, together, alone = random.Random(seed), Catalog(), Catalog()
    for _ in range(3):
        chance.shuffle(values)
        mixed = [one for value in values for one in (KNOWN, value)]
        found = decode(records_of(mixed), together)
        apart = [decode(records_of([one]), alone) for one in mixed]
        assert found.by_format == dict(sum((Counter(one.by_format) for one in apart), Counter()))
        ids = np.concatenate([one.samples.series_id for one in apart])
        names = [
            [catalog.identities[s] for s in some]
            for catalog, some in ((together, found.samples.series_id), (alone, ids))
        ]
        assert names[0] == names[1]
        assert [one.reason for one in found.rejected] == [one.reason for part in apart for one in part.rejected]
        told = [(row.time, row.value, row.kind) for row in (found.samples, *(one.samples for one in apart))]
        for column, *parts in zip(*told, strict=True):
            assert column.tobytes() == np.concatenate(parts).tobytes()
