"""Where predictions err: signed distances in closed form, and left called right."""

import weakref
from dataclasses import replace

import numpy as np
import pytest
from figure_parts import a_case, shifted
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from organnet import figures, surfaces
from organnet.datasets.case import Case
from organnet.figures import errors
from organnet.figures.errors import COLOURS, SCALE, surface_errors
from organnet.figures.solid import render
from organnet.organs import CLASSES, ORGAN_NAMES, ORGANS, UNKNOWN, organ, swap_left_right
from organnet.sides import CALLED, count_sides
from organnet.surfaces import organ_surfaces, signed_distances
from organnet.volume import Volume

SPACING_MM = (2.5, 1.5, 2.0)
PAROTID = "Parotid_L"


def a_box(shift=0, label=6, **grid):
    """A box of 40 x 36 x 40 mm, moved by `shift` voxels of 2 mm to the patient's left."""
    array = np.zeros((32, 40, 48), np.uint8)
    array[8:24, 8:32, 12 + shift : 32 + shift] = label
    return Volume(array, SPACING_MM, **grid)


def as_case(labels):
    present = [o.name for o in ORGANS if np.any(labels.array == o.label)]
    ct = labels.with_array(np.zeros(labels.shape, np.int16))
    return Case("a-case", ct, labels, frozenset(present))


def test_a_shifted_box_is_beyond_on_one_face_and_short_on_the_other():
    surface = organ_surfaces(a_box())[PAROTID]
    (mm,) = surface_errors({PAROTID: surface}, a_box(shift=3)).values()
    z, y, x = (surface.points_mm - surface.points_mm.mean(0)).T
    inner_z, inner_y = np.abs(z) < 12, np.abs(y) < 10
    left, right = (inner_z & inner_y & (sign * surface.normals[:, 2] > 0.999) for sign in (1, -1))
    top = (np.abs(surface.normals[:, 0]) > 0.999) & inner_y & (np.abs(x) < 10)
    assert left.sum() > 50 and right.sum() > 50 and top.sum() > 100
    assert np.allclose(mm[left], 6, atol=1e-3)  # the prediction reaches beyond
    assert np.allclose(mm[right], -6, atol=1e-3)  # and falls short
    assert np.allclose(mm[top], 0, atol=1e-3)
    assert mm.max() < 6.01 and mm.min() > -6.01


def a_ball(radius_mm):
    grid = np.indices((32, 48, 40)) * np.reshape(SPACING_MM, (3, 1, 1, 1))
    distance = np.linalg.norm(grid - np.reshape((40, 36, 40), (3, 1, 1, 1)), axis=0)
    return Volume(np.where(distance < radius_mm, 6, 0).astype(np.uint8), SPACING_MM)


@pytest.mark.parametrize(("drawn", "found"), [(20, 15), (15, 20), (18, 18)])
def test_a_larger_ball_is_beyond_and_a_smaller_one_short(drawn, found):
    mm = surface_errors(organ_surfaces(a_ball(drawn)), a_ball(found))[PAROTID]
    assert np.allclose(mm, found - drawn, atol=1.25)  # half a slice
    assert mm.mean() == pytest.approx(found - drawn, abs=0.1)


def test_distances_are_the_same_on_an_oblique_grid_elsewhere():
    turn = np.deg2rad(20)
    direction = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, -1.0]]
    )
    grid = {"origin_mm": (-300.0, 40.0, 7.0), "direction": direction}
    straight = surface_errors(organ_surfaces(a_box()), a_box(2))[PAROTID]
    oblique = surface_errors(organ_surfaces(a_box(**grid)), a_box(2, **grid))[PAROTID]
    assert np.allclose(straight, oblique, atol=1e-3)


