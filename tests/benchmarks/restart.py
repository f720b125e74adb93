"""How soon a job is back at work after SIGKILL, and how long a snapshot holds up the hot path.

``python -m tests.benchmarks.restart 100000 1000000``: a real broker, a real job, so many series on four partitions; a
snapshot of so many in one. With ``--readme`` the README's table is written anew.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition

from pipeline.app import plan_of
from pipeline.events import Records
from pipeline.kafka.broker import EmbeddedBroker, kafka_home
from pipeline.kafka.topics import create
from pipeline.kafka.writer import Writer
from pipeline.settings import load
from pipeline.state.snapshot import Mark
from pipeline.state.snapshots import Snapshots
from pipeline.state.store import store_at
from pipeline.stream import PartitionStream
from pipeline.warm import compile_kernels
from tests.benchmarks.fleet import Fleet
from tests.benchmarks.speed.__main__ import ROOT, write_between

N_PARTITIONS, N_STEPS, STEP_MS = 4, 12, 10_000
PATIENCE_SECONDS = 400
GOAL_SECONDS = {100_000: 10.0, 1_000_000: 30.0}
BEGIN, END = "<!-- restart: made by make restart -->", "<!-- /restart -->"
HEAD = ("| series | what | seconds | of CPU | goal |", "|---|---|---|---|---|")


def row(n_series, what, seconds, cpu, goal=None):
    """A line of the table, printed at once."""
    met = "" if goal is None else f"≤ {goal:g} {'✓' if seconds <= goal else '✗'}"
    line = f"| {n_series:,} | {what} | {seconds:.{1 if seconds > 2 else 3}f} | {cpu:.{1 if cpu > 2 else 3}f} | {met} |"
    print(line, flush=True)
    return line


class Bench:
    """A topic, its telemetry, and jobs that read it."""

    def __init__(self, broker, n_series, folder, settings):
        self.client = {"bootstrap_servers": broker}
        self.folder, self.name, self.n_series = folder, f"restart-{n_series}", n_series
        self.fleet, self.now_ms = Fleet(n_series), int(time.time() * 1000) - (N_STEPS + 1) * STEP_MS
        self.places = [TopicPartition(self.name, number) for number in range(N_PARTITIONS)]
        told = {
            "kafka.bootstrap_servers": broker,
            "kafka.topic_prefix": self.name,
            "kafka.group": self.name,
            "source.topics": self.name,
            "source.start": "earliest",
            "source.keyed_by_entity": "true",
            "entities.max_series_per_partition": str(n_series),
            "models.poll_seconds": "0",
            "state.folder": str(folder / "state"),
            "state.snapshot_every_seconds": "2",
            **settings,
        }
        self.command = [sys.executable, "-m", "pipeline", "run"]
        self.command += [part for key, value in told.items() for part in ("--set", f"{key}={value}")]
        create(self.client, self.name, N_PARTITIONS)

    def send(self, n_steps, hosts=slice(None)):
        writer = Writer(self.client)
        for _ in range(n_steps):
            self.now_ms += STEP_MS
            for row, (_, record) in enumerate(self.fleet.step(self.now_ms, hosts)):
                writer._producer.send(self.name, record, partition=row % N_PARTITIONS, timestamp_ms=self.now_ms)
        writer.close()

    def start(self):
        with (self.folder / "job.log").open("a") as log:
            return subprocess.Popen(self.command, stdout=log, stderr=log)

    def committed(self):
        consumer = KafkaConsumer(**self.client, group_id=self.name, enable_auto_commit=False)
        try:
            return {place: consumer.committed(place) or 0 for place in self.places}
        finally:
            consumer.close(autocommit=False)

    def is_kept(self):
        """Whether each partition has a snapshot of its end."""
        ends = {place: -(-self.fleet.n_hosts * N_STEPS // N_PARTITIONS) for place in self.places}
        files = {path.parent.name.split("-")[-2]: path.name for path in sorted(self.folder.glob("state/*/*.state"))}
        return all(files.get(str(place.partition), "").startswith(f"{end:020d}") for place, end in ends.items())

    def wait_for(self, true, job):
        until = time.monotonic() + PATIENCE_SECONDS
        while not true():
            assert job.poll() is None and time.monotonic() < until, (self.folder / "job.log").read_text()[-2000:]
            time.sleep(0.05)

    def run(self):
        """Seconds from the start after SIGKILL to the first commit and to the last partition's, and CPU seconds."""
        self.send(N_STEPS)
        job = self.start()
        self.wait_for(self.is_kept, job)
        job.kill()
        job.wait()
        before = self.committed()
        self.send(1, slice(0, N_PARTITIONS))
        began, job = time.monotonic(), self.start()
        try:
            self.wait_for(lambda: any(now > before[place] for place, now in self.committed().items()), job)
            first = time.monotonic() - began
            self.wait_for(lambda: all(now > before[place] for place, now in self.committed().items()), job)
            every, ticks = time.monotonic() - began, Path(f"/proc/{job.pid}/stat").read_text().split()[13:15]
            return first, every, sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        finally:
            job.kill()
            job.wait()


