"""DICOM series whose images lie on no even, perpendicular grid: what is resampled and refused."""

from pathlib import Path

import numpy as np
import pytest
from dicom_parts import (
    AIR,
    ct_series,
    decimal,
    head_hu,
    lps_xyz,
    proper_rotation,
    refused,
    store,
    write_images,
)
from pydicom.uid import generate_uid
from scipy.spatial import KDTree

from organnet.batch.formats import FORMATS, Segmented
from organnet.batch.inputs import Scan
from organnet.dicom.ct import read_dicom_ct
from organnet.dicom.derived import between_images
from organnet.inference import Prediction
from organnet.organs import organ
from organnet.volume import Volume


def ramp(position: np.ndarray) -> np.ndarray:
    """HU that grow linearly with z, y, x (in the last axis): interpolation keeps them exactly."""
    return position @ np.array([20.0, 25.0, -40.0]) - 300.0


def positions(volume: Volume) -> np.ndarray:
    """LPS z, y, x of every voxel."""
    indices = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), axis=-1)
    return volume.origin_mm + (indices * volume.spacing_mm) @ volume.direction.T


def ramp_series(heights: list[float], shear_mm: float = 0.0, shape: tuple = (16, 12)) -> list:
    """Axial images of the ramp at these heights, each shifted along y by `shear_mm` per mm."""
    images = []
    for n, height in enumerate(heights):
        image = ct_series(np.zeros((1, *shape)), (1.0, 1.2, 0.9))[0]
        image.SOPInstanceUID = generate_uid(entropy_srcs=[str(n)])
        image.ImagePositionPatient = [-5.0, decimal(-8.0 + shear_mm * height), decimal(height)]
        places = np.array([lps_xyz(image, *at)[::-1] for at in np.ndindex(shape)])
        store(image, np.rint(ramp(places).reshape(shape)).astype(np.int32) + 1024)
        images.append(image)
    return images


def check_ramp(ct: Volume, edge: int = 0) -> None:
    """Every voxel within the images is what the ramp is at its place."""
    seen = ct.array > -900
    assert seen[:, edge : ct.shape[1] - edge].all()
    error = np.abs(ct.array - ramp(positions(ct)))[seen]
    assert error.max() <= 1.0  # half a HU when stored, half when resampled


# --- missing and uneven images --------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "warning"),
    [
        ({3}, "1 image is missing and interpolated: 1 between images 3 and 4 of 8"),
        (
            {3, 4, 6},
            "3 images are missing and interpolated: 2 between images 3 and 4 of 6, "
            "1 between images 4 and 5 of 6",
        ),
    ],
)
def test_missing_images_are_interpolated(missing: set, warning: str, tmp_path: Path) -> None:
    heights = [2.0 * n for n in range(9) if n not in missing]
    write_images(ramp_series(heights), tmp_path)
    found = read_dicom_ct(tmp_path)
    assert found.warnings == (warning,)
    assert found.ct.shape == (9, 16, 12) and found.ct.spacing_mm == (2.0, 1.2, 0.9)
    check_ramp(found.ct)


def test_images_that_are_there_stay_as_they_are(tmp_path: Path) -> None:
    hu = head_hu((8, 12, 14))
    images = ct_series(hu)
    write_images(images[:4] + images[5:], tmp_path)
    found = read_dicom_ct(tmp_path)
    there = [n for n in range(8) if n != 4]
    assert np.array_equal(found.ct.array[there], hu[there])
    middle = (hu[3].astype(float) + hu[5]) / 2
    assert np.abs(found.ct.array[4] - middle).max() <= 0.5
    labels = found.ct.with_array((found.ct.array > -500).astype(np.uint8))
    assert np.array_equal(found.on_images(labels), (hu[there] > -500).astype(np.uint8))


def test_uneven_images_are_resampled(tmp_path: Path) -> None:
    heights = [0.0, 2.0, 4.0, 4.7, 7.7, 10.7, 13.7]  # 2 mm, then 3 mm that begin too early
    write_images(ramp_series(heights), tmp_path)
    found = read_dicom_ct(tmp_path)
    assert found.warnings == ("images are 0.70 to 3.00 mm apart: resampled to every 2.00 mm",)
    ct = found.ct
    assert ct.shape == (8, 16, 12)
    check_ramp(Volume(ct.array[:7], ct.spacing_mm, ct.origin_mm, ct.direction))
    labels = np.broadcast_to(np.arange(8, dtype=np.uint8)[:, None, None], ct.shape)
    planes = found.on_images(ct.with_array(labels))[:, 0, 0]
    assert planes.tolist() == [0, 1, 2, 2, 4, 5, 7]


@pytest.mark.parametrize("heights", [[0, 1, 2, 3, 8, 9], [0, 5, 10, 21, 26]])
def test_large_gaps_are_refused(heights: list[float], tmp_path: Path) -> None:
    write_images(ramp_series([float(height) for height in heights]), tmp_path)
    refused(tmp_path, r"series 3 \(HEAD 2.5\) has a gap of (5|11)\.0 mm after image (4|3) of")


