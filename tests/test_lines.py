"""Laws of the arena of lines: distinct lines have distinct numbers, in the order in which they came."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.lines import Lines


@given(st.lists(st.binary(max_size=6).filter(lambda line: b"\n" not in line)))
def test_lines_are_numbered_as_a_dictionary_would(said):
    lines, numbers = Lines(), {}
    for line in said:
        assert lines.find(line) == numbers.get(line, -1)
        assert lines.add(line) == numbers.setdefault(line, len(numbers))
    assert [lines[number] for number in range(len(lines))] == list(numbers)
    assert bytes(lines.arena) == b"".join(line + b"\n" for line in numbers)


def test_lines_are_found_after_every_growth():
    lines = Lines()
    for number in range(10_000):
        assert lines.add(b"%d" % number) == number
    assert [lines.find(b"%d" % number) for number in range(10_000)] == list(range(10_000))
    assert lines.find(b"10000") == -1


def test_lines_that_meet_in_one_slot_keep_their_own_numbers(monkeypatch):
    monkeypatch.setattr("pipeline.lines.hash", lambda line: 7, raising=False)
    lines = Lines()
    assert [lines.add(line) for line in (b"a", b"b", b"a", b"c")] == [0, 1, 0, 2]
    assert [lines.find(line) for line in (b"c", b"b", b"d")] == [2, 1, -1]
