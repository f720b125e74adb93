"""The embedded broker: a real one-node Kafka as a child process, without installing Java or Kafka.

Started twice on one data folder it is the same broker; it outlives the process that started it until
somebody calls :meth:`EmbeddedBroker.stop`. It listens on loopback only and is meant for demos, tests
and a first evening, not for production.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import uuid
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.errors import BrokerError
from pipeline.kafka.jars import KAFKA_VERSION, OnProgress, class_path, java, locked

__all__ = ["BrokerStatus", "EmbeddedBroker", "kafka_home"]

START_SECONDS, STOP_SECONDS = 60.0, 20.0
JVM = ("-Xmx512m", "-Xms128m", "-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED")
SHORT_LIVED = "-XX:TieredStopAtLevel=1"  # compiles once, lightly: starts in half the time
PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller_port}
log.dirs={data}/logs
auto.create.topics.enable=false
num.partitions=1
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
"""
LOG4J = """\
log4j.rootLogger=INFO, file
log4j.appender.file=org.apache.log4j.RollingFileAppender
log4j.appender.file.File={data}/broker.log
log4j.appender.file.MaxFileSize=10MB
log4j.appender.file.MaxBackupIndex=2
log4j.appender.file.layout=org.apache.log4j.PatternLayout
log4j.appender.file.layout.ConversionPattern=%d{{ISO8601}} %p %c{{1}}: %m%n
"""


def kafka_home() -> Path:
    """Return where the embedded Kafka lives: ``$FORESHOCK_HOME/kafka``, else ``~/.cache/foreshock/kafka``."""
    return Path(os.environ.get("FORESHOCK_HOME") or Path.home() / ".cache" / "foreshock") / "kafka"


@dataclass(frozen=True, slots=True)
class _State:
    """What the state file says: which process serves this data folder, and where it listens."""

    pid: int
    born: str
    port: int
    controller_port: int


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """The broker as people ask for it; ``bootstrap`` and ``pid`` are empty while it is down."""

    running: bool
    bootstrap: str
    pid: int | None
    version: str
    data: Path
    log: Path


