"""Even planes along the normal of a stack of images, and between which images each lies."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from organnet.dicom.slices import SAME_PLACE_MM
from organnet.errors import OrganNetError

MOST_MISSING = 3
"""How many images in a row may be missing: linear interpolation makes up no more than that."""
LARGEST_GAP_MM = 10.0
"""Neighbouring images farther apart leave room for a whole optic nerve or chiasm."""
TYPICAL_QUANTILE = 0.25
"""A quarter of the steps may be smaller than the planes' spacing: odd ones do not set it."""


@dataclass(frozen=True)
class Plane:
    """A plane at image `below`, or between it and the next at the share `towards_next`."""

    below: int
    towards_next: float


@dataclass(frozen=True)
class Planes:
    """Planes at even distances, the first at the first image."""

    spacing_mm: float
    planes: tuple[Plane, ...]


def even_planes(heights_mm: Float64[np.ndarray, " n"], series: str) -> tuple[Planes, list[str]]:
    """Planes for images at these heights (mm, rising from 0), and what was found odd.

    Where the images are evenly spaced, plane n is image n. Where some are missing, the planes lie
    at all images and where these should be. Otherwise they lie as near as the images' small
    steps. Raises OrganNetError, naming the series, where a gap is too large to fill.
    """
    count, length = len(heights_mm), float(heights_mm[-1])
    gaps = np.diff(heights_mm)
    typical = float(np.quantile(gaps, TYPICAL_QUANTILE, method="lower"))
    tolerance = min(SAME_PLACE_MM, typical / 5)
    _refuse_gaps(gaps, typical, tolerance, series)
    if _are_at(heights_mm, np.arange(count), length / (count - 1), tolerance):
        return Planes(length / (count - 1), tuple(Plane(n, 0.0) for n in range(count))), []
    steps = np.rint(gaps / typical)
    places = np.concatenate([[0.0], np.cumsum(steps)])
    if steps.min() >= 1 and _are_at(heights_mm, places, length / places[-1], tolerance):
        spacing = length / float(places[-1])
        warning = _missing(steps)
    else:
        spacing = typical
        warning = (
            f"images are {gaps.min():.2f} to {gaps.max():.2f} mm apart: "
            f"resampled to every {spacing:.2f} mm"
        )
    planes = tuple(
        _plane(n * spacing, heights_mm, tolerance) for n in range(round(length / spacing) + 1)
    )
    return Planes(spacing, planes), [warning]


def _are_at(
    heights_mm: Float64[np.ndarray, " n"], places: np.ndarray, spacing: float, tolerance: float
) -> bool:
    return bool(np.abs(heights_mm - places * spacing).max() <= tolerance)


def _plane(height: float, heights_mm: Float64[np.ndarray, " n"], tolerance: float) -> Plane:
    """An image's own place is that image; beyond the last image there is only the last."""
    nearest = int(np.abs(heights_mm - height).argmin())
    if abs(heights_mm[nearest] - height) <= tolerance or height > heights_mm[-1]:
        return Plane(nearest, 0.0)
    below = int(np.searchsorted(heights_mm, height)) - 1
    share = (height - heights_mm[below]) / (heights_mm[below + 1] - heights_mm[below])
    return Plane(below, float(share))


def _refuse_gaps(
    gaps: Float64[np.ndarray, " n"], typical: float, tolerance: float, series: str
) -> None:
    largest = int(gaps.argmax())
    missing = round(float(gaps[largest]) / typical) - 1
    if missing > MOST_MISSING or gaps[largest] > LARGEST_GAP_MM + tolerance:
        raise OrganNetError(
            f"series {series} has a gap of {gaps[largest]:.1f} mm after image {largest + 1} of "
            f"{len(gaps) + 1} (most are {np.median(gaps):.1f} mm apart): export the whole series"
        )


def _missing(steps: Float64[np.ndarray, " n"]) -> str:
    """How many images are missing and where, counted along the normal."""
    there = len(steps) + 1
    total = int(steps.sum()) - len(steps)
    places = [
        f"{int(steps[n]) - 1} between images {n + 1} and {n + 2} of {there}"
        for n in np.flatnonzero(steps > 1)
    ]
    shown = ", ".join(places[:5]) + (f" and {len(places) - 5} more gaps" if places[5:] else "")
    images = "image is" if total == 1 else "images are"
    return f"{total} {images} missing and interpolated: {shown}"
