"""The four notebooks: clean files, and runs under papermill with any parameter changed."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import REPOSITORY

from organnet.experiment import NOTEBOOKS
from organnet.files import read_json

PARAMETERS = {"dataset": "phantom", "data": None, "profile": "smoke", "out": None, "seed": 0}
LONGEST_CELL = 45
ABSOLUTE_PATH = re.compile(r"(?<![\w.$)}:/])/(home|root|Users|work|tmp|mnt|private)/")

pytestmark = pytest.mark.parametrize("name", NOTEBOOKS)


def path_of(name: str) -> Path:
    return REPOSITORY / "notebooks" / f"{name}.ipynb"


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(path_of(name), as_version=4)


def code_cells(name: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(name).cells if cell.cell_type == "code"]


def test_valid_and_small(name: str):
    nbformat.validate(read(name))
    assert path_of(name).stat().st_size < 1_000_000


def test_one_parameters_cell_with_the_smoke_profile(name: str):
    tagged = [c for c in code_cells(name) if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    values: dict = {}
    exec(tagged[0].source, values)
    assert {key: values[key] for key in PARAMETERS} == PARAMETERS
    assert code_cells(name)[0].source == tagged[0].source, "parameters come first"


def test_metadata_is_plain(name: str):
    notebook = read(name)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags"}


def test_outputs_are_stored_true_and_portable(name: str):
    counts = [cell.execution_count for cell in code_cells(name)]
    assert counts == list(range(1, len(counts) + 1)), "run make notebooks"
    for cell in code_cells(name):
        assert not any(output.output_type == "error" for output in cell.outputs)
        assert not any(output.get("name") == "stderr" for output in cell.outputs)
    assert not ABSOLUTE_PATH.search(path_of(name).read_text(encoding="utf-8"))


def test_prose_and_calls(name: str):
    cells = read(name).cells
    assert sum(cell.cell_type == "markdown" for cell in cells) * 3 >= len(cells)
    assert max(len(cell.source.splitlines()) for cell in code_cells(name)) <= LONGEST_CELL


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is no repository: data and runs appear below it."""
    return tmp_path_factory.mktemp("elsewhere")


def test_runs_elsewhere_with_a_parameter_changed(name: str, elsewhere: Path):
    command = [
        *(sys.executable, "-m", "papermill", "--no-progress-bar", "-p", "seed", "1"),
        *(str(path_of(name)), f"{name}.ipynb"),
    ]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    settings = read_json(elsewhere / "runs" / "phantom-smoke-seed1" / "settings.json")["settings"]
    assert settings["training"]["seed"] == 1
