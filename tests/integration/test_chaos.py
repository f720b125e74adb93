"""A slice of ``make chaos``: real processes that die in a commit, miss its answer, and find their snapshots damaged."""

import signal

import pytest

from tests.chaos.__main__ import WRONG
from tests.chaos.rounds import KINDS, run_rounds

SLICE = ("kill-soon in-commit", "models and kill after-send", "snapshots flipped", "state lost")


@pytest.mark.timeout(280)
def test_nothing_is_lost_doubled_or_different_whatever_fails(tmp_path):
    rounds = run_rounds([KINDS.index(kind) for kind in SLICE], 1, tmp_path)
    for one, verdict in rounds:
        assert verdict["events"] > 0, one.kind
        wrong = {name: verdict[name] for name in WRONG if verdict[name]}
        assert not wrong, f"{one.kind}: python -m tests.chaos --only {one.number} --seed 1"
        assert one.fired(verdict), one.kind
        one.signal(signal.SIGKILL)
