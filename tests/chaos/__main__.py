"""Rounds of faults: ``python -m tests.chaos --rounds 60 --seed 1``, or one again: ``--only 17 --seed 1``."""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from pipeline.faults import POINTS
from pipeline.kafka.broker import EmbeddedBroker, kafka_home
from pipeline.kafka.topics import create
from pipeline.kafka.writer import Writer
from tests.chaos.telemetry import records
from tests.chaos.verdict import judge

PATIENCE_SECONDS = 90
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
    "storm",
    "broker",
    "broker away at the start",
    "snapshots deleted",
    "snapshots cut",
    "snapshots flipped",
    "snapshots of the schema before",
    "snapshots unwritable",
    "models",
    "models and kill after-send",
    "idle",
    "idle and kill after-commit",
    "clock jumps and kill after-step",
    "partitions grow",
    "poison",
)


class Nursery:
    """The process that forks jobs."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout.readline() == "ready\n"

    def start(self, **request):
        return self._ask({"do": "start", "faults": "", "jumps": 0, "models": [], **request})

    def ended(self, pid):
        """The exit status, or None while it lives."""
        return self._ask({"do": "poll", "pid": pid})

    def close(self):
        self._process.communicate(timeout=20)

    def _ask(self, request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


class Round:
    """One seeded round: telemetry in slices, jobs, faults, and in the end a job that may finish."""

    def __init__(self, nursery, broker, number, seed, scratch):
        self.kind = KINDS[number % len(KINDS)]
        self.chance = random.Random(f"{seed}/{number}")
        self.nursery, self.broker, self.number = nursery, broker, number
        self.folder = scratch / f"round-{number}"
        self.folder.mkdir()
        self.name = f"chaos-{seed}-{number}"
        self.client = {"bootstrap_servers": broker.start()}
        self.pids, self.recoveries, self.plan = [], [], ""

    def run(self):
        create(self.client, self.name, 2)
        # A host is missed after two steps in the rounds with a pause, so that the pause may be short.
        step_ms = 1_000 if self.kind.startswith("idle") else 10_000
        rows = records(self.number, (int(time.time()) - 3600) * 1000, step_ms)
        if self.kind == "poison":
            for at in self.chance.sample(range(len(rows)), 3):
                rows[at] = (*rows[at][:2], b'{"breaks the code": 1}', rows[at][3])
        third = len(rows) // 3
        self.send(rows[:third])
        if self.kind == "broker away at the start":
            kill_broker(self.broker)
            self.start()
            time.sleep(1.5)
            self.broker.start()
        else:
            self.plan = self.planned()
            self.start(self.plan)
        self.tend(1.0)
        self.send(rows[third : 2 * third] if not self.kind.startswith("idle") else self.idle(rows[third : 2 * third]))
        self.disturb()
        self.tend(1.0)
        self.send(self.grown(rows[2 * third :]) if self.kind == "partitions grow" else rows[2 * third :])
        self.tend(1.0)
        self.finish()
        return judge(self.client, self.name, self.name, self.folder / "state")

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
        """Give the topic two more partitions; two hosts go there, and are not silent where they were."""
        admin = KafkaAdminClient(**self.client)
        admin.create_partitions({self.name: 4})
        admin.close()
        self.tend(12.0)
        moved = {b"web-0": 2, b"web-1": 3}
        return [(moved.get(key, partition), key, value, time_ms) for partition, key, value, time_ms in rows]

    def disturb(self):
        """Whatever is not planned inside a job."""
        kind = self.kind
        if kind == "terminate":
            self.signal(signal.SIGTERM)
            self.await_end()
            self.start()
        elif kind.startswith("freeze"):
            if kind == "freeze":
                self.signal(signal.SIGSTOP)
            frozen = self.pids[:]
            self.start()
            self.tend(7.5)
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        elif kind == "storm":
            for _ in range(4):
                if len(self.pids) < 3 and self.chance.random() < 0.6:
                    self.start()
                elif self.pids:
                    os.kill(self.chance.choice(self.pids), self.chance.choice([signal.SIGKILL, signal.SIGTERM]))
                self.tend(self.chance.uniform(0.2, 1.5))
        elif kind == "broker":
            kill_broker(self.broker)
            self.tend(self.chance.uniform(0.5, 3))
            self.broker.start()
        elif kind.startswith("snapshots"):
            self.signal(signal.SIGKILL)
            self.await_end()
            damage(self.folder / "state", kind, self.chance)
            self.start()

    def start(self, faults="", **more):
        request = {"log": str(self.folder / "job.log"), "faults_log": str(self.folder / "faults.log"), **more}
        if self.kind.startswith("models"):
            request["models"] = SHIFTS
        if self.kind == "poison":
            faults = "poison:breaks the code"
        if self.kind.startswith("clock"):
            request["jumps"] = self.number + 1
        settings = {
            "kafka.bootstrap_servers": self.client["bootstrap_servers"],
            "kafka.client": '{"session_timeout_ms": 6000, "heartbeat_interval_ms": 1000}',
            "kafka.topic_prefix": self.name,
            "kafka.group": self.name,
            "source.topics": self.name,
            "source.start": "earliest",
            "source.keyed_by_entity": "true",
            "source.max_poll_records": "40",
            "source.idle_seconds": "1" if self.kind.startswith("idle") else "600",
            "incidents.silence_rhythms": "2" if self.kind.startswith("idle") else "6",
            "incidents.silence_seconds_min": "1" if self.kind.startswith("idle") else "60",
            "state.folder": str(self.folder / "state"),
            "state.snapshot_every_seconds": "0.3",
        }
        overrides = [f"{key}={value}" for key, value in settings.items()]
        self.pids.append(self.nursery.start(faults=faults, overrides=overrides, **request))

    def tend(self, seconds):
        """Let time pass; whoever died is replaced, as a supervisor would."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.bury()
            if not self.pids:
                self.start(("poison" in self.kind and self.planned_poison()) or "")
            time.sleep(0.05)

    def bury(self):
        self.pids = [pid for pid in self.pids if self.nursery.ended(pid) is None]

    def await_end(self):
        until = time.monotonic() + 15
        while self.pids and time.monotonic() < until:
            self.bury()
            time.sleep(0.02)
        assert not self.pids, f"{self.kind}: a job did not end"

    def signal(self, number):
        for pid in self.pids:
            os.kill(pid, number)

    def send(self, rows):
        writer = Writer(self.client)
        for partition, key, value, time_ms in rows:
            writer._producer.send(self.name, value, key, partition=partition, timestamp_ms=time_ms)
        writer.close()

    def finish(self):
        """Kill what is left, start one job, and let it read to the end: its time is the recovery's."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        self.await_end()
        if self.kind == "snapshots unwritable":
            (self.folder / "state").unlink()
        before, began = self.committed(), time.monotonic()
        self.start()
        consumer = KafkaConsumer(**self.client)
        places = self.places()
        ends = consumer.end_offsets(places)
        consumer.close(autocommit=False)
        until = began + PATIENCE_SECONDS
        while time.monotonic() < until:
            now = self.committed()
            if now != before and not self.recoveries:
                self.recoveries.append(time.monotonic() - began)
            if all(now[place] >= ends[place] and self.is_kept(place, ends[place]) for place in places):
                break
            self.bury()
            assert self.pids, f"{self.kind}: the last job died; see {self.folder / 'job.log'}"
            time.sleep(0.1)
        else:
            raise AssertionError(f"{self.kind}: not read to the end within {PATIENCE_SECONDS} s: {now} of {ends}")
        self.signal(signal.SIGTERM)
        self.await_end()

    def is_kept(self, place, offset):
        """Whether a snapshot of the partition's end is there, by which states are compared."""
        return any((self.folder / "state").glob(f"{place.topic}-{place.partition}-*/{offset:020d}-*.state"))

    def places(self):
        return [TopicPartition(self.name, n) for n in range(4 if self.kind == "partitions grow" else 2)]

    def committed(self):
        consumer = KafkaConsumer(**self.client, group_id=self.name, enable_auto_commit=False)
        try:
            return {place: consumer.committed(place) or 0 for place in self.places()}
        finally:
            consumer.close(autocommit=False)

    def fired(self):
        """How often each fault fired, 0 for one that was planned and never did."""
        log = self.folder / "faults.log"
        if log.exists():
            return Counter(f"{action} {point}" for point, action in map(str.split, log.read_text().splitlines()))
        return {self.kind: int(not self.plan)}


