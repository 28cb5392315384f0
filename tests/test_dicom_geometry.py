"""Where the images of a DICOM series lie: every orientation, any order, what is resampled."""

import itertools
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from dicom_parts import (
    ct_series,
    head_hu,
    lps_xyz,
    proper_rotation,
    refused,
    store,
    write_images,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import generate_uid

from organnet.dicom.ct import read_dicom_ct
from organnet.volume import Volume, same_grid, to_lps

# --- orientation ----------------------------------------------------------------------------


@given(
    turn=st.integers(0, 10**6),
    spacing=st.tuples(st.floats(0.5, 5.0), st.floats(0.3, 2.0), st.floats(0.3, 2.0)),
    origin=st.tuples(*[st.floats(-400, 400)] * 3),
    at=st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 6)),
)
@settings(max_examples=25, deadline=None)
def test_a_painted_point_is_found_at_its_place(turn, spacing, origin, at) -> None:
    hu = head_hu((4, 6, 7))
    hu[at] = 1500
    images = ct_series(hu, spacing, origin, proper_rotation(turn))
    with tempfile.TemporaryDirectory() as folder:
        write_images(images, Path(folder), seed=turn)
        found = read_dicom_ct(Path(folder))
    (index,) = np.argwhere(found.ct.array == 1500)
    expected = lps_xyz(images[at[0]], at[1], at[2])
    assert found.ct.position_mm(tuple(index.tolist()))[::-1] == pytest.approx(expected, abs=1e-4)
    assert found.warnings == ()
    check_images(found, images)
    assert np.linalg.det(found.ct.direction) == pytest.approx(1.0)
    assert found.ct.direction.T @ found.ct.direction == pytest.approx(np.eye(3), abs=1e-12)


def check_images(found, images: list) -> None:
    """Slice n of the CT is image n, and each knows its place."""
    assert [one.header.SOPInstanceUID for one in found.images] == [i.SOPInstanceUID for i in images]
    last = tuple(n - 1 for n in found.ct.shape[1:])
    for n, (one, image) in enumerate(zip(found.images, images, strict=True)):
        assert one.shape == found.ct.shape[1:]
        assert "PixelData" not in one.header
        assert one.origin_mm[::-1] == pytest.approx(lps_xyz(image, 0, 0), abs=1e-9)
        corner = one.origin_mm + last @ one.steps_mm
        assert corner[::-1] == pytest.approx(lps_xyz(image, *last), abs=1e-6)
        assert corner == pytest.approx(found.ct.position_mm((n, *last)), abs=1e-4)


AXES = [sign * axis for axis in np.eye(3) for sign in (1.0, -1.0)]
PLANES = [(rows, columns) for rows, columns in itertools.product(AXES, AXES) if rows @ columns == 0]


@pytest.mark.parametrize(("rows", "columns"), PLANES)
def test_all_24_orientations_are_one_patient(rows, columns, tmp_path: Path) -> None:
    """One head, sliced head- or feet-first, prone, sagittal, coronal: turned to LPS it is one."""
    patient = Volume(head_hu((5, 6, 7)), (2.5, 1.2, 0.9), (-40.0, 20.0, -30.0))
    direction = np.column_stack([np.cross(rows, columns), rows, columns])  # of z, y, x
    hu, spacing, origin = sliced(patient, direction)
    write_images(ct_series(hu, spacing, origin, direction), tmp_path)
    found = read_dicom_ct(tmp_path).ct
    assert np.array_equal(found.array, hu)
    assert np.array_equal(found.direction, direction)
    again = to_lps(found)
    assert np.array_equal(again.array, patient.array) and same_grid(again, patient)


def sliced(patient: Volume, direction: np.ndarray) -> tuple[np.ndarray, tuple, tuple]:
    """The patient's voxels along these signed axes; spacing and first voxel's place."""
    order = np.abs(direction).argmax(axis=0)
    flipped = [n for n in range(3) if direction[order[n], n] < 0]
    hu = np.flip(patient.array.transpose(order), flipped)
    first = [0, 0, 0]
    for n in flipped:
        first[order[n]] = patient.shape[order[n]] - 1
    spacing = tuple(patient.spacing_mm[axis] for axis in order)
    return hu, spacing, tuple(float(value) for value in patient.position_mm(tuple(first)))


def test_there_are_24() -> None:
    assert len(PLANES) == 24


def test_instance_numbers_say_nothing_of_the_order(tmp_path: Path) -> None:
    images = ct_series(head_hu())
    for number, image in enumerate(reversed(images)):
        image.InstanceNumber = number % 2
        image.SliceLocation = number
    write_images(images, tmp_path)
    assert np.array_equal(read_dicom_ct(tmp_path).ct.array, head_hu())


def test_rounded_positions_are_still_even(tmp_path: Path) -> None:
    images = ct_series(head_hu((16, 6, 6)), (0.625, 1.0, 1.0))
    for image in images:
        image.ImagePositionPatient = [round(float(v), 1) for v in image.ImagePositionPatient]
    write_images(images, tmp_path)
    found = read_dicom_ct(tmp_path)
    assert found.warnings == () and np.array_equal(found.ct.array, head_hu((16, 6, 6)))
    assert found.ct.spacing_mm[0] == pytest.approx(0.625, abs=0.007)


