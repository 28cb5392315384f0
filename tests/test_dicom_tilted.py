"""Two real CT series of heads whose gantry was tilted, one of them with uneven distances."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from ball_parts import ball, check_ball
from pydicom import dcmread
from rtstruct_parts import read_by_plastimatch, validated
from scipy import ndimage

from organnet.dicom.ct import read_dicom_ct
from organnet.dicom.images import DicomCT
from organnet.dicom.rtstruct import write_rtstruct
from organnet.dicom.seg import write_seg


@pytest.fixture(scope="module")
def unpacked(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = shared_data / "dicom" / "tilted-ct.tar.xz"
    if not archive.exists():
        pytest.skip(f"{archive} is absent: real data are not part of the repository")
    folder = tmp_path_factory.mktemp("dicom")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def tilted(unpacked: Path) -> DicomCT:
    return read_dicom_ct(unpacked / "ge-human-head-variable-tilt")


def test_the_angle_is_that_of_the_header(tilted: DicomCT) -> None:
    tilt = {float(image.header.GantryDetectorTilt) for image in tilted.images}
    assert tilt == {18.5}
    assert tilted.warnings == (
        "the gantry was tilted by 18.5 degrees: resampled to perpendicular axes",
        "images are 1.08 to 7.00 mm apart: resampled to every 4.00 mm",
    )
    turned = np.degrees(np.arccos(tilted.ct.direction[0, 0]))
    assert turned == pytest.approx(18.5, abs=0.01)
    assert tilted.ct.spacing_mm == pytest.approx((4.0, 0.4882812, 0.4882812), abs=0.005)


def test_every_image_is_found_within_the_volume(tilted: DicomCT) -> None:
    """28 images, 14 of 4 mm and 14 of 7 mm: the grid reaches from the first to the last."""
    ends = [image.origin_mm @ tilted.ct.direction[:, 0] for image in tilted.images]
    assert len(ends) == 28 and ends == sorted(ends)
    start = np.array(tilted.ct.origin_mm) @ tilted.ct.direction[:, 0]
    assert start == pytest.approx(ends[0])
    stop = start + (tilted.ct.shape[0] - 1) * tilted.ct.spacing_mm[0]
    assert abs(stop - ends[-1]) <= tilted.ct.spacing_mm[0] / 2


def test_values_are_those_of_another_interpolation(unpacked: Path, tilted: DicomCT) -> None:
    """Places drawn at random: within the two images around them by scipy, then between the two."""
    folder = unpacked / "ge-human-head-variable-tilt"
    files = [dcmread(path) for path in folder.iterdir()]
    files.sort(key=lambda file: float(file.SliceLocation))  # told by the scanner, not by us
    random = np.random.default_rng(0)
    inner = np.array(tilted.ct.shape) - [2, 160, 160]
    low = np.array([1, 80, 80])
    indices = random.integers(low, low + inner - 1, (400, 3))
    compared = 0
    for index in indices.tolist():
        at = tilted.ct.position_mm(tuple(index))[::-1]
        expected = interpolated(files, at)
        if expected is not None:
            compared += 1
            assert abs(tilted.ct.array[tuple(index)] - expected) <= 1.01
    assert compared > 300


def interpolated(files: list, at: np.ndarray) -> float | None:
    """HU at a place (x, y, z) by the DICOM standard's formula turned round; None outside."""
    orientation = np.array(files[0].ImageOrientationPatient, float)
    normal = np.cross(orientation[:3], orientation[3:])
    heights = np.array([np.array(file.ImagePositionPatient, float) @ normal for file in files])
    above = int(np.searchsorted(heights, at @ normal))
    if not 0 < above < len(files):
        return None
    hu = []
    for file in files[above - 1 : above + 1]:
        offset = at - np.array(file.ImagePositionPatient, float)
        row, column = offset @ orientation[3:], offset @ orientation[:3]
        row, column = row / float(file.PixelSpacing[0]), column / float(file.PixelSpacing[1])
        if not (1 <= row < file.Rows - 2 and 1 <= column < file.Columns - 2):
            return None
        corner = file.pixel_array[int(row) : int(row) + 2, int(column) : int(column) + 2]
        corner = np.maximum(np.where(corner == file.PixelPaddingValue, -1024, corner), -1024)
        hu.append(ndimage.map_coordinates(corner.astype(float), [[row % 1], [column % 1]], order=1))
    share = (at @ normal - heights[above - 1]) / (heights[above] - heights[above - 1])
    if min(share, 1 - share) * (heights[above] - heights[above - 1]) < 0.1:
        share = round(share)  # a plane so near an image is that image
    return float((1 - share) * hu[0][0] + share * hu[1][0])


def test_the_other_series_has_no_tilt_left(unpacked: Path) -> None:
    """Its files have no extension, a DIRFILE lies beside them; SimpleITK reads the same grid."""
    folder = unpacked / "philips-phantom-tilt"
    found = read_dicom_ct(folder)
    assert found.warnings == ()
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    image = sitk.ReadImage(names)
    assert np.array_equal(found.ct.array, np.maximum(sitk.GetArrayFromImage(image), -1024))
    assert found.ct.spacing_mm == pytest.approx(image.GetSpacing()[::-1])
    assert found.ct.origin_mm == pytest.approx(image.GetOrigin()[::-1])
    assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert np.array_equal(found.ct.direction, np.eye(3))
    labels = found.ct.with_array((found.ct.array > 200).astype(np.uint8))
    assert np.array_equal(found.on_images(labels), labels.array)


@pytest.mark.parametrize(
    ("name", "least_dsc"), [("ge-human-head-variable-tilt", 0.93), ("philips-phantom-tilt", 1.0)]
)
def test_what_is_drawn_on_them_lies_there(
    unpacked: Path, tmp_path: Path, name: str, least_dsc: float
) -> None:
    """Of the first the ball comes back less well: its slices lie between images 7 mm apart."""
    series = read_dicom_ct(unpacked / name)
    middle = tuple(count / 2 + 0.3 for count in series.ct.shape)
    centre = series.ct.position_mm(middle)
    assert check_ball(series, unpacked / name, centre, 22.0, tmp_path) >= least_dsc


@pytest.mark.parametrize("name", ["ge-human-head-variable-tilt", "philips-phantom-tilt"])
def test_dciodvfy_finds_no_error_in_what_is_drawn_on_them(
    unpacked: Path, tmp_path: Path, name: str
) -> None:
    """Headers of real scanners, and images that a tilt or uneven distances take off the grid."""
    series = read_dicom_ct(unpacked / name)
    centre = series.ct.position_mm(tuple(count // 2 for count in series.ct.shape))
    labels = ball(series.ct, centre, 22.0)
    write_rtstruct(series, labels, tmp_path / "rs.dcm")
    write_seg(series, labels, tmp_path / "seg.dcm")
    validated("RTStructureSet", tmp_path / "rs.dcm")
    validated("Segmentation", tmp_path / "seg.dcm")


def test_plastimatch_reads_what_is_drawn_on_a_real_series(unpacked: Path, tmp_path: Path) -> None:
    series = read_dicom_ct(unpacked / "philips-phantom-tilt")
    centre = series.ct.position_mm(tuple(count // 2 for count in series.ct.shape))
    labels = ball(series.ct, centre, 22.0)
    write_rtstruct(series, labels, tmp_path / "rs.dcm")
    (again,) = read_by_plastimatch(tmp_path / "rs.dcm", series.ct, tmp_path).values()
    assert np.array_equal(again.array > 0, labels.array > 0)