def kill_broker(broker):
    pid = broker.status().pid
    os.kill(pid, signal.SIGKILL)
    while broker.status().running:
        time.sleep(0.05)


def damage(folder, kind, chance):
    """What happens to folders."""
    files = sorted(folder.glob("*/*.state"))
    if kind == "snapshots deleted":
        shutil.rmtree(folder, ignore_errors=True)
    elif kind == "snapshots unwritable":
        shutil.rmtree(folder, ignore_errors=True)
        folder.write_text("a file where a folder should be")
    for file in files if "deleted" not in kind and "unwritable" not in kind else []:
        data = bytearray(file.read_bytes())
        if kind == "snapshots cut" and chance.random() < 0.7:
            data = data[: chance.randrange(len(data))]
        elif kind == "snapshots flipped" and chance.random() < 0.7:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        elif kind == "snapshots of the schema before":
            data = older(bytes(data))
        file.write_bytes(data)


def older(data):
    """The same snapshot as the schema before would have written it: its number is less, the seal fits."""
    import hashlib

    changed = data[:-32].replace(b'"schema":1', b'"schema":0', 1)
    return changed + hashlib.sha256(changed).digest()


def main():
    """Run the rounds and say what they brought."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=2 * len(KINDS))
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--only", type=int, nargs="*", help="repeat these rounds alone")
    asked.add_argument("--keep", type=Path, help="leave logs and snapshots here")
    given = asked.parse_args()
    scratch = given.keep or Path(tempfile.mkdtemp(prefix="chaos-"))
    scratch.mkdir(parents=True, exist_ok=True)
    numbers = given.only if given.only else range(given.rounds)
    bad = report(run_rounds(numbers, given.seed, scratch))
    if given.keep is None:
        shutil.rmtree(scratch, ignore_errors=True)
    return bad


def run_rounds(numbers, seed, scratch):
    """Yield (round, what its verdict says) one after the other, on one broker."""
    nursery, broker = Nursery(), EmbeddedBroker(kafka_home(), scratch / "kafka")
    try:
        for number in numbers:
            one = Round(nursery, broker, number, seed, scratch)
            try:
                verdict = one.run()
            finally:
                one.signal(signal.SIGKILL)
            print(f"round {number:3d} seed {seed}: {one.kind:34s} {verdict}", flush=True)
            yield one, verdict
    finally:
        broker.stop()
        nursery.close()


def report(rounds):
    """Print the sums; returns the exit status: 0 if nothing was lost, doubled or different and every fault fired."""
    sums, fired, recoveries, n = Counter(), {}, [], 0
    for one, verdict in rounds:
        sums.update(verdict)
        for name, count in one.fired().items():
            fired[name] = fired.get(name, 0) + count
        recoveries += one.recoveries
        n += 1
    print(f"\n{n} rounds, {sums['events']} events, {sums['decisions']} decisions")
    print("fired: " + ", ".join(f"{name} {count}" for name, count in sorted(fired.items())))
    print(f"lost {sums['lost']}, doubled {sums['doubled']}, different {sums['different']}, states {sums['states']}")
    if recoveries:
        print(
            f"recovery, start to first commit: p50 {statistics.median(recoveries):.1f} s, max {max(recoveries):.1f} s"
        )
    return int(any(sums[key] for key in ("lost", "doubled", "different", "states")))


if __name__ == "__main__":
    sys.exit(main())
