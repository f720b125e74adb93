"""The live view in the terminal, and the table at the end."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pipeline.cli.picture import sparkline
from pipeline.demo.board import Board
from pipeline.demo.tally import Verdict
from pipeline.incident import CloudEvent, Incident
from pipeline.simulate.faults import FAULTS, INNOCENT

__all__ = ["frame", "outcome", "status"]

COLOURS = {"info": "cyan", "warning": "yellow", "error": "red", "critical": "bold red"}
SPARK_VALUES, NARROW, NARROW_SPARK_VALUES = 18, 100, 8
TALL = 38
N_OPEN, N_LATEST, N_FAULTS = 6, 8, 9
N_LOW, LINES_AROUND = 3, 11  # rows of a panel where there is little room, and what stands around the rows


def frame(board: Board, width: int = 120, height: int = TALL) -> RenderableType:
    """Everything at a glance: how fast, how far, what is open, what was told, and what is true.

    Where ``height`` lines are too few for all of it, each part shows fewer rows; where ``width`` is little, shorter
    sparklines.
    """
    n_open, n_latest, n_faults = N_OPEN, N_LATEST, N_FAULTS
    if height < TALL:
        n_open = n_latest = N_LOW
        n_faults = max(1, height - LINES_AROUND - 2 * N_LOW)
    n_values = SPARK_VALUES if width >= NARROW else NARROW_SPARK_VALUES
    return Group(
        _head(board), _open(board, n_open, n_values), _latest(board, n_latest, n_values), _truth(board, n_faults)
    )


def status(board: Board) -> str:
    """One line: clock, throughput, lag, open incidents."""
    return (
        f"{_clock(board.clock_ms)} UTC: {board.samples_per_second:,.0f} samples/s, lag {board.lag:,} records, "
        f"{len(board.open)} open, {board.tally.n_found} of {len(board.tally.faults)} faults found"
    )


def _head(board: Board) -> RenderableType:
    if not board.clock_ms:
        return Panel(Text(f"{board.phase} …"), title="foreshock demo", border_style="blue")
    n_series = board.fleet.n_hosts * board.fleet.n_metrics
    bold, dot = "bold cyan", ("  ·  ", "dim")
    facts = Text.assemble(
        (f"{_clock(board.clock_ms)} UTC", bold),
        dot,
        (f"{board.samples_per_second:,.0f}", bold),
        " samples/s",
        dot,
        "lag ",
        (f"{board.lag:,}", bold),
        " records",
        dot,
        (f"{n_series:,}", bold),
        " series",
        dot,
        (f"{len(board.open)}", bold),
        " open",
        no_wrap=True,
        overflow="ellipsis",
    )
    return Panel(Group(facts, Text(board.phase, "dim")), title="foreshock demo", border_style="blue")


def _open(board: Board, n_rows: int, n_values: int) -> RenderableType:
    table = _grid()
    for one in board.open[:n_rows]:
        incident = one.worst
        style = COLOURS[incident.severity]
        table.add_row(
            Text(f"{incident.severity:<8}", style), Text(incident.title), Text(_spark(incident, n_values), style)
        )
    for _ in range(n_rows - table.row_count):
        table.add_row("", "", "")
    more = f" (and {len(board.open) - n_rows} more)" if len(board.open) > n_rows else ""
    return Panel(table, title=f"open incidents{more}", title_align="left", border_style="red" if board.open else "dim")


def _latest(board: Board, n_rows: int, n_values: int) -> RenderableType:
    table = _grid()
    for event in list(board.latest)[: -n_rows - 1 : -1]:
        table.add_row(*_event_row(event, n_values))
    for _ in range(n_rows - table.row_count):
        table.add_row("", "", "")
    return Panel(table, title="latest events on foreshock.incidents", title_align="left", border_style="dim")


def _event_row(event: CloudEvent, n_values: int) -> tuple[Text, Text, Text]:
    incident = event.data
    what = event.type.removeprefix("foreshock.incident.").removesuffix(".v1")
    style = "green" if what == "resolved" else COLOURS[incident.severity]
    return (
        Text(f"{incident.updated_at[11:16]} {what:<8}", style),
        Text(incident.title),
        Text(_spark(incident, n_values), style),
    )


def _truth(board: Board, n_rows: int) -> RenderableType:
    table = Table.grid(padding=(0, 3), expand=True)
    for ratio in (2, 1, 6):
        table.add_column(ratio=ratio, no_wrap=True)
    for verdict in board.tally.verdicts[-n_rows:]:
        one = verdict.injection
        head = Text(f"{_clock(one.start_ms)[-5:]} {_words(one.kind)}")
        table.add_row(head, Text(one.host), _fate(verdict, board.clock_ms))
    for _ in range(n_rows - table.row_count):
        table.add_row("", "", "")
    return Panel(table, title="what was injected (the job does not know)", title_align="left", border_style="dim")


def _fate(verdict: Verdict, now_ms: int) -> Text:
    if verdict.injection.kind == INNOCENT:
        return Text("woke somebody", "red") if verdict.sightings else Text("nobody woken", "green")
    if verdict.delay_ms is not None:
        return Text(f"found {_after(verdict.delay_ms)}, blames {verdict.blamed}", "green")
    return Text("missed", "red") if now_ms > verdict.injection.end_ms else Text("…", "dim")


def outcome(board: Board) -> RenderableType:
    """The table at the end: each fault, found or not, after how long, and whether the right metric is blamed."""
    table = Table(title="fault injected → incident found", title_justify="left", border_style="dim")
    for column in ("injected", "fault", "at", "found", "metric blamed", "right?"):
        table.add_column(column, overflow="fold")
    tally = board.tally
    for verdict in tally.verdicts:
        one = verdict.injection
        table.add_row(_clock(one.start_ms), _words(one.kind), one.host, *_columns(verdict))
    faults = len(tally.faults)
    summary = (
        f"{tally.n_found} of {faults} faults found, {tally.n_right} with the right metric on top; "
        f"{len(tally.false)} false incident{'' if len(tally.false) == 1 else 's'}"
    )
    told = [Text(f"  {one.first.started_at[11:16]} {one.first.title}", "yellow") for one in tally.false]
    return Group(table, Text(summary + (":" if told else ""), "bold"), *told)


def _columns(verdict: Verdict) -> tuple[Text, Text, Text]:
    """Found after how long, the metric blamed, and the place of the right one."""
    if verdict.injection.kind == INNOCENT:
        n = len(verdict.sightings)
        return Text("an incident", "red") if n else Text("quiet", "green"), Text(verdict.blamed), Text("")
    if verdict.delay_ms is None:
        return Text("not found", "red"), Text(""), Text("")
    right = {1: Text("yes", "green"), None: Text("no", "red")}.get(verdict.rank, Text(f"no. {verdict.rank}", "yellow"))
    wanted = FAULTS[verdict.injection.kind].metric
    if verdict.rank != 1:
        right.append(f" ({wanted or 'silence'})", "dim")
    return Text(_after(verdict.delay_ms), "green"), Text(verdict.blamed), right


def _grid() -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True, justify="right")
    return table


def _spark(incident: Incident, n_values: int) -> str:
    """The last values of the metric most to blame."""
    top = incident.contributing_metrics[0].recent if incident.contributing_metrics else []
    return sparkline(top[-n_values:]) if len(top) > 1 else ""


def _words(kind: str) -> str:
    """``disk filling`` for ``disk_filling``; a deploy says that it is no fault."""
    return "deploy (no fault)" if kind == INNOCENT else kind.replace("_", " ")


def _clock(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%a %H:%M}"


def _after(delay_ms: int) -> str:
    """How long it took, in event time."""
    minutes = round(delay_ms / 60_000)
    if not minutes:
        return "within a minute"
    return f"after {minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"after {minutes} min"
