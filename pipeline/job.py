"""The loop: poll, step, produce, commit. No record skipped, no incident lost, none twice, whatever fails.

Read ``Job._serve``, then ``_cycle``; the rest serves them. What a partition does between two
commits stands in ``work``, how it comes here in ``takeover``, what outlives the process in ``state``.
"""

from __future__ import annotations

import logging
import queue
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict

from models.bundle import Bundle
from models.trial import Trial
from pipeline.batch import Batch, Outbox
from pipeline.beside import Beside
from pipeline.errors import BrokerUnreachable, StepFailed
from pipeline.events import Notice, Records
from pipeline.idle import Idle
from pipeline.judging import check_priors
from pipeline.kafka.sink import Sink
from pipeline.kafka.source import Change, Committed, Partition, Source
from pipeline.overview import Introduction
from pipeline.patience import Patience
from pipeline.quiet import swept
from pipeline.scattering import Scattering
from pipeline.state.snapshot import Mark
from pipeline.takeover import JobPlan, Parts, TakeOver
from pipeline.tally import Summary
from pipeline.work import Work, parts_of

__all__ = ["Job", "JobPlan", "Parts"]

log = logging.getLogger(__name__)

LEAVE_SECONDS = 5.0  # of the ten that a stopped job has in all, for last snapshots
TRIES = 2  # before a batch is searched for the record to blame
GROWTH_SECONDS = 5.0


