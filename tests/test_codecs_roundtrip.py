"""decode(encode(x)) = x for every format that foreshock writes itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.catalog import Catalog
from pipeline.codecs import decode
from pipeline.codecs.encode import ENCODERS, Row
from pipeline.dialect import DEFAULT
from pipeline.events import Kind, Records

NANOSECONDS = st.integers(10**17, 7 * 10**18)  # below 10**17 a plain number would be read as µs
DOUBLES = st.floats(width=64)
INTEGERS = st.integers(-(2**63), 2**63 - 1)


def names(excluded: str = "", categories: Sequence[str] = ("Cs",)) -> st.SearchStrategy[str]:
    alphabet = st.characters(exclude_categories=list(categories), exclude_characters=excluded)  # type: ignore[arg-type]
    return st.text(alphabet, min_size=1, max_size=12)


def rows(name: st.SearchStrategy[str], metric: st.SearchStrategy[str], kinds: Any) -> st.SearchStrategy[list[Row]]:
    labels = st.dictionaries(name.filter(lambda key: key not in ("host", "__name__")), name, max_size=3)
    sorted_labels = labels.map(lambda found: tuple(sorted(found.items())))
    row = st.tuples(name, metric, sorted_labels, NANOSECONDS, DOUBLES | INTEGERS, st.sampled_from(kinds))
    return st.lists(row, max_size=12)


def decoded_rows(value: bytes) -> tuple[list[tuple[Any, ...]], int]:
    catalog = Catalog()
    found = decode(Records("t", 0, [5], [0], [None], [value]), catalog)
    assert found.rejected == []
    samples = found.samples
    triples = zip(samples.series_id, samples.time.tolist(), samples.value.tolist(), samples.kind.tolist(), strict=True)
    identities = [(catalog.identities[series], *rest) for series, *rest in triples]
    return sorted_rows((i.entity, i.metric, i.labels, t, v, Kind(k)) for i, t, v, k in identities), found.refused


def sorted_rows(found: Any) -> list[tuple[Any, ...]]:
    return sorted((*row[:4], repr(float(row[4])), row[5]) for row in found)


@pytest.mark.parametrize("name", ["otlp-proto", "otlp-json", "json"])
@given(given_rows=rows(names(), names(), list(Kind)))
@settings(max_examples=120, deadline=None)
def test_decode_undoes_encode(name: str, given_rows: list[Row]) -> None:
    assert decoded_rows(ENCODERS[name](given_rows)) == (sorted_rows(given_rows), 0)


def test_every_format_that_is_written_has_its_round_trip_here() -> None:
    assert set(ENCODERS) == {"otlp-proto", "otlp-json", "json", "influx", "prometheus-remote-write"}


FIELD_NAMES = names('\\\r\n\t\v\f{}[]#".', ("Cs", "Cc", "Z"))
LINE_NAMES = names('\\\r\n\t\v\f{}[]#"', ("Cs", "Cc", "Z"))


@given(given_rows=rows(LINE_NAMES, st.builds("{}.{}".format, LINE_NAMES, FIELD_NAMES), [Kind.GAUGE]))
@example(given_rows=[("0", "net.drop_0", (), 10**17, 0.0, Kind.GAUGE)])
@settings(max_examples=120, deadline=None)
def test_decode_undoes_encode_of_influx_lines(given_rows: list[Row]) -> None:
    # lines do not say a kind: the names of what counts up do
    finite = [(*row[:5], DEFAULT.kind_of(row[1])) for row in given_rows if math.isfinite(row[4])]
    assert decoded_rows(ENCODERS["influx"](given_rows)) == (sorted_rows(finite), 0)


@given(given_rows=rows(names(), names(), [Kind.GAUGE, Kind.COUNTER]))
@settings(max_examples=120, deadline=None)
def test_decode_undoes_encode_of_remote_write(given_rows: list[Row]) -> None:
    whole_ms = [(*row[:3], row[3] // 10**6 * 10**6, *row[4:]) for row in given_rows]
    assert decoded_rows(ENCODERS["prometheus-remote-write"](whole_ms)) == (sorted_rows(whole_ms), 0)


@pytest.mark.parametrize("text", ["eu west,1", "a=7", "a\\b", "back\\slash, and=all", " leading", 'q"uote'])
def test_influx_escapes_are_undone(text: str) -> None:
    row: Row = ("web 1,x", "m n.f,g=h", (("k=", text), (text, "v")), 10**18, 1.5, Kind.GAUGE)
    row = (*row[:2], tuple(sorted(row[2])), *row[3:])
    assert decoded_rows(ENCODERS["influx"]([row])) == (sorted_rows([row]), 0)


def test_influx_leaves_out_what_it_cannot_say() -> None:
    lines = ENCODERS["influx"](
        [
            ("a", "up", (("empty", ""), ("broken", "x\ny"), ("slash", "x\\")), 10**18, 1, Kind.GAUGE),
            ("a", "up", (), 10**18, math.nan, Kind.GAUGE),
        ]
    )
    assert lines == b"up,host=a,slash=x value=1i 1000000000000000000\n"


@pytest.mark.parametrize("name", ["otlp-proto", "otlp-json"])
def test_whole_numbers_travel_as_integers_and_doubles_as_doubles(name: str) -> None:
    value = ENCODERS[name]([("a", "m", (), 10**18, 3, Kind.GAUGE), ("a", "m", (), 10**18, 3.0, Kind.GAUGE)])
    assert (b'"asInt":"3"' in value) is (name == "otlp-json")
    assert (b'"asDouble":3' in value) is (name == "otlp-json")
    assert decoded_rows(value)[0] == sorted_rows([("a", "m", (), 10**18, 3.0, Kind.GAUGE)] * 2)
