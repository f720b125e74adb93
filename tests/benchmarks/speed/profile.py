"""Where the time of a job goes: ``make profile``.

usage: python -m tests.benchmarks.speed.profile [--format otlp|json] [--seconds 15]

A real job works a topic off while py-spy looks at its stack from outside, so that compiled kernels are seen as the
lines that call them. Prints a table by stage; build/profile.svg is the flame graph, build/profile.txt its stacks.
"""

from __future__ import annotations

import argparse
import html
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.speed import street
from tests.benchmarks.speed.telemetry import Fleet
from tests.integration.street import RunningJob

BUILD = Path(__file__).parents[3] / "build"
# the innermost frame that fits tells the stage
STAGES = (
    ("kernels: decode", ("kernels/otlp", "kernels/plain_json", "kernels/influx", "codecs/walk")),
    ("decode", ("pipeline/codecs",)),
    ("meaning", ("pipeline/meaning",)),
    ("grid", ("pipeline/grid",)),
    ("features", ("pipeline/baselines",)),
    ("scores", ("pipeline/scoring",)),
    ("exhaustion", ("pipeline/exhaustion",)),
    ("incidents", ("pipeline/lifecycle", "pipeline/judging", "pipeline/narrative", "pipeline/publication")),
    ("stream", ("pipeline/stream", "pipeline/work")),
    ("produce and commit", ("pipeline/kafka/sink",)),
    ("poll", ("pipeline/kafka/source",)),
    ("snapshots", ("pipeline/state",)),
    ("loop", ("pipeline/job",)),
    ("clients' threads", ("kafka/",)),
)
WAITING = ("EpollSelector.select", "Condition.wait", "Event.wait")
WIDTH, ROW, LEAST = 1_200, 17, 0.5  # of the flame graph, in pixels


@dataclass
class Node:
    """A frame of the flame graph."""

    samples: int = 0
    inner: dict[str, Node] = field(default_factory=dict)


def main() -> None:
    """Record, tell the stages, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", choices=["otlp", "json"], default="otlp")
    parser.add_argument("--seconds", type=int, default=15)
    asked = parser.parse_args()
    stacks = recorded(Fleet(20_000, 500) if asked.format == "otlp" else Fleet(2_000, 1), asked.seconds)
    BUILD.mkdir(exist_ok=True)
    (BUILD / "profile.txt").write_text("".join(f"{';'.join(frames)} {n}\n" for frames, n in stacks))
    (BUILD / "profile.svg").write_text(flame_graph(stacks))
    found = Counter[str]()
    for frames, n in stacks:
        found[stage_of(frames)] += n
    total = found.total()
    for stage, n in found.most_common():
        print(f"{stage:20}{n / total:7.1%}")
    print(json.dumps({"samples": total, "flame graph": str(BUILD / "profile.svg")}))


def recorded(fleet: Fleet, seconds: int) -> list[tuple[list[str], int]]:
    """Stacks of a job that works a topic off, and how often each was seen; threads that wait are left out."""
    with street.broker() as (bootstrap, _), tempfile.TemporaryDirectory() as folder:
        n_records = street.fill(bootstrap, "profile", fleet, 150)
        settings = {"source.topics": "profile", "source.start": "earliest", "source.history_hours": 0}
        with RunningJob(bootstrap, "profile", Path(folder, "log"), {**settings, "state.folder": folder}) as job:
            job.wait_for("profile", n_records // 10)
            raw = Path(folder, "stacks")
            command = [str(Path(sys.executable).with_name("py-spy")), "record", "--format", "raw", "--threads"]
            command += ["--rate", "250", "--nonblocking"]
            command += ["--pid", str(job.process.pid), "--output", str(raw)]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as spy:
                until = time.monotonic() + seconds
                while time.monotonic() < until and job.committed("profile") < n_records:
                    time.sleep(0.3)
                spy.send_signal(signal.SIGINT)
                spy.wait(30)
            lines = raw.read_text().splitlines()
    parts = [(stack.split(";"), int(n)) for stack, _, n in (line.rpartition(" ") for line in lines)]
    return [(frames, n) for frames, n in parts if not frames[-1].startswith(WAITING)]


def stage_of(frames: list[str]) -> str:
    """The stage of a stack: that of its innermost frame that belongs to one."""
    for frame in reversed(frames):
        for stage, homes in STAGES:
            if any(f"({home}" in frame for home in homes if home != "kafka/"):
                return stage
    return "clients' threads" if any("(kafka/" in frame for frame in frames) else "other"


def flame_graph(stacks: list[tuple[list[str], int]]) -> str:
    """Frames as boxes over the frames that called them, as wide as they were often seen."""
    root = Node()
    for frames, n in stacks:
        node = root
        node.samples += n
        for frame in frames:
            node = node.inner.setdefault(frame, Node())
            node.samples += n
    boxes: list[str] = []
    depth = _draw(root, 0.0, 0, WIDTH / max(1, root.samples), boxes)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{(depth + 1) * ROW}" font-size="11">'
    return "\n".join([head, *boxes, "</svg>\n"])


def _draw(node: Node, x: float, depth: int, scale: float, boxes: list[str]) -> int:
    deepest = depth
    for name, one in sorted(node.inner.items()):
        width = one.samples * scale
        if width >= LEAST:
            told = html.escape(name)
            hue = 20 + sum(name.encode()) % 35
            boxes.append(
                f'<g><title>{told}: {one.samples}</title><rect x="{x:.1f}" y="{depth * ROW}" width="{width:.1f}" '
                f'height="{ROW - 1}" fill="hsl({hue},80%,65%)"/>'
                f'<text x="{x + 2:.1f}" y="{depth * ROW + 12}">{html.escape(name[: int(width // 7)])}</text></g>'
            )
            deepest = max(deepest, _draw(one, x, depth + 1, scale, boxes))
        x += width
    return deepest


if __name__ == "__main__":
    main()
