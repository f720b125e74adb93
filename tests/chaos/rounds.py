"""One round: telemetry in slices, real jobs and real faults, and in the end a job that may finish."""

import os
import random
import signal
import time

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from pipeline.cli.run import LEFT_AT_ONCE
from pipeline.faults import POINTS
from pipeline.kafka.broker import EmbeddedBroker, kafka_home
from pipeline.kafka.follow import read_all
from pipeline.kafka.topics import create
from pipeline.kafka.writer import Writer
from tests.chaos.harm import damage, expire, kill_broker, neighbour
from tests.chaos.jobs import Nursery, settings
from tests.chaos.telemetry import records
from tests.chaos.verdict import judge, judge_a_loss, judge_rekeyed

PATIENCE_SECONDS = 90
MEETING_SECONDS = 20
QUOTA_BYTES = 150_000  # of a file: less than a snapshot, more than a log
SHIFTS = (0.4, -0.3, 0.2, -0.1, 0.3, 0.0)
KINDS = (
    *(f"kill {point}" for point in POINTS),
    "kill-soon in-commit",
    "unheard after-commit",
    "unheard after-offsets",
    "disk in-snapshot",
    "terminate",
    "freeze",
    "freeze after-send",
    "storm of two",
    "storm of three",
    "broker",
    "broker away for a minute",
    "broker away at the start",
    "snapshots deleted",
    "snapshots cut",
    "snapshots flipped",
    "snapshots of the schema before",
    "snapshots read-only",
    "snapshots over quota",
    "state lost",
    "models",
    "models and kill after-send",
    "models, late data and kill after-commit",
    "registry unreachable and kill after-send",
    "idle",
    "idle and kill after-commit",
    "clock jumps and kill after-step",
    "rekey",
    "rekey and kill after-commit",
    "releases roll",
    "partitions grow",
    "poison",
)
DECIDES = {"models": "model", "idle": "idle", "partitions grow": "grown", "poison": "poison"}


