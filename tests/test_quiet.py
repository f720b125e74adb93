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
