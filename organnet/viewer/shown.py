"""What is looked at, checked and made of one form, whatever the caller had."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Shaped

from organnet.datasets.case import Case
from organnet.errors import OrganNetError
from organnet.figures.slices import is_organ
from organnet.head import head_box
from organnet.organs import ORGANS
from organnet.volume import Volume, same_grid, to_lps

LARGEST_SIDE = 192
"""Voxels along y and x beyond which `for_3d` halves a CT in-plane."""


def shown_case(ct: Case | Volume, labels: Volume | None, prediction: Volume | None) -> Case:
    """A case of a CT and what is drawn on it; `labels` before those of a given case.

    Raises OrganNetError where a label map is not of whole numbers from 0 to 255, or does not lie
    on the CT's grid.
    """
    case = ct if isinstance(ct, Case) else None
    image = case.ct if case else ct
    if labels is None:
        labels = case.labels if case else image.with_array(np.zeros(image.shape, np.uint8))
    for what, volume in (("label map", labels), ("prediction", prediction)):
        if volume is None:
            continue
        if volume.array.dtype != np.uint8:
            raise OrganNetError(
                f"the {what} is of {volume.array.dtype}: give a label map of uint8, 0 to 9 and 255"
            )
        if not same_grid(image, volume):
            raise OrganNetError(
                f"the {what} of {volume.shape} voxels does not lie on the grid of the CT of "
                f"{image.shape} voxels: give label maps on the CT's own grid"
            )
    there = np.bincount(labels.array.ravel(), minlength=256)
    drawn = frozenset(organ.name for organ in ORGANS if there[organ.label])
    return Case(case.name if case else "", image, labels, drawn)


def cropped(ct: Volume, maps: Sequence[Volume]) -> tuple[Volume, list[Volume], tuple[int, ...]]:
    """CT and label maps in LPS, cut to the head and to every organ; and the first voxel kept.

    The rest of a planning CT is air, couch and chest.
    """
    lps, turned = to_lps(ct), [to_lps(labels) for labels in maps]
    box = list(head_box(lps))
    for labels in turned:
        for axis in range(3):
            others = tuple(other for other in range(3) if other != axis)
            at = np.flatnonzero(is_organ(labels.array).any(others))
            if len(at):
                low, high = min(box[axis].start, at[0]), max(box[axis].stop, at[-1] + 1)
                box[axis] = slice(int(low), int(high))
    first = (box[0].start, box[1].start, box[2].start)
    z, y, x = (float(mm) for mm in lps.position_mm(first))
    cut = [
        replace(v, array=np.ascontiguousarray(v.array[tuple(box)]), origin_mm=(z, y, x))
        for v in (lps, *turned)
    ]
    return cut[0], cut[1:], first


def for_3d(ct: Volume, maps: Sequence[Volume]) -> Volume:
    """`cropped`, and halved in-plane while a side exceeds LARGEST_SIDE voxels."""
    small, _, _ = cropped(ct, maps)
    while max(small.shape[1:]) > LARGEST_SIDE:
        z, y, x = small.spacing_mm
        origin = small.position_mm((0, 0.5, 0.5))
        small = Volume(
            _halved(small.array),
            (z, 2 * y, 2 * x),
            (float(origin[0]), float(origin[1]), float(origin[2])),
            small.direction,
        )
    return small


def _halved(array: Shaped[np.ndarray, "z y x"]) -> Shaped[np.ndarray, "z q r"]:
    """Mean of each two by two pixels of every slice; an odd last row or column is left out."""
    z, y, x = array.shape
    even = array[:, : y // 2 * 2, : x // 2 * 2]
    blocks = even.reshape(z, y // 2, 2, x // 2, 2)
    return np.rint(blocks.mean((2, 4), dtype=np.float32)).astype(array.dtype)
