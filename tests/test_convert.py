"""A DICOM CT and its RT Structure Set as a case: nothing is lost, and nothing else is touched."""

from pathlib import Path

import numpy as np
import pytest
from ball_parts import ball
from dicom_parts import ct_series, head_hu, write_images
from rtstruct_parts import plastimatch

from organnet.cli import app
from organnet.datasets import pddca
from organnet.datasets.case import Case
from organnet.datasets.pddca import read_case, write_case
from organnet.dicom.ct import read_dicom_ct
from organnet.errors import OrganNetError
from organnet.metrics import dice
from organnet.organs import organ
from organnet.volume import Volume, same_grid, write_volume

# --- where it is written --------------------------------------------------------------------


def case_called(name: str) -> Case:
    ct = Volume(head_hu(), (2.5, 1.2, 0.9))
    labels = np.zeros(ct.shape, np.uint8)
    labels[2, 4:7, 4:9], labels[3, 7:9, 4:9] = organ("Mandible").label, organ("Chiasm").label
    return Case(name, ct, ct.with_array(labels), frozenset({"Mandible", "Chiasm"}))


def test_a_hidden_folder_of_the_users_is_left_alone(tmp_path: Path) -> None:
    """As ~/.config is with `--out ~ --name config`."""
    (tmp_path / ".config").mkdir()
    (tmp_path / ".config" / "precious").write_text("mine")
    write_case(tmp_path, case_called("config"))
    assert (tmp_path / ".config" / "precious").read_text() == "mine"
    assert read_case(tmp_path / "config").drawn == {"Mandible", "Chiasm"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".config", "config"]


def test_a_write_that_fails_half_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def until_the_disk_is_full(volume: Volume, path: Path) -> None:
        if written:
            raise OrganNetError(f"cannot write {path} (No space left on device)")
        write_volume(volume, path)
        written.append(path)

    monkeypatch.setattr(pddca, "write_volume", until_the_disk_is_full)
    with pytest.raises(OrganNetError, match="No space left"):
        write_case(tmp_path, case_called("A"))
    assert written and not list(tmp_path.iterdir())


def test_a_case_that_is_there_already_stays(tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "precious").write_text("mine")
    with pytest.raises(OrganNetError, match="cannot write"):
        write_case(tmp_path, case_called("A"))
    assert [path.name for path in tmp_path.rglob("*")] == ["A", "precious"]


# --- what others wrote ----------------------------------------------------------------------


def test_a_structure_set_that_plastimatch_wrote_is_converted(tmp_path: Path) -> None:
    """Two balls, of masks that plastimatch itself turned to contours and named."""
    write_images(ct_series(head_hu((12, 40, 44))), tmp_path / "ct")
    ct = read_dicom_ct(tmp_path / "ct").ct
    at = {"Parotid_L": (6.2, 20.0, 30.4), "Parotid_R": (5.8, 18.5, 12.0)}
    masks = {}
    for name, index in at.items():
        masks[name] = ball(ct, ct.position_mm(index), 8.0).array > 0
        mask = ct.with_array(masks[name].astype(np.uint8))
        write_volume(mask, tmp_path / "masks" / f"{name}.nrrd")
    plastimatch(
        *("--input-prefix", tmp_path / "masks", "--referenced-ct", tmp_path / "ct"),
        *("--output-dicom", tmp_path / "rt"),
    )
    (structures,) = (tmp_path / "rt").glob("*.dcm")
    words = ["convert", tmp_path / "ct", structures, "--out", tmp_path / "cases", "--name", "A"]
    app([str(word) for word in words], standalone_mode=False)
    case = read_case(tmp_path / "cases" / "A")
    assert same_grid(case.ct, ct) and np.array_equal(case.ct.array, ct.array)
    assert case.drawn == set(masks)
    for name, mask in masks.items():
        assert 500 < np.count_nonzero(mask) < 1000
        assert dice(case.labels.array == organ(name).label, mask) >= 0.9, name