@pytest.mark.parametrize(
    ("keyword", "value", "what"),
    [
        ("ImageOrientationPatient", [1, 0, 0, 0, 0, -1], "an ImageOrientationPatient unlike"),
        ("ImageOrientationPatient", [0, 1, 0, 1, 0, 0], "an ImageOrientationPatient unlike"),
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0], "no two perpendicular directions"),
        ("ImageOrientationPatient", [2, 0, 0, 0, 2, 0], "no two perpendicular directions"),
        ("ImageOrientationPatient", [1, 0, 0, 0, 1], "no valid ImageOrientationPatient"),
        ("ImageOrientationPatient", None, "no ImageOrientationPatient"),
        ("ImagePositionPatient", None, "no ImagePositionPatient"),
        ("PixelSpacing", [1.2, 0.95], "a PixelSpacing unlike"),
        ("PixelSpacing", [0, 0.9], "a PixelSpacing of 0 x 0.9 mm"),
        ("PixelSpacing", None, "no PixelSpacing"),
        ("Rows", 11, "rows or columns unlike"),
        ("Rows", 1, "1 x 14 pixels"),
        ("SOPInstanceUID", "", "no SOPInstanceUID"),
    ],
)
def test_images_of_two_kinds_are_refused(keyword, value, what, tmp_path: Path) -> None:
    images = ct_series(head_hu())
    if value is None:
        del images[3][keyword]
    else:
        setattr(images[3], keyword, value)
    if keyword == "SOPInstanceUID":
        images[3].file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    path = write_images(images, tmp_path)[3 if "unlike" not in what else 0]
    refused(tmp_path, f"IM.*{what}.*: (copy or )?export")
    assert path.exists()


# --- copies ---------------------------------------------------------------------------------


def test_copies_are_left_out(tmp_path: Path) -> None:
    images = ct_series(head_hu())
    write_images(images, tmp_path / "a")
    write_images(images[:2], tmp_path / "b")  # the same instances again
    images[4].SOPInstanceUID = generate_uid()  # the same image under another UID
    write_images(images[4:5], tmp_path / "c")
    found = read_dicom_ct(tmp_path)
    assert np.array_equal(found.ct.array, head_hu())
    assert found.warnings == ("3 of 9 images are copies of others and were left out",)


@pytest.mark.parametrize("new_uid", [True, False])
def test_two_images_at_one_place_are_refused(new_uid: bool, tmp_path: Path) -> None:
    images = ct_series(head_hu())
    write_images(images, tmp_path / "a")
    store(images[2], np.zeros((12, 14), np.int32))
    if new_uid:
        images[2].SOPInstanceUID = generate_uid()
    write_images(images[2:3], tmp_path / "b")
    refused(tmp_path, "different images at one place")


def test_one_uid_at_two_places_is_refused(tmp_path: Path) -> None:
    images = ct_series(head_hu())
    images[4].SOPInstanceUID = images[1].SOPInstanceUID
    write_images(images, tmp_path)
    refused(tmp_path, "one SOPInstanceUID at two places")


def test_several_phases_are_refused(tmp_path: Path) -> None:
    for phase in range(3):
        images = ct_series(head_hu(seed=phase))
        for image in images:
            image.SOPInstanceUID = generate_uid()
        write_images(images, tmp_path / str(phase))
    refused(tmp_path, r"18 images at 6 places \(4D")


def test_several_points_in_time_are_refused(tmp_path: Path) -> None:
    images = ct_series(head_hu())
    for n, image in enumerate(images):
        image.TemporalPositionIdentifier = 1 + n % 2
    write_images(images, tmp_path)
    refused(tmp_path, "several points in time")


def test_a_single_image_is_refused(tmp_path: Path) -> None:
    write_images(ct_series(head_hu())[3:4], tmp_path)
    refused(tmp_path, re.escape(f"{tmp_path}: series 3 (HEAD 2.5) is a single slice"))


# --- what one series should not hold --------------------------------------------------------


def test_two_reconstructions_in_one_series_are_refused(tmp_path: Path) -> None:
    """Half a slice apart they would pass for one CT of thinner slices."""
    images = ct_series(head_hu((12, 6, 7)))
    for n, image in enumerate(images):
        image.ConvolutionKernel = "SHARP" if n % 2 else "SOFT"
    write_images(images, tmp_path)
    refused(tmp_path, r"holds several reconstructions \(ConvolutionKernel\): export one")


def test_acquisitions_between_each_other_are_told(tmp_path: Path) -> None:
    images = ct_series(head_hu((12, 6, 7)))
    for n, image in enumerate(images):
        image.AcquisitionNumber = 1 + n // 6
    write_images(images, tmp_path)
    assert read_dicom_ct(tmp_path).warnings == ()
    for n, image in enumerate(images):
        image.AcquisitionNumber = 1 + n % 2
    write_images(images, tmp_path)
    assert read_dicom_ct(tmp_path).warnings == (
        "images of 2 acquisitions lie between each other: they may be of two scans",
    )


@pytest.mark.parametrize(
    ("degrees", "told"), [("0", False), ("0.5", False), ("-15", True), ("", False)]
)
def test_a_tilt_that_the_header_alone_knows_is_told(
    degrees: str, told: bool, tmp_path: Path
) -> None:
    images = ct_series(head_hu((12, 6, 7)))
    for image in images:
        image.GantryDetectorTilt = degrees
    write_images(images, tmp_path)
    warnings = read_dicom_ct(tmp_path).warnings
    assert len(warnings) == told and all(f"tilted by {degrees} degrees" in w for w in warnings)
