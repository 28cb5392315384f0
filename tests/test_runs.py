"""What a run's folder is of: its splits, and the commit of this checkout."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from organnet import experiment
from organnet.errors import OrganNetError
from organnet.experiment import Run, open_run
from organnet.files import read_json, write_json


def test_a_run_of_other_splits_is_not_gone_on_with(smoke_run: Run, tmp_path: Path) -> None:
    """What was trained on would be scored, or the old cases' scores be shown for the new."""
    data, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(smoke_run.dataset.root, data)
    open_run("phantom", "smoke", data, run)
    open_run("phantom", "smoke", data, run)
    splits = read_json(data / "splits.json")
    splits["training"][0], splits["test"][0] = splits["test"][0], splits["training"][0]
    write_json(data / "splits.json", splits)
    with pytest.raises(OrganNetError, match=r"run with other splits of .*data: choose another"):
        open_run("phantom", "smoke", data, run)


def test_the_commit_is_of_the_checkout_and_not_of_a_project_around_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "__file__", str(tmp_path / "organnet" / "experiment.py"))
    assert experiment._git_commit() is None
    for words in ("init -q", "-c user.name=A -c user.email=a@b commit -q --allow-empty -m one"):
        subprocess.run(["git", "-C", str(tmp_path), *words.split()], check=True)
    assert re.fullmatch("[0-9a-f]{40}", experiment._git_commit() or "")
    installed = tmp_path / ".venv" / "lib" / "organnet" / "experiment.py"
    installed.parent.mkdir(parents=True)
    monkeypatch.setattr(experiment, "__file__", str(installed))
    assert experiment._git_commit() is None
