"""Which scans a user means, what is written of them, and files with a few bytes changed."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
from batch_parts import write_tiny
from dicom_parts import ct_series, head_hu, write_images

from organnet.batch.finding import Found, find_inputs, numbered
from organnet.batch.formats import (
    apart,
    why_not,
)
from organnet.batch.inputs import Input, kind_of
from organnet.errors import OrganNetError
from organnet.volume import read_ct


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
    found = find_inputs(list(given))
    assert not any(scan.fault for scan in found.inputs)
    return [scan.name for scan in found.inputs]


def faults(found: Found) -> dict[str, str]:
    return {scan.name: scan.fault for scan in found.inputs if scan.fault}


def test_every_way_to_name_scans(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = root / "cases"
    assert names(cases) == ["A", "B"]
    assert names(cases / "B", root / "c.nrrd") == ["B", "c"]
    assert names(cases / "A" / "img.nrrd") == ["A"]
    assert names(root / "*.*") == ["c", "d", "e"]
    assert names(cases / "*" / "img.nrrd") == ["A", "B"]
    assert names(root / "**" / "img.nrrd") == ["cases_A", "cases_B"]
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


def test_a_pattern_without_a_match_is_refused(root: Path) -> None:
    with pytest.raises(OrganNetError, match="matches no file"):
        find_inputs([root / "*.dat"])


def test_nothing_below_a_folder_is_lost(root: Path) -> None:
    """Case folders, files and archives to any depth; what holds no CT is named."""
    (root / "f.zip").write_bytes(b"")
    write_tiny(root / "deep" / "deeper" / "g.nrrd")
    (root / "notes.txt").write_text("no CT")
    found = find_inputs([root])
    assert [scan.name for scan in found.inputs] == [
        *("c", "cases_A", "cases_B", "d", "deep_deeper_g", "e", "f")
    ]
    assert found.passed_over == [root / "cases" / "notes"]
    assert names(root / "cases" / "A" / "..") == ["A", "B"]


def test_what_is_given_and_no_ct_fails_by_itself(root: Path) -> None:
    (root / "cases" / "notes" / "letter.pdf").write_bytes(b"%PDF")
    found = find_inputs([root / "cases" / "*"])
    assert [scan.name for scan in found.inputs] == ["A", "B", "notes"]
    assert list(faults(found)) == ["notes"] and "holds no CT" in faults(found)["notes"]
    with pytest.raises(OrganNetError, match=r"notes holds no CT.*: name one"):
        found.inputs[-1].sha256()


def test_outputs_below_an_input_are_no_inputs(root: Path) -> None:
    write_tiny(root / "out" / "A.nrrd")
    below = find_inputs([root], root / "out").inputs
    assert below and not any(scan.path.is_relative_to(root / "out") for scan in below)
    assert not find_inputs([root / "out" / "*"], root / "out").inputs


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (".scan.nrrd", "without the dot"),
        ("n" * 230 + ".nrrd", "more than 200 bytes"),
        (os.fsdecode(b"M\xfcller.nrrd"), "UTF-8"),
    ],
)
def test_an_odd_name_fails_by_itself(name: str, why: str, root: Path) -> None:
    write_tiny(root / "plain.nrrd").rename(root / name)
    found = find_inputs([root / name, root / "c.nrrd"])
    assert [bool(scan.fault) for scan in found.inputs] == [True, False]
    assert why in found.inputs[0].fault
    for scan in found.inputs:
        f"{scan.name} {scan.path} {scan.fault}".encode()  # can be written into the books
        assert 0 < len(scan.name.encode()) < 100


def test_a_folder_that_may_not_be_read_fails_by_itself(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from organnet.batch import finding

    def closed(path: Path) -> str | None:
        if path.name == "B":
            raise PermissionError(13, "Permission denied")
        return kind_of(path)

    monkeypatch.setattr(finding, "kind_of", closed)
    assert faults(find_inputs([root / "cases"])) == {
        "B": "cannot be read (Permission denied): check its permissions"
    }


def test_cases_that_would_be_called_alike_are_told_apart(root: Path) -> None:
    for place in ("P1/CT", "P2/CT", "P2/ct"):
        write_tiny(root / "study" / place / "img.nrrd")
    write_tiny(root / "A.nrrd")
    assert names(root / "cases", root / "study", root / "A.nrrd") == [
        *("cases_A", "B", "P1_CT", "P2_CT_4", "P2_ct_5", "root_A")
    ]
    assert names(root / "c.nrrd", root / "c.nrrd") == ["c"]


@pytest.mark.parametrize("given", [".", "*", "*/ct*", "**/*.nrrd"])
def test_a_name_stays_whatever_else_is_found(given: str, tmp_path: Path) -> None:
    """It depends on a scan's path below the given folder, or below a pattern's own, alone."""
    write_tiny(tmp_path / "g" / "A" / "ct.nrrd")
    assert names(tmp_path / "g" / given) == ["A_ct"]
    write_tiny(tmp_path / "g" / "B" / "ct.nrrd")
    assert names(tmp_path / "g" / given) == ["A_ct", "B_ct"]
    assert names(tmp_path / "g" / "A", tmp_path / "g" / "B" / "ct.nrrd") == ["A_ct", "B_ct"]
    assert names(tmp_path / "g" / "A") == names(tmp_path / "g" / "A" / "ct.nrrd") == ["ct"]


def test_folders_that_make_a_name_too_long_fail_their_case_alone(root: Path) -> None:
    for number in range(2):
        write_tiny(root / "cases" / ("n" * 120) / ("m" * 80) / f"{number}.nrrd")
    found = find_inputs([root / "cases"])
    assert len({scan.name for scan in found.inputs}) == 4
    assert [scan.path.name for scan in found.inputs if scan.fault] == ["0.nrrd", "1.nrrd"]


APART = {
    ".nrrd": "NRRD0004\ntype: short\ndimension: 3\nsizes: 6 5 4\nencoding: raw\n{}: a.raw\n",
    ".mha": "NDims = 3\nDimSize = 6 5 4\nElementType = MET_SHORT\n{} = a.raw\n",
}
"""Headers of images whose values lie in another file."""


@pytest.mark.parametrize(
    ("suffix", "field"),
    [(".nrrd", "data file"), (".nrrd", "Datafile"), (".mha", "ElementDataFile")],
)
@pytest.mark.parametrize("anonymise", [False, True])
def test_an_image_in_two_files_is_refused(
    suffix: str, field: str, anonymise: bool, tmp_path: Path
) -> None:
    """Its hash would be the header's alone: two patients' scans would pass for one."""
    path = tmp_path / f"a{suffix}"
    path.write_text(APART[suffix].format(field))
    (tmp_path / "a.raw").write_bytes(bytes(240))
    given = find_inputs([path]).inputs
    given = numbered(given, {}) if anonymise else given
    title = "case-001" if anonymise else str(path)
    with pytest.raises(OrganNetError) as error:
        given[0].sha256()
    assert str(error.value) == f"{title} has its values in another file: save it as one file"


@pytest.mark.parametrize(
    ("suffix", "header"),
    [
        (".nrrd", "NRRD0004\nsizes: 6 5 4\ndata file:=a note\n\n\ndata file: "),
        (".mha", "NDims = 3\nElementDataFile = Local\nElementDataFile = "),
        (".mha", "NDims = 3\nElementDataFile = LOCAL\nElementDataFile = "),
        (".mha", ""),
        (".nii", "\ndata file: "),
    ],
)
def test_an_image_in_one_file_is_not_taken_for_two(
    suffix: str, header: str, tmp_path: Path
) -> None:
    """Keys of a writer's own, and values, say nothing; what is damaged, reading will tell."""
    path = tmp_path / f"a{suffix}"
    path.write_text(header)
    assert len(Input("a", path).sha256()) == 64


