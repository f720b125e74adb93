"""What real agents sent, through a real broker: each capture, all of them on one topic, and 300 hostile records."""

from __future__ import annotations

import gzip
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import cycle, zip_longest
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hostile import GOOD, hostile_records
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from wire import FORMATS, NAMES, WIRE, expected, facts_of, seen

from pipeline.app import make_job, make_rekey
from pipeline.catalog import Catalog
from pipeline.cli.main import main
from pipeline.codecs import decode
from pipeline.codecs.capture import read_capture
from pipeline.codecs.encode import ENCODERS
from pipeline.events import Records
from pipeline.kafka.follow import read_all
from pipeline.kafka.topics import create
from pipeline.meaning import Meaning
from pipeline.settings import load

README = Path(__file__).parents[2] / "README.md"
WAIT_SECONDS = 150
LARGE = 64 * 2**20
# Captures keep their own times, which may lie ahead of this machine's clock.
ANY_TIME = {"message.timestamp.after.max.ms": str(2**62), "max.message.bytes": str(LARGE), "retention.ms": "-1"}
CODECS = (None, "gzip", "lz4", "zstd", "snappy")


class Sender:
    """Writes records as agents do: keys, times and one of Kafka's compressions of their choice."""

    def __init__(self, bootstrap: str, compression: str | None) -> None:
        self._producer = KafkaProducer(
            bootstrap_servers=bootstrap, compression_type=compression, max_request_size=LARGE
        )

    def write(self, topic: str, value: bytes | None, key: bytes | None = None, time_ms: int | None = None) -> None:
        key = b"" if key is None and value is None else key  # kafka-python sends no record that is nothing at all
        self._producer.send(topic, value, key, timestamp_ms=time_ms)

    def close(self) -> None:
        self._producer.flush(timeout=60)
        self._producer.close(timeout=10)


