"""Where in an array something lies."""

import numpy as np
from jaxtyping import Bool, UInt8
from scipy.ndimage import find_objects

from organnet.organs import CLASSES

Box = tuple[slice, slice, slice]


def box_of(mask: Bool[np.ndarray, "..."]) -> tuple[slice, ...] | None:
    """The smallest box around what is True, of as many axes as the array; None where nothing is."""
    box: list[slice] = []
    for axis in range(mask.ndim):
        others = tuple(k for k in range(mask.ndim) if k != axis)
        at = np.flatnonzero(mask.any(others))
        if not len(at):
            return None
        box.append(slice(int(at[0]), int(at[-1]) + 1))
        mask = mask[(slice(None),) * axis + (box[-1],)]  # less to look through along the next
    return tuple(box)


def organ_boxes(labels: UInt8[np.ndarray, "z y x"]) -> list[Box | None]:
    """The smallest box around each organ, in the organs' order; None where there is none.

    Most of a CT is background: the box of all labels is found first, several times as fast as
    the organs are.
    """
    z = _span(labels.reshape(len(labels), -1).max(1, initial=0))
    y, x = (_span(labels[z].max((0, axis), initial=0)) for axis in (2, 1))
    found = find_objects(labels[z, y, x], max_label=CLASSES - 1)
    return [
        box
        and tuple(
            slice(part.start + inner.start, part.start + inner.stop)
            for part, inner in zip((z, y, x), box, strict=True)
        )
        for box in found
    ]


def _span(values: UInt8[np.ndarray, " n"]) -> slice:
    where = np.flatnonzero(values)
    return slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(0, 0)