def restart(n_series, words, settings):
    """How long a restart took, as lines."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        broker = EmbeddedBroker(kafka_home(), folder / "kafka")
        try:
            first, every, cpu = Bench(broker.start(), n_series, folder, settings).run()
            what = f"start after SIGKILL to first commit, {words} (all four partitions: {every:.1f})"
            return [row(n_series, what, first, cpu, GOAL_SECONDS.get(n_series))]
        finally:
            broker.stop()


def step(stream, fleet, number, hosts=slice(None)):
    """Let hosts report once more."""
    now = 1_767_225_600_000 + number * STEP_MS
    values = [record for _, record in fleet.step(now, hosts)]
    for at in range(0, len(values), 500):
        some, n = values[at : at + 500], len(values[at : at + 500])
        first = number * fleet.n_hosts + (hosts.start or 0) + at
        stream.step(Records("t", 0, list(range(first, first + n)), [now] * n, [None] * n, some))


def stall(n_series):
    """How long the loop waits for a snapshot of one partition with so many series, and loading takes, as lines.

    Each series brings a sample in ten seconds, a tenth of a second's worth between two looks; of each snapshot the
    longest wait counts, be it for a slice or for the end.
    """
    plan = plan_of(load(None, [f"entities.max_series_per_partition={n_series}"]).settings)
    fleet, stream = Fleet(n_series), PartitionStream(plan, "t", 0)
    for number in range(N_STEPS):
        step(stream, fleet, number)
    with tempfile.TemporaryDirectory() as scratch:
        snapshots, waits, n_slices, busiest = Snapshots(store_at(scratch), 0), [], [], 0.0
        for number in range(N_STEPS, N_STEPS + 4):
            longest, n_waits = 0.0, 0
            for part in range(100):
                if snapshots.due([("t", 0)]) is not None:
                    began, cpu = time.perf_counter(), time.thread_time()
                    snapshots.go_on(stream.moving(), Mark("t", 0, "life", number * 100 + part, 0, 0))
                    longest, n_waits = max(longest, time.perf_counter() - began), n_waits + 1
                    busiest = max(busiest, time.thread_time() - cpu)
                step(stream, fleet, number, slice(part * fleet.n_hosts // 100, (part + 1) * fleet.n_hosts // 100))
            snapshots.finish()
            waits.append(longest)
            n_slices.append(n_waits)
        size = max(path.stat().st_size for path in Path(scratch).glob("*/*.state"))
        began, cpu = time.perf_counter(), time.process_time()
        found = snapshots.newest(Mark("t", 0, "life", 10**9, 0, 0))
        PartitionStream.of_image(found[1], "t", 0, None)
        loading, cpu = time.perf_counter() - began, time.process_time() - cpu
        snapshots.close()
    what = f"longest wait of the loop for a snapshot, in {max(n_slices)} slices, {size / n_series:,.0f} bytes a series"
    return [
        row(n_series, what, max(waits[1:]), busiest, 0.1),  # the first only makes room, in the background
        row(n_series, "loading that snapshot", loading, cpu),
    ]


def main():
    """Measure what was asked for."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("series", type=int, nargs="*", default=[100_000])
    asked.add_argument("--only", choices=["stall", "restart"])
    asked.add_argument("--readme", action="store_true", help="write the README's table")
    given = asked.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped so too, it leaves nothing running
    compile_kernels(plan_of(load(None, []).settings))
    lines = [f"On {os.cpu_count()} cores; load when it began {os.getloadavg()[0]:.1f}.", "", *HEAD]
    print("\n".join(lines), flush=True)
    for n_series in given.series:
        if given.only != "restart":
            lines += stall(n_series)
        if given.only != "stall":
            lines += restart(n_series, "by default", {})
            lines += restart(n_series, "a static member", {"kafka.group_instance_id": "bench"})
    if given.readme:
        write_between(ROOT / "README.md", BEGIN, END, "\n".join(lines))


if __name__ == "__main__":
    main()
