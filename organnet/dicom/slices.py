"""The images of a series in order along their normal, and where they lie."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Int16

from organnet.dicom.header import DicomFile, numbers, read_header, text, unreadable, whole_number
from organnet.dicom.images import CTImage
from organnet.dicom.pixels import is_lossy, refuse_what_has_no_hu
from organnet.errors import OrganNetError

SAME_PLACE_MM = 0.1
"""Writers round positions: what lies no farther apart lies at one place."""
SAME_DIRECTION = 1e-3
"""By how much a unit vector's components may differ: a quarter of a millimetre across a head."""
LARGEST_STRAY_MM = 1.0
"""How far an image may lie beside the line of the others."""
LARGEST_TILT_DEGREES = 45.0
"""No gantry tilts that far (30 degrees): positions and orientation contradict each other."""
LEAST_TILT_DEGREES = 1.0
"""From here on a tilt that the header alone knows is told: 2.6 mm over 150 mm."""
PIXEL_MM = (0.05, 10.0)
"""Smallest and largest distance of pixels that can be a head's."""

ReadHU = Callable[[DicomFile], Int16[np.ndarray, "rows columns"]]


@dataclass(frozen=True, eq=False)
class Slice:
    """One image and the file that it comes from."""

    file: DicomFile
    image: CTImage


@dataclass(frozen=True, eq=False)
class Stack:
    """Images in order along their normal, one for each place.

    Attributes:
        slices: at least two.
        direction: columns: the normal, from row to row, from column to column; LPS z, y, x.
        pixel_mm: distance of rows and of columns.
        heights_mm: how far along the normal each image lies from the first.
        shifts_mm: how far each image is shifted along its rows' and columns' steps against the
            first; all 0 where they lie upon each other.
    """

    slices: tuple[Slice, ...] = field(repr=False)
    direction: Float64[np.ndarray, "3 3"]
    pixel_mm: tuple[float, float]
    heights_mm: Float64[np.ndarray, " n"] = field(repr=False)
    shifts_mm: Float64[np.ndarray, "n 2"] = field(repr=False)


def read_slice(file: DicomFile) -> Slice:
    """One image's header and place.

    Raises OrganNetError where the file is damaged, has no place, or is no CT image in HU.
    """
    header = read_header(file)
    if not text(header, "SOPInstanceUID"):
        raise unreadable(file, "it has no SOPInstanceUID")
    refuse_what_has_no_hu(header, file)
    rows, columns = (whole_number(header, keyword, file) for keyword in ("Rows", "Columns"))
    if min(rows, columns) < 2:
        raise OrganNetError(f"{file.name} has {rows} x {columns} pixels: export the series again")
    pixel_mm = numbers(header, "PixelSpacing", 2, file)
    if pixel_mm.min() < PIXEL_MM[0] or pixel_mm.max() > PIXEL_MM[1]:
        raise OrganNetError(
            f"{file.name} has a PixelSpacing of {pixel_mm[0]:g} x {pixel_mm[1]:g} mm, "
            "no head's CT: export the series again"
        )
    # DICOM gives x, y, z, and of its two directions first the one from column to column
    directions = numbers(header, "ImageOrientationPatient", 6, file).reshape(2, 3)[::-1, ::-1]
    if np.abs(directions @ directions.T - np.eye(2)).max() > SAME_DIRECTION:
        raise OrganNetError(
            f"{file.name} has an ImageOrientationPatient that is no two perpendicular directions: "
            "export the series again"
        )
    origin = np.ascontiguousarray(numbers(header, "ImagePositionPatient", 3, file)[::-1])
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    steps = np.ascontiguousarray(directions * pixel_mm[:, None])
    return Slice(file, CTImage(header, origin, steps, (rows, columns)))


