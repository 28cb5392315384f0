"""Where the images of a series lie: pixels to mm and back, and the image nearest to a place."""

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from organnet.dicom.images import CTImage, DicomCT
from organnet.volume import Volume


def to_mm(image: CTImage, pixels: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 3"]:
    """LPS positions, each z, y, x in mm, of points in an image, each row, column in pixels."""
    return image.origin_mm + pixels @ image.steps_mm


def to_pixels(
    image: CTImage, positions_mm: Float64[np.ndarray, "n 3"]
) -> Float64[np.ndarray, "n 2"]:
    """Row, column in pixels of LPS positions (z, y, x in mm), dropped straight onto an image."""
    return (positions_mm - image.origin_mm) @ np.linalg.pinv(image.steps_mm)


def heights_mm(
    series: DicomCT, positions_mm: Float64[np.ndarray, "n 3"]
) -> Float64[np.ndarray, " n"]:
    """How far along the images' common normal positions lie, in mm from LPS 0, 0, 0."""
    rows, columns = series.images[0].steps_mm
    normal = np.cross(rows, columns)
    return positions_mm @ (normal / np.linalg.norm(normal))


def image_heights_mm(series: DicomCT) -> Float64[np.ndarray, " n"]:
    """The `heights_mm` of the images themselves, in their order."""
    return heights_mm(series, np.array([image.origin_mm for image in series.images]))


def slice_spacing_mm(series: DicomCT) -> float:
    """The usual distance from one image to the next, along their normal."""
    heights = image_heights_mm(series)
    if len(heights) < 2:
        return series.ct.spacing_mm[0]
    return float(np.median(np.abs(np.diff(heights))))


def on_grid(series: DicomCT, pixels: UInt8[np.ndarray, "n rows columns"]) -> Volume:
    """Labels of each image's pixels as a label map on the grid of the series' `ct`.

    The same voxels where the series has that grid itself; the nearest pixel of the nearest image
    otherwise, and 0 beyond the images. It is the way back from `DicomCT.on_images`.
    """
    if _is_the_grid(series):
        return series.ct.with_array(pixels)
    labels = np.zeros(series.ct.shape, np.uint8)
    _, rows, columns = labels.shape
    in_slice = np.indices((rows, columns)).reshape(2, -1).T.astype(np.float64)
    ct = series.ct
    steps = (ct.direction * np.asarray(ct.spacing_mm)).T
    apart = _slices_to_images_mm(series)
    between = slices_between_images(series)
    for z, n in enumerate(np.abs(apart).argmin(axis=1)):
        if not between[z] and abs(apart[z, n]) > _reach_mm(series):
            continue  # beyond the first or last image
        places = ct.position_mm((z, 0, 0)) + in_slice @ steps[1:]
        at = np.rint(to_pixels(series.images[n], places)).astype(np.int64)
        here = ((at >= 0) & (at < series.images[n].shape)).all(axis=1)
        found = np.zeros(len(places), np.uint8)
        found[here] = pixels[n][tuple(at[here].T)]
        labels[z] = found.reshape(rows, columns)
    return ct.with_array(labels)


def slices_between_images(series: DicomCT) -> Bool[np.ndarray, " z"]:
    """The slices of `ct` that lie on no image, but between two: an image is missing there."""
    apart = _slices_to_images_mm(series)
    on_none = np.abs(apart).min(axis=1) > _reach_mm(series)
    return on_none & (apart.max(axis=1) > 0) & (apart.min(axis=1) < 0)


def _slices_to_images_mm(series: DicomCT) -> Float64[np.ndarray, "z n"]:
    """From each slice of `ct` to each image, along the normal; rounded, so that ties are ties."""
    starts = [series.ct.position_mm((z, 0, 0)) for z in range(series.ct.shape[0])]
    return np.round(image_heights_mm(series) - heights_mm(series, np.array(starts))[:, None], 6)


def _reach_mm(series: DicomCT) -> float:
    """How far an image reaches along the normal: to half-way to the next, and what is rounded."""
    return slice_spacing_mm(series) / 2 + 1e-3


def _is_the_grid(series: DicomCT) -> bool:
    """Whether slice n of the volume is image n, each pixel within a twentieth of itself."""
    depth, rows, columns = series.ct.shape
    if depth != len(series.images) or {i.shape for i in series.images} != {(rows, columns)}:
        return False
    ends = [(0, 0), (rows - 1, 0), (0, columns - 1)]
    there = np.array([to_mm(image, np.array(ends, np.float64)) for image in series.images])
    here = [[series.ct.position_mm((n, *end)) for end in ends] for n in range(depth)]
    return bool(np.abs(there - np.array(here)).max() <= 0.05 * min(series.ct.spacing_mm))
