"""A CT series as DICOM has it: its images, and the volume that they make."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, UInt8
from numpy import ndarray
from pydicom import Dataset

from organnet.volume import Volume


@dataclass(frozen=True, eq=False)
class CTImage:
    """One image of a CT series, with its place in the patient.

    Attributes:
        header: its data set without the pixel data.
        origin_mm: LPS position, as z, y, x in mm, of the centre of the first pixel.
        steps_mm: rows: from one row to the next, from one column to the next; each LPS z, y, x, mm.
        shape: number of rows and columns.
    """

    header: Dataset = field(repr=False)
    origin_mm: Float64[ndarray, " 3"]
    steps_mm: Float64[ndarray, "2 3"]
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class DicomCT:
    """A CT series read from DICOM.

    Attributes:
        ct: HU, int16, on a grid with perpendicular axes and even slices. Where the series has
            such a grid itself, slice n of `ct` is image n, pixel for pixel.
        images: in order along their normal, one for each place.
        warnings: what was found odd and handled, one line each.
    """

    ct: Volume
    images: tuple[CTImage, ...] = field(repr=False)
    warnings: tuple[str, ...]

    def on_images(self, labels: Volume) -> UInt8[ndarray, "n rows columns"]:
        """A label map on the grid of `ct`, as the pixels of each image.

        They are the same voxels where the series has that grid itself, the nearest ones otherwise.
        Raises ValueError where the label map has another shape than `ct`.
        """
        if labels.shape != self.ct.shape:
            raise ValueError(f"label map {labels.shape} does not fit the CT {self.ct.shape}")
        on_images = [_pixels_of(image, labels.array, self.ct) for image in self.images]
        return np.stack(on_images)


def _pixels_of(
    image: CTImage, labels: UInt8[ndarray, "z y x"], grid: Volume
) -> UInt8[ndarray, "rows columns"]:
    """Each pixel's nearest voxel; the axes of image and grid are parallel, so row by column."""
    to_index = grid.direction.T / np.array(grid.spacing_mm)[:, None]
    first = to_index @ (image.origin_mm - np.array(grid.origin_mm))
    counts = (1, *image.shape)
    steps = (0.0, to_index[1] @ image.steps_mm[0], to_index[2] @ image.steps_mm[1])
    along = [
        np.clip(np.rint(first[axis] + steps[axis] * np.arange(counts[axis])), 0, size - 1)
        for axis, size in enumerate(labels.shape)
    ]
    return labels[np.ix_(*(indices.astype(int) for indices in along))][0]
