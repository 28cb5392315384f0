"""Where the head is, found from the image alone."""

import numpy as np
from jaxtyping import Int16
from scipy import ndimage

from organnet.boxes import Box
from organnet.volume import Volume

TISSUE_HU = -300  # between lung or couch foam and fat
COARSE_MM = 4.0
SMALLEST_SECTION_MM2 = 300.0  # smaller sections are tubes, mask clips or noise
REACH_MM = 290.0  # from the vertex down; the submandibular glands end some 230 mm below it
FACE_MM = 230.0  # the chin and the back of the head lie within this of the vertex
EARS_MM = 150.0  # the head's width is reached above this; below it come the shoulders
MARGIN_MM = 15.0


def head_box(ct: Volume) -> Box:
    """Index ranges (z, y, x) of the head and upper neck in an LPS-aligned CT.

    The body is the largest connected piece of tissue. Its top section is taken for the vertex; a
    scan that starts lower gets a box that is wider and longer than needed, never one too small,
    unless arms are raised above the head. A CT without tissue gets its whole grid.
    """
    body, step = _body(ct)
    spacing = [mm * n for mm, n in zip(ct.spacing_mm, step, strict=True)]
    section_mm2 = body.sum((1, 2)) * spacing[1] * spacing[2]
    slices = np.flatnonzero(section_mm2 > SMALLEST_SECTION_MM2)
    if slices.size == 0:
        return slice(0, ct.shape[0]), slice(0, ct.shape[1]), slice(0, ct.shape[2])
    top = int(slices[-1])

    def below_top(mm: float) -> int:
        return max(0, top - round(mm / spacing[0]))

    face = body[below_top(FACE_MM) : top + 1].any((0, 2))
    ears = body[below_top(EARS_MM) : top + 1].any((0, 1))
    return _on_the_ct([(below_top(REACH_MM), top + 1), _span(face), _span(ears)], step, ct)


def longer_box(ct: Volume, box: Box) -> Box:
    """A box of `head_box` as long again downwards and as wide as the body.

    It holds a head that lies below raised arms.
    """
    body, step = _body(ct)
    _, y, x = _on_the_ct([_span(body.any(others)) for others in ((1, 2), (0, 2), (0, 1))], step, ct)
    low = box[0].start - round(REACH_MM / ct.spacing_mm[0])
    return slice(max(0, low), box[0].stop), y, x


def _body(ct: Volume) -> tuple[np.ndarray, tuple[int, int, int]]:
    """The body on a coarse grid, and every how many voxels that grid samples (z, y, x)."""
    z, y, x = (max(1, round(COARSE_MM / mm)) for mm in ct.spacing_mm)
    array: Int16[np.ndarray, "z y x"] = ct.array[::z, ::y, ::x]
    tissue = ndimage.binary_opening(array > TISSUE_HU, np.ones((1, 3, 3)))
    pieces, count = ndimage.label(tissue)
    if count > 1:
        tissue = pieces == np.argmax(np.bincount(pieces.ravel())[1:]) + 1
    return tissue, (z, y, x)


def _on_the_ct(ranges: list[tuple[int, int]], step: tuple[int, int, int], ct: Volume) -> Box:
    """Ranges on the coarse grid as those of the CT, with a margin."""
    axes = zip(ranges, step, ct.spacing_mm, ct.shape, strict=True)
    return tuple(_widened(low, high, n, mm, size) for (low, high), n, mm, size in axes)


def _span(occupied: np.ndarray) -> tuple[int, int]:
    where = np.flatnonzero(occupied)
    return int(where[0]), int(where[-1]) + 1


def _widened(low: int, high: int, step: int, axis_mm: float, size: int) -> slice:
    margin = round(MARGIN_MM / axis_mm)
    return slice(max(0, low * step - margin), min(size, high * step + margin))
