"""Laws of the demo's book-keeping: what counts as found, as blamed rightly, as false; its clock, its view."""

from __future__ import annotations

from io import StringIO

import msgspec
import pytest
from rich.console import Console

from pipeline.cli.demo_view import frame, outcome, status
from pipeline.demo.board import Board
from pipeline.demo.plot import Plot
from pipeline.demo.tally import sightings, tally
from pipeline.incident import CloudEvent
from pipeline.narrative import iso_time
from pipeline.simulate.faults import INNOCENT, Injection
from pipeline.simulate.fleet import Fleet
from pipeline.simulate.scenario import scenario

T0 = 1_767_571_200_000
MINUTE = 60_000
FLEET = Fleet()


def event(entity: str, start: int, revision: int = 1, **changes) -> CloudEvent:
    """A revision of the incident of an entity that began so many minutes after T0; ended if ``ended`` says when."""
    ended = changes.pop("ended", None)
    metrics = changes.pop("metrics", ["cpu.utilization"])
    data = {
        "incident_id": f"{entity}-{start}",
        "revision": revision,
        "track": "behaviour",
        "status": "open" if ended is None else "resolved",
        "severity": "warning",
        "score": 0.5,
        "kind": "spike",
        "entity": {"id": entity, "class": "host", "name": entity},
        "title": f"{entity}: odd",
        "started_at": iso_time(T0 + start * MINUTE),
        "detected_at": iso_time(T0 + (start + 1) * MINUTE),
        "updated_at": iso_time(T0 + (start + revision) * MINUTE),
        "ended_at": None if ended is None else iso_time(T0 + ended * MINUTE),
        "contributing_metrics": [
            {"metric": m, "unit": "", "share": 0.5, "value": 1.0, "expected": 0.0, "lower": 0.0, "upper": 0.0}
            | {"recent": [0.0, 1.0, None, 3.0]}
            for m in metrics
        ],
        "model": {"name": "m", "version": "1", "threshold": 0.5},
        "data_quality": {},
        "source": {"topic": "t", "partition": 0, "first_offset": 0, "last_offset": 0},
        "reason": "opened",
    } | changes
    what = "opened" if revision == 1 else "updated" if ended is None else "resolved"
    envelope = {"specversion": "1.0", "id": "x", "source": "s", "type": f"foreshock.incident.{what}.v1"}
    envelope |= {"time": data["updated_at"], "subject": entity, "datacontenttype": "application/json", "data": data}
    return msgspec.convert(envelope, CloudEvent)


def fault(kind: str, host: str, start: int, minutes: int = 40) -> Injection:
    return Injection(kind, host, T0 + start * MINUTE, T0 + (start + minutes) * MINUTE)


def judged(plan, events, now=500):
    return tally(FLEET, plan, sightings(events), T0 + now * MINUTE)


def test_an_incident_at_the_right_host_in_time_finds_the_fault():
    found = judged([fault("cpu_saturation", "web-01", 100)], [event("web-01", 104)])
    (verdict,) = found.verdicts
    assert (verdict.delay_ms, verdict.blamed, verdict.rank) == (5 * MINUTE, "cpu.utilization", 1)
    assert (found.n_found, found.n_right, found.false) == (1, 1, [])


@pytest.mark.parametrize(("entity", "start"), [("web-02", 104), ("web-01", 20), ("web-01", 300)])
def test_an_incident_elsewhere_or_at_another_time_is_false_and_finds_nothing(entity, start):
    found = judged(
        [fault("cpu_saturation", "web-01", 100)], [event(entity, start), event(entity, start, 2, ended=start + 9)]
    )
    assert found.n_found == 0
    assert [one.first.entity.id for one in found.false] == [entity]


def test_an_aftershock_is_neither_false_nor_a_find():
    found = judged([fault("cpu_saturation", "web-01", 100)], [event("web-01", 142), event("web-01", 142, 2, ended=150)])
    assert (found.n_found, found.false) == (0, [])


def test_a_cascade_is_found_where_it_is_felt_and_blamed_where_it_began():
    plan = [fault("latency_cascade", "db-01", 100)]
    caller = FLEET.callers("db-01")[0]
    felt = event(caller, 100, metrics=["request.latency"])
    (verdict,) = judged(plan, [felt]).verdicts
    assert (verdict.delay_ms, verdict.rank) == (MINUTE, 1)
    (verdict,) = judged(plan, [felt, event("db-01", 105, metrics=["connections", "request.latency"])]).verdicts
    assert (verdict.delay_ms, verdict.blamed, verdict.rank) == (MINUTE, "connections", 2)