# --- gantry tilt ----------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [-25.0, -5.0, 12.5, 30.0])
def test_a_tilted_gantry_is_straightened(degrees: float, tmp_path: Path) -> None:
    shear = float(np.tan(np.radians(degrees)))
    write_images(ramp_series([2.0 * n for n in range(9)], shear, (40, 12)), tmp_path)
    found = read_dicom_ct(tmp_path)
    assert found.warnings == (
        f"the gantry was tilted by {abs(degrees):.1f} degrees: resampled to perpendicular axes",
    )
    assert np.array_equal(found.ct.direction, np.eye(3))
    inner = in_an_image(found.ct, shear, rows=40)
    error = np.abs(found.ct.array - ramp(positions(found.ct)))
    assert error[inner].max() <= 1.0
    outside = ~in_an_image(found.ct, shear, rows=40, margin=-1.0)
    assert inner.any() and outside.any()
    assert (found.ct.array[outside] == -1024).all()


def in_an_image(ct: Volume, shear: float, rows: int, margin: float = 0.0) -> np.ndarray:
    """Voxels between the first and last row of the image at their height."""
    at = positions(ct)
    row = (at[..., 1] + 8.0 - shear * at[..., 0]) / 1.2
    return (row >= margin) & (row <= rows - 1 - margin)


def test_tilt_of_an_oblique_series_with_a_missing_image(tmp_path: Path) -> None:
    """Everything at once: the bright ball stays where it was painted, in the CT and back."""
    turn = proper_rotation(5)
    normal, rows, columns = turn.T
    step = 2.0 * normal + 0.47 * rows - 0.3 * columns
    centre = np.array([5.0, 7.0, -3.0])
    shape, spacing = (14, 30, 32), (2.0, 1.0, 1.1)
    origin = centre - 6.5 * step - 14 * spacing[1] * rows - 15 * spacing[2] * columns
    hu = np.full(shape, AIR, np.int16)
    images = ct_series(hu, spacing, tuple(origin), turn, step)
    for image in images:
        at = np.array([[lps_xyz(image, r, c) for c in range(32)] for r in range(30)])
        ball = np.linalg.norm(at[..., ::-1] - centre, axis=-1) < 8
        store(image, np.where(ball, 1064, 24).astype(np.int32))
    write_images(images[:5] + images[6:], tmp_path)
    found = read_dicom_ct(tmp_path)
    assert len(found.warnings) == 2 and found.ct.shape[0] == 14
    inside = found.ct.array > -480
    assert inside.sum() * found.ct.voxel_ml == pytest.approx(4 / 3 * np.pi * 0.8**3, rel=0.07)
    assert positions(found.ct)[inside].mean(0) == pytest.approx(centre, abs=0.2)
    labels = found.ct.with_array(inside.astype(np.uint8))
    back = found.on_images(labels)
    assert back.shape == (13, 30, 32)
    for one, drawn in zip(found.images, back, strict=True):
        i, j = np.meshgrid(np.arange(30), np.arange(32), indexing="ij")
        at = one.origin_mm + i[..., None] * one.steps_mm[0] + j[..., None] * one.steps_mm[1]
        assert np.array_equal(drawn, nearest(labels, at))


def nearest(labels: Volume, at: np.ndarray) -> np.ndarray:
    """The voxel of the label map nearest to each place, of all voxels."""
    _, index = KDTree(positions(labels).reshape(-1, 3)).query(at)
    return labels.array.ravel()[index]


def test_an_image_beside_the_others_is_refused(tmp_path: Path) -> None:
    images = ct_series(head_hu())
    images[2].ImagePositionPatient[0] += 9
    path = write_images(images, tmp_path)[2]
    refused(tmp_path, rf"{path} lies [4-9]\.\d mm beside the line")


def test_more_tilt_than_gantries_have_is_refused(tmp_path: Path) -> None:
    write_images(ramp_series([2.0 * n for n in range(9)], 1.3, (60, 12)), tmp_path)
    refused(tmp_path, "stacked at 52 degrees")


def test_another_grid_has_no_place_on_the_images(tmp_path: Path) -> None:
    write_images(ct_series(head_hu()), tmp_path)
    found = read_dicom_ct(tmp_path)
    with pytest.raises(ValueError, match="does not fit"):
        found.on_images(Volume(np.zeros((6, 12, 13), np.uint8), (1.0, 1.0, 1.0)))


def test_an_organ_between_images_is_said_to_be_on_none(tmp_path: Path) -> None:
    write_images(ramp_series([0.0, 2.0, 4.0, 4.7, 7.7, 10.7, 13.7]), tmp_path)
    found = read_dicom_ct(tmp_path)
    labels = np.zeros(found.ct.shape, np.uint8)
    labels[3, 4:8, 4:8] = organ("Chiasm").label  # planes 3 and 6 are no image's
    alone = found.ct.with_array(labels.copy())
    labels[1, 4:8, 4:8] = organ("Mandible").label
    both = found.ct.with_array(labels)
    assert between_images(found, alone) == between_images(found, both) == ["Chiasm"]
    for name in ("rtstruct", "seg"):
        written = {}
        for what, volume in (("alone", alone), ("both", both)):
            segmented = Segmented(Scan(found.ct, found), Prediction(volume, None), False)
            written[what] = FORMATS[name].write(segmented, tmp_path / "out", what)
        assert written["alone"] == [] and len(written["both"]) == 1
