"""Weeks in half an hour: a fleet at full rate, jobs that roll, and nothing lost, no memory that grows.

``python -m tests.soak --minutes 30``: three jobs share six partitions, and every three minutes one of two is told to
leave and started again. Each sample that was sent must be counted once, by whichever job committed it.
"""

import argparse
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from kafka import KafkaConsumer, TopicPartition
from scipy import stats

from pipeline.app import plan_of
from pipeline.kafka.broker import EmbeddedBroker, kafka_home
from pipeline.kafka.topics import create
from pipeline.kafka.writer import Writer
from pipeline.settings import load
from pipeline.warm import compile_kernels
from tests.benchmarks.fleet import METRICS_PER_HOST, Fleet

TOPIC, N_PARTITIONS, N_JOBS = "soak", 6, 3
LEAVE_SECONDS, CATCH_UP_SECONDS = 60, 300


class Job:
    """One place of the group, whose process is started again and again."""

    def __init__(self, number, bootstrap, folder, n_series):
        self.log, self.number = folder / f"job-{number}.log", number
        told = {
            "kafka.bootstrap_servers": bootstrap,
            "kafka.topic_prefix": TOPIC,
            "kafka.group": TOPIC,
            "source.topics": TOPIC,
            "source.start": "earliest",
            "source.keyed_by_entity": "true",
            "entities.max_series_per_partition": str(n_series),
            "models.poll_seconds": "0",
            "state.folder": str(folder / "state"),
            "state.snapshot_every_seconds": "30",
            "job.log_format": "json",
            "job.summary_every_seconds": "10",
        }
        self.command = [sys.executable, "-m", "pipeline", "run"]
        self.command += [part for key, value in told.items() for part in ("--set", f"{key}={value}")]
        self.memory, self.counts, self.codes, self.life = [], [], [], -1
        self.start()

    def start(self):
        self.life += 1
        self.began, self.at = time.monotonic(), self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("a") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)

    def look(self):
        """Note the resident memory, in MB, with the age of the process."""
        assert self.process.poll() is None, f"job {self.number} died: {self.log.read_text()[-2000:]}"
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        megabytes = pages * resource.getpagesize() / 1e6
        self.memory.append((self.life, time.monotonic() - self.began, megabytes))

    def leave(self):
        """Leave in good order, and keep the account that was given."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(LEAVE_SECONDS)
        self.codes.append(code)
        with self.log.open() as log:
            log.seek(self.at)
            told = [json.loads(line) for line in log if line.startswith("{")]
        self.counts.append([one["summary"]["counts"] for one in told if "summary" in one][-1])


def slope(job, warm_up_seconds):
    """The slope of a job's resident memory after warm-up, in MB an hour, with its 95 % confidence interval.

    By least squares over the means of whole minutes, for looks within one follow each other closely.
    """
    rows = np.array([(age, megabytes) for _, age, megabytes in job.memory if age >= warm_up_seconds])
    minutes = [rows[rows[:, 0] // 60 == minute, 1].mean() for minute in np.unique(rows[:, 0] // 60)]
    line = stats.linregress(np.arange(len(minutes)) / 60, minutes)
    half = stats.t.ppf(0.975, len(minutes) - 2) * line.stderr
    return len(minutes), line.slope, (line.slope - half, line.slope + half)


def committed(client):
    consumer = KafkaConsumer(**client, group_id=TOPIC, enable_auto_commit=False)
    try:
        return sum(consumer.committed(TopicPartition(TOPIC, n)) or 0 for n in range(N_PARTITIONS))
    finally:
        consumer.close(autocommit=False)


def soak(given, folder):
    """Send, roll and look until time is up; returns the jobs and how many records were sent."""
    broker = EmbeddedBroker(kafka_home(), folder / "kafka")
    client = {"bootstrap_servers": broker.start()}
    create(client, TOPIC, N_PARTITIONS, {"retention.ms": "600000", "segment.bytes": "67108864"})
    fleet, writer = Fleet(given.series), Writer(client)
    step_seconds = given.series / given.rate
    jobs = [Job(number, client["bootstrap_servers"], folder, given.series) for number in range(N_JOBS)]
    n_sent, rolls, slices, began = 0, 0, 10, time.monotonic()
    try:
        step, due, roll_at = 0, began, began + given.roll_seconds
        while time.monotonic() - began < 60 * given.minutes:
            time_ms = int(time.time() * 1000)
            for part in range(slices):  # a step's hosts report one after the other, as hosts do
                hosts = slice(part * fleet.n_hosts // slices, (part + 1) * fleet.n_hosts // slices)
                for row, (_, record) in enumerate(fleet.step(time_ms, hosts), hosts.start):
                    writer._producer.send(TOPIC, record, partition=row % N_PARTITIONS, timestamp_ms=time_ms)
                    n_sent += 1
                due += step_seconds / slices
                time.sleep(max(0.0, due - time.monotonic()))
            step += 1
            for job in jobs:
                job.look()
            if roll_at <= time.monotonic() < began + 60 * given.minutes - given.roll_seconds / 2:  # time to come up
                rolling = jobs[1 + rolls % (N_JOBS - 1)]  # the first stays, so that its memory can be watched
                rolling.leave()
                rolling.start()
                rolls, roll_at = rolls + 1, roll_at + given.roll_seconds
        took = time.monotonic() - began
        writer.close()
        until = time.monotonic() + CATCH_UP_SECONDS
        while committed(client) < n_sent and time.monotonic() < until:
            time.sleep(0.5)
        lag = n_sent - committed(client)
        for job in jobs:
            job.leave()
        return jobs, n_sent, rolls, took, lag
    finally:
        for job in jobs:
            job.process.kill()
        broker.stop()


def main():
    """Soak, and say what was lost and how memory went; returns 1 if either is not as promised."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--minutes", type=float, default=30)
    asked.add_argument("--rate", type=int, default=50_000, help="samples a second")
    asked.add_argument("--series", type=int, default=100_000)
    asked.add_argument("--roll-seconds", type=float, default=180)
    asked.add_argument("--warm-up-seconds", type=float, default=600, help="left out of the slope")
    asked.add_argument("--keep", type=Path, help="leave logs here")
    given = asked.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped so too, it leaves nothing running
    compile_kernels(plan_of(load(None, []).settings))  # once, here: not by both jobs while their time runs
    with tempfile.TemporaryDirectory(dir=given.keep) as scratch:
        jobs, n_sent, rolls, took, lag = soak(given, Path(scratch))
    sent = n_sent * METRICS_PER_HOST
    decoded = sum(counts["decoded"] for job in jobs for counts in job.counts)
    print(f"sent {sent:,} samples in {took:,.0f} s ({sent / took:,.0f} a second), {rolls} rolling restarts")
    print(f"records not read {lag}; samples lost {sent - decoded:,}")
    peak = max(megabytes for job in jobs for _, _, megabytes in job.memory)
    n_minutes, mean, (low, high) = slope(jobs[0], given.warm_up_seconds)
    print(
        f"resident memory: peak {peak:,.0f} MB; of the job that stayed, over {n_minutes} minutes after warm-up: "
        f"slope {mean:+,.1f} MB an hour, 95 % [{low:+,.1f}, {high:+,.1f}]"
    )
    odd = [code for job in jobs for code in job.codes if code]
    print(f"{sum(len(job.codes) for job in jobs)} processes left, {len(odd)} of them not well: {odd}")
    return int(lag != 0 or sent != decoded or low > 0 or bool(odd))


if __name__ == "__main__":
    sys.exit(main())
