"""The page itself: HTML in one file, with its pictures in it, that needs no network and no explanation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.util import find_spec
from pathlib import Path

from pipeline.errors import InputError
from pipeline.fingerprint import fingerprint
from pipeline.recordings import Recording
from pipeline.replay import Backtest
from pipeline.report.story import Life, Story, story_of
from pipeline.simulate.labels import Label
from pipeline.stream import Plan

__all__ = ["write_report"]

MOST_ENTITIES, MOST_INCIDENTS = 30, 40
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#2c3e50;max-width:72rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%;font-size:13px}td,th{padding:.3rem .6rem;text-align:left;border-bottom:1px
solid #e5e8eb;vertical-align:top}svg{max-width:100%;height:auto}.false{color:#c0392b}.met{color:#2e8b57}
.big{font-size:1.15rem}.key{display:inline-block;width:1em;height:.8em;margin:0 .3em 0 1em}h3{margin-bottom:.2rem}
"""
WORDS = (
    ("score", "how unlikely a step is by the entity's own past: 0 usual, 1 a chance of 10⁻¹² or less"),
    ("threshold", "follows from the alert budget: so many incidents an entity and week may cost"),
    ("incident", "a run of steps over the threshold, opened and resolved; its colour is its severity"),
    ("event recall", "share of the labelled events that an incident met"),
    ("false incident", "one with no labelled event within ten minutes of it"),
    ("VUS-PR, AUC-PR", "how well scores rank labelled rows before others, 1 is perfect; a random score reaches about "
     "the share of labelled rows"),
)  # fmt: skip


