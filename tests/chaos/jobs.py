"""The jobs of a round: a process that forks them, and the settings they run with."""

import json
import os
import subprocess
import sys


class Nursery:
    """The process that forks jobs, of this tree or of another one."""

    def __init__(self, root=None):
        where = {} if root is None else {"cwd": root, "env": {**os.environ, "PYTHONPATH": str(root)}}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **where,
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


def settings(one, topic):
    """What jobs of a round are told, as ``key=value``; ``topic`` is what they read."""
    idle = one.kind.startswith("idle")
    told = {
        "kafka.bootstrap_servers": one.client["bootstrap_servers"],
        "kafka.client": '{"session_timeout_ms": 6000, "heartbeat_interval_ms": 1000}',
        "kafka.topic_prefix": one.name,
        "kafka.group": one.name,
        "rekey.group": f"{one.name}-rekey",
        "rekey.partitions": "2",
        "rekey.idle_seconds": "3600",
        "models.uri": "http://127.0.0.1:9",
        "models.poll_seconds": "0.5",
        "source.topics": topic,
        "source.start": "earliest",
        "source.keyed_by_entity": "true",
        "source.max_poll_records": "40",
        "source.idle_seconds": "1" if idle else "600",
        "incidents.silence_rhythms": "2" if idle else "6",
        "incidents.silence_seconds_min": "1" if idle else "60",
        "state.folder": str(one.folder / "state"),
        "state.snapshot_every_seconds": "0.3",
    }
    return [f"{key}={value}" for key, value in told.items()]