def stack_slices(slices: list[Slice], series: str, read_hu: ReadHU) -> tuple[Stack, list[str]]:
    """Order a series' images by place, never by number or name; also what was found odd.

    `read_hu` reads the pixels of images that lie at one place. Raises OrganNetError, naming the
    series, where images differ in orientation, pixel spacing or size, contradict each other at
    one place, do not lie on one line, or are fewer than two.
    """
    _refuse_unlike(slices, series)
    if len({text(one.image.header, "TemporalPositionIdentifier") for one in slices}) > 1:
        raise OrganNetError(f"series {series} holds several points in time (4D): export one")
    if len({text(one.image.header, "ConvolutionKernel") for one in slices} - {""}) > 1:
        raise OrganNetError(
            f"series {series} holds several reconstructions (ConvolutionKernel): export one"
        )
    direction, pixel_mm = _axes(slices)
    slices, warnings = _one_for_each_place(slices, direction, series, read_hu)
    if len(slices) < 2:
        raise OrganNetError(f"series {series} is a single slice: give the whole CT series")
    warnings += _mixed_acquisitions(slices)
    offsets = np.array([one.image.origin_mm for one in slices]) - slices[0].image.origin_mm
    heights, shifts = offsets @ direction[:, 0], offsets @ direction[:, 1:]
    if np.abs(shifts).max() <= min(SAME_PLACE_MM, min(pixel_mm) / 5):
        shifts = np.zeros_like(shifts)
        warnings += _tilt_unseen(slices[0])
    else:
        warnings.append(_tilt(slices, heights, shifts, series))
    lossy = sum(is_lossy(one.image.header) for one in slices)
    if lossy:
        warnings.append(f"{lossy} of {len(slices)} images were compressed with loss: not exact")
    return Stack(tuple(slices), direction, pixel_mm, heights, shifts), warnings


def _refuse_unlike(slices: list[Slice], series: str) -> None:
    """All images must be like the first."""
    first = slices[0].image
    spacing = np.linalg.norm(first.steps_mm, axis=1)
    for one in slices:
        image = one.image
        what = None
        if image.shape != first.shape:
            what = "rows or columns"
        elif not np.allclose(np.linalg.norm(image.steps_mm, axis=1), spacing, rtol=1e-4):
            what = "a PixelSpacing"
        elif np.abs((image.steps_mm - first.steps_mm) / spacing[:, None]).max() > SAME_DIRECTION:
            what = "an ImageOrientationPatient"
        if what is not None:
            raise OrganNetError(
                f"{one.file.name} has {what} unlike other images of series {series}: "
                "export images of one kind alone"
            )


def _axes(slices: list[Slice]) -> tuple[Float64[np.ndarray, "3 3"], tuple[float, float]]:
    """The mean of the images' axes, made exactly perpendicular; the normal is right-handed."""
    rows, columns = np.mean([one.image.steps_mm for one in slices], axis=0)
    along_rows = rows / np.linalg.norm(rows)
    across = columns - (columns @ along_rows) * along_rows
    across /= np.linalg.norm(across)
    # In the order z, y, x this product is the right-handed one of x, y, z
    normal = np.cross(along_rows, across)
    row_mm, column_mm = numbers(slices[0].image.header, "PixelSpacing", 2, slices[0].file)
    direction = np.column_stack([normal, along_rows, across]) + 0.0  # + 0.0: no -0.0
    return direction, (float(row_mm), float(column_mm))


def _one_for_each_place(
    slices: list[Slice], direction: Float64[np.ndarray, "3 3"], series: str, read_hu: ReadHU
) -> tuple[list[Slice], list[str]]:
    """Sorted along the normal without the copies; different images at one place are refused."""
    _refuse_one_uid_at_two_places(slices, series)
    ordered = sorted(
        slices,
        key=lambda one: (
            float(one.image.origin_mm @ direction[:, 0]),
            text(one.image.header, "SOPInstanceUID"),
        ),
    )
    places: list[list[Slice]] = []
    for one in ordered:
        if places:
            apart = (one.image.origin_mm - places[-1][0].image.origin_mm) @ direction[:, 0]
        if places and apart <= SAME_PLACE_MM:
            places[-1].append(one)
        else:
            places.append([one])
    copies = len(slices) - len(places)
    if not copies:
        return ordered, []
    for place in places:
        if not _are_copies(place, read_hu):
            raise _contradictory(place, len(slices), len(places), series)
    warning = f"{copies} of {len(slices)} images are copies of others and were left out"
    return [place[0] for place in places], [warning]


