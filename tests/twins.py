"""Which plain code judges each kernel, and where: ``test_house.py`` holds the kernels and the naive twins to it.

A twin stands in ``naive.py``. Where something better than a twin judges (the official library, scikit-learn, the
language itself, or the format's own decoder, which shares no line with the walk), it is named, and why.
"""

from __future__ import annotations

AHEAD = "the twins of the kernels that ask ahead: asking must change nothing that they say"
GRID = "cells and rates of whole series go through arrival.push; these are its parts and cannot be met alone"
DECODER = "the decoder of the format, which the walk must equal on captures, mutants and odd records"
OFFICIAL = "the official protobuf library, on captures, mutants and odd records"
HABITS = "days drawn by hand: what is a habit is the law itself"
PART = "baseline.observe calls it for each row, and gives what the two twins of that say"
SHORTCUT = "its twins without it: a series that is asked and visited at every row must end with the same map"
CODE = "each other: what one makes of a number the other reads, to less than a thousandth"
LATE = "the same records in order of time: whatever comes late must end as they do"
SILENCE = "hand-written schedules of who speaks when: who is missed is the law itself"

# kernel: (names in naive.py, the test that tries both)
TWINS: dict[str, tuple[tuple[str, ...], str]] = {
    "pipeline.kernels.arrival.push": (("cells", "rates", "delta_rates"), "test_kernels.py"),
    "pipeline.kernels.baseline.observe": (("fast_levels", "borders"), "test_kernels.py"),
    "pipeline.kernels.blips.count": (("usual_blips",), "test_blips.py"),
    "pipeline.kernels.blips.follow": (("blips",), "test_blips.py"),
    "pipeline.kernels.blips.solve": (("usual_blips",), "test_blips.py"),
    "pipeline.kernels.blips.usual": (("usual_blips",), "test_blips.py"),
    "pipeline.kernels.clock.learn_step": (("learn_step",), "test_kernels.py"),
    "pipeline.kernels.energy.combine": (("scores",), "test_twins.py"),
    "pipeline.kernels.energy.excess": (("excess",), "test_kernels.py"),
    "pipeline.kernels.energy.blame": (("blame",), "test_kernels.py"),
    "pipeline.kernels.energy.learn_tails": (("scores", "allowed"), "test_twins.py"),
    "pipeline.kernels.energy.verdict": (("scores", "allowed"), "test_twins.py"),
    "pipeline.kernels.filling.begin": (("filling",), "test_exhaustion.py"),
    "pipeline.kernels.filling.forecast": (("filling",), "test_exhaustion.py"),
    "pipeline.kernels.filling.observe": (("filling",), "test_exhaustion.py"),
    "pipeline.kernels.identity.copy": (("ids",), "test_twins.py"),
    "pipeline.kernels.identity.finish": (("ids",), "test_twins.py"),
    "pipeline.kernels.identity.insert": (("ids",), "test_twins.py"),
    "pipeline.kernels.identity.lookup": (("ids",), "test_twins.py"),
    "pipeline.kernels.rhythm.predict": (("predict",), "test_kernels.py"),
    "pipeline.kernels.season.learn_day": (("slot",), "test_twins.py"),
    "pipeline.kernels.season.learn_week": (("week",), "test_twins.py"),
    "pipeline.kernels.season.of_day": (("usual",), "test_twins.py"),
    "pipeline.kernels.season.of_day_before": (("usual_before",), "test_twins.py"),
    "pipeline.kernels.season.of_week": (("week",), "test_twins.py"),
    "pipeline.kernels.season.step_into": (("week",), "test_twins.py"),
    "pipeline.kernels.season.taken_along": (("taken_along",), "test_twins.py"),
    "pipeline.kernels.seen.distance": (("new_values",), "test_seen.py"),
    "pipeline.kernels.seen.visit": (("new_values",), "test_seen.py"),
    "pipeline.kernels.silence.tick_clock": (("partition_clock",), "test_twins.py"),
    "pipeline.kernels.tail.decades": (("decades",), "test_twins.py"),
    "pipeline.kernels.tail.learn": (("learned_tail",), "test_twins.py"),
    "pipeline.kernels.tail.level": (("level",), "test_twins.py"),
    "pipeline.kernels.window.gather": (("window",), "test_sets.py"),
    "pipeline.kernels.window.push": (("window",), "test_sets.py"),
    "pipeline.kernels.wire.varint": (("varint",), "test_twins.py"),
    "models.kernels.bins.count": (("binned",), "test_beside.py"),
    "models.kernels.nearest.distance": (("distance_known",), "test_twins.py"),
    "models.kernels.nearest.distance_known": (("distance_known",), "test_sets.py"),
}

# kernel, or file of kernels for all in it without a twin: (what judges it, the test that does)
JUDGES: dict[str, tuple[str, str]] = {
    "pipeline.kernels.ahead": (AHEAD, "test_kernels.py"),
    "pipeline.kernels.arrival": (LATE, "test_late.py"),
    "pipeline.kernels.baseline.judge_and_learn": (PART, "test_kernels.py"),
    "pipeline.kernels.baseline.lay_down": (PART, "test_kernels.py"),
    "pipeline.kernels.baseline.take_up": (PART, "test_kernels.py"),
    "pipeline.kernels.seen.stays": (SHORTCUT, "test_seen.py"),
    "pipeline.kernels.clock": (GRID, "test_kernels.py"),
    "pipeline.kernels.columns": (DECODER, "test_text_walks.py"),
    "pipeline.kernels.decimal": ("float(text), which rounds exactly", "test_kernels_text.py"),
    "pipeline.kernels.energy.bent": (HABITS, "test_seasons.py"),
    "pipeline.kernels.energy.habit": (HABITS, "test_seasons.py"),
    "pipeline.kernels.energy.learn_habit": (HABITS, "test_seasons.py"),
    "pipeline.kernels.horizon": (LATE, "test_late.py"),
    "pipeline.kernels.influx": (DECODER, "test_text_walks.py"),
    "pipeline.kernels.moment": ("the calendar of datetime, and whole numbers of Python", "test_kernels_text.py"),
    "pipeline.kernels.notes": (LATE, "test_late.py"),
    "pipeline.kernels.otlp": (OFFICIAL, "test_otlp_walk.py"),
    "pipeline.kernels.otlp_distribution": (OFFICIAL, "test_otlp_walk.py"),
    "pipeline.kernels.otlp_point": (OFFICIAL, "test_otlp_walk.py"),
    "pipeline.kernels.plain_json": (DECODER, "test_text_walks.py"),
    "pipeline.kernels.season.code_of": (CODE, "test_seasons.py"),
    "pipeline.kernels.season.in_units": (CODE, "test_seasons.py"),
    "pipeline.kernels.silence": (SILENCE, "test_silence.py"),
    "pipeline.kernels.walk": (DECODER, "test_text_walks.py"),
    "pipeline.kernels.wire.field": (OFFICIAL, "test_otlp_walk.py"),
    "pipeline.kernels.wire.fixed64": ("int.from_bytes", "test_twins.py"),
    "models.kernels.forest": ("scikit-learn's score_samples", "test_compiled.py"),
}
