"""Which files are read: one CT series of a folder or .zip, among whatever lies beside it."""

import shutil
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dicom_parts import ct_series, head_hu, refused, series, write_images
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    MRImageStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from organnet.dicom import files
from organnet.dicom.ct import read_dicom_ct
from organnet.dicom.header import MOST_INFLATED_BYTES, DicomFile, begins_like_dicom, read_header
from organnet.dicom.studies import holds_one_study
from organnet.errors import OrganNetError

SHAPE = (3, 6, 7)
HU = head_hu(SHAPE)


def check(path: Path, warnings: tuple[str, ...] = ()) -> None:
    found = read_dicom_ct(path)
    assert np.array_equal(found.ct.array, HU)
    assert found.warnings == warnings


# --- files ----------------------------------------------------------------------------------


def test_other_files_and_deeper_folders_do_not_matter(tmp_path: Path) -> None:
    for n, image in enumerate(ct_series(HU)):
        write_images([image], tmp_path / f"disc/{n}/.deep")
    (tmp_path / "README.txt").write_text("08 this is no DICOM\n" * 20)
    (tmp_path / "disc/._IM0000.dcm").write_bytes(b"\x08\x00")
    (tmp_path / "disc/notes").write_bytes(b"\x08\x00")
    (tmp_path / "disc/nowhere").symlink_to(tmp_path / "gone")
    directory = ct_series(HU)[0]
    directory.SOPClassUID = MediaStorageDirectoryStorage
    del directory.Modality
    write_images([directory], tmp_path / "DICOMDIR")
    check(tmp_path)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_files_without_a_preamble(syntax, tmp_path: Path) -> None:
    for n, image in enumerate(ct_series(HU)):
        del image.file_meta
        swapped = np.frombuffer(image.PixelData, "<u2").astype(">u2").tobytes()
        if syntax == ExplicitVRBigEndian:
            image.PixelData = swapped
        implicit = syntax == ImplicitVRLittleEndian
        image.save_as(tmp_path / str(n), implicit_vr=implicit, little_endian=implicit)
        assert (tmp_path / str(n)).read_bytes()[128:132] != b"DICM"
    check(tmp_path)


def test_files_that_begin_with_their_meta_elements(tmp_path: Path) -> None:
    for path in write_images(ct_series(HU), tmp_path):
        path.write_bytes(path.read_bytes()[132:])
    check(tmp_path)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_every_uncompressed_syntax(syntax, tmp_path: Path) -> None:
    images = ct_series(HU)
    for image in images:
        image.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            image.PixelData = np.frombuffer(image.PixelData, "<u2").astype(">u2").tobytes()
    write_images(images, tmp_path)
    check(tmp_path)


def test_a_file_that_would_inflate_without_end_is_refused(tmp_path: Path) -> None:
    image = ct_series(HU)[0]
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    image.add_new((0x0009, 0x1001), "OB", bytes(MOST_INFLATED_BYTES))
    (path,) = write_images([image], tmp_path)
    assert path.stat().st_size < MOST_INFLATED_BYTES / 500
    with pytest.raises(OrganNetError, match=r"damaged \(it inflates to more than 200 MB\)"):
        read_header(DicomFile(path, str(path)))


@pytest.mark.parametrize(
    "head",
    [
        *(b"", b"DICM", b"\x08\x00\x05\x00", b"\x08\x00\x05\x00\xff\xff\xff\x7f"),
        *(b"\x08\x00\x00\x10CS\x0a\x00", b"\x00\x08\x00\x05\x0a\x00\x00\x00", b"hello, world"),
        b"x" * 132,
    ],
)
def test_what_does_not_begin_like_dicom(head: bytes) -> None:
    assert not begins_like_dicom(head)


