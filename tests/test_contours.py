"""Contours: a mask comes back whole, by our own filling and by three others'."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path as Polygon
from scipy import ndimage
from skimage.draw import polygon2mask

from organnet.dicom import contours
from organnet.dicom.contours import contours_of_mask, mask_of_contour, mask_of_contours

SHAPE = (9, 11)
masks = st.integers(1, 12).flatmap(
    lambda rows: st.integers(1, 12).flatmap(lambda columns: arrays(np.bool_, (rows, columns)))
)
dense = st.tuples(st.integers(0, 2**32 - 1), st.floats(0.5, 0.97)).map(
    lambda drawn: np.random.default_rng(drawn[0]).random((24, 30)) < drawn[1]
)


def picture(text: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in line] for line in text.split()])


def winding(contour: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Inside by the non-zero rule, pixel by pixel: the sum of the angles seen from its centre."""
    centres = np.argwhere(np.ones(shape, bool)).astype(float)
    seen = contour[None] - centres[:, None]
    angles = np.arctan2(seen[..., 0], seen[..., 1])
    steps = np.roll(angles, -1, axis=1) - angles
    turns = ((steps + np.pi) % (2 * np.pi) - np.pi).sum(axis=1) / (2 * np.pi)
    return (np.abs(turns) > 0.5).reshape(shape)


