"""Which scans a user means, what is written of them, and files with a few bytes changed."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from batch_parts import HOW, write_tiny

from organnet.batch.books import open_books
from organnet.batch.formats import (
    FORMATS,
    Format,
    Segmented,
    check_places,
    choose_formats,
    files_of,
    why_not,
)
from organnet.batch.inputs import Input, Scan, find_inputs
from organnet.batch.worker import Answer
from organnet.datasets import pddca
from organnet.errors import OrganNetError
from organnet.files import sha256
from organnet.inference import Prediction
from organnet.volume import Volume, read_ct, read_volume, same_grid


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two case folders, three files, and things that are no cases."""
    root = tmp_path / "root"
    for name in ("A", "B"):
        write_tiny(root / "cases" / name / "img.nrrd")
    for name in ("c.nrrd", "d.nii.gz", "e.mha"):
        write_tiny(root / name)
    (root / "d.nii.gz").rename(root / "d.NII.gz")
    (root / "cases" / "notes").mkdir()
    (root / "cases" / ".hidden").mkdir()
    return root


def names(*given: Path) -> list[str]:
    return [scan.name for scan in find_inputs(list(given))]


def test_every_way_to_name_scans(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = root / "cases"
    assert names(cases) == ["A", "B"]
    assert names(cases / "B", root / "c.nrrd") == ["B", "c"]
    assert names(cases / "A" / "img.nrrd") == ["A"]
    assert names(root / "*.*") == ["c", "d", "e"]
    assert names(root / "**" / "img.nrrd") == ["A", "B"]
    assert names(root / "absent.nrrd") == ["absent"]  # reading says that it is not there
    monkeypatch.chdir(cases / "A")
    assert names(Path(".")) == names(Path("img.nrrd")) == ["A"]
    bracket = write_tiny(root / "scan[1].nrrd")
    assert names(bracket) == ["scan[1]"]


def test_links_are_called_as_they_are_named(root: Path) -> None:
    """A link's target may bear a patient's name."""
    link = root / "trial-7.nrrd"
    link.symlink_to(root / "c.nrrd")
    assert names(link) == ["trial-7"]


def test_what_names_no_scan_is_refused(root: Path) -> None:
    for given, why in (
        (root / "*.dat", "matches no file"),
        (root / "cases" / "notes", "no cases"),
        (root / "cases" / "A" / "..", None),
    ):
        if why is None:
            assert names(given) == ["A", "B"]
        else:
            with pytest.raises(OrganNetError, match=why):
                names(given)
    with pytest.raises(OrganNetError, match="both called A"):
        names(root / "cases", write_tiny(root / "A.nrrd"))
    with pytest.raises(OrganNetError, match="without the dot"):
        names(write_tiny(root / ".scan.nrrd"))


def test_anonymous_cases_are_numbered_and_may_share_a_name(root: Path) -> None:
    twice = find_inputs([root / "cases", root / "cases" / "A"], anonymise=True)
    assert [scan.name for scan in twice] == ["case-001", "case-002", "case-003"]
    assert twice[0].sha256() == twice[2].sha256() == sha256(root / "cases" / "A" / "img.nrrd")


@pytest.fixture
def found() -> Segmented:
    labels = np.zeros((6, 7, 8), np.uint8)
    labels[1:3, 2:4, 3:5] = 1
    labels[4, 4, 4] = 9
    grid = Volume(labels, (3.0, 2.0, 1.0), (5.0, -4.0, 3.0))
    entropy = grid.with_array(labels.astype(np.float32) / 4)
    return Segmented(
        Scan(grid.with_array(labels.astype(np.int16))), Prediction(grid, entropy), anonymise=False
    )


@pytest.mark.parametrize("name", [name for name in FORMATS if not FORMATS[name].needs_dicom])
def test_formats_write_what_they_announce_and_can_be_read_back(
    name: str, found: Segmented, tmp_path: Path
) -> None:
    paths = FORMATS[name].write(found, tmp_path, "case")
    assert {path.relative_to(tmp_path).as_posix() for path in paths} <= set(
        files_of("case", (name,))
    )
    assert sorted(paths) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
    if name == "masks":
        labels, drawn = pddca.read_labels(tmp_path / "case")
        assert drawn == {"BrainStem", "Submandibular_R"}
    else:
        labels = read_volume(paths[0])
    if name in ("nrrd", "nifti"):
        assert np.array_equal(read_volume(paths[1]).array, found.prediction.entropy.array)
    assert np.array_equal(labels.array, found.prediction.labels.array)
    assert same_grid(labels, found.prediction.labels)


def test_formats_are_chosen_once_each(tmp_path: Path) -> None:
    assert choose_formats(["nrrd", "masks", "nrrd"]) == ("masks", "nrrd")
    with pytest.raises(OrganNetError, match="unknown format 'pdf'"):
        choose_formats(["pdf"])


def test_a_format_that_refers_to_dicom_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "plan", Format(("{}.dcm",), lambda *_: [], needs_dicom=True))
    scan = Input("c", root / "c.nrrd")
    assert "no DICOM series, which format plan refers to" in why_not(scan, ("nrrd", "plan"))
    assert why_not(scan, ("nrrd",)) is None


@pytest.mark.parametrize(
    ("given", "out", "formats", "why"),
    [
        ("c.nrrd", ".", ("nrrd",), "replace an input"),
        ("cases", "cases", ("masks",), "replace an input"),
        ("c*.nrrd", "out", ("nrrd",), "both be written"),
    ],
)
def test_no_input_is_overwritten(
    given: str, out: str, formats: tuple[str, ...], why: str, root: Path
) -> None:
    write_tiny(root / "c_entropy.nrrd")
    with pytest.raises(OrganNetError, match=why):
        check_places(find_inputs([root / given]), formats, root / out)


def test_an_output_beside_its_input_is_fine(root: Path) -> None:
    check_places(find_inputs([root / "c.nrrd"]), ("nifti",), root)
    check_places(find_inputs([root / "cases" / "A"]), ("masks",), root / "cases" / "A" / "out")


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
def test_damaged_files_give_a_volume_or_one_line(suffix: str, tmp_path: Path) -> None:
    """Bytes flipped, a stretch cut out, the end cut off: nothing else ever comes of it."""
    whole = write_tiny(tmp_path / f"whole{suffix}").read_bytes()
    path, chance, refused = tmp_path / f"damaged{suffix}", random.Random(suffix), 0
    for attempt in range(20):
        damaged = bytearray(whole)
        at = chance.randrange(len(damaged))
        if attempt % 3 == 0:
            del damaged[at:]
        elif attempt % 3 == 1:
            del damaged[at : at + chance.randrange(1, 40)]
        else:
            for _ in range(chance.randrange(1, 4)):
                damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            assert read_ct(path).array.dtype == np.int16
        except OrganNetError as error:
            assert str(path) in str(error) and len(str(error).splitlines()) == 1
            refused += 1
    assert refused > 10


def test_messages_are_kept_without_the_names_of_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "Mustermann" / "Erika.nrrd"
    given = Input("case-001", write_tiny(path))
    with open_books(tmp_path / "out", replace(HOW, anonymise=True), [given]) as books:
        books.keep(given, "", Answer(f"{path} is no CT\nand Erika.nrrd neither: mend it"))
    text = (tmp_path / "out" / "records" / "case-001.json").read_text()
    assert "case-001 is no CT and case-001 neither: mend it" in text
