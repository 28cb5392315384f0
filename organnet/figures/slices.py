"""Which slices to show: those that a reader would scroll to."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import find_objects

from organnet.organs import CLASSES, ORGAN_NAMES

PLANES = ("axial", "coronal", "sagittal")
"""Planes in the order of the axes z, y, x that they cut."""


def is_organ(labels: UInt8[np.ndarray, "*grid"]) -> Bool[np.ndarray, "*grid"]:
    """True where a label map has an organ, not background or unknown."""
    return (labels > 0) & (labels < CLASSES)


def best_slices(
    labels: UInt8[np.ndarray, "z y x"], planes: Sequence[str] = PLANES
) -> dict[str, int]:
    """Index by plane of the slices that together show the organs best.

    An organ is shown as well as the area of its best section among the slices, relative to its
    largest section in that plane. Each slice is chosen in turn, the others given, twice over;
    a second view of an organ counts a tenth. Middle slices where there is no organ.
    """
    slices = {plane: labels.shape[PLANES.index(plane)] // 2 for plane in planes}
    if not is_organ(labels).any():
        return slices
    sections = {plane: _sections(labels, PLANES.index(plane)) for plane in planes}
    chosen = {plane: np.zeros(len(ORGAN_NAMES)) for plane in planes}
    for plane in (*planes, *planes):
        others = np.max([chosen[other] for other in planes if other != plane], axis=0)
        shown = np.maximum(sections[plane], others[:, None]) + 0.1 * sections[plane]
        slices[plane] = int(shown.sum(0).argmax())
        chosen[plane] = sections[plane][:, slices[plane]]
    return slices


def slices_of_all(labels: UInt8[np.ndarray, "z y x"]) -> list[dict[str, int]]:
    """`best_slices`, and those of the organs that are on none of them, until each is on one."""
    found = [best_slices(labels)]
    left = labels
    while True:
        wanted = np.arange(256, dtype=np.uint8)
        wanted[list(labels_on(left, found[-1]))] = 0
        left = wanted[left]
        if not is_organ(left).any():
            return found
        found.append(best_slices(left))


def labels_on(labels: UInt8[np.ndarray, "z y x"], slices: dict[str, int]) -> set[int]:
    """The values of a label map that are on any of these slices."""
    planes = [labels.take(n, PLANES.index(plane)) for plane, n in slices.items()]
    return set().union(*(np.unique(plane).tolist() for plane in planes))


def slice_through(labels: UInt8[np.ndarray, "z y x"], plane: str, names: Sequence[str]) -> int:
    """The slice with most of these organs; of any organ where none of them was drawn."""
    sections = _sections(labels, PLANES.index(plane))
    wanted = sections[[ORGAN_NAMES.index(name) for name in names]].sum(0)
    shown = wanted if wanted.any() else sections.sum(0)
    return int(shown.argmax()) if shown.any() else len(shown) // 2


def _sections(labels: UInt8[np.ndarray, "z y x"], axis: int) -> Float[np.ndarray, "9 n"]:
    """Area of every organ in every slice across an axis, over the organ's largest."""
    others = tuple(other for other in range(3) if other != axis)
    sections = np.zeros((len(ORGAN_NAMES), labels.shape[axis]))
    for number, box in enumerate(find_objects(labels, max_label=CLASSES - 1)):
        if box is not None:
            area = np.count_nonzero(labels[box] == number + 1, axis=others)
            sections[number, box[axis]] = area / area.max()
    return sections