def test_values_against_the_standard_are_read_in_silence(tmp_path: Path) -> None:
    paths = write_images(ct_series(HU), tmp_path)
    for path in paths:
        content = path.read_bytes()
        assert b"Nobody" in content and b"HEAD 2.5" in content
        content = content.replace(b"LO\x08\x00HEAD 2.5", b"DA\x08\x00HEAD 2.5")
        path.write_bytes(content.replace(b"PN\x06\x00Nobody", b"UI\x06\x00Nob\xffdy"))
    check(tmp_path)


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "no", "does not exist")
    path = write_images(ct_series(HU), tmp_path / "a")[0]
    refused(path, "is one file: give the folder or .zip")
    refused(path.rename(path.with_suffix(".zip")), "is damaged, or no .zip")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no DICOM images")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("IM0099", b"", True),
        ("IM0099", b"cut off", True),  # like IM0000 beside it
        ("last.DCM", b"\x08\x00", True),
        ("last.IMA", bytes(999), True),
        ("empty", b"", True),
        ("deeper/IM0099", b"cut off", False),  # beside no file of DICOM
        ("IMAGES", b"cut off", False),
        (".IM0099", b"", False),
    ],
)
def test_files_cut_off_by_copying_are_told(
    name: str, content: bytes, told: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "Archer_Alice"
    paths = write_images(ct_series(HU), folder)
    lost = folder / name
    lost.parent.mkdir(exist_ok=True)
    lost.write_bytes(content)
    expected = f"1 file is empty or damaged and left out, first {name}: "
    members = {f"Archer/{path.relative_to(folder)}": path for path in [*paths, lost]}
    for given in (folder, zipped(tmp_path, members)):
        warnings = read_dicom_ct(given).warnings
        assert len(warnings) == told
        assert not told or warnings[0].startswith(expected)


def test_the_files_cut_off_are_counted(tmp_path: Path) -> None:
    images = ct_series(head_hu((6, 6, 7)))
    for path in write_images(images, tmp_path)[-2:]:
        path.write_bytes(b"")
    found = read_dicom_ct(tmp_path)
    assert found.ct.shape[0] == 4
    assert found.warnings[0].startswith("2 files are empty or damaged and left out, first IM")


@pytest.mark.parametrize("keyword", ["Modality", "SeriesInstanceUID"])
def test_a_file_that_says_nothing_is_refused(keyword: str, tmp_path: Path) -> None:
    images = ct_series(HU)
    del images[1][keyword]
    path = write_images(images, tmp_path)[1]
    refused(tmp_path, f"{path} is truncated or damaged")


# --- which series ---------------------------------------------------------------------------


def test_the_ct_with_the_most_images_is_taken(tmp_path: Path) -> None:
    write_images(series(2, "THIN", 4), tmp_path / "2")
    write_images(series(4, "OTHER\r\nKERNEL", 3), tmp_path / "4")
    write_images(series(5, "T1", 9, Modality="MR", SOPClassUID=MRImageStorage), tmp_path / "5")
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    write_images(series(1, "SCOUT", 6, **scout), tmp_path / "1")
    report = {"SOPClassUID": SecondaryCaptureImageStorage}
    write_images(series(9, "DOSE", 7, **report), tmp_path / "9")
    found = read_dicom_ct(tmp_path)
    assert np.array_equal(found.ct.array, head_hu((4, 6, 7), seed=2))
    (warning,) = found.warnings
    assert warning.startswith("took series 2 (THIN): CT, 4 files, left aside series")
    for part in ("4 (OTHER KERNEL): CT, 3 files", "5 (T1): MR, 9", "1 (SCOUT): CT localizer, 6"):
        assert part in warning
    assert "9 (DOSE): CT that is no slices, 7 files" in warning


def test_a_localizer_within_the_series_is_left_aside(tmp_path: Path) -> None:
    images = ct_series(HU)
    scout = ct_series(HU)[0]
    scout.ImageType, scout.SOPInstanceUID = ["ORIGINAL", "PRIMARY", "LOCALIZER"], generate_uid()
    scout.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    write_images([*images, scout], tmp_path)
    found = read_dicom_ct(tmp_path)
    assert np.array_equal(found.ct.array, HU)
    assert "left aside series 3 (HEAD 2.5): CT localizer, 1 file" in found.warnings[0]


def test_of_two_alike_the_one_with_the_smaller_uid_is_taken(tmp_path: Path) -> None:
    for number, uid in ((7, "1.2.9"), (8, "1.2.3")):
        write_images(series(number, SeriesInstanceUID=uid), tmp_path / str(number))
    assert read_dicom_ct(tmp_path).warnings[0].startswith("took series 8: CT, 3 files")


def test_the_ct_that_was_drawn_on_is_taken_before_the_one_with_most_images(tmp_path: Path) -> None:
    write_images(series(2, "THIN", 9), tmp_path / "2")
    thick = series(4, "THICK", 4)
    write_images(thick, tmp_path / "4")
    for named in ({thick[0].SeriesInstanceUID}, {thick[1].SOPInstanceUID, "1.2.3"}):
        found = read_dicom_ct(tmp_path, frozenset(named))
        assert np.array_equal(found.ct.array, head_hu((4, 6, 7), seed=4))
        (warning,) = found.warnings
        assert warning.startswith("took series 4 (THICK)")
        assert warning.endswith("the CT that was drawn on is taken")
    assert read_dicom_ct(tmp_path, frozenset({"1.2.3"})).ct.shape == (9, 6, 7)


@pytest.mark.parametrize(
    ("keyword", "what"),
    [
        ("PatientID", "patients"),
        ("PatientName", "patients"),
        ("PatientBirthDate", "patients"),
        ("FrameOfReferenceUID", "positionings"),
    ],
)
def test_a_mixed_series_is_refused(keyword: str, what: str, tmp_path: Path) -> None:
    images = ct_series(HU)
    for image in images:
        setattr(image, keyword, "20010203" if image is images[1] else "19500101")
    write_images(images, tmp_path)
    refused(tmp_path, rf"series 3 \(HEAD 2.5\) mixes 2 {what} \({keyword}\)")


def test_series_of_two_patients_are_refused(tmp_path: Path) -> None:
    write_images(series(2, count=4), tmp_path / "2")
    write_images(series(4, PatientID="P2"), tmp_path / "4")
    refused(tmp_path, r"CTs of 2 patients \(PatientID\)")


def test_patients_without_an_id_are_told_apart_and_not_named(tmp_path: Path) -> None:
    """All in one folder, as a disc may be copied."""
    alice = series(2, count=4, PatientID="", PatientName="Archer^Alice")
    bob = series(4, PatientID="", PatientName="Archer^Bob")
    write_images([*alice, *bob], tmp_path)
    assert holds_one_study(tmp_path)
    with pytest.raises(OrganNetError, match=r"CTs of 2 patients \(PatientName\)") as error:
        read_dicom_ct(tmp_path)
    assert "Archer" not in str(error.value)


def test_one_patients_name_may_be_spelt_in_two_ways(tmp_path: Path) -> None:
    write_images(series(2, count=4, PatientName="Archer^Alice"), tmp_path / "2")
    write_images(series(4, PatientName="ARCHER^ALICE^^^"), tmp_path / "4")
    assert read_dicom_ct(tmp_path).ct.shape == (4, 6, 7)


def test_where_there_is_no_ct_the_line_names_what_is_there(tmp_path: Path) -> None:
    write_images(series(5, Modality="MR", SOPClassUID=MRImageStorage), tmp_path / "5")
    structures = {"Modality": "RTSTRUCT", "SOPClassUID": RTStructureSetStorage}
    write_images(series(6, count=1, **structures), tmp_path / "6")
    refused(tmp_path, r"no CT series but MR \(3\), RTSTRUCT \(1\): give the folder")


def test_an_enhanced_ct_is_refused_by_name(tmp_path: Path) -> None:
    write_images(series(5, count=1, SOPClassUID=EnhancedCTImageStorage), tmp_path)
    refused(tmp_path, r"enhanced CT \(1\): convert the enhanced \(multi-frame\) CT")


# --- .zip -----------------------------------------------------------------------------------


def zipped(folder: Path, members: dict[str, Path], **options: object) -> Path:
    path = folder / "series.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in members.items():
            archive.write(file, name)
    return path


def test_a_member_without_a_name_is_read(tmp_path: Path) -> None:
    paths = write_images(ct_series(HU), tmp_path / "a")
    path = zipped(tmp_path, {"x": paths[0], **{p.name: p for p in paths[1:]}})
    content = bytearray(path.read_bytes())
    for header, at in ((b"PK\3\4", 26), (b"PK\1\2", 28)):  # its one letter is no name now
        struct.pack_into("<2H", content, content.index(header) + at, 0, 1)
    path.write_bytes(content)
    assert np.array_equal(read_dicom_ct(path).ct.array, HU)


def test_a_zip_is_read_and_nothing_stays(tmp_path: Path, monkeypatch) -> None:
    unpacked_to = tmp_path / "temporary"
    unpacked_to.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(unpacked_to))
    paths = write_images(ct_series(HU), tmp_path / "a")
    (tmp_path / "notes.txt").write_text("no DICOM")
    members = {f"series/{path.name}": path for path in paths}
    check(zipped(tmp_path, {**members, "notes.txt": tmp_path / "notes.txt"}))
    assert list(unpacked_to.iterdir()) == []


