"""What may not be read, or bears no possible name, is a case that fails and stops no other."""

import io
import os
import re
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from batch_parts import write_tiny
from dicom_parts import ct_series, head_hu, write_images

from organnet.batch.finding import find_inputs, numbered
from organnet.batch.formats import apart
from organnet.batch.inputs import Input
from organnet.batch.worker import Answer, _answer
from organnet.dicom.ct import read_dicom_ct
from organnet.errors import OrganNetError

WHY = "cannot be read (Permission denied): check its permissions"


@pytest.fixture
def close(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Lets nobody look into a folder, not even root, as whom a container runs the tests."""

    def close(folder: Path) -> None:
        def refusing(call: Callable, inside: Callable[[Path], bool]) -> Callable:
            def refuse(path=".", *args, **options):
                if isinstance(path, str | Path) and inside(Path(path)):
                    raise PermissionError(13, "Permission denied", str(path))
                return call(path, *args, **options)

            return refuse

        for name in ("scandir", "listdir"):
            look = refusing(getattr(os, name), lambda path: path.is_relative_to(folder))
            monkeypatch.setattr(os, name, look)
        look = refusing(os.stat, lambda path: folder in path.parents)
        monkeypatch.setattr(os, "stat", look)

    return close


def test_a_closed_folder_fails_by_itself_however_it_is_given(tmp_path: Path, close) -> None:
    closed, other = tmp_path / "closed", write_tiny(tmp_path / "c.nrrd")
    write_tiny(closed / "scan.nrrd")
    close(closed)
    for given in (tmp_path, closed, closed / "scan.nrrd"):
        found = find_inputs([given, other])
        faults = {scan.name: scan.fault for scan in found.inputs}
        assert faults.pop("c") == "" and list(faults.values()) == [WHY]
        apart(found.inputs, ("nrrd",), False, tmp_path / "out")


@pytest.mark.parametrize("name", ["n" * 300, "n" * 300 + ".nrrd", "n" * 300 + "/scan.nrrd"])
def test_a_name_that_no_file_can_have_fails_by_itself(name: str, tmp_path: Path) -> None:
    found = find_inputs([tmp_path / name, write_tiny(tmp_path / "c.nrrd")])
    assert [bool(scan.fault) for scan in found.inputs] == [True, False]
    with pytest.raises(OrganNetError, match=r"more than 200 bytes|File name too long"):
        found.inputs[0].sha256()


def test_patients_beside_a_closed_folder_are_found(tmp_path: Path, close) -> None:
    """One patient's DICOM and what nobody may see: not one study that cannot be read."""
    write_images(ct_series(head_hu((3, 6, 7))), tmp_path / "patients" / "A")
    (tmp_path / "patients" / "closed").mkdir()
    close(tmp_path / "patients" / "closed")
    found = find_inputs([tmp_path / "patients"])
    assert {scan.name: scan.fault for scan in found.inputs} == {"A": "", "closed": WHY}


@pytest.mark.parametrize("anonymise", [False, True])
def test_a_study_with_a_closed_folder_in_it_is_not_hashed_without_it(
    anonymise: bool, tmp_path: Path, close
) -> None:
    study, closed = tmp_path / "study", tmp_path / "study" / "Alice_Archer"
    write_images(ct_series(head_hu((3, 6, 7))), study)
    closed.mkdir()
    close(closed)
    (given,) = find_inputs([study]).inputs
    given = numbered([given], {})[0] if anonymise else given
    apart([given], ("nrrd",), False, tmp_path / "out")
    with pytest.raises(OrganNetError) as error:
        given.sha256()
    assert str(error.value) == f"{'case-001' if anonymise else closed} {WHY}"


def test_what_is_closed_in_an_anonymous_study_is_not_named(tmp_path: Path, close) -> None:
    """By the time of hashing it was open: the reader's own words."""
    write_images(ct_series(head_hu((3, 6, 7))), tmp_path)
    write_images(ct_series(head_hu((3, 6, 7))), tmp_path / "Alice_Archer")
    close(tmp_path / "Alice_Archer")
    with pytest.raises(OrganNetError, match=f"Alice_Archer {re.escape(WHY)}$"):
        read_dicom_ct(tmp_path)
    with pytest.raises(OrganNetError, match=f"{tmp_path} or what lies in it {re.escape(WHY)}$"):
        read_dicom_ct(tmp_path, anonymise=True)


def test_a_file_that_is_closed_in_an_anonymous_study_is_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's own message of it ends in its path."""
    (tmp_path / "Alice_Archer.dcm").write_bytes(bytes(128) + b"DICM")

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(io, "FileIO", refuse)
    with pytest.raises(OrganNetError, match=r"file 1 is .*damaged \(Permission denied\)") as error:
        read_dicom_ct(tmp_path, anonymise=True)
    assert "Alice" not in str(error.value)


def test_a_damaged_member_of_an_anonymous_zip_is_not_named(tmp_path: Path) -> None:
    path = tmp_path / "case-001.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in write_images(ct_series(head_hu((3, 6, 7))), tmp_path / "images"):
            archive.write(file, f"Alice_Archer/{file.name}")
    content = bytearray(path.read_bytes())
    content[content.index(b"DICM") + 600] ^= 1  # its checksum tells
    path.write_bytes(content)
    with pytest.raises(OrganNetError, match=r"cannot be unpacked .*Alice_Archer"):
        read_dicom_ct(path)
    with pytest.raises(OrganNetError, match=r"zip cannot be unpacked \(BadZipFile\)"):
        read_dicom_ct(path, anonymise=True)


def test_an_unexpected_error_of_an_anonymous_case_is_told_without_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)  # which the worker's process sets

    def fail(given: Input, folder: Path) -> Answer:
        raise FileNotFoundError(2, "No such file", "case-001/Alice_Archer/IM0001")

    for named in (True, False):
        said = _answer(fail, Input("a", tmp_path, names_path=named), tmp_path).message
        assert said.startswith("unexpected FileNotFoundError")
        assert ("Alice_Archer" in said) == named


def test_a_file_that_is_closed_when_its_turn_comes_is_one_line(tmp_path: Path, close) -> None:
    given = Input("scan", write_tiny(tmp_path / "closed" / "scan.nrrd"))
    close(tmp_path / "closed")
    with pytest.raises(OrganNetError, match=r"scan\.nrrd cannot be read \(Permission denied\)"):
        given.sha256()


def test_what_cannot_be_read_keeps_its_number_as_others_do(tmp_path: Path) -> None:
    absent, there = tmp_path / "absent.nrrd", write_tiny(tmp_path / "there.nrrd")
    inputs = find_inputs([absent, there]).inputs
    first = numbered(inputs, {})
    assert [scan.name for scan in first] == ["case-001", "case-002"]
    known = {"": ["case-001"]}  # killed after the first
    assert [scan.name for scan in numbered(inputs, known)] == ["case-001", "case-002"]
    known[first[1].sha256()] = ["case-002"]
    assert [scan.name for scan in numbered(inputs, known)] == ["case-001", "case-002"]
