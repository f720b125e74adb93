"""Laws of the notebooks: a question first, an answer last, executed with pictures, and runnable with other data."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_BYTES = 1_000_000
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


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings(KERNEL_WARNINGS)
def test_a_notebook_runs_from_top_to_bottom_with_other_parameters(path, tmp_path):
    notebook = read(path)
    at = next(i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
    names = {line.split(" = ")[0] for line in notebook.cells[at].source.splitlines()}
    told = "\n".join(f"{name} = {value!r}" for name, value in SHORT.items() if name in names)
    notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(told))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    client = NotebookClient(notebook, timeout=200, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    client.execute(env=environment)
    assert any(letter.isdigit() for letter in notebook.cells[-1].outputs[-1].data["text/markdown"])
