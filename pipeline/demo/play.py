"""The demo from curtain to curtain: Kafka, history, the job, live telemetry with faults, and what came of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from pipeline.demo.board import Board
from pipeline.demo.plot import Plot
from pipeline.demo.stage import GROUP, TOPIC, Stage
from pipeline.demo.tally import tally
from pipeline.errors import ForeshockError
from pipeline.incident import CloudEvent
from pipeline.kafka.feed import Fed, Pace, feed
from pipeline.kafka.watch import GroupWatch
from pipeline.kafka.writer import Writer
from pipeline.subscriber import Subscription

__all__ = ["Show", "play"]

WARM_SECONDS, DRAIN_SECONDS = 300.0, 60.0  # on a slow machine the first compilation alone takes minutes


@dataclass(frozen=True, slots=True)
class Show:
    """How somebody wants to see it: called at each change of phase, for each batch of events, and now and then."""

    on_phase: Callable[[str], None]
    on_events: Callable[[list[CloudEvent]], None]
    on_look: Callable[[], None]


def play(stage: Stage, plot: Plot, board: Board, show: Show, for_ever: bool = False) -> None:
    """Play it; the board holds the outcome.

    1. Kafka starts while the history is being made up;
    2. the history goes to the topic, as if it had been there before we came;
    3. the job begins at the topic's end, and reads the history muted, to learn what is usual;
    4. a first step is sent; once it has been read, telemetry with faults follows, at the board's speed;
    5. at the end the job gets time to read the rest.

    Raises
    ------
    BrokerError, ForeshockError
        Kafka does not start, or the job ends or falls behind for good.
    """
    history: list[tuple[int, bytes, bytes]] = []
    making = threading.Thread(target=lambda: history.extend(plot.history()), daemon=True)
    making.start()
    show.on_phase("starting a Kafka of its own")
    stage.open(show.on_phase)
    making.join()
    client = {"bootstrap_servers": stage.bootstrap}
    days = plot.n_history * plot.fleet.step_ms / 86_400_000
    show.on_phase(f"sending {days:.1f} days of calm history: {len(history):,} records")
    writer = Writer(client)
    try:
        feed(history, writer, TOPIC, Pace(), Fed())
        board.n_sent = len(history)
        stage.start_job()
        _Performance(stage, plot, board, show, writer).run(for_ever)
    finally:
        writer.close()


class _Performance:
    """The live part: a thread sends, this one watches the job and listens to what it says."""

    def __init__(self, stage: Stage, plot: Plot, board: Board, show: Show, writer: Writer) -> None:
        self._stage, self._plot, self._board, self._show, self._writer = stage, plot, board, show, writer
        self._n_history = board.n_sent
        self._fed, self._begun, self._warm = Fed(), threading.Event(), threading.Event()
        self._failures: list[ForeshockError] = []

    def run(self, for_ever: bool) -> None:
        board, show = self._board, self._show
        watch = GroupWatch({"bootstrap_servers": self._stage.bootstrap}, GROUP, TOPIC)
        sender = threading.Thread(target=self._send, args=(for_ever,), daemon=True)
        with (
            closing(watch),
            Subscription(self._stage.bootstrap, from_beginning=True, idle_seconds=0.0) as events,
        ):
            sender.start()
            try:
                show.on_phase(
                    "the job starts (the first time it compiles its kernels), and learns from the history what is usual"
                )
                self._look_while(lambda: not board.n_read, WARM_SECONDS, watch, events)
                self._begun.set()
                self._look_while(lambda: board.n_read <= self._n_history, WARM_SECONDS, watch, events)
                self._warm.set()
                show.on_phase(f"live at {board.speed:,.0f} times the pace of life, with faults")
                self._look_while(sender.is_alive, None, watch, events)
                show.on_phase("the job reads the rest")
                self._look_while(lambda: board.lag > 0, DRAIN_SECONDS, watch, events)
                self._look(watch, events)  # what was committed last takes a moment to be readable
            finally:
                self._fed.stop()
                self._begun.set()
                self._warm.set()
                sender.join(timeout=5.0)

    def _send(self, for_ever: bool) -> None:
        """Send a first step when the job has begun at the topic's end, the rest when it has read that step."""
        records = self._plot.live(for_ever)
        try:
            self._begun.wait()
            feed(islice(records, self._plot.fleet.n_hosts), self._writer, TOPIC, Pace(), self._fed)
            self._warm.wait()
            feed(records, self._writer, TOPIC, Pace(self._board.speed), self._fed)
        except ForeshockError as failure:
            self._failures.append(failure)

    def _look_while(
        self, going_on: Callable[[], bool], seconds: float | None, watch: GroupWatch, events: Subscription
    ) -> None:
        deadline = None if seconds is None else time.monotonic() + seconds
        while going_on():
            self._look(watch, events)
            self._stage.check()
            if self._failures:
                raise self._failures[0]
            if deadline is not None and time.monotonic() > deadline:
                raise ForeshockError(f"the job did not keep up within {seconds:.0f} s; see its log: {self._stage.log}")

    def _look(self, watch: GroupWatch, events: Subscription) -> None:
        """Take one look at the job and at what it told, about five times a second."""
        board = self._board
        board.n_sent = self._n_history + self._fed.n_records
        board.read(time.monotonic(), max(board.n_read, watch.committed() or 0))
        board.clock_ms = self._plot.time_at(board.n_read)
        told = list(events)  # waits a fifth of a second for some
        board.tell(told)
        recent = [one for one in self._plot.plan if one.end_ms >= board.since_ms]
        board.tally = tally(board.fleet, recent, board.seen, board.clock_ms)
        if told:
            self._show.on_events(told)
        self._show.on_look()
