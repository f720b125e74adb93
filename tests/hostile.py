"""Records that mean harm or nothing, seeded: none of them holds a single sample."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import cramjam

from pipeline.codecs.encode import ENCODERS
from pipeline.events import Kind

GOOD = [("db-03", f"disk.used{n}", (("device", "vda"),), 10**18 + n * 10**6, 61.5 + n, Kind.GAUGE) for n in range(3)]
_TEN_MB = 10 * 2**20


def hostile_records(n: int, seed: int) -> list[bytes]:
    """``n`` records, each of another kind than the one before."""
    chance = random.Random(seed)
    return [_KINDS[i % len(_KINDS)](chance) for i in range(n)]


def _truncated(chance: random.Random) -> bytes:
    """A single sample, cut: nothing of it is whole."""
    name = chance.choice(["otlp-proto", "otlp-json", "json", "prometheus-remote-write"])
    value = ENCODERS[name](GOOD[:1])
    return value[: chance.randint(len(value) // 2, len(value) - 2)]


def _huge_number(chance: random.Random) -> bytes:
    return b'{"timestamp":1767571200,"entity":"a","metric":"m","value":' + b"9" * chance.randint(1000, 10**6) + b"}"


def _nested(chance: random.Random) -> bytes:
    opening = chance.choice([b"[", b'{"metrics":', b'{"a":', b'[{"dstypes":', b'{"resourceMetrics":['])
    return opening * chance.randint(2_000, 200_000)


def _nested_protobuf(chance: random.Random) -> bytes:
    """An attribute value within an attribute value within ..., each array one level deeper."""
    value = b"\x10\x01"
    for _ in range(chance.randint(200, 400)):
        inner = b"\x0a" + _varint(len(value)) + value
        value = b"\x2a" + _varint(len(inner)) + inner
    for field in (b"\x12", b"\x0a", b"\x0a", b"\x0a"):
        value = field + _varint(len(value)) + value
    return value


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _wrong_types(chance: random.Random) -> bytes:
    odd = chance.choice([[], {}, [1], True, "x", {"a": []}])
    shapes = [
        {"timestamp": 1767571200, "entity": "a", "metric": odd or None, "value": 1} if not isinstance(odd, str) else 7,
        {"timestamp": odd, "entity": "a", "metric": "m", "value": 1},
        {"fields": odd if not isinstance(odd, dict) else 3, "name": "cpu", "tags": {}, "timestamp": 1767571200},
        {"fields": {"a": 1}, "name": "cpu", "tags": {}, "timestamp": odd},
        [{"values": odd, "dstypes": odd, "plugin": odd}],
        {"resourceMetrics": 3 if isinstance(odd, list) else odd},
        {"labels": [1], "name": "up", "value": "1", "timestamp": odd},
        {"@timestamp": odd, "metricset": {}, "host": odd},
    ]
    return json.dumps(chance.choice(shapes)).encode()


def _invalid_utf8(chance: random.Random) -> bytes:
    return chance.choice(
        [
            b"cpu,host=\xff\xfe v=1 1767571200000000000\n",
            b"a.\xff.c 1 1767571200\n",
            b'up{host="\xc3\x28"} 1\n',
            b"PUTVAL \xff/a/b 1767571200:1",
            b'{"timestamp":1767571200,"entity":"\xff","metric":"m","value":1}',
            bytes(chance.randrange(128, 256) for _ in range(chance.randint(3, 300))),
        ]
    )


def _ten_megabytes(chance: random.Random) -> bytes:
    text = chance.choice([b"x", b"a=", b'\\"', b" ", b"a,", b"a.", b"{", b"1 "]) * (_TEN_MB // 2)
    return chance.choice(
        [
            b'{"timestamp":1767571200,"entity":"' + b"x" * _TEN_MB + b'","metric":"m","value":1}',
            b"cpu,host=" + text.replace(b" ", b"_").replace(b'"', b"'") + b"\n",
            b'up{host="' + text.replace(b"\n", b" "),
            b"PUTVAL " + text,
            b"y" * _TEN_MB + b" 1 1767571200\n",
        ]
    )


def _absurd_time(chance: random.Random) -> bytes:
    when = chance.choice([b"99999999999999999999", b"-5", b"0", b"1" * 39])
    return (
        chance.choice(
            [b"cpu,host=a v=1 %s\n", b"PUTVAL a/b/c %s:1", b'{"timestamp":"%s","entity":"a","metric":"m","value":1}']
        )
        % when
    )


def _bomb(chance: random.Random) -> bytes:
    """A snappy block that unfolds twentyfold, or claims to unfold to 4 GB."""
    if chance.random() < 0.5:
        return b"\xff\xff\xff\xff\x0f\x04\x0a\x00" + bytes(chance.randint(0, 999))
    return bytes(cramjam.snappy.compress_raw(b"\x0a\x02\x0a\x7f" + b"\x00" * chance.randint(10**6, 30 * 10**6)))


def _pickled(chance: random.Random) -> bytes:
    return b"\x00\x00\x00\x2a\x80\x02cos\nsystem\nq\x00X\x04\x00\x00\x00true" + bytes(chance.randint(1, 9))


_KINDS: tuple[Callable[[random.Random], bytes], ...] = (
    _truncated,
    _huge_number,
    _nested,
    _nested_protobuf,
    _wrong_types,
    _invalid_utf8,
    _ten_megabytes,
    _absurd_time,
    _bomb,
    _pickled,
)
