"""How each kind of fault is met, and whether its innocent twin is left alone: rates over drawn scenes.

usage: behaviour.py [KIND …] [--seeds 20] [--first-seed N] [--readme]

With all kinds it also tells how often healthy hosts have an incident at each alert budget, and whether that is within a
factor of two of the budget. Each seed draws another host and another event. Without --first-seed one is taken from the
clock, so that no run sees the scenes of development; it is printed, and stands in behaviour.json. Part of
``make evaluate``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from zlib import crc32

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import cases  # noqa: E402
import numpy as np  # noqa: E402
import scenes  # noqa: E402

from pipeline.fingerprint import fingerprint  # noqa: E402
from pipeline.incident import Incident, epoch_ms  # noqa: E402
from pipeline.replay import replay  # noqa: E402
from pipeline.stream import Plan  # noqa: E402

RESULTS = HERE / "behaviour.json"
BEGIN, END = "<!-- behaviour: made by make evaluate -->", "<!-- /behaviour -->"
SLACK_STEPS = 10
# of a healthy fleet: how long it is watched after it was met, and how far from the budget its incidents may be
CLEAN_DAYS, MET_DAYS, FACTOR = 25, 4, 2.0


@dataclass(frozen=True)
class Met:
    """What became of one scene: found after how many steps, its metric blamed most, its kind named right in the end."""

    found: bool
    steps: int | None
    metric_right: bool | None
    kind_right: bool


def play(kind: str, seeds: range, plan: Plan, days: float = scenes.HISTORY_DAYS) -> list[Met]:
    """Replay one scene a seed, all hosts side by side as a fleet; faults come after so many days."""
    draw = partial(scenes.FAULTS[kind], days=days) if kind in scenes.FAULTS else scenes.INNOCENT[kind]
    drawn = {f"{kind}-{seed}": draw(np.random.default_rng([seed, crc32(kind.encode())])) for seed in seeds}
    told = replay([scene.host.recording(name) for name, scene in drawn.items()], plan).incidents
    lives: dict[str, list[Incident]] = {name: [] for name in drawn}
    for event in told:
        lives[event.data.entity.id].append(event.data)
    return [_met(kind, scene, lives[name]) for name, scene in drawn.items()]


def _met(kind: str, scene: scenes.Scene, revisions: list[Incident]) -> Met:
    host = scene.host
    start = int(host.seconds[scene.start]) * 1000
    until = int(host.seconds[min(scene.end, len(host.seconds)) - 1]) * 1000 + SLACK_STEPS * host.step * 1000
    within = [one for one in revisions if one.track == scene.track and _overlaps(one, start, until)]
    if not within:
        return Met(False, None, False, False)
    first = within[0].incident_id
    last = [one for one in revisions if one.incident_id == first and epoch_ms(one.detected_at) <= until][-1]
    blamed = last.contributing_metrics[0].metric if last.contributing_metrics else ""
    steps = max(0, epoch_ms(within[0].detected_at) - start) // (host.step * 1000)
    return Met(True, steps, blamed == scene.metric if scene.metric else None, last.kind == kind)


def _overlaps(one: Incident, start: int, until: int) -> bool:
    """Whether it was detected while the event lasted: an incident that was open before it says nothing about it."""
    return one.status == "open" and start <= epoch_ms(one.detected_at) <= until


def false_incidents(budget: float, seeds: range) -> float:
    """Incidents an entity and week of hosts that have nothing, at an alert budget."""
    fleet = {f"clean-{seed}": scenes.clean(np.random.default_rng([seed, 1]), CLEAN_DAYS) for seed in seeds}
    told = replay([host.recording(name) for name, host in fleet.items()], replace(Plan(), budget_per_week=budget))
    since = {name: int(host.seconds[host.row(MET_DAYS)]) * 1000 for name, host in fleet.items()}
    opened = [one.data for one in told.incidents if one.data.revision == 1]
    n = sum(epoch_ms(one.detected_at) >= since[one.entity.id] for one in opened)
    return round(n / len(fleet) / ((CLEAN_DAYS - MET_DAYS) / 7.0), 3)


def rates(kind: str, met: list[Met]) -> dict:
    """Shares over the scenes of a kind; steps are the median of those found."""
    found = [one for one in met if one.found]
    out = {"scenes": len(met), "found": len(found) / len(met)}
    if kind in scenes.FAULTS and found:
        out["steps"] = statistics.median(one.steps for one in found)
        out["kind_right"] = sum(one.kind_right for one in found) / len(found)
        if found[0].metric_right is not None:
            out["metric_right"] = sum(bool(one.metric_right) for one in found) / len(found)
    return {key: round(value, 3) for key, value in out.items()}


def markdown(results: dict) -> list[str]:
    """The README's table."""
    kinds, n = results["kinds"], max(of["scenes"] for of in results["kinds"].values())
    lines = [
        f"{n} drawn scenes of each kind from seed {results['first_seed']}, settings and detectors "
        f"`{results['settings']}`.",
        "",
        f"| fault | found after {scenes.HISTORY_DAYS:g} days | after {scenes.LONG_HISTORY_DAYS:g} days | steps to find "
        "| right metric | kind named right |",
        "|---|---|---|---|---|---|",
    ]
    for kind in scenes.FAULTS:
        if kind in kinds:
            cells = [_cell(kinds[kind], key) for key in ("found", "found_later", "steps", "metric_right", "kind_right")]
            lines.append(f"| {kind.replace('_', ' ')} | {' | '.join(cells)} |")
    lines += ["", "| innocent event | taken for a fault |", "|---|---|"]
    lines += [
        f"| {kind.replace('_', ' ')} | {_cell(kinds[kind], 'found')} |" for kind in scenes.INNOCENT if kind in kinds
    ]
    if "clean" in results:
        lines += ["", "| alert budget | incidents of healthy hosts, an entity and week | within a factor of two |"]
        lines += ["|---|---|---|", *map(_budget_row, results["clean"].items())]
    return lines


