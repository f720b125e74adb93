"""The stage: a Kafka and a job of the demo's own, gone when it ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.errors import BrokerError, ForeshockError, InputError
from pipeline.kafka.broker import EmbeddedBroker, kafka_home
from pipeline.kafka.topics import Topics, create, ensure

__all__ = ["GROUP", "TOPIC", "Stage", "demo_home"]

TOPIC, GROUP = "telemetry", "demo"
JOB_SECONDS = 15.0
LOG_LINES = 12
SETTINGS = """\
# What the demo's job ran with; foreshock run --config {file}
kafka:
  bootstrap_servers: {bootstrap}
  group: {group}
source:
  topics: [{topic}]
  start: latest
job:
  summary_every_seconds: 5
"""


def demo_home() -> Path:
    """Return where the demo keeps its things: beside the embedded Kafka's jars."""
    return kafka_home().parent / "demo"


class Stage:
    """A broker that begins empty and a job, both children of this process.

    Parameters
    ----------
    data
        The folder for all of it.

    Raises
    ------
    InputError, ForeshockError
        The folder cannot be used; another demo uses it.
    """

    def __init__(self, data: Path) -> None:
        self.data = data.resolve()
        self.broker = EmbeddedBroker(kafka_home(), self.data / "kafka", short_lived=True)
        self.log = self.data / "job.log"
        self.bootstrap = ""
        self._job: subprocess.Popen[bytes] | None = None
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            self._lock = (self.data / "demo.lock").open("w")
        except OSError as error:
            raise InputError(f"{data} cannot be used as the demo's folder: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            self._lock.close()
            raise ForeshockError(f"a demo is running in {data}; give this one a folder of its own: --data") from taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop the job, then the broker; Ctrl-C does not interrupt it."""
        before = [(one, signal.signal(one, signal.SIG_IGN)) for one in (signal.SIGINT, signal.SIGTERM)]
        try:
            self._stop_job()
            self.broker.stop()
        finally:
            self._lock.close()
            for one, handler in before:
                signal.signal(one, handler)

    def open(self, on_progress: Callable[[str], None]) -> None:
        """Start the broker on an empty folder and create the topics; what an earlier demo left is removed."""
        if self.broker.stop():
            on_progress("stopped the Kafka that an earlier demo left")
        shutil.rmtree(self.broker.data, ignore_errors=True)
        self.bootstrap = self.broker.start(on_progress)
        create({"bootstrap_servers": self.bootstrap}, TOPIC)
        ensure({"bootstrap_servers": self.bootstrap}, Topics())

    def start_job(self) -> None:
        """Start ``foreshock run`` as anybody would, with a settings file and nothing from this environment."""
        file = self.data / "demo.yaml"
        file.write_text(SETTINGS.format(bootstrap=self.bootstrap, group=GROUP, topic=TOPIC, file=file))
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("FORESHOCK_") or name == "FORESHOCK_HOME"
        }
        # -P: a folder of the user's called pipeline must not be taken for ours
        command = [sys.executable, "-P", "-m", "pipeline", "run", "--config", str(file)]
        with self.log.open("w") as log:
            self._job = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.data, env=environment, start_new_session=True
            )

    def check(self) -> None:
        """Raise BrokerError with the end of its log if the job is no more."""
        if self._job is not None and self._job.poll() is not None:
            with self.log.open(errors="replace") as file:
                said = "".join(deque(file, maxlen=LOG_LINES))
            raise BrokerError(f"the job ended with status {self._job.returncode}; its log {self.log} ends:\n{said}")

    def _stop_job(self) -> None:
        if self._job is None or self._job.poll() is not None:
            return
        self._job.send_signal(signal.SIGTERM)
        try:
            self._job.wait(JOB_SECONDS)
        except subprocess.TimeoutExpired:
            self._job.kill()
            self._job.wait()
