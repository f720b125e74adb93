"""Why it fired, and why it did not, at every stage of an incident's life."""

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.cli.main import main
from pipeline.errors import InputError
from pipeline.events import ScoreRow
from pipeline.explain import explain, explain_published
from pipeline.lifecycle import IncidentPlan
from pipeline.recordings import recording
from pipeline.replay import backtest, replay
from pipeline.rules import Rule, Watch
from pipeline.stream import Plan

N, STEP, FAULT = 1_000, 60_000, 800
T0 = int(pd.Timestamp("2026-01-01", tz="UTC").timestamp() * 1000)


def a_frame():
    frame = pd.DataFrame(np.random.default_rng(3).normal(size=(N, 3)), columns=["a", "b", "c"])
    frame.loc[FAULT : FAULT + 39, "b"] += 30
    frame.insert(0, "timestamp", pd.date_range("2026-01-01", periods=N, freq="min", tz="UTC"))
    return frame


def asked(row, plan=None, frame=None):
    return explain(
        [recording(a_frame() if frame is None else frame, "db-01")], "db-01", T0 + row * STEP, plan or Plan()
    )


def says(said, words):
    return any(words in reason for reason in said.reasons)


def test_it_fired_and_the_metric_at_fault_leads_with_its_band():
    said = asked(FAULT + 5)
    assert said.fired and not said.warming
    assert said.step_at == said.asked_at
    assert says(said, "is at or over the threshold") and says(said, "behaviour incident")
    top = said.metrics[0]
    assert top.metric == "b" and top.value > 20
    assert top.lower < top.expected < top.upper
    assert sum(one.share for one in said.metrics) == pytest.approx(1, abs=1e-3)
    assert max(top.features, key=lambda name: abs(top.features[name]))


def test_it_shows_the_score_and_threshold_of_the_backtest():
    table, _ = backtest(a_frame(), None, Plan(), "db-01")
    for row in (500, FAULT + 2, FAULT + 20):
        said = asked(row)
        assert (said.score, said.threshold) == (table["score"][row], table["threshold"][row])


def test_it_did_not_fire_because_the_score_was_under_the_threshold():
    said = asked(500)
    assert not said.fired
    assert says(said, "is under the threshold") and said.score < said.threshold


def test_it_is_calm_because_only_the_steps_before_were_unusual():
    lingering = [row for row in range(FAULT + 42, FAULT + 54, 3) if says(asked(row), "what only lingers")]
    assert lingering and not any(says(asked(row), "what only lingers") for row in (500, FAULT + 2))
    assert says(asked(lingering[0]), "is under the threshold")


def test_an_incident_that_opened_later_is_told():
    assert says(asked(FAULT - 5), "opened later")


def test_it_did_not_fire_because_it_was_too_young():
    said = asked(10)
    assert not said.fired and said.warming and said.score is None
    assert says(said, "the score is withheld")


def test_it_did_not_fire_because_nothing_came():
    frame = a_frame().drop(index=range(400, 460))
    said = asked(455, frame=frame)
    assert said.step_at == "2026-01-01T06:39:00.000Z"
    assert says(said, "nothing was received between 2026-01-01T06:39:00.000Z and then, its usual step is 60 s")
    assert asked(-5).reasons == ["nothing had been received of it by then"]


def test_the_baselines_hold_still_while_an_incident_is_open_only_if_they_are_told_to():
    holding = Plan(incidents=IncidentPlan(hold_ms=6 * 3_600_000))
    assert asked(FAULT + 10, holding).hold and says(asked(FAULT + 10, holding), "held still")
    assert not asked(FAULT - 10, holding).hold
    assert not asked(FAULT + 10, Plan()).hold


def test_a_rule_is_named_and_an_unwatched_entity_said():
    said = asked(FAULT + 5, Plan(rules=(Rule(metric="b", ignore=True, name="known noise"),)))
    assert not said.fired and says(said, "b is seen through the rule known noise")
    assert says(asked(500, Plan(watch=Watch(exclude=("*",)))), "none of its metrics is watched")


def test_what_a_job_published_answers_too():
    table, _ = backtest(a_frame(), None, Plan(), "db-01")
    told = [e.data for e in replay([recording(a_frame(), "db-01")], Plan()).incidents]
    at = FAULT + 5
    score, threshold = float(table["score"][at]), float(table["threshold"][at])
    row = ScoreRow("db-01", T0 + at * STEP, score, threshold, True, True, {"b": 30.0, "a": 10.0}, 7)
    said = explain_published("db-01", T0 + at * STEP, [row], told, 0.3)
    assert said.fired and said.score == score
    assert [(one.metric, one.share) for one in said.metrics] == [("b", 0.75), ("a", 0.25)]
    nothing = explain_published("db-01", T0 + 500 * STEP, [row], told, 0.3)
    assert not nothing.fired and says(nothing, "scores below 0.3 are not kept")


def test_an_entity_that_is_not_there_is_named():
    with pytest.raises(InputError, match="no recording of db-02; there are db-01"):
        explain([recording(a_frame(), "db-01")], "db-02", T0, Plan())


def test_the_command_answers_in_words_and_in_json(tmp_path, capsys):
    a_frame().to_parquet(tmp_path / "db-01.parquet")
    asking = ["explain", "db-01", "--data", str(tmp_path), "--at", "2026-01-01T13:25"]
    with pytest.raises(SystemExit) as left:
        main(asking)
    assert left.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "db-01 at 2026-01-01T13:25:00.000Z: an incident was open, because"
    assert [line.split()[0] for line in lines[1:3]] == ["-", "-"]
    head = next(i for i, line in enumerate(lines) if line.split()[:2] == ["share", "value"])
    assert lines[head + 1].split()[0].endswith("%") and " b " in lines[head + 1]
    with pytest.raises(SystemExit):
        main([*asking, "--json"])
    assert json.loads(capsys.readouterr().out)["metrics"][0]["metric"] == "b"
    with pytest.raises(SystemExit) as left:
        main([*asking[:-1], "noon"])
    assert left.value.code == 2
    assert "--at noon: should be an ISO time" in capsys.readouterr().err
