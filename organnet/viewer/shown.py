"""What is looked at, checked and made of one form, whatever the caller had."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from organnet.boxes import box_of
from organnet.datasets.case import Case
from organnet.errors import OrganNetError
from organnet.figures.slices import is_organ
from organnet.head import head_box
from organnet.organs import ORGANS
from organnet.volume import Volume, same_grid, to_lps

LARGEST_SIDE, MOST_SLICES = 192, 256
"""Voxels along y and x, and along z, beyond which `for_3d` halves a CT."""


def shown_case(
    ct: Case | Volume, labels: Volume | None, prediction: Volume | None
) -> tuple[Case, Volume | None]:
    """A case of a CT and what is drawn on it, and the prediction, both as label maps of uint8.

    `labels` go before those of a given case. Raises OrganNetError where a label map does not hold
    whole numbers from 0 to 255, or does not lie on the CT's grid.
    """
    case = ct if isinstance(ct, Case) else None
    image = case.ct if case else ct
    if labels is None:
        labels = case.labels if case else image.with_array(np.zeros(image.shape, np.uint8))
    labels = _label_map(labels, image, "label map")
    if prediction is not None:
        prediction = _label_map(prediction, image, "prediction")
    there = np.bincount(labels.array.ravel(), minlength=256)
    drawn = frozenset(organ.name for organ in ORGANS if there[organ.label])
    return Case(case.name if case else "", image, labels, drawn), prediction


def _label_map(volume: Volume, ct: Volume, what: str) -> Volume:
    if not same_grid(ct, volume):
        raise OrganNetError(
            f"the {what} of {volume.shape} voxels does not lie on the grid of the CT of "
            f"{ct.shape} voxels: give label maps on the CT's own grid"
        )
    if volume.array.dtype == np.uint8:
        return volume
    labels = volume.array.clip(0, 255).astype(np.uint8)
    if not np.array_equal(labels, volume.array):
        raise OrganNetError(
            f"the {what} holds other values than whole numbers from 0 to 255: give a label map, "
            "0 for background, 1 to 9 for the organs"
        )
    return volume.with_array(labels)


def named_maps(case: Case, prediction: Volume | None) -> dict[str, Volume]:
    """Reference and prediction by that name; an empty reference is left out beside a prediction."""
    if prediction is None:
        return {"reference": case.labels}
    return ({"reference": case.labels} if case.drawn else {}) | {"prediction": prediction}


def cropped(ct: Volume, maps: Sequence[Volume]) -> tuple[Volume, list[Volume], tuple[int, ...]]:
    """CT and label maps in LPS, cut to the head and to every organ; and the first voxel kept.

    The rest of a planning CT is air, couch and chest.
    """
    lps, turned = to_lps(ct), [to_lps(labels) for labels in maps]
    box = list(head_box(lps))
    for labels in turned:
        for axis, part in enumerate(box_of(is_organ(labels.array)) or ()):
            box[axis] = slice(min(box[axis].start, part.start), max(box[axis].stop, part.stop))
    first = (box[0].start, box[1].start, box[2].start)
    z, y, x = (float(mm) for mm in lps.position_mm(first))
    cut = [
        replace(v, array=np.ascontiguousarray(v.array[tuple(box)]), origin_mm=(z, y, x))
        for v in (lps, *turned)
    ]
    return cut[0], cut[1:], first


def for_3d(ct: Volume, maps: Sequence[Volume]) -> Volume:
    """`cropped`, along the patient's axes, halved in-plane and in number of slices for 3D."""
    small, _, _ = cropped(ct, maps)
    small = _straightened(small)
    while max(small.shape[1:]) > LARGEST_SIDE:
        small = _halved(_halved(small, 1), 2)
    while small.shape[0] > MOST_SLICES:
        small = _halved(small, 0)
    return small


def _straightened(volume: Volume) -> Volume:
    """The volume on a grid along x, y, z that holds all of it; itself where it lies so already.

    itkwidgets 0.32 hands the transpose of a direction to its renderer, so none is given to it.
    """
    if np.allclose(volume.direction, np.eye(3), atol=1e-4):
        return replace(volume, direction=np.eye(3))
    corners = itertools.product(*((0, n - 1) for n in volume.shape))
    places = np.array([volume.position_mm(corner) for corner in corners])
    spacing, low = np.array(volume.spacing_mm), places.min(0)
    shape = tuple(int(n) for n in np.ceil((places.max(0) - low) / spacing) + 1)
    to_index = volume.direction.T / spacing[:, None]
    array = ndimage.affine_transform(
        volume.array,
        to_index * spacing,
        to_index @ (low - np.array(volume.origin_mm)),
        output_shape=shape,
        order=1,
        cval=float(volume.array.min()),
    )
    return Volume(array, volume.spacing_mm, (float(low[0]), float(low[1]), float(low[2])))


def _halved(volume: Volume, axis: int) -> Volume:
    """Mean of each two neighbours along an axis; an odd last one is left out."""
    array = np.moveaxis(volume.array, axis, 0)
    pairs = array[: len(array) // 2 * 2].reshape(-1, 2, *array.shape[1:])
    mean = np.moveaxis(np.rint(pairs.mean(1, dtype=np.float32)), 0, axis)
    step = [2 if a == axis else 1 for a in range(3)]
    z, y, x = (float(mm) * n for mm, n in zip(volume.spacing_mm, step, strict=True))
    oz, oy, ox = (float(p) for p in volume.position_mm(tuple((n - 1) / 2 for n in step)))
    array = np.ascontiguousarray(mean.astype(volume.array.dtype))
    return Volume(array, (z, y, x), (oz, oy, ox), volume.direction)
