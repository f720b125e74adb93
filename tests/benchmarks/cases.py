"""The cases of the accuracy table: labelled open data, and the table that is made of what was measured on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

README = Path(__file__).resolve().parents[2] / "README.md"
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MEANINGS = {
    "smd": "11 servers, trained on a time without labels",
    "smd-test": "the same servers, a fifth of the test as training",
    "kpi": "26 curves, the first half as training",
    "cold": "the same curves, no training at all",
}
BASELINES = {"kmeans": "k-means", "robustz": "robust z", "iforest": "isolation forest", "online-z": "online z"}
BEGIN, END = "<!-- accuracy: made by make evaluate -->", "<!-- /accuracy -->"
BUDGETS = (0.25, 1.0, 3.5, 7.0)


@dataclass(frozen=True)
class Case:
    """One entity: rows to learn from or None, rows to judge with ``label``, and (start, end, metrics at fault)."""

    name: str
    train: pd.DataFrame | None
    test: pd.DataFrame
    causes: list[tuple[int, int, list[str]]]


def cases(which: str) -> Iterator[Case]:
    """The cases of a set, in order of name."""
    if which in ("smd", "smd-test"):
        for file in sorted((DATA / "smd").glob("*.test.parquet")):
            name, test = file.name.split(".")[0], pd.read_parquet(file)
            if which == "smd":
                train = pd.read_parquet(file.with_name(f"{name}.train.parquet"))
            else:
                train = test.iloc[: len(test) // 5].drop(columns="label")
            causes = json.loads(file.with_name(f"{name}.causes.json").read_text())
            yield Case(name, train, test, [(one["start"], one["end"], one["metrics"]) for one in causes])
    else:
        for file in sorted((DATA / "kpi").glob("*.parquet")):
            frame = pd.read_parquet(file)
            half = len(frame) // 2 if which == "kpi" else 0
            train = frame.iloc[:half].drop(columns="label") if half else None
            yield Case(file.stem[:8], train, frame.iloc[half:].reset_index(drop=True), [])


def markdown(results: dict) -> list[str]:
    """The README's table."""
    sets = results.get("sets", {})
    lines = [f"Settings and detectors `{results.get('settings', '?')}`, one default configuration for all sets.", ""]
    lines += [
        "| set | figure | foreshock | " + " | ".join(BASELINES.values()) + " |",
        "|---" * (3 + len(BASELINES)) + "|",
    ]
    for name, meaning in MEANINGS.items():
        if name in sets:
            lines += list(_rows(name, meaning, sets[name]))
    if "nab" in sets:
        lines += ["", *_nab(sets["nab"])]
    return lines


def _rows(name: str, meaning: str, of: dict) -> Iterator[str]:
    def row(what: str, own: float, others: dict) -> str:
        cells = " | ".join(f"{others[key]:.3f}" if key in others else "" for key in BASELINES)
        return f"| {what} | **{own:.3f}** | {cells} |"

    yield row(f"{name}: {meaning} | VUS-PR", of["vus_pr"], {k: v["vus_pr"] for k, v in of["baselines"].items()})
    yield row("| AUC-PR", of["auc_pr"], {k: v["auc_pr"] for k, v in of["baselines"].items()})
    if "hit100" in of:
        hits = {k: v["hit100"] for k, v in of["baselines"].items() if "hit100" in v}
        yield row("| causes hit@100", of["hit100"], hits)
        yield row("| causes hit@150", of["hit150"], {})
    recall = ", ".join(f"{of['recall_at'][str(budget)]:.2f} at {budget:g}" for budget in BUDGETS)
    yield f"| | event recall at false incidents per entity and week | {recall} |" + " |" * len(BASELINES)
    own = of["own"]
    yield (
        f"| | at its own threshold: recall, false per entity and week, F1, delay in steps | {own['event_recall']:.2f}, "
        f"{own['false_per_week']:.2f}, {own['f1']:.2f}, {own['delay_steps']:.0f} |" + " |" * len(BASELINES)
    )


def _nab(of: dict) -> Iterator[str]:
    profiles = ("standard", "reward_low_FP_rate", "reward_low_FN_rate")
    yield "| NAB v1.1 | " + " | ".join(profiles) + " | cloud and system files, standard |"
    yield "|---" * (2 + len(profiles)) + "|"
    own = " | ".join(f"**{of['scores'][name]:.1f}**" for name in profiles)
    yield f"| foreshock | {own} | **{of['system']:.1f}** |"
    for name in ("ARTime", "numenta", "contextOSE", "randomCutForest", "windowedGaussian"):
        if name in of["published"]:
            yield f"| {name} | " + " | ".join(f"{of['published'][name][p]:.1f}" for p in profiles) + " | |"


def write_between(readme: Path, begin: str, end: str, text: str) -> None:
    """Put a table between its marks."""
    before = readme.read_text()
    if begin not in before:
        raise SystemExit(f"{readme} has no line {begin}")
    head, _, rest = before.partition(begin)
    readme.write_text(f"{head}{begin}\n{text}\n{end}{rest.partition(end)[2]}")
