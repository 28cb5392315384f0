"""README.md: the commands that it names are those there are, and its Python runs."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY

from organnet.cli import app
from organnet.datasets.pddca import read_case
from organnet.experiment import Run
from organnet.volume import Volume, read_volume, same_grid, write_volume


def readme() -> str:
    return (REPOSITORY / "README.md").read_text(encoding="utf-8")


def python(word: str) -> str:
    """The one Python in it that has this word."""
    [code] = [c for c in re.findall("```python\n(.*?)```", readme(), re.DOTALL) if word in c]
    return code


def test_every_command_is_named() -> None:
    names = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert not [name for name in names if f"organnet {name}" not in readme()]


def test_a_ct_is_segmented_and_scored(
    smoke_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    case = smoke_run.dataset.folders[smoke_run.dataset.splits["test"][0]]
    shutil.copy(case / "img.nrrd", tmp_path / "CT.nrrd")
    write_volume(read_case(case).labels, tmp_path / "drawn.nrrd")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(python("predict("), names)
    labels = read_volume(tmp_path / "mine" / "CT.nrrd")
    assert same_grid(labels, names["ct"])
    assert np.array_equal(labels.array, names["found"].labels.array)
    scored = re.findall(r"organ='(\w+)'[^)]*?status='(?!not drawn)", capsys.readouterr().out)
    assert scored == ["Mandible", "Parotid_L"]


@pytest.mark.parametrize("image", ["A_0000.nii.gz", "A.nii.gz"])
def test_a_label_map_of_several_organs_becomes_a_case(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Python of data/README.md, on a scan as nnU-Net and as the Decathlon have it."""
    text = (REPOSITORY / "data" / "README.md").read_text(encoding="utf-8")
    [code] = re.findall("```python\n(.*?)```", text, re.DOTALL)
    labels = np.zeros((6, 8, 10), np.uint8)
    labels[2:4, 3:5, 1:4], labels[2:4, 3:5, 6:9] = 2, 3
    drawn = Volume(labels, (3.0, 1.0, 1.0), (-9.0, 4.0, 2.0))
    write_volume(drawn, tmp_path / "labelsTr" / "A.nii.gz")
    hu = np.where(labels > 0, np.int16(40), np.int16(-1000))
    write_volume(drawn.with_array(hu), tmp_path / "imagesTr" / image)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    case = read_case(Path("my/cases/A"))
    assert case.drawn == {"Mandible", "Parotid_L"}
    assert same_grid(case.ct, drawn) and (case.ct.array == hu).all()
    assert (case.labels.array == np.array([0, 0, 3, 6])[labels]).all()


def test_a_case_is_looked_at(
    smoke_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a case of the smoke phantom for one of the demo's, and its drawing as prediction."""
    folder = smoke_run.dataset.folders[smoke_run.dataset.splits["test"][0]]
    data = tmp_path / "data" / "phantom-demo"
    shutil.copytree(folder, data / "phantom0028")
    (data / "splits.json").write_text('{"test": ["phantom0028"]}')
    found = tmp_path / "runs" / "phantom-demo" / "predictions" / "phantom0028.nrrd"
    write_volume(read_case(folder).labels, found)
    monkeypatch.chdir(tmp_path)
    exec(python("viewer."), {})