def test_distances_to_one_triangle_by_hand():
    triangle = np.array([[0.0, 0, 0], [0, 4, 0], [0, 0, 3]])
    flat = np.tile((0.0, 0, 9), (3, 1))  # without area, and farther off
    points = np.array([[2.0, 1, 1], [-2, 1, 1], [0, 2, -3], [3, -4, 0], [0, 4, 3], [0, 4, 0]])
    corners = np.stack([np.stack([triangle, flat])] * len(points))
    # above it on both sides, beyond a side, beyond a corner, beyond the slanting side, on a corner
    expected = [2, 2, 3, 5, 12 / 5, 0]
    assert surfaces._to_nearest(points, corners) == pytest.approx(expected)


def test_the_nearest_triangle_is_among_the_candidates(monkeypatch):
    rng = np.random.default_rng(0)
    mask = rng.random((6, 8, 7)) < 0.3  # as ragged as can be
    box = (slice(5, 11), slice(0, 8), slice(2, 9))
    grid = Volume(np.zeros((20, 20, 20), np.uint8), (3.0, 1.0, 1.0))
    points = rng.uniform(-5, 50, (300, 3))
    some = signed_distances(points, grid, mask, box)
    monkeypatch.setattr(surfaces, "CANDIDATES", 10**6)
    assert some == pytest.approx(signed_distances(points, grid, mask, box))


def test_what_is_found_where_the_truth_is_unknown_does_not_count():
    case, prediction = as_case(a_box()), a_box()
    prediction.array[24:28][prediction.array[20:24] > 0] = 6  # goes on towards the head
    beyond = "".join(texts(figures.error_surfaces(case, prediction)))
    case.labels.array[24:] = UNKNOWN
    unknown = "".join(texts(figures.error_surfaces(case, prediction)))
    assert "0.00.00.00.0" in unknown and "0.00.00.0" not in beyond


def texts(figure):
    return [t.get_text() for t in figure.findobj(Text) if t.get_visible() and t.get_text()]


