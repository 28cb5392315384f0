"""Contours go onto the series they were drawn on, and slices without an image of their own."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_parts import ct_series, head_hu, write_images
from pydicom import Dataset

from organnet.cli import app
from organnet.datasets.pddca import read_case
from organnet.dicom.ct import read_dicom_ct
from organnet.dicom.images import DicomCT
from organnet.dicom.rtstruct import read_rtstruct, write_rtstruct
from organnet.errors import OrganNetError
from organnet.organs import organ
from organnet.volume import Volume

LABEL = organ("Parotid_L").label


def images_of(number: int, step_mm: float, count: int) -> list[Dataset]:
    """A reconstruction of one study: all begin at one place and share its frame of reference."""
    hu = head_hu((count, 12, 14), seed=number)
    images = ct_series(hu, (step_mm, 2.0, 1.0), (10.0, 20.0, 30.0), seed=number)
    for image in images:
        image.FrameOfReferenceUID, image.SeriesNumber = "1.2.3.4", number
    return images


def drawn(series: DicomCT, path: Path) -> Volume:
    """A parotid that grows from slice to slice, but not in the first and last; as a file too."""
    array = np.zeros(series.ct.shape, np.uint8)
    for z in range(1, len(array) - 1):
        array[z, 2:8, 1 : 3 + z % 10] = LABEL
    labels = series.ct.with_array(array)
    write_rtstruct(series, labels, path)
    return labels


def forget(path: Path, *what: str) -> None:
    """Take a structure set's references to images or to the series away."""
    dataset = pydicom.dcmread(path)
    (frame,) = dataset.ReferencedFrameOfReferenceSequence
    if "images" in what:
        (study,) = frame.RTReferencedStudySequence
        del study.RTReferencedSeriesSequence[0].ContourImageSequence
        for contour in dataset.ROIContourSequence[0].ContourSequence:
            del contour.ContourImageSequence
    if "series" in what:
        del frame.RTReferencedStudySequence
    dataset.save_as(path)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two series of one study: 10 images every 3 mm, and 28 every 1 mm."""
    write_images(images_of(3, 3.0, 10), tmp_path / "study/thick")
    write_images(images_of(1, 1.0, 28), tmp_path / "study/thin")
    return tmp_path / "study"


# --- which series ---------------------------------------------------------------------------


@pytest.mark.parametrize("forgotten", ["nothing", "images", "series"])
def test_the_series_that_was_drawn_on_is_converted(
    study: Path, tmp_path: Path, forgotten: str
) -> None:
    thick = read_dicom_ct(study / "thick")
    labels = drawn(thick, tmp_path / "rs.dcm")
    forget(tmp_path / "rs.dcm", forgotten)
    assert read_dicom_ct(study).ct.shape[0] == 28
    words = ["convert", study, tmp_path / "rs.dcm", "--out", tmp_path / "cases", "--name", "a"]
    app([str(word) for word in words], standalone_mode=False)
    case = read_case(tmp_path / "cases" / "a")
    assert np.array_equal(case.ct.array, thick.ct.array)
    assert np.array_equal(case.labels.array, labels.array)


@pytest.mark.parametrize("forgotten", [(), ("images", "series")])
@pytest.mark.parametrize(("one", "other"), [("thick", "thin"), ("thin", "thick")])
def test_what_was_drawn_on_other_planes_is_refused(
    study: Path, tmp_path: Path, one: str, other: str, forgotten: tuple[str, ...]
) -> None:
    """Every third thin image lies on a thick one."""
    drawn(read_dicom_ct(study / one), tmp_path / "rs.dcm")
    forget(tmp_path / "rs.dcm", *forgotten)
    number = {"thick": 3, "thin": 1}[other]
    with pytest.raises(
        OrganNetError, match=rf"rs.dcm was drawn on another series than CT series {number}, on"
    ) as error:
        read_rtstruct(tmp_path / "rs.dcm", read_dicom_ct(study / other))
    assert "\n" not in str(error.value)


def test_which_series_was_taken_is_said_even_where_it_was_the_wrong_one(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn(read_dicom_ct(study / "thick"), tmp_path / "rs.dcm")
    forget(tmp_path / "rs.dcm", "images", "series")
    words = ["convert", study, tmp_path / "rs.dcm", "--out", tmp_path / "cases", "--name", "a"]
    with pytest.raises(OrganNetError, match="was drawn on another series than CT series 1"):
        app([str(word) for word in words], standalone_mode=False)
    assert "took series 1 (HEAD 2.5): " in capsys.readouterr().err


@pytest.mark.parametrize("forgotten", [(), ("images", "series")])
def test_what_lies_on_the_same_planes_is_taken_and_told(
    study: Path, tmp_path: Path, forgotten: tuple[str, ...]
) -> None:
    """Another kernel's images, or the same with other UIDs."""
    write_images(images_of(8, 3.0, 10), tmp_path / "kernel")
    labels = drawn(read_dicom_ct(study / "thick"), tmp_path / "rs.dcm")
    forget(tmp_path / "rs.dcm", *forgotten)
    read, _, notes = read_rtstruct(tmp_path / "rs.dcm", read_dicom_ct(tmp_path / "kernel"))
    assert np.array_equal(read.array, labels.array)
    assert notes == (
        "the contours refer to no image of CT series 8 but lie on its images: "
        "taken as drawn on them",
    )


