"""Laws of what the job says of itself: logs as text or JSON, and the line a minute."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.events import Counts
from pipeline.kafka.slot import Slot
from pipeline.operate.log import set_up
from pipeline.operate.summary import Standing, in_words

Listen = Callable[[str], io.StringIO]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Set up logs onto a string; afterwards everything is as before."""
    root = logging.getLogger()
    loggers = [root, logging.getLogger("pipeline"), logging.getLogger("kafka")]
    before = [(one, one.level) for one in loggers], list(root.handlers)

    def start(log_format: str) -> io.StringIO:
        heard = io.StringIO()
        set_up(log_format, heard)
        return heard

    yield start
    root.handlers = before[1]
    for one, level in before[0]:
        one.setLevel(level)


def test_json_logs_are_one_object_a_line_with_what_was_added(listen: Listen) -> None:
    heard = listen("json")
    logging.getLogger("pipeline.job").info("joined %s", "the group", extra={"partitions": 4})
    try:
        raise ValueError("odd")
    except ValueError:
        logging.getLogger("pipeline.job").exception("failed\nbadly")
    first, second = (json.loads(line) for line in heard.getvalue().splitlines())
    assert first["message"] == "joined the group"
    assert (first["level"], first["logger"], first["partitions"]) == ("info", "pipeline.job", 4)
    assert first["time"].endswith("Z")
    assert second["message"] == "failed\nbadly"
    assert second["error"].endswith("ValueError: odd")


def test_text_logs_are_read_by_people(listen: Listen) -> None:
    heard = listen("text")
    logging.getLogger("pipeline.job").warning("waiting for the broker", extra={"seconds": 5})
    assert heard.getvalue().split(" ", 1)[1] == "warn  waiting for the broker  seconds=5\n"


def test_libraries_speak_from_warnings_on_and_kafka_from_errors_on(listen: Listen) -> None:
    heard = listen("text")
    logging.getLogger("somebody").info("chatter")
    logging.getLogger("kafka.client").warning("connection refused, trying again")
    logging.getLogger("somebody").warning("mind this")
    assert [line.split("  ")[-1] for line in heard.getvalue().splitlines()] == ["mind this"]


def test_summary_tells_what_came_in_what_was_odd_and_where_it_stands() -> None:
    counts = Counts(records=1200, rejected=3, decoded=48_000, late=12)
    standing = Standing(lag=7, open_incidents=1, n_entities=20, n_series=640, model="foreshock 3")
    assert in_words(counts, 60.0, standing) == (
        "in 60 s: 1,200 records with 48,000 samples (800 a second); 3 rejected records, 12 late; lag 7; "
        "20 entities with 640 series; 1 open incident; model foreshock 3"
    )


def test_summary_of_a_stretch_without_input_says_so() -> None:
    assert in_words(Counts(), 60.0, Standing()) == (
        "in 60 s: no input; nothing odd; lag unknown; 0 entities with 0 series; 0 open incidents; "
        "model built-in baselines"
    )


def test_a_summary_counts_only_what_came_since_the_last() -> None:
    before = Counts(records=5, late=1, by_format={"json": 5}, by_reason={"infinite": 2})
    now = Counts(records=9, late=1, decoded=4, by_format={"json": 5, "influx": 4}, by_reason={"infinite": 3})
    assert now.since(before) == Counts(records=4, decoded=4, by_format={"influx": 4}, by_reason={"infinite": 1})


def test_a_summary_tells_why_values_were_no_measurement() -> None:
    words = in_words(Counts(records=1, decoded=3, by_reason={"not_a_number": 2, "text_field": 1}), 60.0, Standing())
    assert "; 2 not a number, 1 text field; " in words


def _slot_of_another_process(folder: Path) -> str:
    code = (
        "import sys; from pathlib import Path; from pipeline.kafka.slot import Slot;"
        "slot = Slot('group', Path(sys.argv[1])); print(slot.name, slot.member); slot.note('member of ' + slot.name)"
    )
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", code, str(folder)]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def test_a_slot_differs_between_living_processes_and_comes_back_after_one_with_its_member(tmp_path: Path) -> None:
    ours = f"group-{socket.gethostname()}"
    assert _slot_of_another_process(tmp_path) == f"{ours}-0"
    slot = Slot("group", tmp_path)
    assert (slot.name, slot.member) == (f"{ours}-0", f"member of {ours}-0")
    assert _slot_of_another_process(tmp_path) == f"{ours}-1"
    assert _slot_of_another_process(tmp_path) == f"{ours}-1 member of {ours}-1"


def test_a_slot_needs_no_writable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    slot = Slot("group", tmp_path / "file" / "locks")
    slot.note("somebody")
    assert (slot.name, slot.member) == (f"group-{socket.gethostname()}-{os.getpid()}", "somebody")