def test_the_left_face_is_painted_beyond_and_the_right_face_short():
    figure = figures.error_surfaces(as_case(a_box()), a_box(shift=3))
    pictures = [axes.images[0].get_array() for axes in figure.axes[:2]]
    redness = [picture[..., 0] - picture[..., 2] for picture in pictures]
    right, left = (r[len(r) // 2] for r in redness)  # along the middle row, from R to L
    assert right[len(right) // 4] < -0.5 and right.max() < 0.1  # the right face: blue
    assert left[-len(left) // 4] > 0.5 and abs(left[len(left) // 2]) < 0.1  # the left one: orange
    assert "prediction falls short" in texts(figure) and "−6" in texts(figure)
    assert np.allclose(COLOURS(SCALE(99.0)), COLOURS(SCALE(6.0)))  # clipped


def test_paint_is_by_point_and_without_it_an_organ_has_its_own_colour():
    organs = organ_surfaces(a_box())
    points = organs[PAROTID].points_mm
    plain, _ = render(organs, None, 0.0)
    own = np.array(to_rgb(organ(PAROTID).colour))
    painted, _ = render(organs, None, 0.0, {PAROTID: np.tile(own, (len(points), 1))})
    seen = plain.any(-1)
    for picture in (plain, painted):
        assert np.allclose(picture[seen] / picture[seen].max(1, keepdims=True), own / own.max())
    assert not painted[~seen].any() and (painted >= plain - 1e-6).all()  # in milder shadow
    upper = (points[:, :1] > points[:, 0].mean()) * np.ones(3)
    picture, _ = render(organs, None, 0.0, {PAROTID: upper})
    rows = len(picture)
    assert picture[: rows // 3].max() > 0.3 and picture[2 * rows // 3 :].max() == 0


def hatched(figure):
    return [
        any(area.get_hatch() or getattr(area, "hatches", None) for area in axes.collections)
        for axes in figure.axes[:2]
    ]


def test_missed_and_false_organs_are_named():
    case = a_case(labels=[1, 2, 6])
    prediction = shifted(a_case(labels=[1, 6, 9]), by=1)
    figure = figures.error_surfaces(case, prediction)
    assert texts(figure).count("missed") == 1
    assert "Missed (hatched): Chiasm" in texts(figure)
    assert "Found, not drawn: Submandibular R" in texts(figure)
    assert "tiny: 2 of 3 drawn organs found" in texts(figure)
    assert hatched(figure) == [True, True]
    right = figures.error_surfaces(case, case.labels)
    assert hatched(right) == [False, False]
    assert not [text for text in texts(right) if "issed" in text or "not drawn" in text]


def test_a_piece_apart_is_dotted_and_named_with_how_far_it_reaches():
    case, prediction = as_case(a_box()), a_box(shift=1)
    prediction.array[28:30, 8:32, 12:32] = 6  # from 10 mm to 15 mm above the highest slice
    figure = figures.error_surfaces(case, prediction)
    assert "Found apart (dotted): Parotid L, up to 15 mm off" in texts(figure)
    assert hatched(figure) == [True, True]
    prediction.array[24:28, 8:32, 12:32] = 6  # now it is joined to the organ
    joined = figures.error_surfaces(case, prediction)
    assert "apart" not in "".join(texts(joined)) and hatched(joined) == [False, False]


def test_a_found_piece_of_an_organ_that_was_not_drawn_is_not_apart_from_it():
    case, prediction = as_case(a_box()), a_box()
    prediction.array[0:3, 0:4, 0:4] = 7
    assert errors.stray_surfaces(case.labels, prediction) == {}


def test_what_sticks_out_far_is_in_the_table():
    case, prediction = as_case(a_box()), a_box()
    prediction.array[24:32, 14:26, 16:28] = 6  # 20 mm more on a part of the highest slice
    words = texts(figures.error_surfaces(case, prediction))
    names = ["95 %, drawn to found", "95 %, found to drawn"]
    assert words[words.index(names[0]) :][:2] == names
    to_found, to_drawn = map(float, words[words.index("mean") + 7 :][:2])
    assert to_found < 3 and 10 < to_drawn < 20


@pytest.mark.parametrize("labels", [[], range(1, 10), [4]])
@pytest.mark.parametrize("found", [[], range(1, 10), [3]])
def test_nothing_is_cut_off_and_no_two_texts_overlap(labels, found):
    case, prediction = a_case(labels=labels), shifted(a_case(labels=found), by=1)
    within_the_page(figures.error_surfaces(case, prediction))
    counts = count_sides([(case, prediction.array)])
    within_the_page(figures.left_right_confusion(counts))


def within_the_page(figure):
    FigureCanvasAgg(figure).draw()
    boxes = [
        (text, text.get_window_extent())
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip()
    ]
    for number, (text, box) in enumerate(boxes):
        assert box.x0 > -0.5 and box.x1 < figure.bbox.x1 + 0.5, text
        assert box.y0 > -0.5 and box.y1 < figure.bbox.y1 + 0.5, text
        for other, other_box in boxes[:number]:
            assert not box.overlaps(other_box), (text, other)
    for axes in figure.axes:
        assert axes.bbox.x1 < figure.bbox.x1 + 0.5 and axes.bbox.y1 < figure.bbox.y1 + 0.5


def shares(figure):
    """Texts of the cells and of the counts beside them, by row."""
    axes = figure.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    rows = {name: {} for name in names}
    for text in axes.texts:
        x, y = text.get_position()
        if y == round(y) and y >= 0:
            rows[names[int(y)]][x] = text.get_text()
    return {name: [row[x] for x in sorted(row)] for name, row in rows.items()}


def test_swapped_labels_are_all_on_the_wrong_side():
    case = a_case(labels=[1, 6, 7, 8])
    good, bad = (case, case.labels.array), (case, swap_left_right(case.labels.array))
    figure = figures.left_right_confusion(count_sides([bad]))
    assert shares(figure) == {
        "Parotid L": ["0", "100", "0", "0", "1", "1", "1"],
        "Parotid R": ["100", "0", "0", "0", "1", "1", "1"],
        "Submandibular L": ["0", "100", "0", "0", "1", "1", "1"],
    }
    lacking = "Not drawn in any case: Optic nerve L, Optic nerve R, Submandibular R"
    assert lacking in texts(figure)
    figure = figures.left_right_confusion(count_sides([good, bad, good, good]))
    assert shares(figure)["Parotid R"] == ["25.0", "75.0", "0", "0", "4", "1", "1"]


def test_a_few_wrong_voxels_or_as_many_as_right_ones_are_no_swap():
    case = a_case(labels=[6, 7])
    prediction = case.labels.array.copy()
    left, right = (np.argwhere(prediction == label) for label in (6, 7))
    prediction[tuple(left[0])] = 7
    prediction[tuple(right[: len(right) // 2].T)] = 6
    pair = (case, prediction)
    rows = shares(figures.left_right_confusion(count_sides([pair])))
    assert rows["Parotid L"] == ["99.6", "0.4", "0", "0", "1", "1", "0"]  # 255 of 256
    assert rows["Parotid R"] == ["50.0", "50.0", "0", "0", "1", "1", "0"]
    prediction[tuple(right[-1])] = 6
    rows = shares(figures.left_right_confusion(count_sides([pair, (case, case.labels.array)])))
    assert rows["Parotid R"][-3:] == ["2", "1", "1"]


def test_counts_are_those_of_a_loop_over_voxels():
    rng = np.random.default_rng(1)
    pairs = []
    for number in range(3):
        labels = rng.choice([*range(CLASSES), UNKNOWN], (4, 5, 6)).astype(np.uint8)
        drawn = rng.choice(ORGAN_NAMES, 6, replace=False)
        grid = Volume(labels, SPACING_MM)
        case = Case(str(number), grid, grid, frozenset(map(str, drawn)))
        pairs.append((case, rng.integers(0, CLASSES, labels.shape).astype(np.uint8)))
    expected = {}
    for case, prediction in pairs:
        for o in ORGANS:
            if o.name in case.drawn and o.name[-2:] in ("_L", "_R"):
                counts = expected.setdefault((case.name, o.name), dict.fromkeys(CALLED, 0))
                for truth, found in zip(case.labels.array.flat, prediction.flat, strict=True):
                    if truth == o.label:
                        name = ORGAN_NAMES[found - 1] if found else ""
                        same = name[:-2] == o.name[:-2]
                        side = {"_L": "left", "_R": "right"}.get(name[-2:]) if same else None
                        counts[side or ("another organ" if found else "background")] += 1
    table = count_sides(iter(pairs)).set_index(["case", "organ"])
    assert table.to_dict("index") == expected


def test_one_case_is_in_memory_at_a_time():
    class Cases:
        """Reads a case when asked, and looks whether the one before is gone."""

        def __init__(self):
            self.last, self.left = None, 3

        def __iter__(self):
            return self

        def __next__(self):
            assert self.last is None or self.last() is None
            if not self.left:
                raise StopIteration
            self.left -= 1
            case = replace(a_case(), name=str(self.left))
            self.last = weakref.ref(case)
            return case, case.labels.array

    assert list(count_sides(Cases())["case"].unique()) == ["2", "1", "0"]


def test_nearly_all_and_nearly_none_do_not_read_as_all_and_none():
    counts = count_sides([]).astype({name: int for name in CALLED})
    counts.loc[0] = ["a", "Parotid_L", 99_990, 10, 0, 0]
    counts.loc[1] = ["b", "Parotid_R", 0, 0, 0, 0]  # drawn without a voxel
    figure = figures.left_right_confusion(counts)
    assert shares(figure) == {"Parotid L": [">99.9", "<0.1", "0", "0", "1", "1", "0"]}
