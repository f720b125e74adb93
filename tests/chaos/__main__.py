"""Rounds of faults: ``python -m tests.chaos --rounds 78 --seed 1``, or one again: ``--only 17 --seed 1``."""

import argparse
import shutil
import signal
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.chaos.rounds import KINDS, run_rounds

WRONG = ("lost", "doubled", "different", "states", "untold", "crashed")
ROW = "{:42s} {:>6} {:>5} {:>6} {:>5} {:>7} {:>9} {:>6} {:>6} {:>7}   {:>11}"


def main():
    """Run the rounds and say what they brought."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=2 * len(KINDS))
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--only", type=int, nargs="*", help="repeat these rounds alone")
    asked.add_argument("--keep", type=Path, help="leave logs and snapshots here")
    given = asked.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped so too, it leaves nothing running
    scratch = given.keep or Path(tempfile.mkdtemp(prefix="chaos-"))
    scratch.mkdir(parents=True, exist_ok=True)
    numbers = given.only if given.only else range(given.rounds)
    bad = report(run_rounds(numbers, given.seed, scratch), given.seed)
    if given.keep is None:
        shutil.rmtree(scratch, ignore_errors=True)
    return bad


def report(rounds, seed):
    """Print a table of faults; returns the exit status: 0 if nothing went wrong and every fault fired."""
    sums, fired, recoveries, n = {}, {}, {}, Counter()
    for one, verdict in rounds:
        print(f"round {one.number:3d} seed {seed}: {one.kind:42s} {dict(verdict)}", flush=True)
        n[one.kind] += 1
        sums.setdefault(one.kind, Counter()).update(verdict)
        fired[one.kind] = fired.get(one.kind, 0) + one.fired(verdict)
        recoveries.setdefault(one.kind, []).extend(one.recoveries)
    print("\n" + ROW.format("fault", "rounds", "fired", "events", *WRONG, "recovery s"))
    for kind, counted in sums.items():
        row = (counted["events"], *(counted[key] for key in WRONG), _times(recoveries[kind]))
        print(ROW.format(kind, n[kind], fired[kind], *row))
    total, every = sum(sums.values(), Counter()), [one for some in recoveries.values() for one in some]
    print(ROW.format("all", n.total(), sum(fired.values()), total["events"], *(total[k] for k in WRONG), _times(every)))
    print(f"seed {seed}; recovery is p50 / max, from the process's start to its first commit; repeat one: --only N")
    silent = [kind for kind, count in fired.items() if not count]
    if silent:
        print(f"never fired: {', '.join(silent)}")
    return int(bool(silent) or any(total[key] for key in WRONG))


def _times(seconds):
    return f"{statistics.median(seconds):.1f} / {max(seconds):.1f}" if seconds else "-"


if __name__ == "__main__":
    sys.exit(main())
