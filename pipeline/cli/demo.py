"""``foreshock demo``: a simulated fleet with faults through a real Kafka and the real job, in about a minute."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import span_ms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from rich.console import Console, RenderableType

    from pipeline.demo.board import Board
    from pipeline.demo.play import Show
    from pipeline.demo.stage import Stage
    from pipeline.incident import CloudEvent

__all__ = ["app"]

app = typer.Typer()
INTERRUPTED = 130
WIDTH, PICTURE_WIDTH = 140, 124
STATUS_SECONDS = 5.0
FOR_EVER_MS = 180 * 86_400_000  # so far back it begins; when it has caught up with now it goes on at the pace of life

Forever = Annotated[bool, typer.Option("--forever", help="Go on, day after day, until Ctrl-C.")]
Hosts = Annotated[int, typer.Option("--hosts", min=6, max=200, metavar="N", help="How many hosts.")]
History = Annotated[str, typer.Option("--history", metavar="SPAN", help="Calm time to learn from.")]
Live = Annotated[str, typer.Option("--live", metavar="SPAN", help="Time with faults in it.")]
Seconds = Annotated[float, typer.Option("--seconds", min=1, metavar="S", help="How long the time with faults takes.")]
Seed = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Other hosts, other moments.")]
Data = Annotated[Path | None, typer.Option("--data", metavar="FOLDER", help="Kafka's and the job's folder.")]
Picture = Annotated[Path | None, typer.Option("--picture", hidden=True, help="Save what was seen as SVG.")]


@app.command()
def demo(
    forever: Forever = False,
    hosts: Hosts = 12,
    history: History = "4d",
    live: Live = "22h",
    seconds: Seconds = 45.0,
    seed: Seed = 0,
    data: Data = None,
    picture: Picture = None,
) -> None:
    """Show what foreshock does: a fleet with faults, a Kafka of its own, the job, and what it finds.

    Needs no Java, no Docker and no Kafka; the first time it fetches Apache Kafka (44 MB). It ends by itself with a
    table, and leaves nothing running. Without a terminal it prints plain lines.

    Examples:

      foreshock demo

      foreshock demo --forever

      foreshock demo --seed 7 --hosts 24 --live 44h --seconds 90
    """
    from pipeline.demo.board import Board
    from pipeline.demo.play import play
    from pipeline.demo.plot import Plot
    from pipeline.demo.stage import Stage, demo_home
    from pipeline.simulate.fleet import Fleet

    fleet = Fleet(n_hosts=hosts, seed=seed)
    n_history, n_live = (
        span_ms(name, text) // fleet.step_ms for name, text in (("--history", history), ("--live", live))
    )
    span = max(1, n_live) * fleet.step_ms
    begins_ms = time.time_ns() // 1_000_000 - (FOR_EVER_MS if forever else span)
    plot = Plot(fleet, begins_ms // fleet.step_ms * fleet.step_ms, n_history, max(1, n_live))
    board = Board(fleet, span / 1000 / seconds, window_ms=2 * span)
    console, camera, interrupted = _console(), _Camera(board), False
    with _signals_raise(), Stage(data or demo_home()) as stage:
        try:
            with _live(console, board) if console.is_terminal else _plain(console, board) as show:
                play(stage, plot, board, camera.beside(show) if picture else show, forever)
        except KeyboardInterrupt:
            interrupted = True
            console.print("stopping")
    if picture is not None:
        camera.save(picture)
    _end(console, board, stage)
    if interrupted and not forever:
        raise typer.Exit(INTERRUPTED)


def _console() -> Console:
    """The terminal; elsewhere as wide as the widest line, so that nothing is broken or cut off."""
    from rich.console import Console

    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=WIDTH)


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Let a stop from outside, and a terminal that closes, end it as Ctrl-C does."""

    def handle(number: int, _: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = [(one, signal.signal(one, handle)) for one in (signal.SIGTERM, signal.SIGHUP)]
    try:
        yield
    finally:
        for one, handler in before:
            signal.signal(one, handler)


@contextmanager
def _live(console: Console, board: Board) -> Iterator[Show]:
    """A view that is drawn anew a few times a second."""
    from rich.live import Live

    from pipeline.cli.demo_view import frame
    from pipeline.demo.play import Show

    with Live(console=console, auto_refresh=False, transient=True) as live:

        def look() -> None:
            live.update(frame(board, console.width, console.height), refresh=True)

        def phase(words: str) -> None:
            board.phase = words
            look()

        yield Show(phase, lambda events: None, look)


@contextmanager
def _plain(console: Console, board: Board) -> Iterator[Show]:
    """A line for each thing that happens, and now and then one that says how it goes."""
    from pipeline.cli.demo_view import status
    from pipeline.cli.picture import event_line
    from pipeline.demo.play import Show

    told = time.monotonic()

    def look() -> None:
        nonlocal told
        if board.clock_ms and time.monotonic() - told >= STATUS_SECONDS:
            told = time.monotonic()
            typer.echo(status(board))

    def tell(events: list[CloudEvent]) -> None:
        for event in events:
            typer.echo(event_line(event))

    yield Show(typer.echo, tell, look)


class _Camera:
    """Keeps the fullest view, and takes a picture of it with the outcome below."""

    def __init__(self, board: Board) -> None:
        self._board, self._fullness = board, (-1, 0)
        self._view: RenderableType = ""

    def beside(self, show: Show) -> Show:
        """The same show, looked at."""
        from pipeline.cli.demo_view import frame
        from pipeline.demo.play import Show

        def look() -> None:
            show.on_look()
            fullness = min(len(self._board.open), 2), len(self._board.tally.verdicts)
            if fullness >= self._fullness:
                self._fullness, self._view = fullness, frame(self._board, PICTURE_WIDTH)

        return Show(show.on_phase, show.on_events, look)

    def save(self, file: Path) -> None:
        """Write the picture as SVG."""
        from io import StringIO

        from rich.console import Console

        from pipeline.cli.demo_view import outcome

        paper = Console(record=True, width=PICTURE_WIDTH, file=StringIO(), force_terminal=True, highlight=False)
        paper.print(self._view, outcome(self._board))
        paper.save_svg(str(file), title="make demo")


def _end(console: Console, board: Board, stage: Stage) -> None:
    """The table, and what to try next."""
    from pipeline.cli.demo_view import outcome

    if not board.tally.verdicts:
        return
    console.print(outcome(board))
    me = "foreshock" if shutil.which("foreshock") else sys.argv[0]
    known = next((one.first.incident_id[:8] for one in board.seen), "ID")
    console.print(
        f"\nTry next (the demo's Kafka is stopped, what it holds is kept; the job's log: {stage.log}):\n"
        f"  {me} broker start --data {stage.broker.data}\n"
        f"  {me} incidents show {known} --bootstrap-servers {stage.bootstrap}\n"
        f"  {me} run --bootstrap-servers YOUR_KAFKA:9092 --topic YOUR_TOPIC",
        soft_wrap=True,
    )