def _budget_row(of: tuple[str, float]) -> str:
    budget, found = float(of[0]), of[1]
    within = budget / FACTOR <= found <= budget * FACTOR
    return f"| {budget:g} | {found:.2f} | {'✓' if within else 'fewer' if found < budget else 'more'} |"


def _cell(of: dict, key: str) -> str:
    if of.get(key) is None:
        return ""
    return f"{of[key]:g}" if key == "steps" else f"{of[key]:.0%}"


def plan_for(kind: str) -> Plan:
    """The default configuration; where people's clocks matter, in their time zone."""
    from pipeline.app import plan_of
    from pipeline.settings import load

    zone = ["entities.time_zone=Europe/Berlin"] if kind == "summer_time" else []
    return plan_of(load(None, zone, {}).settings)


def measure(kind: str, first_seed: int, n_seeds: int) -> dict:
    """Rates of one kind; of faults also how many are found on hosts that are known for longer."""
    seeds, plan = range(first_seed, first_seed + n_seeds), plan_for(kind)
    out = rates(kind, play(kind, seeds, plan))
    if kind in scenes.FAULTS:
        known = play(kind, seeds, plan, scenes.LONG_HISTORY_DAYS)
        out["found_later"] = round(sum(one.found for one in known) / len(known), 3)
    return out


def main() -> None:
    """Play all kinds in two processes; write results, print the table."""
    kinds = [*scenes.FAULTS, *scenes.INNOCENT]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=int(time.time()))
    parser.add_argument("--readme", action="store_true", help="write the README's table from the last results")
    asked = parser.parse_args()
    if asked.readme:
        table = "\n".join(markdown(json.loads(RESULTS.read_text())))
        cases.write_between(cases.README, BEGIN, END, table)
        return
    wanted = asked.kinds or kinds
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        jobs = {kind: pool.submit(measure, kind, asked.first_seed, asked.seeds) for kind in wanted}
        found = {}
        for kind, job in jobs.items():
            found[kind] = job.result()
            print(f"{kind}: {found[kind]}", file=sys.stderr, flush=True)
    results = {"first_seed": asked.first_seed, "settings": fingerprint(Plan()), "kinds": found}
    if wanted == kinds:
        seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
        results["clean"] = {f"{budget:g}": false_incidents(budget, seeds) for budget in cases.BUDGETS}
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    print("\n".join(markdown(results)))


if __name__ == "__main__":
    main()