def test_what_a_mac_hides_in_a_study_does_not_change_it(tmp_path: Path) -> None:
    """As .DS_Store and ._IM0001 do, which come when a folder is looked at, or copied to a disk."""
    images = ct_series(head_hu((3, 6, 7)))
    write_images(images, tmp_path / "study")
    given = Input("study", tmp_path / "study", "DICOM")
    before = given.sha256()
    (tmp_path / "study" / ".DS_Store").write_bytes(b"Bud1")
    (tmp_path / "study" / "._IM0000").write_bytes(b"\0\5\x16\7")
    assert given.sha256() == before
    write_images(images[:1], tmp_path / "other")[0].rename(tmp_path / "study" / ".IM0000")
    assert given.sha256() != before, "a hidden image is read, so it counts"


def test_anonymous_cases_are_numbered(root: Path) -> None:
    inputs = find_inputs([root / "cases", root / "c.nrrd"]).inputs
    assert [scan.name for scan in numbered(inputs, {})] == ["case-001", "case-002", "case-003"]
    known = {inputs[2].sha256(): ["case-002"]}
    write_tiny(root / "cases" / "A" / "img.nrrd", 5)
    assert len({scan.sha256() for scan in inputs}) == 2  # B and c have the same bytes
    again = numbered(inputs, known)
    assert [scan.name for scan in again] == ["case-001", "case-002", "case-003"]
    assert [scan.sha256() for scan in again] == [scan.sha256() for scan in inputs]


