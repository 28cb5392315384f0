"""The main job: four notebooks through papermill, stopped and resumed, the same twice."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from organnet.errors import OrganNetError, RunError
from organnet.evaluation import METRIC_COLUMNS
from organnet.experiment import (
    NOTEBOOKS,
    Run,
    drop_what_is_of_other_weights,
    evaluate_run,
    project_root,
    train_run,
)
from organnet.files import read_json
from organnet.organs import ORGAN_NAMES
from organnet.reproduce import (
    execute,
    notebook_folder,
    refuse_unknown_parameters,
    why_run,
)
from organnet.results import results_folder
from organnet.weights import read_weights


def command(data: Path, out: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "organnet.cli", "reproduce", "--dataset", "phantom"),
        *("--profile", "smoke", "--data", str(data), "--out", str(out)),
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Data, run and standard output of an undisturbed job."""
    folder = tmp_path_factory.mktemp("reproduce")
    data, out = folder / "data", folder / "run"
    result = subprocess.run(command(data, out), capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    return data, out, result.stdout


def test_the_run_holds_what_was_promised(finished) -> None:
    _, out, _ = finished
    settings = read_json(out / "settings.json")
    assert settings["settings"]["training"]["seed"] == 0
    assert settings["versions"]["torch"]
    assert len(settings["data"]["sha256"]) == 64
    assert "git_commit" in settings
    metrics = pd.read_csv(out / "metrics.csv")
    assert tuple(metrics.columns) == METRIC_COLUMNS
    assert set(metrics["organ"]) == set(ORGAN_NAMES)
    assert set(metrics["case"]) == set(settings["data"]["cases"]["test"])
    assert read_json(out / "summary.json")
    for name in ("weights.safetensors", "log.csv"):
        assert (out / name).stat().st_size > 0
    assert sorted(p.stem for p in (out / "notebooks").iterdir()) == list(NOTEBOOKS)
    assert len(list((out / "figures").glob("*.png"))) >= 6


def test_it_ends_with_the_table_and_the_figures(finished) -> None:
    _, out, printed = finished
    tail = printed[printed.rindex("[4/4]") :]
    for name in ORGAN_NAMES:
        assert name in tail
    for figure in (out / "figures").glob("*.png"):
        assert str(figure) in tail


def test_the_same_command_again_returns_at_once_and_changes_nothing(finished) -> None:
    data, out, _ = finished
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    result = subprocess.run(command(data, out), capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("is done") == 4
    assert before == {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}


def test_stopped_and_run_again_it_ends_with_the_same_scores(finished, tmp_path: Path) -> None:
    data, out, _ = finished
    again = tmp_path / "run"
    process = subprocess.Popen(
        command(data, again), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 300
    while not (again / "checkpoint.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert "Traceback" not in errors
    assert "same command" in errors
    assert not (again / "notebooks" / "04_figures.ipynb").exists()
    result = subprocess.run(command(data, again), capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    assert "01_exploration is done" in result.stdout
    assert (again / "metrics.csv").read_bytes() == (out / "metrics.csv").read_bytes()


def test_an_unknown_parameter_is_refused() -> None:
    notebook = notebook_folder() / "02_training.ipynb"
    with pytest.raises(OrganNetError, match="no parameter epochs: it has data, dataset"):
        refuse_unknown_parameters(notebook, {"seed": 1, "epochs": 3})


def test_a_notebook_that_was_changed_is_not_done(tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell("a = 1", metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_code_cell("print(a)")])
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata["kernelspec"] = kernel
    source, target = tmp_path / "some.ipynb", tmp_path / "out" / "some.ipynb"
    nbformat.write(notebook, source)
    assert why_run(source, target) == ""
    execute(source, target, {"a": 2})
    assert why_run(source, target) is None
    notebook.cells[1].source = "print(a, a)"
    nbformat.write(notebook, source)
    assert "cells have changed" in str(why_run(source, target))
    for broken in ("cut short", "{}", "[]"):
        target.write_text(broken)
        assert "no whole notebook" in str(why_run(source, target))


def test_folders_of_a_readers_own_are_no_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("notebooks", "results"):
        (tmp_path / name).mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert project_root() == tmp_path / "here"
    assert results_folder() == notebook_folder().parent / "results"
    (tmp_path / "notebooks" / "01_exploration.ipynb").touch()
    assert project_root() == tmp_path
    assert results_folder() == Path(__file__).parent.parent / "results"


def test_nothing_is_shown_that_is_of_other_weights(smoke_run: Run, tmp_path: Path) -> None:
    run = dataclasses.replace(smoke_run, folder=tmp_path / "run")
    shutil.copytree(smoke_run.folder, run.folder)
    (run.folder / "notebooks").mkdir(exist_ok=True)
    for name in NOTEBOOKS:
        (run.folder / "notebooks" / f"{name}.ipynb").touch()
    table = evaluate_run(run)
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path.is_file()}
    train_run(run)
    assert before == {p: p.stat().st_mtime_ns for p in run.folder.rglob("*") if p.is_file()}

    weights = run.folder / "weights.safetensors"
    tensors = {key: torch.zeros_like(value) for key, value in read_weights(weights)[0].items()}
    with safe_open(weights, "pt") as file:
        save_file(tensors, weights, file.metadata())  # another network's
    drop_what_is_of_other_weights(run)
    assert [p.stem for p in (run.folder / "notebooks").iterdir()] == ["01_exploration"]
    assert not (run.folder / "predictions").exists()
    assert not evaluate_run(run).equals(table)

    weights.unlink()
    drop_what_is_of_other_weights(run)
    assert not (run.folder / "metrics.csv").exists() and not (run.folder / "scored.json").exists()


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("1 / 0", RunError, r"broken failed in cell \d+ \(ZeroDivisionError: division by zero\)"),
        (
            "from organnet.errors import OrganNetError\nraise OrganNetError('a is bad: mend it')",
            OrganNetError,
            "^a is bad: mend it$",
        ),
    ],
)
def test_a_failing_notebook_is_one_line_and_not_done(
    source: str, kind: type, message: str, tmp_path: Path
) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    path = tmp_path / "broken.ipynb"
    nbformat.write(notebook, path)
    with pytest.raises(kind, match=message) as raised:
        execute(path, tmp_path / "out" / "broken.ipynb", {})
    assert "\n" not in str(raised.value)
    assert type(raised.value) is kind
    assert not (tmp_path / "out" / "broken.ipynb").exists()