class EmbeddedBroker:
    """One Kafka on one data folder.

    Parameters
    ----------
    home
        Where the jars are kept, shared by all brokers of this machine.
    data
        The broker's own folder: topics, log, state file; None: ``home/data``.
    port
        The port to ask for on the first start; 0: any free one. Later starts keep it while it is free.
    short_lived
        For minutes, not for days: it starts sooner and never gets as fast.
    version
        Of Kafka; a data folder stays with the version that made it.
    """

    def __init__(
        self,
        home: Path,
        data: Path | None = None,
        port: int = 0,
        short_lived: bool = False,
        version: str = KAFKA_VERSION,
    ) -> None:
        self.home = home
        self.data = data or home / "data"
        self.port = port
        self.short_lived = short_lived
        self.version = version
        self.log = self.data / "broker.log"
        self._state_file = self.data / "broker.json"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, on_progress: OnProgress = lambda line: None) -> str:
        """Start the broker unless it runs already; return its bootstrap address.

        Raises
        ------
        BrokerError
            The extra ``broker`` is not installed, Kafka cannot be fetched, or it does not come up.
        """
        try:
            self.data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BrokerError(f"the broker's folder {self.data} cannot be made: {error.strerror}") from error
        with locked(self.data / "start.lock"):
            state = self._running()
            if state is None:
                state = self._launch(class_path(self.home, self.version, on_progress), on_progress)
            return f"127.0.0.1:{state.port}"

    def stop(self) -> bool:
        """Stop the broker in good order; return whether one was running."""
        state = self._running()
        if state is None:
            return False
        os.kill(state.pid, signal.SIGTERM)
        if not _wait_until_gone(state, STOP_SECONDS):
            os.kill(state.pid, signal.SIGKILL)
            _wait_until_gone(state, STOP_SECONDS)
        if self._child is not None:
            self._child.wait()  # it was started by this process: leave no zombie
            self._child = None
        return True

    def status(self) -> BrokerStatus:
        """Return whether it runs, where, and where its log lies."""
        state = self._running()
        bootstrap = f"127.0.0.1:{state.port}" if state else ""
        return BrokerStatus(
            state is not None, bootstrap, state.pid if state else None, self.version, self.data, self.log
        )

    def tail_log(self, lines: int = 50) -> list[str]:
        """Return the last lines of the broker's log, oldest first."""
        if not self.log.exists():
            return []
        with self.log.open(errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=lines)]

    def _running(self) -> _State | None:
        """Return the state of a live broker; a stale pid (dead, or reused by another program) is none."""
        state = self._last_state()
        return state if state is not None and _born(state.pid) == state.born else None

    def _last_state(self) -> _State | None:
        try:
            return _State(**json.loads(self._state_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):  # none yet, or cut off by a crash: as if none
            return None

    def _launch(self, classes: str, on_progress: OnProgress) -> _State:
        before = self._last_state()
        port = _free_port(before.port if before else self.port)
        controller_port = _free_port(before.controller_port if before else 0)
        data = self.data.resolve()
        properties, log4j = self.data / "server.properties", self.data / "log4j.properties"
        properties.write_text(PROPERTIES.format(port=port, controller_port=controller_port, data=data))
        log4j.write_text(LOG4J.format(data=data))
        options = [f"-Dlog4j.configuration=file:{log4j.resolve()}", "-cp", classes]
        command = [str(java()), *JVM, *((SHORT_LIVED,) if self.short_lived else ()), *options]
        if not (self.data / "logs" / "meta.properties").exists():
            on_progress("preparing the broker's data folder")
            tool = [str(java()), *JVM, SHORT_LIVED, *options, "kafka.tools.StorageTool"]
            self._format([*tool, "format", "-c", str(properties)])
        on_progress("starting Kafka")
        logged = self.log.stat().st_size if self.log.exists() else 0
        with (self.data / "broker.out").open("w") as out:
            # A session of its own: Ctrl-C in the terminal must not take the broker from under the job.
            process = subprocess.Popen(
                [*command, "kafka.Kafka", str(properties)], stdout=out, stderr=out, start_new_session=True
            )
        state = _State(process.pid, _born(process.pid), port, controller_port)
        self._state_file.write_text(json.dumps(asdict(state)))
        self._wait_until_up(process, port, logged)
        self._child = process
        return state

    def _format(self, command: list[str]) -> None:
        # The leading letter keeps an id from beginning with "-", which the tool would take for an option.
        cluster = "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:].rstrip("=")
        done = subprocess.run([*command, "-t", cluster], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BrokerError(f"Kafka cannot prepare {self.data}: {done.stdout[-500:]}{done.stderr[-500:]}")

    def _wait_until_up(self, process: subprocess.Popen[bytes], port: int, logged: int) -> None:
        """Wait for the line that Kafka logs once it serves; the port opens earlier.

        Clients that wait for it bury that line under their own within a moment, so all is read that was logged since.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            if _answers(port) and self.log.exists():
                with self.log.open("rb") as log:
                    log.seek(logged if self.log.stat().st_size >= logged else 0)  # it began anew: all is since
                    if b"Kafka Server started" in log.read():
                        return
            time.sleep(0.05)
        process.kill()
        process.wait()
        said = "\n".join(self.tail_log(5)) or (self.data / "broker.out").read_text()[-500:]
        raise BrokerError(f"Kafka did not come up on port {port}; its log {self.log} ends:\n{said}")


def _born(pid: int) -> str:
    """Return when a live process was started, in the system's own words; "" when there is none."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    if Path("/proc/self/stat").exists():
        return ""
    asked = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def _wait_until_gone(state: _State, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if _born(state.pid) != state.born:
            return True
        time.sleep(0.05)
    return False


def _free_port(wanted: int) -> int:
    """Return ``wanted`` if nobody listens there, else any free loopback port."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise BrokerError("no free port on 127.0.0.1")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
