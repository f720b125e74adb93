"""Training spread over two processes of Dask gives the bundle of one process."""

import pytest

from models import files
from models.training import train
from pipeline import history as module
from pipeline.history import History
from pipeline.recordings import recording
from pipeline.simulate.fleet import Fleet
from pipeline.simulate.records import wide_table
from pipeline.simulate.telemetry import telemetry
from pipeline.spread import over_dask
from pipeline.stream import Plan

FLEET = Fleet(n_hosts=6, n_metrics=3, seed=8)


@pytest.mark.filterwarnings("ignore")
def test_two_workers_train_the_bundle_of_one_process(monkeypatch, tmp_path):
    pytest.importorskip("distributed")
    monkeypatch.setattr(module, "ENTITIES_A_GROUP", 2)
    stretch = telemetry(FLEET, [], 1_767_225_600_000, 1_600)
    recordings = [recording(wide_table(stretch, host), host) for host in FLEET.hosts]
    alone = train(History(recordings, Plan()), "forest")
    with over_dask("local:2") as spread:
        shared = train(History(recordings, Plan(), spread=spread), "forest")
    assert shared.measures == alone.measures
    assert files.save(shared.bundle, tmp_path / "shared") == files.save(alone.bundle, tmp_path / "alone")