def wait_for(found: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not found():
        assert time.monotonic() < deadline, f"waited {WAIT_SECONDS} s for {what}"
        time.sleep(0.2)


def rows_of(records: Records, catalog: Catalog) -> Iterator[tuple[Any, ...]]:
    samples = decode(records, catalog).samples
    columns = (samples.series_id, samples.time.tolist(), samples.start.tolist(), samples.value, samples.kind.tolist())
    for i, time_ns, start_ns, value, kind in zip(*columns, strict=True):
        yield catalog.identities[i], time_ns, start_ns, value.tobytes(), kind


@pytest.fixture(scope="module")
def captures() -> dict[str, Records]:
    if not NAMES:
        pytest.skip("the captures of ../shared/data/wire are absent")
    return {name: read_capture(WIRE / f"{name}.jsonl.gz") for name in NAMES}


@pytest.fixture(scope="module")
def sent(broker: str, captures: dict[str, Records], fresh: Callable[[str], str]) -> str:
    """The prefix of topics that hold one capture each, every one in another of Kafka's compressions."""
    prefix = fresh("wire")
    senders = [Sender(broker, codec) for codec in CODECS]
    for sender, (name, records) in zip(cycle(senders), captures.items(), strict=False):
        create({"bootstrap_servers": broker}, f"{prefix}-{name}", 1, ANY_TIME)
        for key, value, time_ms in zip(records.keys, records.values, records.times, strict=True):
            sender.write(f"{prefix}-{name}", value, key, time_ms)
    for sender in senders:
        sender.close()
    return prefix


@pytest.mark.parametrize("name", NAMES)
def test_each_capture_through_the_broker_gives_the_facts(
    name: str, sent: str, broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, facts = tmp_path / "samples.parquet", facts_of(name)
    options = ["--bootstrap-servers", broker, "--records", "100000", "--out", str(out), "--json"]
    with pytest.raises(SystemExit) as left:
        main(["decode", "--topic", f"{sent}-{name}", *options])
    report = json.loads(capsys.readouterr().out)
    assert left.value.code == 0
    assert report["rejected"] == []
    assert report["records_by_format"] == {FORMATS[facts["format"]]: facts["records"] - facts["null_values"]}
    assert seen(pd.read_parquet(out), facts, FORMATS[facts["format"]]) == expected(facts)


@pytest.mark.parametrize("place", ["file", "topic"])
@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("rsyslog")])
def test_the_mapping_of_the_readme_reads_rsyslogs_captures(
    name: str, place: str, sent: str, broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The built-in mapping knows more counters: what shows that it was not asked."""
    shown = re.search(r"<!-- mapping: run by a test -->\n```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    assert shown
    settings, out, facts = tmp_path / "foreshock.yaml", tmp_path / "samples.parquet", facts_of(name)
    bare = re.sub(r"stats\.|values: stats.*\n *|time: .*\n *|entity: .*\n *", "", shown[1])
    settings.write_text(shown[1] if name.endswith("_json") else bare)
    what = [str(WIRE / f"{name}.jsonl.gz")] if place == "file" else ["--topic", f"{sent}-{name}", "--records", "100000"]
    with pytest.raises(SystemExit) as left:
        main(["decode", *what, "--bootstrap-servers", broker, "--config", str(settings), "--out", str(out), "--json"])
    assert left.value.code == 0
    assert json.loads(capsys.readouterr().out)["records_by_format"] == {"json-mapped": facts["records"]}
    frame = pd.read_parquet(out)
    assert seen(frame, facts, "json-mapped") == expected(facts)
    counters = set(frame["metric"][frame["kind"] == "counter"])
    assert "main Q.enqueued" in counters
    assert {one.rpartition(".")[2] for one in counters} <= {"enqueued", "processed", "called"}
    assert set(frame["labels"].map(json.loads).map(tuple)) == {("origin",)}


def test_all_captures_on_one_topic_in_one_job_give_the_same_samples(
    broker: str, captures: dict[str, Records], fresh: Callable[[str], str]
) -> None:
    prefix = fresh("mixed")
    topic, client = f"{prefix}-telemetry", {"bootstrap_servers": broker}
    create(client, topic, 1, ANY_TIME)
    create(client, f"{prefix}.samples", 1, ANY_TIME)
    sender = Sender(broker, "lz4")
    n_records = 0
    for row in zip_longest(*(zip(r.keys, r.values, r.times, strict=True) for r in captures.values())):
        for key, value, time_ms in filter(None, row):
            sender.write(topic, value, key, time_ms)
            n_records += 1
    sender.close()
    apart = Counter(one for records in captures.values() for one in rows_of(records, Catalog()))
    settings = load(None, [*overrides(broker, prefix, topic), f"rekey.group={prefix}-rekey"], {}).settings
    job, rekey = make_job(settings), make_rekey(settings)
    with running(job), running(rekey):
        wait_for(lambda: job.summary.counts.records == rekey.counts.records == n_records, f"{n_records} records")
    assert (job.summary.counts.rejected, job.summary.counts.decoded) == (0, apart.total())
    together = Counter(one for records in read_all(client, f"{prefix}.samples") for one in rows_of(records, Catalog()))
    assert together == apart
    assert watched_of(client, f"{prefix}.samples") == watched_of(client, topic)


def watched_of(client: dict[str, Any], topic: str) -> Counter[tuple[Any, ...]]:
    """What of a topic is judged: with means and quantiles in place of the parts of histograms."""
    catalog, seen_of = Catalog(), Counter[tuple[Any, ...]]()
    meaning = Meaning(catalog)
    for records in read_all(client, topic):
        decoded = decode(records, catalog)
        samples = meaning.watch(decoded.samples, decoded.distributions).samples
        columns = (samples.series_id, samples.time.tolist(), samples.value, samples.kind.tolist())
        seen_of.update((catalog.identities[i], t, value.tobytes(), k) for i, t, value, k in zip(*columns, strict=True))
    assert any(dict(identity.labels).get("estimate") for identity, *_ in seen_of)
    return seen_of


def overrides(bootstrap: str, prefix: str, topic: str) -> list[str]:
    return [
        f"kafka.bootstrap_servers={bootstrap}",
        f"kafka.topic_prefix={prefix}",
        f"kafka.group={prefix}",
        f"source.topics={topic}",
        "source.start=earliest",
        "source.max_poll_records=2000",
    ]


class running:
    """A job at work in a thread of its own while the block lasts."""

    def __init__(self, job: Any) -> None:
        self._job, self._thread = job, threading.Thread(target=job.run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._job.stop()
        self._thread.join(timeout=30)
        assert not self._thread.is_alive()


def test_hostile_records_end_on_the_rejected_topic_with_a_reason_and_memory_stays_flat(
    broker: str, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    prefix = fresh("hostile")
    topic, client = f"{prefix}-telemetry", {"bootstrap_servers": broker}
    create(client, topic, 1, ANY_TIME)
    settings = [part for one in overrides(broker, prefix, topic) for part in ("--set", one)]
    settings += ["--set", "job.summary_every_seconds=1", "--set", "source.max_poll_records=20"]
    hostile = hostile_records(300, seed=20)
    hostile[150] = gzip.decompress(gzip.compress(bytes(40 * 2**20)))  # 40 KB on the wire
    good = [ENCODERS[name](GOOD) for name in sorted(ENCODERS)]
    told = tmp_path / "job.log"
    with told.open("w") as log:
        job = subprocess.Popen([sys.executable, "-m", "pipeline", "run", *settings], stdout=log, stderr=log)
    found, memory = Rejections(client, f"{prefix}.rejected"), list[int]()
    try:
        for wave in range(0, 300, 100):
            sender = Sender(broker, "gzip" if wave == 100 else "lz4")
            for i in range(wave, wave + 100):
                sender.write(topic, good[i % len(good)], time_ms=1_767_571_200_000)
                sender.write(topic, hostile[i], time_ms=1_767_571_200_000)
            sender.close()
            wait_for(lambda n=wave + 100: len(found.all()) >= n, f"{wave + 100} rejections")
            memory.append(resident_mb(job.pid))
    finally:
        found.close()
        job.send_signal(signal.SIGTERM)
        assert job.wait(timeout=30) == 0, told.read_text()
    origins = [int(headers["offset"]) for headers in found.headers]
    reasons = {headers["reason"] for headers in found.headers}
    assert origins == list(range(1, 600, 2))
    assert "too_large" in reasons
    assert "" not in reasons
    assert samples_told(told.read_text()) == 300 * len(GOOD)
    assert memory[-1] < memory[0] + 100, memory


def samples_told(text: str) -> int:
    """Samples of all summary lines together."""
    return sum(int(n.replace(",", "")) for n in re.findall(r"records with ([0-9,]+) samples", text))


class Rejections:
    """What stands on a rejected topic, read as it grows."""

    def __init__(self, client: dict[str, Any], topic: str) -> None:
        create(client, topic, 1, ANY_TIME)
        self.headers: list[dict[str, str]] = []
        self._consumer = KafkaConsumer(**client, isolation_level="read_committed", auto_offset_reset="earliest")
        self._consumer.assign([TopicPartition(topic, 0)])

    def all(self) -> list[dict[str, str]]:
        for records in self._consumer.poll(timeout_ms=200).values():
            self.headers += [{name: said.decode() for name, said in record.headers} for record in records]
        return self.headers

    def close(self) -> None:
        self._consumer.close(autocommit=False)


def resident_mb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024
