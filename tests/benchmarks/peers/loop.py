"""What all peers share: read one topic of JSON samples for some seconds, and tell rate, cost, memory and delay.

A peer is a function that takes [(series, value), …] and returns a score for each. Standard library and kafka-python
only: this file runs in the environments of the peers, which do not have foreshock.
"""

import json
import os
import sys
import time
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes():
    """Memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


class Meter:
    """Counts samples of a backlog for at most so many seconds, and the delays of those that come after it."""

    def __init__(self, n_backlog, n_paced, seconds):
        self.n_backlog, self.n_paced, self.seconds = n_backlog, n_paced, seconds
        self.memory = resident_bytes()
        self.seen, self.began, self.cpu = 0, None, 0.0
        self.told, self.delays, self.series = None, [], set()

    @property
    def in_backlog(self):
        """Whether the backlog is still being worked off."""
        return self.told is None

    def count(self, n, series):
        """Note ``n`` scored samples of the backlog; the first call only starts the clock."""
        self.series.update(series)
        if self.began is None:
            self.began, self.cpu = time.perf_counter(), time.process_time()
            return
        self.seen += n
        spent = time.perf_counter() - self.began
        if self.seen >= 0.8 * self.n_backlog or spent > self.seconds:
            self.told = {
                "samples_per_second": self.seen / spent,
                "cpu_us_per_sample": (time.process_time() - self.cpu) / self.seen * 1e6,
                "bytes_per_series": (resident_bytes() - self.memory) / max(1, len(self.series)),
            }
            print("worked off", flush=True)

    def late(self, sent_ms):
        """Note that a paced sample was scored now."""
        self.delays.append(time.time() * 1000 - sent_ms)
        if len(self.delays) >= self.n_paced:
            ordered = sorted(self.delays)
            self.told["p50_ms"] = ordered[len(ordered) // 2]
            self.told["p99_ms"] = ordered[int(len(ordered) * 0.99)]
            print(json.dumps(self.told), flush=True)
            return True
        return False


def arguments():
    """Bootstrap servers, topic, paced topic, records in the backlog, paced records, seconds."""
    bootstrap, topic, paced, n_backlog, n_paced, seconds = sys.argv[1:7]
    return bootstrap, topic, paced, int(n_backlog), int(n_paced), float(seconds)


def run(score, most=5_000):
    """Poll with kafka-python, decode with json, score with the peer."""
    from kafka import KafkaConsumer, TopicPartition

    bootstrap, topic, paced, n_backlog, n_paced, seconds = arguments()
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    meter = Meter(n_backlog, n_paced, seconds)
    consumer.assign([TopicPartition(topic, 0)])
    while meter.in_backlog:
        for records in consumer.poll(timeout_ms=500, max_records=most).values():
            samples = decoded(records)
            score(samples)
            meter.count(len(samples), (series for series, _ in samples))
    consumer.assign([TopicPartition(paced, 0)])
    while True:
        for records in consumer.poll(timeout_ms=500, max_records=most).values():
            score(decoded(records))
            for one in records:
                if meter.late(one.timestamp):
                    return


def decoded(records):
    """(series, value) of each record."""
    rows = [json.loads(one.value) for one in records]
    return [((row["entity"], row["metric"]), row["value"]) for row in rows]
