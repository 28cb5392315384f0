"""RT Structure Sets as they are written: nothing is lost, nothing moves, nothing is left unsaid."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtstruct_parts import (
    ROOT,
    label_map,
    read_by_plastimatch,
    rotation,
    series_of,
    series_on,
    validated,
)

from organnet.dicom.names import TG263
from organnet.dicom.places import on_grid
from organnet.dicom.rtstruct import read_rtstruct, write_rtstruct
from organnet.errors import OrganNetError
from organnet.organs import UNKNOWN, organ
from organnet.volume import Volume, same_grid, to_lps


def known(labels: Volume) -> np.ndarray:
    return np.where(labels.array == UNKNOWN, 0, labels.array)


def points_of(dataset: pydicom.Dataset, name: str) -> np.ndarray:
    """All points of a structure, x, y, z as they stand in the file."""
    (number,) = (s.ROINumber for s in dataset.StructureSetROISequence if s.ROIName == name)
    (found,) = (c for c in dataset.ROIContourSequence if c.ReferencedROINumber == number)
    return np.concatenate(
        [np.array(c.ContourData, float).reshape(-1, 3) for c in found.ContourSequence]
    )


def test_a_label_map_comes_back(tmp_path: Path) -> None:
    labels = label_map()
    series = series_on(labels)
    write_rtstruct(series, labels, tmp_path / "new" / "rs.dcm")
    again, drawn, notes = read_rtstruct(tmp_path / "new" / "rs.dcm", series)
    assert np.array_equal(again.array, known(labels))
    assert same_grid(again, labels)
    names = ("BrainStem", "Mandible", "Parotid_L", "OpticNerve_R")
    assert drawn == {name: TG263[name] for name in names}
    assert notes == ()


@given(
    turn=st.tuples(*[st.floats(-3, 3)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 4)] * 3),
    origin=st.tuples(*[st.floats(-900, 900)] * 3),
    at=st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 6)),
)
@settings(max_examples=20, deadline=None)
def test_every_voxel_keeps_its_place(tmp_path_factory, turn, spacing, origin, at) -> None:
    array = np.zeros((3, 6, 7), np.uint8)
    array[at] = organ("Parotid_L").label
    labels = Volume(array, spacing, origin, rotation(np.array(turn)))
    path = tmp_path_factory.mktemp("rs") / "rs.dcm"
    series = series_on(labels)
    write_rtstruct(series, labels, path)
    # The middle of the voxel's diamond, in the file's own numbers
    x_y_z = points_of(pydicom.dcmread(path), "Parotid_L")
    assert len(x_y_z) == 4
    assert x_y_z.mean(axis=0)[::-1] == pytest.approx(labels.position_mm(at), abs=1e-5)
    assert np.array_equal(read_rtstruct(path, series)[0].array, array)


def test_left_stays_left(tmp_path: Path) -> None:
    """Stored with x and y running the other way, as scans of prone or turned patients are."""
    array = np.zeros((3, 8, 40), np.uint8)
    array[1, 2:5, 2:6], array[1, 2:5, 34:38] = organ("Parotid_L").label, organ("Parotid_R").label
    turned = Volume(array, (3.0, 1.0, 1.0), (0.0, 20.0, 20.0), np.diag([1.0, -1.0, -1.0]))
    series = series_on(turned)
    write_rtstruct(series, turned, tmp_path / "rs.dcm")
    dataset = pydicom.dcmread(tmp_path / "rs.dcm")
    assert points_of(dataset, "Parotid_L")[:, 0].min() > points_of(dataset, "Parotid_R")[:, 0].max()
    lps = to_lps(read_rtstruct(tmp_path / "rs.dcm", series)[0])
    x = {n: np.nonzero(lps.array == organ(n).label)[2].mean() for n in ("Parotid_L", "Parotid_R")}
    assert x["Parotid_L"] > x["Parotid_R"]


# What the file says


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Volume, Path]:
    labels = label_map()
    path = tmp_path_factory.mktemp("rs") / "rs.dcm"
    write_rtstruct(series_on(labels), labels, path)
    return labels, path


def test_structures_are_named_coloured_and_marked_as_automatic(written) -> None:
    dataset = pydicom.dcmread(written[1])
    names = ["BrainStem", "Mandible", "OpticNerve_R", "Parotid_L"]
    structures = dataset.StructureSetROISequence
    assert [s.ROIName for s in structures] == [TG263[name] for name in names]
    assert {s.ROIGenerationAlgorithm for s in structures} == {"AUTOMATIC"}
    assert {s.ReferencedFrameOfReferenceUID for s in structures} == {f"{ROOT}.4"}
    for said in (structures[0].ROIGenerationDescription, dataset.SeriesDescription):
        assert said.startswith("organnet ") and "not for clinical use" in said and len(said) <= 64
    colours = [list(bytes.fromhex(organ(name).colour[1:])) for name in names]
    assert [list(c.ROIDisplayColor) for c in dataset.ROIContourSequence] == colours
    observations = dataset.RTROIObservationsSequence
    assert {o.RTROIInterpretedType for o in observations} == {"ORGAN"}
    assert [o.ReferencedROINumber for o in observations] == [s.ROINumber for s in structures]
    assert dataset.Modality == "RTSTRUCT" and dataset.ApprovalStatus == "UNAPPROVED"


def test_it_refers_to_its_ct(written) -> None:
    labels, path = written
    dataset = pydicom.dcmread(path)
    images = series_on(labels).images
    (frame,) = dataset.ReferencedFrameOfReferenceSequence
    (study,) = frame.RTReferencedStudySequence
    (series,) = study.RTReferencedSeriesSequence
    assert dataset.FrameOfReferenceUID == frame.FrameOfReferenceUID == f"{ROOT}.4"
    assert dataset.StudyInstanceUID == study.ReferencedSOPInstanceUID == f"{ROOT}.1"
    assert series.SeriesInstanceUID == f"{ROOT}.2" != dataset.SeriesInstanceUID
    uids = [image.header.SOPInstanceUID for image in images]
    assert [r.ReferencedSOPInstanceUID for r in series.ContourImageSequence] == uids
    for of_structure in dataset.ROIContourSequence:
        for n, contour in enumerate(of_structure.ContourSequence, start=1):
            (reference,) = contour.ContourImageSequence
            z = images[uids.index(reference.ReferencedSOPInstanceUID)].origin_mm[0]
            assert set(contour.ContourData[2::3]) == {z}
            assert contour.NumberOfContourPoints == len(contour.ContourData) // 3
            assert (contour.ContourNumber, contour.ContourGeometricType) == (n, "CLOSED_PLANAR")


def test_the_same_input_gives_the_same_bytes_and_another_gives_other_uids(
    written, tmp_path: Path
) -> None:
    labels, path = written
    series = series_on(labels)
    write_rtstruct(series, labels, tmp_path / "again.dcm")
    assert (tmp_path / "again.dcm").read_bytes() == path.read_bytes()
    other = labels.with_array(np.where(labels.array == 3, 1, labels.array))
    write_rtstruct(series, other, tmp_path / "labels.dcm")
    for image in series.images:
        image.header.SeriesInstanceUID = f"{ROOT}.22"
    write_rtstruct(series, labels, tmp_path / "series.dcm")
    datasets = [pydicom.dcmread(p) for p in (path, *sorted(tmp_path.glob("[ls]*.dcm")))]
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        assert len({d[keyword].value for d in datasets}) == 3


def test_it_is_the_patients(written) -> None:
    dataset = pydicom.dcmread(written[1])
    header = series_on(written[0]).images[0].header
    for keyword in (
        *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
        *("StudyID", "StudyDescription", "AccessionNumber", "ReferringPhysicianName"),
    ):
        assert dataset[keyword].value == header[keyword].value
    assert dataset.StructureSetDate == dataset.StructureSetTime == ""


def test_an_anonymous_one_tells_nothing_of_the_patient(written, tmp_path: Path) -> None:
    labels, path = written
    series = series_on(labels)
    for n in range(2):
        write_rtstruct(series, labels, tmp_path / f"{n}.dcm", alias="case-007")
    content = (tmp_path / "0.dcm").read_bytes()
    assert content == (tmp_path / "1.dcm").read_bytes()
    private = (b"Nora", b"Nobody", b"N-0001", b"19500102", b"Who", b"A77", b"HEAD")
    assert all(text in path.read_bytes() for text in private)
    assert not [text for text in private if text in content]
    dataset = pydicom.dcmread(tmp_path / "0.dcm")
    assert dataset.PatientName == "case-007"
    assert re.fullmatch("case-007-[0-9a-f]{8}", dataset.PatientID)
    assert dataset.PatientBirthDate == dataset.PatientSex == ""
    assert dataset.SOPInstanceUID != pydicom.dcmread(path).SOPInstanceUID
    assert np.array_equal(read_rtstruct(tmp_path / "0.dcm", series)[0].array, known(labels))


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192"])
def test_names_of_other_letters_are_kept(tmp_path: Path, charset: str) -> None:
    labels = label_map()
    series = series_on(labels)
    header = series.images[0].header
    header.SpecificCharacterSet = charset
    header.PatientName = "Müller^Jörg"
    write_rtstruct(series, labels, tmp_path / "rs.dcm")
    assert str(pydicom.dcmread(tmp_path / "rs.dcm").PatientName) == "Müller^Jörg"


def test_a_ct_with_a_bare_header_is_enough(tmp_path: Path) -> None:
    labels = label_map()
    series = series_on(labels)
    for image in series.images:
        for element in list(image.header):
            if not element.keyword.endswith("UID"):
                del image.header[element.tag]
    write_rtstruct(series, labels, tmp_path / "rs.dcm")
    assert pydicom.dcmread(tmp_path / "rs.dcm").PatientName == ""
    del series.images[0].header.FrameOfReferenceUID
    with pytest.raises(OrganNetError, match=r"^the CT series has no FrameOfReferenceUID"):
        write_rtstruct(series, labels, tmp_path / "other.dcm")


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    labels = label_map()
    series = series_on(labels)
    none = labels.with_array(np.where(labels.array == UNKNOWN, labels.array, 0))
    with pytest.raises(OrganNetError, match="holds no organ"):
        write_rtstruct(series, none, tmp_path / "rs.dcm")
    with pytest.raises(OrganNetError, match="voxels and the CT"):
        write_rtstruct(series, label_map((6, 24, 28)), tmp_path / "rs.dcm")
    (tmp_path / "file").write_text("")
    with pytest.raises(OrganNetError, match="cannot write"):
        write_rtstruct(series, labels, tmp_path / "file" / "rs.dcm")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# Series whose images are not the grid of their volume


def test_images_of_a_tilted_scanner_are_brought_onto_the_grid() -> None:
    """By brute force: each voxel takes the nearest of all pixels, or none beyond half a slice."""
    labels = Volume(np.zeros((4, 9, 8), np.int16), (2.5, 1.1, 0.9), (-31.25, -120.5, 43.7))
    series = series_of(labels)
    images = tuple(  # each image pushed up along y, and pixels a little larger
        dataclasses.replace(
            image,
            origin_mm=image.origin_mm + np.array([0.4 * n, 0.8 * n - 1.0, 0.3]),
            steps_mm=image.steps_mm * 1.07,
        )
        for n, image in enumerate(series.images)
    )
    tilted = dataclasses.replace(series, images=images)
    pixels = np.random.default_rng(1).integers(0, 10, (4, 9, 8)).astype(np.uint8)
    found = on_grid(tilted, pixels)
    assert found.array.any() and same_grid(found, labels)
    for index in np.ndindex(labels.shape):
        z, y, x = labels.position_mm(index)
        heights = np.array([image.origin_mm[0] for image in images])
        n = int(np.abs(heights - z).argmin())
        row = round((y - images[n].origin_mm[1]) / images[n].steps_mm[0, 1])
        column = round((x - images[n].origin_mm[2]) / images[n].steps_mm[1, 2])
        inside = 0 <= row < 9 and 0 <= column < 8
        inside &= abs(heights[n] - z) <= np.diff(heights)[0] / 2
        assert found.array[index] == (pixels[n, row, column] if inside else 0)


# Readers and validators that are not ours


def test_dciodvfy_finds_no_error(written, tmp_path: Path) -> None:
    labels, path = written
    write_rtstruct(series_on(labels), labels, tmp_path / "anonymous.dcm", alias="case-007")
    validated("RTStructureSet", path, tmp_path / "anonymous.dcm")


def test_plastimatch_reads_the_same_voxels(written, tmp_path: Path) -> None:
    labels, path = written
    found = read_by_plastimatch(path, series_on(labels).ct, tmp_path)
    assert set(found) == {"BrainStem", "Mandible", "Parotid_L", "OpticNerve_R"}
    for name, again in found.items():
        mask = labels.array == organ(name).label
        assert same_grid(again, labels) and np.array_equal(again.array > 0, mask), name