def write_report(
    folder: Path, recordings: Sequence[Recording], result: Backtest, labels: Sequence[Label], plan: Plan
) -> Path:
    """Write ``index.html``; equal backtests give equal bytes.

    Parameters
    ----------
    folder
        Is made if it is not there.
    recordings, result
        What was replayed, and what came of it.
    labels
        Known faults and innocent events beside those in the recordings' own label rows.
    plan
        What decided.

    Raises
    ------
    InputError
        The folder cannot be written, or matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise InputError("a report needs pictures, and matplotlib is missing: pip install 'foreshock[notebooks]'")
    story = story_of(recordings, result, labels)
    text = "\n".join(_page(recordings, result, story, plan))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page = folder / "index.html"
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error}") from error
    return page


def _page(recordings: Sequence[Recording], result: Backtest, story: Story, plan: Plan) -> Iterator[str]:
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>foreshock backtest</title><style>{STYLE}</style>"
    yield "<h1>What foreshock would have said</h1>"
    yield from (f"<p class=big>{line}</p>" for line in _summary(recordings, story))
    yield f"<p>Settings and detectors <code>{fingerprint(plan)}</code>, alert budget {plan.budget_per_week:g} "
    yield "incidents an entity and week. All times are UTC.</p>"
    yield from _incident_table(story)
    yield from _measure_table(story)
    yield from _entities(recordings, result, story)
    yield from _incidents(recordings, story)
    yield "<h2>Words</h2><table>"
    yield from (f"<tr><th>{word}</th><td>{meaning}</td></tr>" for word, meaning in WORDS)
    yield "</table></html>"


def _summary(recordings: Sequence[Recording], story: Story) -> Iterator[str]:
    n_rows, n_metrics = sum(map(len, recordings)), sum(len(one.metrics) for one in recordings)
    begin, end = min(int(one.times[0]) for one in recordings), max(int(one.times[-1]) for one in recordings)
    yield (
        f"{_count(len(recordings), 'entity', 'entities')} with {_count(n_metrics, 'metric')}, {n_rows:,} rows from "
        f"{_time(begin // 1_000_000)} to {_time(end // 1_000_000)}: {_count(len(story.lives), 'incident')}, "
        f"{story.incidents_a_week:.2g} an entity and week."
    )
    if story.found is not None:
        of = story.found
        delay = "" if of.delay_ms != of.delay_ms else f", half of them within {_span(of.delay_ms)}"
        yield (
            f"Of {_count(of.n_events, 'labelled event')} {of.n_met} were met{delay}; "
            f"{_count(sum(life.met == [] for life in story.lives), 'incident')} met nothing that is labelled."
        )


def _incident_table(story: Story) -> Iterator[str]:
    yield "<h2>Incidents</h2>"
    if not story.lives:
        yield "<p>None.</p>"
        return
    yield "<table><tr><th>began<th>lasted<th>severity<th>kind<th>what<th>labelled</tr>"
    for life in story.lives:
        one = life.last
        link = f"<a href='#{one.incident_id}'>{escape(one.title)}</a>"
        cells = (
            _time(life.started_ms),
            _span(life.ended_ms - life.started_ms),
            one.severity,
            one.kind,
            link,
            _met(life),
        )
        yield "<tr>" + "".join(f"<td>{cell}" for cell in cells) + "</tr>"
    yield "</table>"


def _met(life: Life) -> str:
    if life.met is None:
        return ""
    names = sorted({label.kind or "fault" for label in life.met})
    return f"<span class=met>{escape(', '.join(names))}</span>" if names else "<span class=false>nothing</span>"


def _measure_table(story: Story) -> Iterator[str]:
    if not story.measures:
        return
    heads = list(next(iter(story.measures.values())))
    yield "<h2>Measures</h2><table><tr><th>entity" + "".join(f"<th>{head}" for head in heads) + "</tr>"
    for entity, row in story.measures.items():
        yield f"<tr><td>{escape(entity)}" + "".join(f"<td>{row[head]:.3g}" for head in heads) + "</tr>"
    yield "</table>"


def _entities(recordings: Sequence[Recording], result: Backtest, story: Story) -> Iterator[str]:
    from pipeline.report.pictures import score_picture

    loud = {life.last.entity.id for life in story.lives} | {label.entity for label in story.labels}
    shown = sorted(recordings, key=lambda one: one.entity not in loud)[:MOST_ENTITIES]
    yield f"<h2>Scores</h2><p>{_keys()}</p>"
    if len(shown) < len(recordings):
        yield f"<p>{len(shown)} of {len(recordings)} entities, those with incidents or labels first.</p>"
    for one in shown:
        lives = [life for life in story.lives if life.last.entity.id == one.entity]
        labels = [label for label in story.labels if label.entity == one.entity]
        yield f"<h3>{escape(one.entity)}</h3>" + score_picture(one, result.tables[one.entity], lives, labels)


def _incidents(recordings: Sequence[Recording], story: Story) -> Iterator[str]:
    from pipeline.report.pictures import metrics_picture

    by_name = {one.entity: one for one in recordings}
    worst = sorted(story.lives, key=lambda life: -life.last.score)[:MOST_INCIDENTS]
    if worst:
        yield "<h2>The metrics at fault</h2><p>Green bands show what was expected when the incident was told.</p>"
    for life in sorted(worst, key=lambda life: life.started_ms):
        labels = [label for label in story.labels if label.entity == life.last.entity.id]
        yield f"<h3 id='{life.last.incident_id}'>{escape(life.last.title)}</h3>"
        yield f"<p>{_time(life.started_ms)}, found {_span(life.detected_ms - life.started_ms)} later. {_met(life)}</p>"
        yield metrics_picture(by_name[life.last.entity.id], life, labels)


def _keys() -> str:
    from pipeline.report.pictures import GREEN, SEVERITIES

    colours = {f"incident: {name}": colour for name, colour in SEVERITIES.items()} | {"labelled": GREEN}
    return "".join(f"<span class=key style='background:{colour}'></span>{name}" for name, colour in colours.items())


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def _span(ms: float) -> str:
    hours = ms / 3.6e6
    if hours < 2:
        return f"{60 * hours:.0f} min"
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} d"
