"""Laws of garbage at quiet moments: none is collected meanwhile, and all is as before afterwards."""

from __future__ import annotations

import gc
import time

from pipeline import quiet


def test_garbage_waits_for_the_sweeper_and_goes_then(monkeypatch):
    with quiet.swept() as sweeper:
        assert not gc.isenabled() and gc.get_freeze_count() > 0
        ring: list[object] = []
        ring.append(ring)
        del ring
        sweeper.sweep()
        before = gc.get_stats()[2]["collections"]
        monkeypatch.setattr(quiet, "EVERY_SECONDS", 0.0)
        time.sleep(0.001)
        sweeper.sweep()
        assert gc.get_stats()[2]["collections"] == before + 1
    assert gc.isenabled() and gc.get_freeze_count() == 0


def test_what_stays_of_the_first_minute_is_looked_through_once_and_later_things_again(monkeypatch):
    monkeypatch.setattr(quiet, "EVERY_SECONDS", 0.0)
    with quiet.swept() as sweeper:
        early: list[list[object]] = [[]]
        sweeper.sweep()
        assert not any(one is early for one in gc.get_objects())
        monkeypatch.setattr(quiet, "LOADING_SECONDS", 0.0)
        late: list[list[object]] = [[]]
        sweeper.sweep()
        assert any(one is late for one in gc.get_objects())
