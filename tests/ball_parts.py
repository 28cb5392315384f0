"""A ball drawn on a CT read from DICOM files, and where its contours and pixels lie in the patient.

Places are told by the files themselves, by the standard's formula (C.7.6.2.1.1); x, y, z in mm.
"""

from pathlib import Path

import highdicom as hd
import numpy as np
from matplotlib.path import Path as Outline
from pydicom import Dataset, dcmread

from organnet.dicom.images import DicomCT
from organnet.dicom.rtstruct import read_rtstruct, write_rtstruct
from organnet.dicom.seg import write_seg
from organnet.metrics import dice
from organnet.organs import organ
from organnet.volume import Volume

NAME = "Parotid_L"
LABEL = organ(NAME).label


def ball(ct: Volume, centre_mm: np.ndarray, radius_mm: float) -> Volume:
    """A label map on a CT's grid: a parotid of all voxels so near a place (z, y, x)."""
    centre = (centre_mm - ct.origin_mm) @ ct.direction
    z, y, x = (
        (np.arange(count) * mm - at) ** 2
        for count, mm, at in zip(ct.shape, ct.spacing_mm, centre, strict=True)
    )
    inside = np.add.outer(np.add.outer(z, y), x) < radius_mm**2
    return ct.with_array(np.where(inside, np.uint8(LABEL), np.uint8(0)))


def check_ball(
    series: DicomCT, folder: Path, centre_mm: np.ndarray, radius_mm: float, out: Path
) -> float:
    """A ball goes out as RTSTRUCT and SEG and lies there; DSC of the one that is read again."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    read = [dcmread(path, stop_before_pixels=True, force=True) for path in paths]
    files = {one.SOPInstanceUID: one for one in read if "ImagePositionPatient" in one}
    labels = ball(series.ct, centre_mm, radius_mm)
    drawn = series.on_images(labels) == LABEL
    on_image = {
        str(image.header.SOPInstanceUID): pixels
        for image, pixels in zip(series.images, drawn, strict=True)
    }
    write_rtstruct(series, labels, out / "rs.dcm")
    write_seg(series, labels, out / "seg.dcm")
    check_contours(dcmread(out / "rs.dcm"), files, on_image, series.ct, centre_mm, radius_mm)
    check_frames(out / "seg.dcm", files, on_image)
    again, found, _ = read_rtstruct(out / "rs.dcm", series)
    assert set(found) == {NAME}
    return dice(again.array == LABEL, labels.array == LABEL)


def check_contours(
    dataset: Dataset,
    files: dict[str, Dataset],
    on_image: dict[str, np.ndarray],
    ct: Volume,
    centre_mm: np.ndarray,
    radius_mm: float,
) -> None:
    """Each lies in the plane of its image, around that image's pixels and on the ball's surface.

    A contour runs half-way between pixels whose nearest voxels lie within the ball and without.
    """
    (structure,) = dataset.ROIContourSequence
    contours = structure.ContourSequence
    uids = [contour.ContourImageSequence[0].ReferencedSOPInstanceUID for contour in contours]
    assert sorted(uids) == sorted(uid for uid, pixels in on_image.items() if pixels.any())
    half_voxel = float(np.linalg.norm(ct.spacing_mm)) / 2
    for uid, contour in zip(uids, contours, strict=True):
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        from_centre = np.linalg.norm(points - centre_mm[::-1], axis=1)
        assert np.abs(from_centre - radius_mm).max() <= half_voxel + max(ct.spacing_mm[1:]) / 2
        height, row, column = in_image(files[uid], points).T
        assert np.abs(height).max() < 1e-3
        pixels = on_image[uid]
        assert np.array_equal(filled(np.column_stack([row, column]), pixels.shape), pixels)
        middle = in_image(files[uid], centre_mm[None, ::-1])[0, 1:]
        off = np.abs(np.argwhere(pixels).mean(axis=0) - middle)
        assert off.max() < 1  # by half a voxel in the grid, and by half a pixel in the image


def filled(ring: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The pixels whose centre lies within a ring of rows and columns, as matplotlib has it."""
    low, high = np.ceil(ring.min(axis=0)).astype(int), np.floor(ring.max(axis=0)).astype(int)
    centres = low + np.argwhere(np.ones(high - low + 1))
    inside = np.zeros(shape, np.bool_)
    inside[tuple(centres[Outline(ring).contains_points(centres)].T)] = True
    return inside


def check_frames(path: Path, files: dict[str, Dataset], on_image: dict[str, np.ndarray]) -> None:
    """Each image's frame holds its pixels, and has its place and axes."""
    segmentation = hd.seg.segread(path)
    stack = segmentation.get_pixels_by_source_instance(
        list(on_image), assert_missing_frames_are_empty=True
    )
    assert np.array_equal(stack[..., 0] == 1, list(on_image.values()))
    (shared,) = segmentation.SharedFunctionalGroupsSequence
    axes = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    spacing = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float)
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        file = files[source.ReferencedSOPInstanceUID]
        position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        assert np.abs(position - np.array(file.ImagePositionPatient, float)).max() < 1e-4
        assert np.abs(axes - np.array(file.ImageOrientationPatient, float)).max() < 1e-4
        assert np.abs(spacing - np.array(file.PixelSpacing, float)).max() < 1e-5


def in_image(file: Dataset, places: np.ndarray) -> np.ndarray:
    """How far above an image each place lies (mm), and its row and column there (pixels)."""
    along_row, along_column = np.array(file.ImageOrientationPatient, float).reshape(2, 3)
    offsets = places - np.array(file.ImagePositionPatient, float)
    row_mm, column_mm = map(float, file.PixelSpacing)
    ways = [np.cross(along_row, along_column), along_column / row_mm, along_row / column_mm]
    return offsets @ np.array(ways).T
