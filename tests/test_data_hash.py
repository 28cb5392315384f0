"""The hash of a data set: of all that is read of it, and of nothing else."""

import shutil
from pathlib import Path

from organnet.datasets import Dataset, pddca


def test_the_hash_of_the_data_is_of_cases_that_are_files_too(tmp_path: Path) -> None:
    file = tmp_path / "A.nii.gz"
    file.write_bytes(b"one")
    data = Dataset("own", tmp_path, {"training": ("A",)}, {"A": file}, pddca.read_case)
    before = data.sha256()
    assert data.sha256() == before
    file.write_bytes(b"two")
    assert data.sha256() != before


def test_the_hash_of_the_data_is_of_linked_folders_too(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    drawing = tmp_path / "store" / "Mandible.nrrd"
    drawing.write_bytes(b"one")
    case = tmp_path / "A"
    case.mkdir()
    (case / ".store").symlink_to(tmp_path / "store")  # what is hidden is not what is read
    (case / "structures").symlink_to(".store")
    (case / "round").symlink_to(case)  # and one that leads back ends
    data = Dataset("own", tmp_path, {"training": ("A",)}, {"A": case}, pddca.read_case)
    before = data.sha256()
    drawing.write_bytes(b"two")
    assert data.sha256() != before
    (case / "structures").unlink()
    shutil.copytree(tmp_path / "store", case / "structures")
    (case / "round").unlink()
    copied = data.sha256()
    (case / ".store").unlink()
    assert data.sha256() == copied


def test_the_hash_of_the_data_is_not_of_hidden_files(tmp_path: Path) -> None:
    case = tmp_path / "A"
    case.mkdir()
    (case / "img.nrrd").write_bytes(b"one")
    data = Dataset("own", tmp_path, {"training": ("A",)}, {"A": case}, pddca.read_case)
    before = data.sha256()
    (case / ".DS_Store").touch()  # macOS leaves it where somebody looked
    assert data.sha256() == before
    (case / "more").touch()
    assert data.sha256() != before