def test_an_incident_at_a_deploy_is_false_and_named_beside_it():
    deploy = Injection(INNOCENT, "web-01", T0 + 100 * MINUTE, T0 + 110 * MINUTE)
    found = judged([deploy], [event("web-01", 101)])
    assert found.faults == []
    assert len(found.false) == len(found.verdicts[0].sightings) == 1
    assert judged([deploy], []).verdicts[0].sightings == []


def test_silence_is_the_right_word_for_a_silent_host_and_a_metric_is_not():
    plan = [fault("silent_host", "cache-01", 100)]
    silence = event("cache-01", 106, track="silence", kind="silence", metrics=[])
    assert judged(plan, [silence]).n_right == 1
    assert judged(plan, [event("cache-01", 106)]).n_right == 0


def test_the_last_word_before_the_end_says_what_is_blamed():
    told = [
        event("web-01", 104, metrics=["error.rate"]),
        event("web-01", 104, 2, metrics=["cpu.utilization"]),
        event("web-01", 104, 3, metrics=["connections"], ended=130),
    ]
    (verdict,) = judged([fault("cpu_saturation", "web-01", 100)], told).verdicts
    assert verdict.blamed == "cpu.utilization"


def test_faults_that_have_not_begun_do_not_count():
    assert judged([fault("cpu_saturation", "web-01", 100)], [], now=99).verdicts == []


def test_the_plot_knows_the_event_time_of_each_record():
    plot = Plot(FLEET, T0, 5, 300)
    records = [*plot.history(), *plot.live()]
    assert [plot.time_at(n) for n in range(1, len(records) + 1)] == [time_ms for time_ms, _, _ in records]
    assert plot.time_at(0) == 0
    assert all(one.start_ms >= T0 for one in plot.plan)


def test_for_ever_goes_on_with_other_moments():
    plot = Plot(FLEET, T0, 0, 200)
    for time_ms, _, _ in plot.live(for_ever=True):
        if time_ms >= T0 + 450 * MINUTE:
            break
    turns = [[(one.kind, one.host) for one in plot.plan[i : i + 10]] for i in (0, 10, 20)]
    assert len(plot.plan) == 30
    assert turns[0] != turns[1] != turns[2]


def shown(what, width: int = 120) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(what)
    return console.file.getvalue()


def test_the_view_shows_what_is_open_what_was_told_and_the_truth():
    board = Board(FLEET, 60.0, phase="live")
    plan = [fault("cpu_saturation", "web-01", 100), fault("disk_filling", "db-01", 120)]
    board.tell([event("web-01", 104), event("web-02", 110)])
    board.n_sent, board.clock_ms = 700, T0 + 130 * MINUTE
    board.read(10.0, 100)
    board.read(12.0, 500)
    board.tally = tally(FLEET, plan, board.seen, board.clock_ms)
    text = shown(frame(board))
    assert "2,000 samples/s" in text
    assert "lag 200 records" in text
    assert "opened   web-02: odd" in text
    assert "▁▃ █" in text
    assert "found after 5 min, blames cpu.utilization" in text
    assert "2,000 samples/s, lag 200 records, 2 open, 1 of 2 faults found" in status(board)
    table = shown(outcome(board))
    assert "1 of 2 faults found, 1 with the right metric on top; 1 false incident:" in table
    assert "not found" in table
    assert "01:50 web-02: odd" in table


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (124, 38), (200, 60)])
def test_the_view_fits_the_terminal(width, height):
    board = Board(FLEET, 60.0, phase="live")
    plan = scenario(FLEET, T0, 1000)
    board.tell([event(host, 10 * i) for i, host in enumerate(FLEET.hosts)])
    board.n_sent, board.clock_ms = 700, T0 + 1000 * MINUTE
    board.tally = tally(FLEET, plan, board.seen, board.clock_ms)
    lines = shown(frame(board, width, height), width).splitlines()
    assert len(lines) <= height - 1
    assert max(map(len, lines)) <= width
    assert len([line for line in lines if "found" in line or "missed" in line or "woke" in line]) >= 1


def test_a_board_forgets_what_is_older_than_its_window():
    board = Board(FLEET, 60.0, window_ms=100 * MINUTE)
    board.tell([event("web-01", 10), event("web-01", 10, 2, ended=30)])
    board.clock_ms = T0 + 90 * MINUTE
    board.tell([event("web-02", 80)])
    assert [one.first.entity.id for one in board.seen] == ["web-01", "web-02"]
    board.clock_ms = T0 + 160 * MINUTE
    board.tell([event("web-02", 80, 2, ended=150)])
    assert [(one.first.entity.id, one.ended is None) for one in board.seen] == [("web-02", False)]
