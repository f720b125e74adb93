"""Records of real senders, meddled with, through every codec: whatever comes, nothing may end as an
exception, and the walks over known series must see what the formats' own decoders see.

usage: fuzz.py [--seconds 60] [--seed N]     (make fuzz)
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from hostile import GOOD  # noqa: E402
from judging import assert_same  # noqa: E402
from wire import NAMES, WIRE  # noqa: E402

from pipeline.catalog import Catalog  # noqa: E402
from pipeline.codecs import FORMATS, decode, format_of  # noqa: E402
from pipeline.codecs.capture import read_capture  # noqa: E402
from pipeline.codecs.encode import ENCODERS  # noqa: E402
from pipeline.codecs.walk import WALKED  # noqa: E402
from pipeline.dialect import DEFAULT  # noqa: E402
from pipeline.events import Records  # noqa: E402
from pipeline.meaning import Meaning  # noqa: E402

PER_CAPTURE, LARGEST = 12, 20_000
TOKEN = re.compile(rb'"[^"]*"|-?[0-9][0-9.eE+-]*|\[[^\[\]]*\]|\{[^{}]*\}|true|false|null')
ODD = (
    b"null true [] {} [[]] 0 -1 1e400 1e999999999 18446744073709551615 -9223372036854775809 NaN inf "
    b'"" "x" "NaN" "Infinity" "1e999999999" "\\ud800" "2026-13-45T99:99:99Z" "0000-01-01T00:00:00Z" {"a":[]}'
).split()


def seeds(chance: random.Random) -> list[bytes]:
    """Records as senders wrote them, and some of our own."""
    found = [encode(GOOD, {}) for encode in ENCODERS.values()]
    for name in NAMES:
        values = [value for value in read_capture(WIRE / f"{name}.jsonl.gz").values if value and len(value) < LARGEST]
        found += chance.sample(values, min(PER_CAPTURE, len(values)))
    return found


def meddled(value: bytes, chance: random.Random) -> bytes:
    """The record with a few tokens or bytes replaced, cut out, put in or doubled."""
    for _ in range(chance.randint(1, 6)):
        tokens = list(TOKEN.finditer(value)) if chance.random() < 0.5 else []
        at = chance.randrange(len(value) + 1)
        if tokens:
            token = chance.choice(tokens)
            value = value[: token.start()] + chance.choice(ODD) + value[token.end() :]
        else:
            put = chance.choice([b"", bytes([chance.randrange(256)]), chance.choice(ODD), value[max(0, at - 30) : at]])
            value = value[:at] + put + value[at + chance.randrange(3) :]
    return value


def main() -> None:
    """Meddle until the time is over; an exception ends it with the seed that shows it again."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seconds", type=float, default=60.0)
    asked.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    options = asked.parse_args()
    print(f"seed {options.seed}", flush=True)
    warnings.simplefilter("error")
    chance, n = random.Random(options.seed), 0
    records = seeds(chance)
    known = {name: (Catalog(), Catalog()) for name in WALKED}
    for name, catalogs in known.items():
        assert_same(name, [value for value in records if format_of(value, DEFAULT) == name], catalogs)
    until = time.monotonic() + options.seconds
    while time.monotonic() < until:
        value = meddled(chance.choice(records), chance)
        for name, catalogs in known.items():
            assert_same(name, [value], catalogs)
        for formats in ((), (chance.choice(FORMATS),)):
            catalog = Catalog()
            found = decode(Records("t", 0, [0], [1_767_571_200_000], [None], [value]), catalog, formats)
            Meaning(catalog).watch(found.samples, found.distributions)
            n += 1
    print(f"{n:,} records read, none ended as an exception")


if __name__ == "__main__":
    main()