def matplotlib(contour: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    centres = np.argwhere(np.ones(shape, bool))
    closed = np.concatenate([contour, contour[:1]])
    return Polygon(closed).contains_points(centres).reshape(shape)


def skimage(contour: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return polygon2mask(shape, contour)


def check(mask: np.ndarray) -> list[np.ndarray]:
    """The mask comes back by union and by exclusive or, whoever fills the contours."""
    contours = contours_of_mask(mask)
    assert np.array_equal(mask_of_contours(contours, mask.shape), mask)
    for fill in (mask_of_contour, winding, skimage, matplotlib):
        fills = np.zeros((1, *mask.shape), bool)
        fills = np.concatenate([fills, *([fill(c, mask.shape)[None] for c in contours])])
        assert np.array_equal(fills.any(axis=0), mask), fill.__name__
        assert np.array_equal(np.logical_xor.reduce(fills), mask), fill.__name__
    return contours


@given(mask=masks)
@settings(max_examples=120, deadline=None)
def test_any_mask_comes_back(mask: np.ndarray) -> None:
    pieces = ndimage.label(mask)[1]
    contours = check(mask)
    assert len(contours) == pieces
    for contour in contours:
        assert len(contour) >= 4
        assert (contour.min(axis=0) >= -0.5).all()
        assert (contour.max(axis=0) <= np.array(mask.shape) - 0.5).all()


@given(mask=dense)
@settings(max_examples=20, deadline=None)
def test_masks_full_of_holes_come_back(mask: np.ndarray) -> None:
    check(mask)


@pytest.mark.parametrize(
    "text",
    [
        "#",
        "#. .#",
        "##### #...# #.#.# #...# #####",  # an island in a hole
        "####### #.#.#.# ####### #.#.#.# #######",  # holes side by side, one above the other
        "####### #..#..# #.###.# #######",  # a hole around a corner of another
        "..#.. .#.#. #.#.# .#.#. ..#..",  # corners only
        "######## #.....## #.###.## #.#.#.## #.###.## #.....## ########",
    ],
)
def test_shapes_one_can_draw(text: str) -> None:
    check(picture(text))


def test_a_pixel_is_a_diamond_half_a_pixel_wide() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[4, 6] = True
    (contour,) = contours_of_mask(mask)
    assert {tuple(point) for point in contour} == {(3.5, 6), (4.5, 6), (4, 5.5), (4, 6.5)}


def test_a_rectangle_has_eight_corners_whatever_its_size() -> None:
    mask = np.zeros((40, 50), bool)
    mask[3:30, 5:44] = True
    (contour,) = contours_of_mask(mask)
    assert len(contour) == 8


def test_a_hole_is_reached_between_two_rows() -> None:
    mask = np.ones((5, 5), bool)
    mask[2, 2] = False
    (contour,) = contours_of_mask(mask)
    ends = np.roll(contour, -1, axis=0)
    channel = (contour[:, 0] == 1.5) & (ends[:, 0] == 1.5)
    assert sorted(contour[channel][:, 1]) == [-0.5, 2.0]  # in and out
    steps = np.abs(contour[:, 0] * ends[:, 1] - contour[:, 1] * ends[:, 0])
    assert steps.sum() > 0 and len(contour) == 8 + 4 + 3


def test_no_pixel_no_contour() -> None:
    assert contours_of_mask(np.zeros(SHAPE, bool)) == []
    assert not mask_of_contours([], SHAPE).any()


# Contours that others drew


def box(top: float, left: float, bottom: float, right: float) -> np.ndarray:
    return np.array([(top, left), (top, right), (bottom, right), (bottom, left)], float)


def test_neighbours_on_one_line_share_no_pixel_and_leave_none_out() -> None:
    left, right = box(0, 0, 6, 4), box(0, 4, 6, 9)
    a, b = (mask_of_contour(c, SHAPE) for c in (left, right))
    assert not (a & b).any()
    assert np.array_equal(a | b, mask_of_contour(box(0, 0, 6, 9), SHAPE))
    assert a.sum() == 6 * 4


@given(
    contour=arrays(np.float64, st.tuples(st.integers(1, 9), st.just(2)), elements=st.floats(-4, 14))
)
@settings(max_examples=100, deadline=None)
def test_any_contour_is_filled_as_by_counting_crossings(contour: np.ndarray) -> None:
    expected = np.zeros(SHAPE, bool)
    for row, column in np.ndindex(SHAPE):
        crossings = 0
        for (r0, c0), (r1, c1) in zip(contour, np.roll(contour, -1, axis=0), strict=True):
            if (r0 <= row) != (r1 <= row):
                (top, at), (bottom, to) = sorted([(r0, c0), (r1, c1)])
                crossings += at + (row - top) / (bottom - top) * (to - at) <= column
        expected[row, column] = crossings % 2
    assert np.array_equal(mask_of_contour(contour, SHAPE), expected)


def test_what_lies_beyond_the_image_is_cut_off() -> None:
    assert mask_of_contour(box(-1e9, -1e9, 1e9, 1e9), SHAPE).all()
    assert not mask_of_contour(box(20, 20, 30, 30), SHAPE).any()
    assert not mask_of_contour(box(-9, -9, -3, -3), SHAPE).any()


def test_a_contour_inside_another_is_a_hole_and_one_in_that_an_island() -> None:
    outer, hole, island = box(0.5, 0.5, 8.5, 9.5), box(1.5, 1.5, 7.5, 8.5), box(3.5, 3.5, 5.5, 5.5)
    expected = mask_of_contour(outer, SHAPE)
    expected &= ~mask_of_contour(hole, SHAPE)
    expected |= mask_of_contour(island, SHAPE)
    for order in ([outer, hole, island], [island, hole, outer], [hole, island, outer]):
        assert np.array_equal(mask_of_contours(order, SHAPE), expected)
    assert expected.sum() == 8 * 9 - 6 * 7 + 2 * 2


def test_contours_that_overlap_are_united_and_a_second_copy_changes_nothing() -> None:
    a, b = box(0.5, 0.5, 5.5, 5.5), box(3.5, 3.5, 8.5, 9.5)
    united = mask_of_contour(a, SHAPE) | mask_of_contour(b, SHAPE)
    assert np.array_equal(mask_of_contours([a, b], SHAPE), united)
    assert np.array_equal(mask_of_contours([a, b, a[::-1]], SHAPE), united)


def circle(radius: float, points: int = 40) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return 15 + radius * np.column_stack([np.sin(angles), np.cos(angles)])


def test_a_contour_stored_twice_with_other_points_hollows_nothing_out() -> None:
    shape = (31, 31)
    outer, hole = circle(12.2), circle(6.2)
    expected = mask_of_contour(outer, shape) & ~mask_of_contour(hole, shape)
    thinned, smaller = circle(12.2, 20), circle(5.8)
    fewer = mask_of_contour(thinned, shape)
    assert (mask_of_contour(outer, shape) & ~fewer).any()  # what would be left of the organ
    assert mask_of_contour(smaller, shape).sum() < mask_of_contour(hole, shape).sum()
    contours = [thinned, hole, outer, smaller]
    for order in (contours, contours[::-1]):
        assert np.array_equal(mask_of_contours(order, shape), expected)


def test_a_wall_of_one_pixel_around_a_hole_stays() -> None:
    outer, hole = box(0.5, 0.5, 7.5, 8.5), box(1.5, 1.5, 6.5, 7.5)
    wall = mask_of_contour(outer, SHAPE) & ~mask_of_contour(hole, SHAPE)
    assert np.array_equal(mask_of_contours([hole, outer], SHAPE), wall)
    assert wall.sum() == 7 * 8 - 5 * 6


def test_distances_of_contours_do_not_depend_on_how_many_are_looked_at_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 50, (41, 2)), rng.uniform(0, 50, (23, 2))
    whole = contours._farthest(a, b)
    monkeypatch.setattr(contours, "POINTS_AT_ONCE", 7)
    assert contours._farthest(a, b) == whole > 1
