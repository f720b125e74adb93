"""Laws of the notebooks: a question first, an answer last, executed with pictures, and runnable with other data."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

from pipeline.simulate.labels import Label, write_labels

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_BYTES = 1_000_000
OPEN = ROOT.parent / "shared" / "data"
N_BEFORE, N_AFTER = 1_200, 400  # rows: the notebooks learn from the first 60 %
SHORT = {"DURATION": "2d"}
# the kernel of a test speaks over loopback, whatever it warns of
KERNEL_WARNINGS = "ignore::DeprecationWarning"


def read(path):
    return nbformat.read(path, as_version=4)


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_asks_first_answers_last_and_keeps_its_pictures(path):
    notebook, content = read(path), path.read_text()
    assert notebook.cells[0].cell_type == "markdown"
    assert "?" in notebook.cells[0].source.splitlines()[0]
    assert notebook.cells[-2].source.startswith("## The answer")
    assert "text/markdown" in notebook.cells[-1].outputs[-1].data
    assert "image/png" in content
    assert len(content) < MOST_BYTES
    assert [cell.execution_count for cell in code_of(notebook)] == list(range(1, len(code_of(notebook)) + 1))
    assert not [out for cell in code_of(notebook) for out in cell.outputs if out.output_type == "error"]
    assert "/tmp/" not in content
    assert "/home/" not in content


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    """Two real servers before and around a trouble that somebody labelled, as parameters."""
    folder, labels = tmp_path_factory.mktemp("machines"), []
    for file in sorted((OPEN / "smd").glob("*.test.parquet"))[:2]:
        frame = pd.read_parquet(file)
        first = int(np.argmax((frame["label"].to_numpy() == 1) & (frame.index.to_numpy() >= N_BEFORE)))
        part = frame[first - N_BEFORE : first + N_AFTER].reset_index(drop=True)
        entity, edges = file.name.split(".")[0], np.flatnonzero(np.diff(part["label"], prepend=0, append=0))
        at_ms = part["timestamp"].astype("datetime64[ns, UTC]").astype("int64").to_numpy() // 1_000_000
        ends_ms = np.append(at_ms, at_ms[-1] + 60_000)
        labels += [Label(entity, int(ends_ms[a]), int(ends_ms[b])) for a, b in edges.reshape(-1, 2)]
        part.drop(columns="label").to_parquet(folder / f"{entity}.parquet", index=False)
    write_labels(folder / "labels.csv", labels)
    return {"SOURCE": str(folder), "LABELS": str(folder / "labels.csv")}


def run(path, folder, parameters):
    """Run a notebook from top to bottom with other parameters; returns its last cell's answer."""
    notebook = read(path)
    at = next(i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
    names = {line.split(" = ")[0] for line in notebook.cells[at].source.splitlines()}
    told = "\n".join(f"{name} = {value!r}" for name, value in parameters.items() if name in names)
    notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(told))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    client = NotebookClient(notebook, timeout=200, kernel_name="python3", resources={"metadata": {"path": folder}})
    client.execute(env=environment)
    return notebook.cells[-1].outputs[-1].data["text/markdown"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings(KERNEL_WARNINGS)
def test_a_notebook_runs_from_top_to_bottom_with_other_parameters(path, tmp_path):
    assert any(letter.isdigit() for letter in run(path, tmp_path, SHORT))


@pytest.mark.skipif(not (OPEN / "smd").is_dir(), reason="no open telemetry in ../shared/data: nothing real to look at")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings(KERNEL_WARNINGS)
def test_a_notebook_runs_from_top_to_bottom_on_real_servers(path, machines, tmp_path):
    assert any(letter.isdigit() for letter in run(path, tmp_path, machines))


@pytest.mark.filterwarnings(KERNEL_WARNINGS)
def test_a_quiet_night_is_told_as_one(tmp_path):
    (path,) = (path for path in NOTEBOOKS if path.stem.startswith("4_"))
    (tmp_path / "night").mkdir()
    for seed in range(2):
        times = pd.date_range("2026-01-05", periods=1_200, freq="min", tz="UTC")
        load = 40 + np.random.default_rng(seed).normal(size=len(times))
        pd.DataFrame({"timestamp": times, "load": load}).to_parquet(tmp_path / "night" / f"web-{seed}.parquet")
    told = run(path, tmp_path, {"SOURCE": str(tmp_path / "night")})
    assert "**No incidents on 0 of 2 entities**" in told
    assert "The closest to one was `web-" in told
