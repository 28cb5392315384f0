"""What holds of every figure: printed size, legible text, no trace in matplotlib's state."""

import warnings
from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from figure_parts import SPACING_MM, a_case, a_log, a_patch_figure, scores, shifted
from matplotlib.image import imread
from matplotlib.text import Text

from organnet import figures
from organnet.figures.style import DOUBLE_MM, FONT_PT, SINGLE_MM
from organnet.model import OrganNet
from organnet.paper import PAPER, PAPER_RESULTS
from organnet.settings import VARIANTS, ModelSettings
from organnet.sides import count_sides


def an_entropy_figure():
    case = a_case()
    z = 10
    reference, prediction = case.labels.array[z], shifted(case).array[z]
    entropy = (reference != prediction).astype(np.float32)
    return figures.entropy_and_error(
        case.name, case.ct.array[z], entropy, reference, prediction, SPACING_MM[1:]
    )


def a_confusion_figure():
    counts = count_sides([(a_case(), shifted(a_case()).array)])
    return figures.left_right_confusion(counts)


def an_ablation_figure():
    table = pd.DataFrame(index=list(VARIANTS), data={"seeds": 1.0, "cases": 9.0})
    table[["parameters", "gflop", "dsc", "hd95_mm"]] = 8.2, 117.0, 0.8, 4.0
    table[["difference", "difference_low", "difference_high"]] = -0.02, -0.03, -0.01
    table["p_holm"] = 0.03
    table.loc["organnet", ["cases", "difference", "p_holm"]] = np.nan
    return figures.ablation(table, "OpenKBP, 900 steps")


FIGURES = {
    "architecture": (lambda: figures.architecture(OrganNet(ModelSettings())), DOUBLE_MM),
    "ablation": (an_ablation_figure, DOUBLE_MM),
    "case_planes": (lambda: figures.case_planes(a_case(), shifted(a_case())), DOUBLE_MM),
    "every_organ": (lambda: figures.every_organ(a_case()), DOUBLE_MM),
    "case_scene": (lambda: figures.case_scene(a_case(), shifted(a_case())), DOUBLE_MM),
    "best_median_worst": (
        lambda: figures.best_median_worst(
            {"tiny": a_case()}, {"tiny": shifted(a_case())}, scores([a_case()])
        ),
        DOUBLE_MM,
    ),
    "phantom_gallery": (lambda: figures.phantom_gallery([a_case("a"), a_case("b")]), DOUBLE_MM),
    "learning_curves": (lambda: figures.learning_curves(a_log()), DOUBLE_MM),
    "organ_scores": (
        lambda: figures.organ_scores(scores([a_case()]), PAPER_RESULTS[PAPER]),
        DOUBLE_MM,
    ),
    "organ_volumes": (
        lambda: figures.organ_volumes(figures.measure_volumes([a_case()])),
        DOUBLE_MM,
    ),
    "volume_against_dsc": (
        lambda: figures.volume_against_dsc(scores([a_case()]), {"tiny": 0.0045}),
        SINGLE_MM,
    ),
    "entropy_and_error": (an_entropy_figure, DOUBLE_MM),
    "patch_gallery": (a_patch_figure, DOUBLE_MM),
    "error_surfaces": (lambda: figures.error_surfaces(a_case(), shifted(a_case())), DOUBLE_MM),
    "left_right_confusion": (a_confusion_figure, DOUBLE_MM),
}


def test_every_figure_is_tried_here():
    helpers = {"save", "measure_volumes", "ranked_cases"}
    assert set(FIGURES) == set(figures.__all__) - helpers


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_saved_at_printed_size_and_legible(name, tmp_path):
    before = dict(matplotlib.rcParams)
    draw, width_mm = FIGURES[name]
    figure = draw()
    assert figures.save(figure, tmp_path / "deep" / "figure.png").stat().st_size > 5_000
    assert dict(matplotlib.rcParams) == before
    pixels = imread(tmp_path / "deep" / "figure.png")[..., :3]
    assert pixels.shape[1] == pytest.approx(width_mm / 25.4 * 200, abs=1)
    assert pixels.shape[0] < 240 / 25.4 * 200  # fits on a page
    assert pixels.std() > 0.05
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    assert min(text.get_fontsize() for text in texts) >= FONT_PT
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["figure.png"]


def test_a_case_is_called_what_it_is_called(tmp_path):
    case = replace(a_case(), name="a$b_$c 脳")
    figure = figures.case_planes(case)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures.save(figure, tmp_path / "figure.png")
    assert "a$b_$c 脳" in [text.get_text() for text in figure.findobj(Text)]
