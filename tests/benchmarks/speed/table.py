"""What was to be reached, and the README's table that is made of what was measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["BEGIN", "END", "GOALS", "markdown"]

BEGIN, END = "<!-- speed: made by make bench -->", "<!-- /speed -->"


class Goal(NamedTuple):
    """A row of the table: what, the figure's path in the results, its unit and scale, and the goal."""

    what: str
    path: tuple[str, ...]
    unit: str
    scale: float
    goal: str
    reached: Callable[[float, dict[str, Any]], bool]


def _at(results: dict[str, Any], *path: str) -> float:
    found: Any = results["figures"]
    for name in path:
        found = found[name]
    return float(found["median"])


def _least(figure: float) -> Callable[[float, dict[str, Any]], bool]:
    return lambda value, _: value >= figure


def _most(figure: float) -> Callable[[float, dict[str, Any]], bool]:
    return lambda value, _: value <= figure


_RATE, _ENDS = "grid to incidents", "end to end"
GOALS = (
    Goal("decode `otlp-proto`, known series", ("decode", "otlp-proto"), "M samples/s", 1e6, "≥ 5 M", _least(5e6)),
    Goal(
        "… against the official package",
        ("decode", "otlp-proto, ratio"),
        "×",
        1,
        "≥ 10 ×",
        _least(10),
    ),
    Goal("decode `influx`", ("decode", "influx"), "M samples/s", 1e6, "≥ 1.5 M", _least(1.5e6)),
    Goal("decode `json` lines", ("decode", "json"), "M samples/s", 1e6, "≥ 2 M", _least(2e6)),
    Goal("grid to incidents, 10,000 series", (_RATE, "10,000", "aligned"), "M samples/s", 1e6, "", _least(0)),
    Goal("… 100,000 series", (_RATE, "100,000", "aligned"), "M samples/s", 1e6, "≥ 1 M", _least(1e6)),
    Goal(
        "… 1,000,000 series",
        (_RATE, "1,000,000", "aligned"),
        "M samples/s",
        1e6,
        "≥ 0.7 × that of 10,000",
        lambda value, results: value >= 0.7 * _at(results, _RATE, "10,000", "aligned"),
    ),
    Goal(
        "1,000,000 series every 10 s, agents aligned",
        (_RATE, "1,000,000", "aligned, share of a core"),
        "% of a core",
        0.01,
        "≤ 40 %",
        _most(0.4),
    ),
    Goal("… jittered", (_RATE, "1,000,000", "jittered, share of a core"), "% of a core", 0.01, "≤ 40 %", _most(0.4)),
    Goal(
        "memory at 1,000,000 series, the whole process",
        (_RATE, "1,000,000", "bytes a series"),
        "KB a series",
        1024,
        "≤ 4 KB",
        _most(4096),
    ),
    Goal(
        "end to end, OTLP, 500 points a record",
        (_ENDS, "otlp-500", "samples_per_second"),
        "k samples/s",
        1e3,
        "≥ 500 k",
        _least(5e5),
    ),
    Goal(
        "… 100 points a record",
        (_ENDS, "otlp-100", "samples_per_second"),
        "k samples/s",
        1e3,
        "≥ 500 k",
        _least(5e5),
    ),
    Goal("end to end, one JSON sample a record", (_ENDS, "json", "samples_per_second"), "k/s", 1e3, "", _least(0)),
    Goal("… against a bare poll loop", (_ENDS, "json, ratio"), "×", 1, "≥ 0.6 ×", _least(0.6)),
    Goal("two partitions, one process", ("processes", "1", "samples_per_second"), "k samples/s", 1e3, "", _least(0)),
    Goal("… of it the job's cores", ("processes", "1", "job_cores"), "cores", 1, "", _least(0)),
    Goal("… and the broker's", ("processes", "1", "broker_cores"), "cores", 1, "", _least(0)),
    Goal("… two processes", ("processes", "2", "samples_per_second"), "k samples/s", 1e3, "", _least(0)),
    Goal("… of it the jobs' cores", ("processes", "2", "job_cores"), "cores", 1, "", _least(0)),
    Goal("… and the broker's", ("processes", "2", "broker_cores"), "cores", 1, "", _least(0)),
    Goal("step closed to incident readable, aligned, p50", ("delay", "aligned", "p50_ms"), "ms", 1, "≤ 50", _most(50)),
    Goal("… p99", ("delay", "aligned", "p99_ms"), "ms", 1, "≤ 250", _most(250)),
    Goal("… counted from the sender's call, p50", ("delay", "aligned", "since sent, p50_ms"), "ms", 1, "", _least(0)),
    Goal("… processor time of such a step: the job", ("delay", "aligned", "cores of job"), "ms", 1e-3, "", _least(0)),
    Goal("… the broker", ("delay", "aligned", "cores of broker"), "ms", 1e-3, "", _least(0)),
    Goal("… sender and reader", ("delay", "aligned", "cores of sender and reader"), "ms", 1e-3, "", _least(0)),
    Goal("… jittered, p50", ("delay", "jittered", "p50_ms"), "ms", 1, "≤ 50", _most(50)),
    Goal("… p99", ("delay", "jittered", "p99_ms"), "ms", 1, "≤ 250", _most(250)),
    Goal("… counted from the sender's call, p50", ("delay", "jittered", "since sent, p50_ms"), "ms", 1, "", _least(0)),
    Goal("compiled forest, 1 row, against scikit-learn", ("score", "forest, 1 row"), "×", 1, "≥ 50 ×", _least(50)),
    Goal("… 20,000 rows", ("score", "forest, 20,000 rows"), "×", 1, "≥ 3 ×", _least(3)),
    Goal("compiled k-means, 1 row", ("score", "k-means, 1 row"), "×", 1, "≥ 50 ×", _least(50)),
    Goal("… 20,000 rows", ("score", "k-means, 20,000 rows"), "×", 1, "≥ 3 ×", _least(3)),
    Goal("`foreshock --help`", ("start", "help"), "s", 1, "≤ 0.5", _most(0.5)),
    Goal("`run` to its first poll, kernels kept", ("start", "warm"), "s", 1, "≤ 4", _most(4)),
    Goal("… nothing kept", ("start", "cold"), "s", 1, "≤ 40", _most(40)),
)


def markdown(results: dict[str, Any], accuracy: str) -> list[str]:
    """The README's table: median, the spread of the runs, the goal and whether it was reached.

    Parameters
    ----------
    results
        What was measured.
    accuracy
        The hash of settings and detectors that the accuracy table shows.
    """
    machine = results["machine"]
    same = (
        "those of the accuracy table" if accuracy == results["settings"] else f"the accuracy table's are `{accuracy}`"
    )
    lines = [
        f"Settings and detectors `{results['settings']}`, {same}. {machine['cores']} cores of "
        f"{machine['processor']}, Python {machine['python']}; load when it began {machine['load']:.1f}.",
        "",
        "| what | median | min to max | goal | |",
        "|---|---|---|---|---|",
    ]
    for goal in GOALS:
        found: Any = results["figures"]
        for name in goal.path:
            found = found.get(name, {})
        if found:
            shown = [_number(found[name] / goal.scale) for name in ("median", "min", "max")]
            mark = "" if not goal.goal else "✓" if goal.reached(found["median"], results) else "✗"
            lines.append(f"| {goal.what} | {shown[0]} {goal.unit} | {shown[1]} to {shown[2]} | {goal.goal} | {mark} |")
    return lines


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
