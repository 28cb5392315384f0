"""Masks of one image as closed contours and back, without the loss of a pixel.

Points are (row, column) in pixels, whole numbers at the pixels' centres. Outlines cross half-way
between the centres inside and outside, so that a pixel is inside again when its centre is.
"""

import itertools
from collections.abc import Iterable

import contourpy
import numpy as np
from jaxtyping import Bool, Float64

SAME_LINE_PIXELS = 0.5
"""Contours that are nowhere as far apart are one, stored twice with points rounded or left out."""
POINTS_AT_ONCE = 500
"""Of a contour, held against all of another's: contours of 20,000 points would take gigabytes."""


def contours_of_mask(mask: Bool[np.ndarray, "rows columns"]) -> list[Float64[np.ndarray, "_ 2"]]:
    """Outline each piece of a mask; pixels that touch at a corner only are two pieces.

    A closed contour of DICOM has no holes. A piece's outline goes into each hole and back along
    one line half-way between two rows: this "keyhole" has no width and meets no pixel's centre,
    so that every reader that fills contour by contour leaves the hole open. The last point is
    joined to the first and does not repeat it.
    """
    lines = contourpy.contour_generator(
        z=np.pad(mask, 1).astype(np.float64), fill_type=contourpy.FillType.OuterOffset
    )
    contours = []
    for points, offsets in zip(*lines.filled(0.5, 2.0), strict=True):
        # x, y of the padded mask to row, column; each ring ends with its first point again
        bounds = itertools.pairwise(offsets)
        outline, *holes = (points[first : last - 1, ::-1] - 1 for first, last in bounds)
        for hole in sorted(map(_from_top_left, holes), key=lambda ring: tuple(ring[0])):
            outline = _with_hole(outline, hole)
        contours.append(_corners(outline))
    return contours


def mask_of_contour(
    contour: Float64[np.ndarray, "n 2"], shape: tuple[int, int]
) -> Bool[np.ndarray, "rows columns"]:
    """The pixels whose centre lies inside a closed contour, by the even-odd rule.

    A centre on the line itself counts as inside where the inside lies on its right or below it,
    so that two contours along one border share no pixel. What lies beyond the image is cut off.
    """
    rows, columns = shape
    ends = np.roll(contour, -1, axis=0)
    downwards = (contour[:, 0] <= ends[:, 0])[:, None]
    upper, lower = np.where(downwards, contour, ends), np.where(downwards, ends, contour)
    first = np.clip(np.ceil(upper[:, 0]), 0, rows).astype(np.int64)
    count = np.clip(np.ceil(lower[:, 0]), 0, rows).astype(np.int64) - first

    # One entry for each edge and each row of pixels that it crosses
    edge = np.repeat(np.arange(len(contour)), count)
    row = first[edge] + np.arange(len(edge)) - (np.cumsum(count) - count)[edge]
    share = (row - upper[edge, 0]) / (lower[edge, 0] - upper[edge, 0])
    column = upper[edge, 1] + share * (lower[edge, 1] - upper[edge, 1])
    from_column = np.clip(np.ceil(column), 0, columns).astype(np.int64)

    mask = np.zeros(shape, np.bool_)
    if len(edge):
        met = slice(row.min(), row.max() + 1)
        crossings = np.zeros((met.stop - met.start, columns + 1), np.int64)
        np.add.at(crossings, (row - met.start, from_column), 1)
        mask[met] = np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1
    return mask


def mask_of_contours(
    contours: Iterable[Float64[np.ndarray, "_ 2"]], shape: tuple[int, int]
) -> Bool[np.ndarray, "rows columns"]:
    """The pixels of all contours that one structure has on one image: their union but for holes.

    A contour is a hole where larger ones have filled all that it holds, and an island again
    within a hole. A contour that repeats another, within half a pixel, changes nothing: the wall
    around a hole is one pixel thick at least.
    """
    fills = {fill.tobytes(): (fill, c) for c in contours for fill in [mask_of_contour(c, shape)]}
    mask = np.zeros(shape, np.bool_)
    drawn: list[Float64[np.ndarray, "_ 2"]] = []
    for fill, contour in sorted(fills.values(), key=lambda pair: -np.count_nonzero(pair[0])):
        if any(_repeats(contour, other) for other in drawn):
            continue
        drawn.append(contour)
        if mask[fill].all():
            mask &= ~fill
        else:
            mask |= fill
    return mask


def _repeats(a: Float64[np.ndarray, "n 2"], b: Float64[np.ndarray, "m 2"]) -> bool:
    """Whether each point of both contours lies within half a pixel of the other's line."""
    if np.abs([a.min(0) - b.min(0), a.max(0) - b.max(0)]).max() >= SAME_LINE_PIXELS:
        return False  # the most are told apart by this, at no cost
    return max(_farthest(a, b), _farthest(b, a)) < SAME_LINE_PIXELS


def _farthest(points: Float64[np.ndarray, "n 2"], ring: Float64[np.ndarray, "m 2"]) -> float:
    """The largest distance of a point to a closed line."""
    along = np.roll(ring, -1, axis=0) - ring
    length = np.maximum((along**2).sum(axis=1), 1e-12)
    farthest = 0.0
    for first in range(0, len(points), POINTS_AT_ONCE):
        from_start = points[first : first + POINTS_AT_ONCE, None] - ring
        share = np.clip((from_start * along).sum(axis=2) / length, 0, 1)
        off = from_start - share[:, :, None] * along
        farthest = max(farthest, float((off**2).sum(axis=2).min(axis=1).max()))
    return float(np.sqrt(farthest))


def _from_top_left(ring: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
    """The same ring from its topmost point on, the leftmost of these."""
    return np.roll(ring, -int(np.lexsort((ring[:, 1], ring[:, 0]))[0]), axis=0)


def _with_hole(
    outline: Float64[np.ndarray, "n 2"], hole: Float64[np.ndarray, "m 2"]
) -> Float64[np.ndarray, "k 2"]:
    """Leave the outline for the hole's top left point, go around the hole, and come back.

    That point is half-way between two rows. To its left the first line met is the outline's own
    or that of a hole that is part of it by now, since holes come from the top left on.
    """
    row, column = hole[0]
    after = np.roll(outline, -1, axis=0)
    # At half a row, a point of the outline, or the middle of a step straight up or down
    meets = (outline[:, 0] == row) | ((outline[:, 0] - row) * (after[:, 0] - row) < 0)
    reach = np.where(meets & (outline[:, 1] < column), outline[:, 1], -np.inf)
    at = int(np.argmax(reach))
    door = np.array([[row, reach[at]]])
    return np.concatenate([outline[: at + 1], door, hole, hole[:1], door, outline[at + 1 :]])


def _corners(ring: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "m 2"]:
    """A ring without repeated points and those in the middle of its straight runs."""
    ring = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return ring[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