class Round:
    """A seeded round of one kind of fault, with names of its own for topics, group and folders."""

    def __init__(self, nurseries, broker, number, seed, scratch):
        self.kind = KINDS[number % len(KINDS)]
        self.chance = random.Random(f"{seed}/{number}")
        self.nurseries, self.broker, self.number = nurseries, broker, number
        self.folder = scratch / f"round-{number}"
        self.folder.mkdir()
        self.name = f"chaos-{seed}-{number}"
        self.client = {"bootstrap_servers": broker.start()}
        self.n_partitions = 4 if self.kind == "partitions grow" else 2
        self.recoveries, self.plan, self.done, self.crashed = [], "", 0, 0
        self.jobs, self.rekeys = {}, {}  # pid: the nursery that knows it
        self.input = f"{self.name}.samples" if self.kind.startswith("rekey") else self.name

    def run(self):
        create(self.client, self.name, self.n_partitions)
        # A host is missed after two steps in the rounds with a pause, so that the pause may be short.
        step_ms = 1_000 if self.kind.startswith("idle") else 10_000
        share_late = 0.15 if "late" in self.kind else 0.01
        rows = records(self.number, (int(time.time()) - 3600) * 1000, step_ms, share_late)
        if self.kind == "poison":
            for at in self.chance.sample(range(len(rows)), 3):
                rows[at] = (*rows[at][:2], b'{"breaks the code": 1}', rows[at][3])
        first, second, last = self.slices(rows)
        self.send(first)
        self.plan = self.planned()
        if self.kind == "broker away at the start":
            kill_broker(self.broker)
            self.start()
            time.sleep(1.5)
            self.broker.start()
            self.done += 1
        else:
            self.start(self.plan)
        self.tend_until(self.is_at_work)
        self.send(second if not self.kind.startswith("idle") else self.idle(second))
        self.disturb()
        self.tend_until(self.is_met)
        self.send(self.grown(last) if self.kind == "partitions grow" else last)
        self.tend(1.0)
        self.finish(len(rows))
        verdict = self.judged(rows)
        verdict["crashed"] += self.crashed
        return verdict

    def slices(self, rows):
        """Thirds in the order of time; with rekey one source is an hour ahead of the other, which catches up last."""
        if self.kind.startswith("rekey"):
            ahead, behind = [row for row in rows if row[0] == 0], [row for row in rows if row[0] == 1]
            return ahead, behind[: len(behind) // 2], behind[len(behind) // 2 :]
        third = len(rows) // 3
        return rows[:third], rows[third : 2 * third], rows[2 * third :]

    def planned(self):
        """What the first job will meet, by the words of ``FORESHOCK_FAULTS``."""
        words = self.kind.rsplit(" and ", 1)[-1].split(" ")
        if words[0] in ("kill", "kill-soon", "unheard", "disk", "freeze") and words[-1] in POINTS:
            often = 3 if "snapshot" in words[-1] else 8
            return f"{words[-1]}:{self.chance.randint(2, often)}:{words[0]}"
        return ""

    def idle(self, rows):
        """Send what belongs to one partition, and let the other be quiet until it is missed."""
        self.send([row for row in rows if row[0] == 0])
        for _ in range(24):
            self.send([(0, b"web-0", b"", rows[-1][3])])  # an empty record: heard of, nothing said
            self.tend(0.25)
        return [row for row in rows if row[0] == 1]

    def grown(self, rows):
        """Give the topic twice as many partitions; two hosts go there, and are not silent where they were."""
        self.n_partitions = 8
        admin = KafkaAdminClient(**self.client)
        admin.create_partitions({self.name: self.n_partitions})
        admin.close()
        self.tend(12.0)
        moved = {b"web-0": 6, b"web-1": 7}
        return [(moved.get(key, partition), key, value, time_ms) for partition, key, value, time_ms in rows]

    def disturb(self):
        """Whatever is not planned inside a job."""
        kind = self.kind
        if kind == "terminate":
            self.signal(signal.SIGTERM)
            self.await_end()
            self.start()
        elif kind.startswith("freeze"):
            self.freeze()
        elif kind.startswith("storm"):
            self.storm(2 if kind == "storm of two" else 3)
        elif kind in ("broker", "broker away for a minute"):
            kill_broker(self.broker)
            self.tend(60 if "minute" in kind else self.chance.uniform(0.5, 3))
            self.broker.start()
        elif kind == "snapshots over quota":
            self.tend(3.0)
            self.signal(signal.SIGKILL)
            self.tend(3.0)
        elif kind.startswith("snapshots") or kind == "state lost":
            self.signal(signal.SIGKILL)
            self.await_end()
            damage(self.folder / "state", kind, self.chance)
            if kind == "state lost":
                expire(self.client, {place: max(1, at // 2) for place, at in self.committed().items()})
            self.start(nobody=kind == "snapshots read-only")
        elif kind == "releases roll":
            self.roll()
        elif kind == "rekey":
            self.signal(signal.SIGKILL, self.rekeys)
        else:
            return
        self.done += 1

    def freeze(self):
        """Stop a job past its session, let another take over, and let the zombie go on."""
        if self.kind == "freeze":
            self.signal(signal.SIGSTOP)
        frozen = list(self.jobs)
        self.start()
        self.tend(7.5)
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)

    def storm(self, most):
        """Processes join and leave, well and badly."""
        for _ in range(6):
            if len(self.jobs) < most and self.chance.random() < 0.6:
                self.start()
            elif self.jobs:
                os.kill(self.chance.choice(list(self.jobs)), self.chance.choice([signal.SIGKILL, signal.SIGTERM]))
            self.tend(self.chance.uniform(0.2, 1.5))

    def roll(self):
        """The other release joins and takes over what ours kept; ours joins again and takes over what that one kept."""
        ours = list(self.jobs)
        self.start(release=1)
        self.tend(3.0)
        self.signal(signal.SIGTERM, ours)
        self.tend(3.0)
        theirs = list(self.jobs)
        self.start()
        self.tend(3.0)
        self.signal(signal.SIGKILL, theirs)
        self.tend(3.0)

    def start(self, faults="", release=0, **more):
        request = {"log": str(self.folder / "job.log"), "faults_log": str(self.folder / "faults.log"), **more}
        if self.kind.startswith("models"):
            request["models"] = SHIFTS
        if self.kind == "poison":
            faults = "poison:breaks the code"
        if self.kind.startswith("clock"):
            request["jumps"] = self.number + 1
        request["registry"] = self.kind.startswith("registry")
        if self.kind == "snapshots over quota":
            request["most_bytes"] = QUOTA_BYTES
        nursery = self.nurseries[release]
        if self.kind.startswith("rekey") and not self.rekeys:
            self.rekeys[nursery.start(job="rekey", overrides=settings(self, self.name), **request)] = nursery
        self.jobs[nursery.start(faults=faults, overrides=settings(self, self.input), **request)] = nursery

    def tend(self, seconds):
        """Let time pass; whoever died is replaced, as a supervisor would."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.bury()
            if not self.jobs or (self.kind.startswith("rekey") and not self.rekeys):
                self.start()
            time.sleep(0.05)

    def tend_until(self, true):
        until = time.monotonic() + MEETING_SECONDS
        while not true() and time.monotonic() < until:
            self.tend(0.2)

    def is_at_work(self):
        """Whether something was committed beyond the start, or the fault has struck before."""
        return sum(self.committed().values()) > 0 or (self.folder / "faults.log").exists()

    def is_met(self):
        """Whether the fault that is planned has struck, or both models have changed hands."""
        if self.kind == "models":
            return self.decided("model") >= 4
        return not self.plan or (self.folder / "faults.log").exists()

    def decided(self, kind):
        """How many decisions of a kind were taken so far."""
        found = read_all(self.client, f"{self.name}.decisions")
        return sum(f'"kind":"{kind}"'.encode() in value for records in found for value in records.values)

    def bury(self):
        for living in (self.jobs, self.rekeys):
            codes = {pid: nursery.ended(pid) for pid, nursery in living.items()}
            for pid in [pid for pid, code in codes.items() if code is not None]:
                del living[pid]
                # an error of its own: a fault or a signal ends otherwise, and a second signal asks to leave at once
                self.crashed += codes[pid] > 0 and codes[pid] != LEFT_AT_ONCE

    def await_end(self):
        until = time.monotonic() + 15
        while self.jobs and time.monotonic() < until:
            self.bury()
            time.sleep(0.02)
        assert not self.jobs, f"{self.kind}: a job did not end"

    def signal(self, number, pids=None):
        for pid in list((self.jobs | self.rekeys) if pids is None else pids):
            os.kill(pid, number)

    def send(self, rows):
        writer = Writer(self.client)
        for partition, key, value, time_ms in rows:
            writer._producer.send(self.name, value, key, partition=partition, timestamp_ms=time_ms)
        writer.close()

    def finish(self, n_sent):
        """Kill what is left, start one job, and let it read to the end: its time is the recovery's."""
        if self.rekeys:
            self.await_rekeyed(n_sent)
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        self.await_end()
        if self.kind == "snapshots read-only":
            (self.folder / "state").chmod(0o755)
        before, began, ends = self.committed(), time.monotonic(), self.ends()
        nursery = self.nurseries[0]
        request = {"log": str(self.folder / "job.log"), "faults_log": str(self.folder / "faults.log")}
        faults = "poison:breaks the code" if self.kind == "poison" else ""
        last = nursery.start(faults=faults, overrides=settings(self, self.input), **request)
        self.jobs[last] = nursery
        until = began + PATIENCE_SECONDS
        while time.monotonic() < until:
            now = self.committed()
            if now != before and not self.recoveries:
                self.recoveries.append(time.monotonic() - began)
            if all(now[place] >= end and self.is_kept(place, end) for place, end in ends.items()):
                break
            self.bury()
            assert last in self.jobs, f"{self.kind}: the last job died; see {self.folder / 'job.log'}"
            time.sleep(0.1)
        else:
            raise AssertionError(f"{self.kind}: not read to the end within {PATIENCE_SECONDS} s: {now} of {ends}")
        self.signal(signal.SIGTERM)
        self.await_end()

    def await_rekeyed(self, n_sent):
        """Wait until rekey has read all that was sent, and let it leave."""
        until = time.monotonic() + PATIENCE_SECONDS
        while sum(self.committed(self.name, f"{self.name}-rekey").values()) < n_sent:
            assert time.monotonic() < until, f"{self.kind}: not rekeyed within {PATIENCE_SECONDS} s"
            self.tend(0.2)
        self.signal(signal.SIGTERM, self.rekeys)
        until = time.monotonic() + 15
        while self.rekeys:
            assert time.monotonic() < until, f"{self.kind}: rekey did not end"
            self.bury()
            time.sleep(0.05)

    def is_kept(self, place, offset):
        """Whether a snapshot of the partition's end is there, by which states are compared."""
        return any((self.folder / "state").glob(f"{place.topic}-{place.partition}-*/{offset:020d}-*.state"))

    def places(self, topic=""):
        return [TopicPartition(topic or self.input, n) for n in range(self.n_partitions)]

    def ends(self):
        """The offset after the last record of each partition; a transaction's marker is no record."""
        ends = dict.fromkeys(self.places(), 0)
        for one in read_all(self.client, self.input):
            ends[TopicPartition(one.topic, one.partition)] = one.offsets[-1] + 1
        return {place: end for place, end in ends.items() if end}

    def committed(self, topic="", group=""):
        consumer = KafkaConsumer(**self.client, group_id=group or self.name, enable_auto_commit=False)
        try:
            return {place: consumer.committed(place) or 0 for place in self.places(topic)}
        finally:
            consumer.close(autocommit=False)

    def judged(self, rows):
        """What went wrong, in numbers."""
        state = self.folder / "state"
        if self.kind == "state lost":
            return judge_a_loss(self.client, self.name)
        verdict = judge(self.client, self.input, self.name, state)
        if self.kind.startswith("rekey"):
            verdict += judge_rekeyed(self.client, self.input, self.name, rows)
        if self.kind == "partitions grow":  # who moved is not silent
            verdict["different"] += verdict["silent"]
        return verdict

    def fired(self, verdict):
        """How often the fault of this round was met: at its point in the code, by a decision, or by what was done."""
        if self.plan:
            log = self.folder / "faults.log"
            return len(log.read_text().splitlines()) if log.exists() else 0
        if self.kind == "snapshots over quota":
            return (self.folder / "job.log").read_text().count("File too large")
        if self.kind in DECIDES:
            return verdict[f"decided {DECIDES[self.kind]}"]
        return self.done


def run_rounds(numbers, seed, scratch):
    """Yield (round, what its verdict says) one after the other, on one broker."""
    scratch.chmod(0o755)  # some jobs are nobody's
    broker, nurseries = EmbeddedBroker(kafka_home(), scratch / "kafka"), [Nursery()]
    try:
        for number in numbers:
            if KINDS[number % len(KINDS)] == "releases roll" and len(nurseries) == 1:
                nurseries.append(Nursery(neighbour(scratch / "neighbour")))
            one = Round(nurseries, broker, number, seed, scratch)
            try:
                verdict = one.run()
            finally:
                one.signal(signal.SIGKILL)
            yield one, verdict
    finally:
        broker.stop()
        for nursery in nurseries:
            nursery.close()