class Job:
    """Watches the input and publishes incidents, for months.

    Parameters
    ----------
    parts
        How to open source, sink and published view, and where state is kept.
    plan
        Where and how to read.
    on_summary
        Is called every ``summary_every_seconds``, and once at the end.
    """

    def __init__(self, parts: Parts, plan: JobPlan, on_summary: Callable[[Summary], None] = lambda told: None) -> None:
        self.summary = Summary()
        self._parts, self._plan, self._on_summary = parts, plan, on_summary
        self._works: dict[Partition, Work] = {}
        self._waiting: deque[Partition] = deque()
        self._notices: list[Notice] = []
        self._offered: queue.SimpleQueue[tuple[str, Bundle]] = queue.SimpleQueue()
        self._model: str | None = None
        self._failures: dict[tuple[Partition, int], int] = {}
        self._idle: Idle[Partition] = Idle(plan.idle_seconds)
        self._patience, self._introduction = Patience(log), Introduction()
        self._beside = Beside(plan.drift_ms)
        self._scattering = Scattering()
        self._told_at = self._counted_at = time.monotonic()

    def run(self) -> None:
        """Work until :meth:`stop`; what can heal by itself is waited for.

        Fenced, or a commit whose outcome is unknown: everything is dropped and taken over anew, for only what
        Kafka holds is certain then. A commit is never tried again.

        Raises
        ------
        SettingsError
            The input has several partitions, and nobody vouches that entities stay on theirs.
        PermissionDenied
            The broker refuses this user.
        """
        try:
            self._patience.keep(self._serve)
        finally:
            self._parts.snapshots.close()

    def stop(self) -> None:
        """Ask the job to finish its batch, commit and leave; safe in a signal handler."""
        self._patience.stopping = True

    def serve_model(self, bundle: Bundle) -> None:
        """Let a bundle serve from each partition's next record on; may be called from any thread.

        Raises
        ------
        BundleRefused
            It was trained by a release that keeps another state.
        StoreFailed
            The bundle cannot be kept, so it must not serve: a recovery would miss it.
        """
        check_priors(bundle)
        self._offered.put((self._parts.bundles.put(bundle), bundle))

    def refuse_model(self, reason: str) -> None:
        """Count a model that must not serve; may be called from one other thread."""
        self.summary.swap_failures += 1
        self.summary.refused = reason

    def try_out(self, challenger: Bundle | None) -> None:
        """Let a bundle be scored beside the one that serves, unheard, or none any more; from any thread."""
        self._beside.try_out(challenger)

    def trials(self) -> list[Trial]:
        """What challengers did beside champions so far; from any thread."""
        return list(self._beside.trials.values())

    def _serve(self) -> None:
        """Open the clients and cycle. The sink comes first: opening it ends what a former owner left open."""
        self._works, self._waiting = {}, deque()
        with closing(self._parts.sink()) as sink, closing(self._parts.source()) as source, swept() as sweeper:
            take_over = TakeOver(self._parts, self._plan, source, sink, self._tell)
            while not self._patience.stopping:
                batches = source.poll(self._plan.poll_timeout_ms, self._plan.max_poll_records)
                for change in source.changes():
                    self._follow(change, take_over)
                    # What this poll brought of them was read before they changed hands.
                    batches = [one for one in batches if (one.topic, one.partition) not in change.partitions]
                self._take_over_next(take_over)
                self._cycle(batches, source, sink)
                self._beside.follow({place: work for place, work in self._works.items() if work.live})
                self._keep(source)
                sweeper.sweep()
                self._introduction.say(self.summary.counts, (work.stream for work in self._works.values()))
                if time.monotonic() - self._told_at >= self._plan.summary_every_seconds:
                    self._report(source)
            self._keep_all(source)
            self._report(source)

    def _cycle(self, batches: list[Records], source: Source, sink: Sink) -> None:
        """Turn one poll's records into one transaction, or several. No work is open before or after.

        1. step each partition's records through its stream, and decide what is due;
        2. send the incidents, rejected records, scores and decisions that came of it;
        3. put the offsets of the records into the transaction, with a pointer to the last snapshot;
        4. commit: all of it becomes visible at once, or nothing;
        5. now and then a state whose work is committed is kept: see ``_keep``.

        Many records are stepped part by part. An incident that one part found does not wait for the rest of them: it
        is committed while the next part is stepped. Nor do these wait for that commit: what they find meanwhile goes
        into the next one.
        """
        batch, n_before = Batch(), self.summary.commits
        self._hear_offers()
        with Outbox(source, sink, self._count) as outbox:
            for part in parts_of(batches, self._works):
                if batch.has_news and outbox.is_free:
                    outbox.publish(batch)
                    batch = Batch()
                self._step(part, batch)
            for place, work in self._works.items():
                if not work.live and source.position(place) >= work.live_from:
                    self._go_live(place, work, batch)
            self._decide(source, batch)
            if batch.offsets or batch.notices:
                outbox.publish(batch)
        if self.summary.commits > n_before:
            self._hear_watches()

    def _hear_offers(self) -> None:
        """Note which model is to serve, before the records that it may serve are judged."""
        while not self._offered.empty():
            self._model, _ = self._offered.get()
            self.summary.swaps += 1

    def _step(self, records: Records, batch: Batch) -> None:
        place = Partition(records.topic, records.partition)
        work = self._works[place]
        self._idle.hear([place], time.monotonic())
        at = (place, batch.begins.setdefault(place, records.offsets[0]))
        work.careful = self._failures.get(at, 0) >= TRIES
        try:
            fresh = work.listen(records)
            if not len(fresh):
                return
            if not work.live:
                self._go_live(place, work, batch)
            self._follow_model(place, work, batch)
            batch.results += work.step(fresh)
        except StepFailed:
            self._failures[at] = self._failures.get(at, 0) + 1
            raise
        for culprit in work.found:
            self._note(place, work, batch, "poison", {"culprit": culprit})
        work.found.clear()
        work.read_to_ms = max(fresh.times)
        batch.offsets[place] = self._committed(place, work)

    def _decide(self, source: Source, batch: Batch) -> None:
        """Decide what is not in the input: which model serves, who has been quiet for too long, where records go."""
        for place, work in self._works.items():
            if work.live:
                self._follow_model(place, work, batch)
        now = time.monotonic()
        if now - self._counted_at >= GROWTH_SECONDS:
            self._counted_at = now
            self._follow_growth(source, batch)
            self._tell_scattered()
        if self._idle.is_due(now):
            self._miss_the_quiet(source, batch, now)
        batch.notices += self._notices
        self._notices = []

    def _follow_model(self, place: Partition, work: Work, batch: Batch) -> None:
        """Let what was offered serve from here on: before the records that a poll brought, not after them."""
        if self._model is not None and work.model != self._model:
            self._note(place, work, batch, "model", {"hash": self._model})

    def _miss_the_quiet(self, source: Source, batch: Batch, now: float) -> None:
        """Tick the partitions that are idle while others are not; of a silent input only one notice is given."""
        was_silent, ends = self._idle.input_silent, source.ends()
        quiet = self._idle.look(ends, now)
        if self._idle.input_silent != was_silent and min(ends) in self._works:
            kind, told = (
                ("silent", "no partition brings records") if not was_silent else ("flowing", "records come again")
            )
            log.warning("the input is %s: %s", kind, told)
            self._tell(f"input.{kind}", min(ends), told)
        for place, quiet_ms in quiet.items():
            work = self._works.get(place)
            if work is None or not work.live or source.position(place) < ends[place]:
                continue
            clock_ms = work.stream.silence_clock_ms + quiet_ms
            if work.stream.would_miss(clock_ms):
                self._note(place, work, batch, "idle", {"clock_ms": clock_ms})
                self._idle.hear([place], now)

    def _follow_growth(self, source: Source, batch: Batch) -> None:
        """Once a topic has more partitions, entities may go elsewhere: who is not heard again is not silent."""
        counted: dict[str, int] = {}
        for topic, _ in source.partitions():
            counted[topic] = counted.get(topic, 0) + 1
        for place, work in self._works.items():
            if work.live and 0 < work.n_partitions < counted[place.topic]:
                self._note(place, work, batch, "grown", {"n_partitions": counted[place.topic]})
                self._scattering.forget(place.topic)

    def _tell_scattered(self) -> None:
        """Warn of entities that are judged in pieces: the senders' key is not what somebody vouched for."""
        for place, names in self._scattering.look(
            {at: work.stream.catalog for at, work in self._works.items()}
        ).items():
            told = f"{len(names)} entities came on another partition before, such as {names[0]}: run foreshock rekey"
            log.warning("%s [%d]: %s", *place, told)
            self._tell("entity.scattered", place, told)
        self.summary.scattered = self._scattering.n_entities

    def _note(self, place: Partition, work: Work, batch: Batch, kind: str, value: dict[str, object]) -> None:
        """Take a decision, and put it and what comes of it into the transaction."""
        decision, result = work.decide(kind, value)
        batch.decisions.append(decision)
        batch.results.append(result)
        batch.offsets.setdefault(place, self._committed(place, work))

    def _committed(self, place: Partition, work: Work) -> Committed:
        return Committed(work.at, work.read_to_ms, self._parts.snapshots.last(*place))

    def _go_live(self, place: Partition, work: Work, batch: Batch) -> None:
        """End listening: the published view wins, and settings or a model that differ from before are decided."""
        mismatches = work.go_live()
        self.summary.mismatches += mismatches
        if mismatches:
            log.warning("%s [%d]: %d open incidents differ from what was published", *place, mismatches)
        log.info("%s [%d]: live from offset %d", *place, work.live_from)
        begun, work.begun = work.begun, []
        batch.decisions += begun
        if begun or work.stream.plan != self._parts.plan:
            self._note(place, work, batch, "settings", asdict(self._parts.plan))

    def _follow(self, change: Change, take_over: TakeOver) -> None:
        """Queue partitions that came; drop the state of those that went (their work is committed)."""
        log.info("%s: %s", change.kind, ", ".join(f"{topic} [{number}]" for topic, number in change.partitions))
        for place in change.partitions:
            self._works.pop(place, None)
            if place in self._waiting:
                self._waiting.remove(place)
        self._idle.forget(change.partitions)
        if change.kind == "assigned":
            take_over.survey(change.partitions)
            self._waiting.extend(change.partitions)

    def _take_over_next(self, take_over: TakeOver) -> None:
        """Load one waiting partition a cycle, so that those at work go on meanwhile."""
        if self._waiting:
            place = self._waiting.popleft()
            self._works[place] = take_over.work(place)
            self._idle.hear([place], time.monotonic())
            self.summary.take_overs += 1

    def _keep(self, source: Source) -> None:
        """Copy a slice of the state of the partition that is due; all its work is committed here."""
        due = self._parts.snapshots.due(place for place, work in self._works.items() if work.live)
        if due is not None:
            place = Partition(*due)
            self._parts.snapshots.go_on(self._works[place].stream.moving(), self._mark(place, source))

    def _keep_all(self, source: Source) -> None:
        """Keep what has moved since its last snapshot before leaving, as far as time allows."""
        until = time.monotonic() + LEAVE_SECONDS
        for place, work in self._works.items():
            if work.live and time.monotonic() < until:
                self._parts.snapshots.take(work.stream.image(), self._mark(place, source))
        self._parts.snapshots.finish()

    def _mark(self, place: Partition, source: Source) -> Mark:
        work = self._works[place]
        return Mark(*place, work.life, work.at, work.sequence, source.generation())

    def _tell(self, kind: str, place: tuple[str, int], told: str) -> None:
        self._notices.append(Notice(kind, *place, told, time.time_ns() // 1_000_000))  # type: ignore[arg-type]

    def _count(self, batch: Batch) -> None:
        self._patience.calm()
        self.summary.commits += 1
        for result in batch.results:
            self.summary.counts.add(result.counts)
        self.summary.incidents += sum(len(result.incidents) for result in batch.results)

    def _hear_watches(self) -> None:
        """Let count what challengers and drift were counted by; all their work is committed here."""
        for told in self._beside.settle():
            log.warning("drift: %s", told)
            self._tell("model.drift", min(self._works), told)

    def _report(self, source: Source) -> None:
        self._told_at = time.monotonic()
        told = self.summary
        told.look(self._works.values(), len(self._waiting))
        told.snapshot_failures = self._parts.snapshots.failures
        told.trials, told.drift = self.trials(), self._beside.drift
        told.watch_failures = self._beside.n_failures
        try:
            told.lag = sum(source.lag().values())
        except BrokerUnreachable as trouble:  # what is in memory stays good: go on when it answers again
            log.warning("%s; waiting", trouble)
        self._on_summary(told)