def test_a_zip_writes_nowhere_else(tmp_path: Path) -> None:
    paths = write_images(ct_series(HU), tmp_path / "a")
    names = ["../../evil.dcm", str(tmp_path / "evil.dcm"), "a/../../evil.dcm"]
    path = zipped(tmp_path, dict(zip(names, paths, strict=True)))
    shutil.rmtree(tmp_path / "a")
    check(path)
    assert [one.name for one in tmp_path.iterdir()] == ["series.zip"]


def test_a_message_names_the_member_of_a_zip(tmp_path: Path) -> None:
    images = ct_series(HU)
    del images[1].RescaleSlope
    paths = write_images(images, tmp_path / "a")
    path = zipped(tmp_path, {f"x/{n}": file for n, file in enumerate(paths)})
    refused(path, f"{path}: x/1 has no RescaleSlope")


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch) -> None:
    path = zipped(tmp_path, {p.name: p for p in write_images(ct_series(HU), tmp_path / "a")})
    monkeypatch.setattr(files, "MOST_UNPACKED_BYTES", 2000)
    refused(path, "series.zip unpacks to")


def test_damaged_and_locked_zips_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path, {p.name: p for p in write_images(ct_series(HU), tmp_path / "a")})
    whole = path.read_bytes()
    locked = bytearray(whole)
    locked[whole.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(locked)
    refused(path, "series.zip is locked with a password: unpack it yourself")
    damaged = bytearray(whole)
    damaged[200:260] = bytes(60)
    path.write_bytes(damaged)
    refused(path, "cannot be unpacked")


def test_the_ct_image_class_is_the_one_that_is_read() -> None:
    assert CTImageStorage == "1.2.840.10008.5.1.4.1.1.2"
