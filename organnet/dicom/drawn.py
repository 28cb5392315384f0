"""On which images of a CT series contours lie, and whether it is the series they were drawn on.

All series of a study share a frame of reference: contours of one lie in the space of the others,
but between their images.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from organnet.dicom.header import text
from organnet.dicom.images import DicomCT
from organnet.dicom.places import heights_mm, image_heights_mm, slice_spacing_mm
from organnet.dicom.structures import Contour, Structure
from organnet.errors import OrganNetError

ONE_PLANE_MM = 0.25
"""Writers round: what lies no farther apart along the normal lies on one plane."""


def contours_by_image(
    path: Path, structure: Structure, contours: Iterable[Contour], series: DicomCT
) -> dict[int, list[Contour]]:
    """Contours of a structure by the image that they lie on, within half the slice spacing.

    Raises OrganNetError where one lies on no image, or two of different heights on the same.
    """
    heights = image_heights_mm(series)
    reach = slice_spacing_mm(series) / 2 + 1e-3
    on_image: dict[int, list[Contour]] = {}
    planes: dict[int, float] = {}
    for contour in contours:
        height = heights_mm(series, contour.positions_mm)
        nearest = int(np.argmin(np.abs(heights - height.mean())))
        if np.abs(height - heights[nearest]).max() > reach:
            raise OrganNetError(
                f"{path}: a contour of {structure.title} lies on no image of the CT series: "
                "give the series that it was drawn on, with all its images"
            )
        apart = abs(planes.setdefault(nearest, float(height.mean())) - height.mean())
        if apart > ONE_PLANE_MM:
            raise OrganNetError(
                f"{path}: contours of {structure.title} {apart:.2f} mm apart fall on one image of "
                "the CT series: give the series that it was drawn on, with all its images"
            )
        on_image.setdefault(nearest, []).append(contour)
    return on_image


def check_drawn_on(path: Path, structures: Iterable[Structure], series: DicomCT) -> list[str]:
    """Refuse contours of another series; a note where they only lie as if drawn on this one.

    What refers to an image of this series was drawn on it. UIDs may be missing, or may have been
    changed on one side: what refers to none is taken where each contour lies on an image and
    some lie on neighbours, as on a series of this spacing. Raises OrganNetError otherwise.
    """
    strangers = [one for one in structures if not _refers_to(one, series)]
    contours = [contour for one in strangers for contour in one.contours if contour.is_closed]
    if not contours:
        return []
    heights = image_heights_mm(series)
    within = min(ONE_PLANE_MM, slice_spacing_mm(series) / 5)
    middles = np.array([heights_mm(series, one.positions_mm).mean() for one in contours])
    apart = np.abs(middles[:, None] - heights)
    images = np.unique(apart.argmin(axis=1))
    if (apart.min(axis=1) > within).any() or not (np.diff(images) == 1).any():
        raise OrganNetError(
            f"{path} was drawn on another series than {_name(series)}, on planes that are not "
            "those of its images: give the series that it was drawn on"
        )
    return [
        f"the contours refer to no image of {_name(series)} but lie on its images: "
        "taken as drawn on them"
    ]


def _refers_to(structure: Structure, series: DicomCT) -> bool:
    headers = [image.header for image in series.images]
    uids = {str(header.get("SOPInstanceUID")) for header in headers}
    return bool(structure.drawn_on & (uids | {str(headers[0].get("SeriesInstanceUID"))}))


def _name(series: DicomCT) -> str:
    number = text(series.images[0].header, "SeriesNumber")
    return f"CT series {number}" if number else "the CT series"
