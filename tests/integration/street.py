"""What the integration tests share: events to publish, a job in a process of its own, and patient waiting."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from kafka import KafkaConsumer, TopicPartition

from pipeline.incident import CloudEvent
from pipeline.kafka.follow import read_all

PATIENCE_SECONDS = 90.0
LEAVE_SECONDS = 10.0


def wait_until(true: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> Any:
    """Ask again and again; return the first answer that is true, and fail when none comes in time."""
    deadline = time.monotonic() + seconds
    while not (answer := true()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return answer


def event(incident_id: str, revision: int) -> CloudEvent:
    """An event to publish: the first revision opens the incident, the second resolves it."""
    when, opens = "2026-01-31T06:00:00.000Z", revision == 1
    incident = {
        "incident_id": incident_id,
        "revision": revision,
        "track": "behaviour",
        "status": "open" if opens else "resolved",
        "severity": "warning",
        "score": 0.5,
        "kind": "spike",
        "entity": {"id": incident_id, "class": "host", "name": incident_id},
        "title": incident_id,
        "started_at": when,
        "detected_at": when,
        "updated_at": when,
        "ended_at": None if opens else when,
        "contributing_metrics": [],
        "model": {"name": "street", "version": "1", "threshold": 0.5},
        "data_quality": {},
        "source": {"topic": "telemetry", "partition": 0, "first_offset": 0, "last_offset": 0},
        "reason": "opened" if opens else "recovered",
    }
    envelope = {
        "specversion": "1.0",
        "id": f"{incident_id}:{revision}",
        "source": "foreshock/street",
        "type": f"foreshock.incident.{'opened' if opens else 'resolved'}.v1",
        "time": when,
        "subject": incident_id,
        "datacontenttype": "application/json",
        "data": incident,
    }
    return msgspec.convert(envelope, CloudEvent)


class RunningJob:
    """``foreshock run`` in a process of its own, named after its topic prefix and group; killed at the end.

    Parameters
    ----------
    bootstrap
        The broker.
    prefix
        Topic prefix and consumer group.
    log
        Where its log goes, as JSON lines.
    settings
        Further settings by dotted key.
    """

    def __init__(self, bootstrap: str, prefix: str, log: Path, settings: Mapping[str, object]) -> None:
        self.bootstrap, self.prefix, self._log = bootstrap, prefix, log
        given = {
            "kafka.bootstrap_servers": bootstrap,
            "kafka.topic_prefix": prefix,
            "kafka.group": prefix,
            "job.log_format": "json",
            **settings,
        }
        overrides = [part for key, value in given.items() for part in ("--set", f"{key}={value}")]
        with log.open("a") as out:
            command = [sys.executable, "-m", "pipeline", "run", *overrides]
            self.process = subprocess.Popen(command, stdout=out, stderr=out)

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged so far; a last line still being written is left out."""
        return [json.loads(line) for line in self._log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def said(self, words: str) -> bool:
        """Whether some log line holds ``words``."""
        return any(words in line["message"] for line in self.lines())

    def wait_for_line(self, words: str) -> None:
        """Wait until some log line holds ``words``; fail at once when the job has left."""
        wait_until(lambda: self.said(words) or self.process.poll() is not None)
        assert self.said(words)

    def accounting(self) -> dict[str, Any]:
        """The last summary that it told."""
        return [line["summary"] for line in self.lines() if "summary" in line][-1]

    def committed(self, topic: str, partition: int = 0) -> int:
        """How far its group has committed."""
        with self._asker() as ask:
            return int(ask.committed(TopicPartition(topic, partition)) or 0)

    def wait_for(self, topic: str, offset: int, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until everything before ``offset`` is committed, asking by one client: it may take half an hour."""
        deadline = time.monotonic() + seconds
        with self._asker() as ask:
            while int(ask.committed(TopicPartition(topic, 0)) or 0) < offset:
                assert self.process.poll() is None, f"it left: {self._log.read_text()[-900:]}"
                assert time.monotonic() < deadline, f"offset {offset} was not committed within {seconds} s"
                time.sleep(0.2)

    @contextmanager
    def _asker(self) -> Iterator[KafkaConsumer]:
        asker = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=self.prefix, enable_auto_commit=False)
        try:
            yield asker
        finally:
            asker.close(autocommit=False)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> dict[str, Any]:
        """Ask it to leave, see that it does so in time and in good order, and return its accounting."""
        self.process.send_signal(number)
        code = self.process.wait(timeout=LEAVE_SECONDS)
        assert code == 0, f"it left with {code}: {self._log.read_text()[-900:]}"
        return self.accounting()

    def values(self, topic: str) -> list[bytes]:
        """What it has committed to one of its topics, such as ``incidents``."""
        found = read_all({"bootstrap_servers": self.bootstrap}, f"{self.prefix}.{topic}")
        return [value for records in found for value in records.values if value is not None]

    def events(self) -> list[CloudEvent]:
        """The incidents that it has published, in order."""
        return [msgspec.json.decode(value, type=CloudEvent) for value in self.values("incidents")]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if kind is not None:  # pytest shows it beside the failure
            print(self._log.read_text()[-4000:])
