"""A DICOM CT series as a volume in HU on an even grid with perpendicular axes."""

import contextlib
import functools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int16
from scipy import ndimage
from tqdm import tqdm

from organnet.dicom.files import dicom_files
from organnet.dicom.images import DicomCT
from organnet.dicom.pixels import read_hu
from organnet.dicom.planes import Planes, even_planes
from organnet.dicom.series import choose_ct
from organnet.dicom.slices import Stack, read_slice, stack_slices
from organnet.errors import OrganNetError
from organnet.integrity import MOST_BYTES
from organnet.volume import LOWEST_HU, Volume, refuse_what_is_no_ct


def read_dicom_ct(
    path: Path, drawn_on: frozenset[str] = frozenset(), anonymise: bool = False
) -> DicomCT:
    """Read the CT series in a folder, or in a .zip of one, as int16 HU from -1024 to 32767.

    Of several series it is the one with `drawn_on`, UIDs of images or series that structures
    refer to, else as `choose_ct` says. Images are placed by their own positions alone. A
    tilted gantry, missing images and uneven distances are resampled, linearly, and named in
    `warnings`. With `anonymise` no message names a file or describes a series.

    Raises OrganNetError, in one line, where there is no CT series, where it is not one patient's
    slices of one kind, where too many of them are missing, where a file is damaged or not to be
    decoded, and where the values cannot be a head's CT in HU.
    """
    with dicom_files(path, anonymise) as (files, lost):
        series = choose_ct(files, path, drawn_on, anonymise)
        slices = [
            read_slice(file)
            for file in tqdm(series.files, unit="header", disable=None, leave=False)
        ]
        with _named(path):
            stack, odd = stack_slices(slices, series.name, read_hu)
            planes, uneven = even_planes(stack.heights_mm, series.name)
            ct = _resampled(stack, planes, series.name)
    refuse_what_is_no_ct(ct.array, path)
    images = tuple(one.image for one in stack.slices)
    return DicomCT(ct, images, (*series.warnings, *lost, *odd, *uneven))


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """An error that is a series' own, and names none of its files, names where it lies."""
    try:
        yield
    except OrganNetError as error:
        if str(path) in str(error):
            raise
        raise OrganNetError(f"{path}: {error}") from error


def _resampled(stack: Stack, planes: Planes, series: str) -> Volume:
    """The images on even planes and on one grid within them; only two are held at a time."""
    rows, columns = stack.slices[0].image.shape
    shifts = stack.shifts_mm / np.array(stack.pixel_mm)
    low, high = np.floor(shifts.min(0)), np.ceil(shifts.max(0))
    # Images shifted against each other need a larger grid: nothing of them is cut off
    shape = (rows + int(high[0] - low[0]), columns + int(high[1] - low[1]))

    if 2 * len(planes.planes) * math.prod(shape) > MOST_BYTES:
        raise OrganNetError(
            f"series {series} would be {len(planes.planes)} x {shape[0]} x {shape[1]} voxels, more "
            f"than the {MOST_BYTES / 1e9:g} GB allowed: export the head alone"
        )

    @functools.lru_cache(maxsize=2)
    def image(n: int) -> Int16[np.ndarray, "rows columns"]:
        return _shifted(read_hu(stack.slices[n].file), shifts[n] - low, shape)

    array = np.empty((len(planes.planes), *shape), np.int16)
    for n, plane in enumerate(tqdm(planes.planes, unit="image", disable=None, leave=False)):
        array[n] = image(plane.below)
        if plane.towards_next > 0:
            between = array[n] + plane.towards_next * (
                image(plane.below + 1).astype(np.float32) - array[n]
            )
            array[n] = np.rint(between)
    spacing = (planes.spacing_mm, *stack.pixel_mm)
    first = stack.slices[0].image.origin_mm
    z, y, x = first + stack.direction[:, 1:] @ (low * stack.pixel_mm)
    return Volume(array, spacing, (float(z), float(y), float(x)), stack.direction)


def _shifted(
    image: Int16[np.ndarray, "rows columns"],
    shift: Float64[np.ndarray, " 2"],
    shape: tuple[int, int],
) -> Int16[np.ndarray, "more_rows more_columns"]:
    """An image moved by so many rows and columns, linearly, in a larger one of air."""
    if shape == image.shape:
        return image
    canvas = np.full(shape, LOWEST_HU, np.float32)
    canvas[: image.shape[0], : image.shape[1]] = image
    moved = ndimage.shift(canvas, shift, order=1, mode="grid-constant", cval=LOWEST_HU)
    return np.rint(moved).astype(np.int16)
