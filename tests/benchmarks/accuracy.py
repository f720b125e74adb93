"""The whole accuracy table on the open data, beside plain baselines: ``make evaluate``.

usage: accuracy.py [SET …] [--jobs 2] [--readme]

Sets are smd, smd-test, kpi, cold and nab; without one all are run. Results go to accuracy.json beside this file, with
the hash of settings and detectors; ``--readme`` writes the README's table from that file and runs nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import cases  # noqa: E402
import measured  # noqa: E402

RESULTS = HERE / "accuracy.json"
SETS = ("cold", "kpi", "smd", "smd-test", "nab")


def main() -> None:
    """Run the sets asked for, keep what was known of the others, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", choices=[*SETS, []])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--readme", action="store_true", help="write the README's table from the last results")
    asked = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    if not asked.readme:
        results = run(asked.sets or list(SETS), asked.jobs, results)
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    table = "\n".join(cases.markdown(results))
    print(table)
    if asked.readme:
        cases.write_between(cases.README, cases.BEGIN, cases.END, table)


def run(sets: list[str], jobs: int, before: dict) -> dict:
    """Measure sets in processes of their own; results of another detector are dropped."""
    from pipeline.fingerprint import fingerprint
    from pipeline.stream import Plan

    if not cases.DATA.is_dir():
        raise SystemExit(f"no open data at {cases.DATA}: nothing to measure")
    mark = fingerprint(Plan())
    found = before["sets"] if before.get("settings") == mark else {}
    began = time.monotonic()
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        running = {pool.submit(measured.measure, name): name for name in sets}
        for done in as_completed(running):
            found[running[done]] = done.result()
            print(f"{running[done]} done after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    libraries = {name: version(name) for name in ("numpy", "numba", "scikit-learn", "pandas")}
    return {
        "settings": mark,
        "machine": {"processor": platform.machine(), "python": platform.python_version(), **libraries},
        "sets": found,
    }


if __name__ == "__main__":
    main()