def test_messages_of_anonymous_cases_have_no_path(tmp_path: Path) -> None:
    gone = numbered([Input("Erika", tmp_path / "Mustermann" / "Erika.nrrd")], {})[0]
    with pytest.raises(OrganNetError, match=r"^case-001 does not exist: check the path$"):
        gone.sha256()
    write_tiny(gone.path)
    assert why_not(gone, ("rtstruct",)).startswith("case-001 is no DICOM")


@pytest.mark.parametrize(
    ("given", "out", "formats", "why"),
    [
        ("c.nrrd", ".", ("nrrd",), "replace an input"),
        ("cases", "cases", ("masks",), "replace an input"),
    ],
)
def test_no_input_is_overwritten(
    given: str, out: str, formats: tuple[str, ...], why: str, root: Path
) -> None:
    with pytest.raises(OrganNetError, match=why):
        apart(find_inputs([root / given]).inputs, formats, False, root / out)


@pytest.mark.parametrize("deep", [False, True])
def test_of_two_that_would_be_one_file_the_second_has_a_fault(deep: bool, root: Path) -> None:
    write_tiny(root / "c_entropy.nrrd")
    inputs = apart(find_inputs([root / "c*.nrrd"]).inputs, ("nrrd",), deep, root / "out")
    assert {given.name: bool(given.fault) for given in inputs} == {"c": False, "c_entropy": deep}
    if deep:
        with pytest.raises(OrganNetError, match=r"written to c_entropy\.nrrd as .* is: ren"):
            inputs[1].sha256()


def test_a_link_to_itself_fails_by_itself(tmp_path: Path) -> None:
    (tmp_path / "round.nrrd").symlink_to("round.nrrd")
    write_tiny(tmp_path / "whole.nrrd")
    inputs = apart(find_inputs([tmp_path]).inputs, ("nrrd",), False, tmp_path / "out")
    assert "whole" in [given.name for given in inputs if not given.fault]
    (broken,) = [given for given in inputs if given.name == "round"]
    with pytest.raises(OrganNetError):
        broken.sha256()


def test_an_output_beside_its_input_is_fine(root: Path) -> None:
    apart(find_inputs([root / "c.nrrd"]).inputs, ("nifti",), False, root)
    inputs = find_inputs([root / "cases" / "A"]).inputs
    apart(inputs, ("masks",), False, root / "cases" / "A" / "out")


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