def test_points_alone_are_of_no_series(study: Path, tmp_path: Path) -> None:
    drawn(read_dicom_ct(study / "thick"), tmp_path / "rs.dcm")
    dataset = pydicom.dcmread(tmp_path / "rs.dcm")
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        contour.ContourGeometricType = "POINT"
    dataset.save_as(tmp_path / "rs.dcm")
    with pytest.raises(OrganNetError, match="none of the nine organs"):
        read_rtstruct(tmp_path / "rs.dcm", read_dicom_ct(study / "thin"))


# --- slices without an image of their own ---------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "as_image", "told"),
    [
        ({5}, {5: 4}, "1 interpolated slice has the labels of the nearest image"),
        (
            {3, 4, 7},
            {3: 2, 4: 5, 7: 6},
            "3 interpolated slices have the labels of the nearest image",
        ),
    ],
)
def test_where_images_are_missing_an_organ_goes_on(
    missing: set[int], as_image: dict[int, int], told: str, tmp_path: Path
) -> None:
    images = images_of(3, 2.3, 12)  # at 5 image 6 is nearer by what floats cannot hold of 2.3
    write_images([image for n, image in enumerate(images) if n not in missing], tmp_path / "ct")
    series = read_dicom_ct(tmp_path / "ct")
    labels = drawn(series, tmp_path / "rs.dcm")
    read, _, notes = read_rtstruct(tmp_path / "rs.dcm", series)
    expected = [labels.array[as_image.get(z, z)] for z in range(12)]
    assert np.array_equal(read.array, expected)
    assert notes == (told,)


def test_a_missing_image_beside_the_organs_is_no_matter(tmp_path: Path) -> None:
    write_images(images_of(3, 2.0, 12)[:9] + images_of(3, 2.0, 12)[10:], tmp_path / "ct")
    series = read_dicom_ct(tmp_path / "ct")
    array = drawn(series, tmp_path / "rs.dcm").array.copy()
    array[7:] = 0
    write_rtstruct(series, series.ct.with_array(array), tmp_path / "rs.dcm")
    read, _, notes = read_rtstruct(tmp_path / "rs.dcm", series)
    assert np.array_equal(read.array, array) and notes == ()


def test_an_organ_has_no_hole_where_images_are_uneven(tmp_path: Path) -> None:
    images = images_of(3, 1.0, 7)
    for image, height in zip(images, [0.0, 2.0, 4.0, 4.7, 7.7, 10.7, 13.7], strict=True):
        image.ImagePositionPatient = [30, 20, height]
    write_images(images, tmp_path / "ct")
    series = read_dicom_ct(tmp_path / "ct")
    array = np.zeros(series.ct.shape, np.uint8)
    array[:, 2:8, 3:9] = LABEL
    write_rtstruct(series, series.ct.with_array(array), tmp_path / "rs.dcm")
    read, _, notes = read_rtstruct(tmp_path / "rs.dcm", series)
    assert len(array) == 8 and np.array_equal(read.array, array)
    # Slices at 6 and 12 mm, of which each image is farther than half the usual 2.5 mm
    assert notes == ("2 interpolated slices have the labels of the nearest image",)