def _contradictory(place: list[Slice], images: int, places: int, series: str) -> OrganNetError:
    if images >= 2 * places > 2:
        return OrganNetError(
            f"series {series} holds {images} images at {places} places (4D, or several "
            "reconstructions): export one image for each place"
        )
    return OrganNetError(
        f"{place[0].file.name} and {place[1].file.name} are different images at one place "
        f"of series {series}: export the series again, or remove what is not of it"
    )


def _refuse_one_uid_at_two_places(slices: list[Slice], series: str) -> None:
    by_uid: dict[str, Slice] = {}
    for one in slices:
        other = by_uid.setdefault(text(one.image.header, "SOPInstanceUID"), one)
        if np.abs(one.image.origin_mm - other.image.origin_mm).max() > SAME_PLACE_MM:
            raise OrganNetError(
                f"{other.file.name} and {one.file.name} of series {series} have one SOPInstanceUID "
                "at two places: export the series again"
            )


def _are_copies(place: list[Slice], read_hu: ReadHU) -> bool:
    """Whether all images of one place lie exactly there and have the same pixels."""
    first = place[0]
    for other in place[1:]:
        if np.abs(other.image.origin_mm - first.image.origin_mm).max() > SAME_PLACE_MM:
            return False
        if not np.array_equal(read_hu(first.file), read_hu(other.file)):
            return False
    return True


def _mixed_acquisitions(slices: list[Slice]) -> list[str]:
    """A warning where acquisitions, each in one piece, would lie between each other's images."""
    numbers_in_order = [text(one.image.header, "AcquisitionNumber") for one in slices]
    pieces = [number for number, _ in itertools.groupby(numbers_in_order)]
    count = len(set(pieces))
    if len(pieces) == count:
        return []
    return [f"images of {count} acquisitions lie between each other: they may be of two scans"]


def _tilt_unseen(one: Slice) -> list[str]:
    """A warning where the header tells of a tilt and the images lie straight upon each other."""
    try:
        degrees = float(numbers(one.image.header, "GantryDetectorTilt", 1, one.file)[0])
    except OrganNetError:  # nothing is read by it, so nothing depends on it
        return []
    if abs(degrees) < LEAST_TILT_DEGREES:
        return []
    return [
        f"the header has the gantry tilted by {degrees:g} degrees, the images' places do not: "
        "taken as straight, check the outlines"
    ]


def _tilt(
    slices: list[Slice],
    heights: Float64[np.ndarray, " n"],
    shifts: Float64[np.ndarray, "n 2"],
    series: str,
) -> str:
    """The warning of a tilted gantry; refused are images that do not lie on one line."""
    terms = np.column_stack([heights, np.ones_like(heights)])
    slope = np.linalg.lstsq(terms, shifts, rcond=None)[0]
    stray = np.linalg.norm(shifts - terms @ slope, axis=1)
    farthest = int(stray.argmax())
    if stray[farthest] > LARGEST_STRAY_MM:
        raise OrganNetError(
            f"{slices[farthest].file.name} lies {stray[farthest]:.1f} mm beside the line of the "
            f"other images of series {series}: export the series again"
        )
    degrees = float(np.degrees(np.arctan(np.linalg.norm(slope[0]))))
    if degrees > LARGEST_TILT_DEGREES:
        raise OrganNetError(
            f"series {series} is stacked at {degrees:.0f} degrees to its images' normal, more than "
            "any gantry tilts: export the series again"
        )
    if degrees < 0.05:
        shift = np.linalg.norm(shifts, axis=1).max()
        return f"images are shifted against each other by up to {shift:.1f} mm: resampled"
    return f"the gantry was tilted by {degrees:.1f} degrees: resampled to perpendicular axes"
