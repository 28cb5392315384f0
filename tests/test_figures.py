"""Figures: what is in them, on which side, at which scale; never how their pixels look."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from figure_parts import a_case, a_log, a_patch_figure, scores, shifted
from matplotlib.colors import to_hex, to_rgb

from organnet import figures
from organnet.figures.panel import MARKS
from organnet.figures.planes import view_of
from organnet.figures.slices import (
    PLANES,
    best_slices,
    labels_on,
    slice_through,
    slices_of_all,
)
from organnet.figures.style import ink
from organnet.figures.uncertainty import error_kinds
from organnet.organs import ORGANS, UNKNOWN, spoken


def test_figures_need_no_pyplot():
    code = "import sys, organnet.figures; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def scale_of(axes):
    """Pixels per mm to the right and downwards."""
    (x0, y0), (x1, y1) = axes.transData.transform([(0, 0), (1, 1)])
    return x1 - x0, y0 - y1


def test_millimetres_are_alike_in_all_directions_and_panels():
    figure = figures.case_planes(a_case())
    figure.draw_without_rendering()
    scales = [scale for axes in figure.axes for scale in scale_of(axes)]
    assert scales == pytest.approx([scales[0]] * 6)
    bar = next(line for line in figure.axes[0].lines)
    assert np.ptp(bar.get_xdata()) == 50.0
    axial = figure.axes[0].images[0]
    assert axial.get_extent() == [0, 64 * 1.0, 48 * 1.5, 0]


FLIPPED = np.diag([-1.0, -1.0, -1.0])


@pytest.mark.parametrize("direction", [None, FLIPPED], ids=["LPS", "RAI"])
def test_the_letters_are_on_the_patients_sides(direction):
    case = a_case(direction=direction)
    corner = (-3, 4, -4) if direction is None else (2, -5, 3)  # head, face, left
    case.ct.array[corner] = 2000
    view = view_of(case)
    assert np.unravel_index(view.ct.array.argmax(), view.ct.shape) == (21, 4, 60)
    figure = figures.case_planes(case)
    figure.draw_without_rendering()
    seen = {"axial": (4, 60), "coronal": (2, 60), "sagittal": (2, 4)}
    patient = {"L": "L", "R": "L", "A": "A", "P": "A", "S": "S", "I": "S"}
    for plane, axes in zip(PLANES, figure.axes, strict=True):
        rows, columns = axes.images[0].get_array().shape
        left, right, bottom, top = axes.images[0].get_extent()
        row, column = seen[plane]
        x = left + (column + 0.5) / columns * (right - left)
        y = top + (row + 0.5) / rows * (bottom - top)
        spot = axes.transData.transform((x, y))
        letters = {t.get_text(): t.get_window_extent() for t in axes.texts}
        for letter in MARKS[plane].values():
            if letter == patient[letter]:
                opposite = {"L": "R", "A": "P", "S": "I"}[letter]
                near, far = letters[letter], letters[opposite]
                assert np.hypot(*(spot - [near.x0, near.y0])) < np.hypot(*(spot - [far.x0, far.y0]))


def contours(axes):
    return {c.get_gid(): c for c in axes.collections if c.get_gid()}


def legend_texts(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_contours_and_legend_have_the_organs_that_are_shown():
    figure = figures.case_planes(a_case(labels=[1, 6, 7]), shifted(a_case(labels=[1, 6])))
    axial = contours(figure.axes[0])
    assert set(axial) == {
        *(f"reference {name}" for name in ("BrainStem", "Parotid_L", "Parotid_R")),
        *(f"prediction {name}" for name in ("BrainStem", "Parotid_L")),
    }
    expected = ["Brain stem", "Parotid L", "Parotid R", "reference", "prediction"]
    assert legend_texts(figure) == expected
    solid, dashed = axial["reference Parotid_L"], axial["prediction Parotid_L"]
    assert solid.get_linestyle()[0][1] is None and dashed.get_linestyle()[0][1] is not None
    for lines in (solid, dashed):
        assert to_hex(lines.get_edgecolor()[0]) == ORGANS[5].colour
    x = solid.get_paths()[0].vertices[:, 0]
    assert (x.min(), x.max()) == (36.0, 40.0)  # voxels 36 to 39 of 1 mm, edge to edge


def test_without_prediction_the_legend_is_of_organs_alone():
    assert legend_texts(figures.case_planes(a_case(labels=[3]))) == ["Mandible"]


def test_a_case_without_labels_is_drawn_whole_and_a_prediction_guides_the_slices():
    empty = a_case(labels=[])
    assert view_of(empty).ct.shape == empty.ct.shape
    assert legend_texts(figures.case_planes(empty)) == []
    figure = figures.case_planes(empty, a_case(labels=[4]).labels)
    assert legend_texts(figure) == ["Optic nerve L", "prediction"]


def test_an_organ_at_the_border_is_outlined_too():
    case = a_case(labels=[])
    case.labels.array[:, :20, :20] = 1
    assert "reference BrainStem" in contours(figures.case_planes(case).axes[0])


def test_slices_together_show_most_organs():
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[2, 2:7, 2:7] = 3  # one large organ
    labels[6, 3, 3], labels[6, 5, 5] = 4, 5  # two small ones, which the axial slice takes
    labels[1, 3, 7] = UNKNOWN
    slices = best_slices(labels)
    assert slices["axial"] == 6 and 2 <= slices["coronal"] < 7
    assert slice_through(labels, "axial", ["Mandible"]) == 2
    assert slice_through(labels, "sagittal", ["OpticNerve_R"]) == 5
    assert slice_through(labels, "axial", ["Chiasm"]) == 6  # of any organ
    nothing = np.zeros((4, 6, 8), np.uint8)
    assert best_slices(nothing) == {"axial": 2, "coronal": 3, "sagittal": 4}
    assert slice_through(nothing, "coronal", ["Chiasm"]) == 3


def test_best_median_and_worst_are_found_and_drawn():
    cases = {name: a_case(name) for name in "abcde"}
    table = pd.concat(
        [scores([cases[n]], by) for n, by in zip("abcde", (3, 0, 4, 1, 2), strict=True)]
    )
    ranks = figures.ranked_cases(table)
    assert ranks == {"best": "b", "median": "e", "worst": "c"}
    kept = {name: cases[name] for name in ranks.values()}
    predictions = {name: shifted(case) for name, case in kept.items()}
    figure = figures.best_median_worst(kept, predictions, table)
    assert len(figure.axes) == 9
    titles = [t.get_text() for t in figure.texts[:3]]
    n = table.dropna(subset="dsc")["case"].nunique()
    organs = table[table["case"] == "b"]["dsc"].count()
    assert titles[0].startswith(f"best of {n}: b, mean DSC of {organs} organs ")
    assert [title[:7] for title in titles[1:]] == ["median:", "worst: "]
    easy = pd.concat([table, scores([a_case("f")], 0).query("organ == 'Mandible'")])
    assert easy.query("case == 'f'")["dsc"].item() == 1, "the best of all, but of one organ"
    assert figures.ranked_cases(easy) == ranks
    title = figures.best_median_worst(kept, predictions, easy).texts[0].get_text()
    assert title.startswith(f"best of {n} with at least 3 organs: b")
    assert figures.ranked_cases(easy.query("case == 'f'")) == {"best": "f"}
    assert figures.ranked_cases(table[table["case"] == "a"]) == {"best": "a"}
    assert list(figures.ranked_cases(table[table["case"] < "c"])) == ["best", "worst"]


def test_every_organ_is_on_one_of_the_slices():
    case = a_case(labels=[])
    places = [(2, 5, 5), (6, 20, 20), (10, 30, 35), (14, 40, 50), (18, 12, 58)]  # none in a plane
    for label, place in zip((1, 2, 4, 5, 9), places, strict=True):
        case.labels.array[place] = label
    case.labels.array[21, 45, 60] = UNKNOWN
    rows = slices_of_all(case.labels.array)
    first, second = (labels_on(case.labels.array, slices) - {0, UNKNOWN} for slices in rows)
    assert first | second == {1, 2, 4, 5, 9} and len(first) == 3
    figure = figures.every_organ(case)
    assert len(figure.axes) == 6
    titles = [text.get_text() for text in figure.texts]
    names = ", ".join(spoken(organ.name) for organ in ORGANS if organ.label in second - first)
    assert titles[:2] == ["tiny", f"tiny: further slices, for {names}"]
    assert len(legend_texts(figure)) == 5
    nothing = np.zeros((4, 6, 8), np.uint8)
    assert slices_of_all(nothing) == [{"axial": 2, "coronal": 3, "sagittal": 4}]


def test_learning_curves_show_losses_organs_and_drops():
    left, right = figures.learning_curves(a_log()).axes
    labels = [t.get_text() for t in left.get_legend().get_texts()]
    assert labels == ["total", "focal", "average Dice", "learning rate drops"]
    drops = [line.get_xdata()[0] for line in left.lines if len(line.get_xdata()) == 2]
    assert drops == [5.5, 10.5]
    names = [t.get_text() for t in right.get_legend().get_texts()]
    assert len(names) == 9 and "Chiasm" not in names and names[-1] == "mean"


def test_learning_curves_of_one_epoch_and_before_any_validation():
    log = a_log(1)
    assert "no validation yet" in [t.get_text() for t in figures.learning_curves(log).axes[1].texts]


def test_organ_scores_count_what_is_drawn_and_mark_what_is_missing():
    table = scores([a_case("a"), a_case("b", labels=range(1, 9))])
    missed = (table["case"] == "a") & (table["organ"] == "Chiasm")
    table.loc[missed, ["dsc", "hd95_mm", "status"]] = [0.0, 117.0, "prediction empty"]
    table = table[table["organ"] != "Mandible"]
    figure = figures.organ_scores(table, {"BrainStem": 87.2, "Chiasm": 66.3})
    upper, lower = figure.axes
    ticks = [tick.get_text().split("\n")[-1] for tick in lower.get_xticklabels()]
    assert ticks == ["n = 2", "n = 2", "n = 0", *["n = 2"] * 5, "n = 1"]
    crosses = [line for line in upper.lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert [line.get_ydata().tolist() for line in crosses] == [[0.0]]
    assert lower.get_ylim()[1] > 117 and lower.get_ylim()[0] < 0
    (paper,) = (line for line in upper.lines if line.get_marker() == "D")
    assert paper.get_ydata().tolist() == [87.2, 66.3]
    assert legend_texts(figure) == [
        "case",
        "missed (HD95: the CT's diagonal)",
        "paper (mean)",
    ]
    assert legend_texts(figures.organ_scores(scores([a_case()]))) == ["case"]


def test_organ_volumes_are_millilitres_of_drawn_organs():
    volumes = figures.measure_volumes([a_case(labels=[1, 3])])
    assert list(volumes["organ"]) == ["BrainStem", "Mandible"]
    assert volumes["ml"].tolist() == pytest.approx([8 * 8 * 4 * 4.5 / 1000] * 2)


def test_kinds_of_error():
    reference = np.array([[0, 1, 1, 0, 1, UNKNOWN, UNKNOWN]], np.uint8)
    prediction = np.array([[0, 1, 0, 2, 2, 3, 0]], np.uint8)
    assert error_kinds(reference, prediction).tolist() == [[0, 0, 1, 2, 3, 0, 0]]


@pytest.mark.parametrize("n", [1, 6])
def test_patches_are_shown_axial_above_coronal(n):
    figure = a_patch_figure(n)
    assert len(figure.axes) == 2 * n
    figure.draw_without_rendering()
    assert scale_of(figure.axes[0]) == pytest.approx(scale_of(figure.axes[1]))


def test_gallery_has_four_views_of_each_case():
    figure = figures.phantom_gallery([a_case("a"), a_case("b"), a_case("c")])
    assert len(figure.axes) == 12
    titles = [axes.get_title(loc="left").split(",")[0] for axes in figure.axes[:4]]
    assert titles == ["axial", "axial", "coronal", "sagittal"]


def test_ink_is_dark_enough_on_paper():
    for organ in ORGANS:
        red, green, blue = to_rgb(ink(organ.colour))
        assert 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 < 0.365


def test_real_case_in_three_planes(shared_data):
    from organnet.datasets.pddca import read_case

    folder = shared_data / "matched" / "0522c0226__pt_212"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    case = read_case(folder)
    figure = figures.case_planes(case, case.labels)
    names = legend_texts(figure)
    assert "Parotid L" in names and "Parotid R" in names
    # The right parotid lies on the viewer's left, beside the R.
    axial = contours(figure.axes[0])
    right, left = (axial[f"reference Parotid_{side}"].get_paths()[0] for side in "RL")
    assert right.vertices[:, 0].mean() < left.vertices[:, 0].mean()
