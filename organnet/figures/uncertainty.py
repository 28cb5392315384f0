"""Does the network know where it errs? Its entropy beside its errors, in one slice."""

import numpy as np
from jaxtyping import Float, Integer, UInt8
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from organnet.boxes import box_of
from organnet.figures.panel import (
    HU_WINDOW,
    MARKS,
    Slice,
    bare,
    draw_contours,
    draw_ct,
    draw_marks,
    draw_scale_bar,
    organ_legend,
)
from organnet.figures.planes import window_text
from organnet.figures.style import DOUBLE_MM, new_figure, printed
from organnet.organs import UNKNOWN

MOST_NATS = float(np.log(2))
"""Entropy where two classes are equally likely, as at an organ's edge: seldom is it higher."""
LEAST_NATS = 0.1
"""The brightest colour is not of less: where the network is sure all over, the picture is dark."""

ERRORS = (("missed", "#35d0ff"), ("added", "#ff6a3d"), ("another organ", "#ffe066"))
"""Kinds of wrong voxel, 1 to 3, and their colours."""

GAP_MM, BAR_MM, TOP_MM, FOOT_MM = 1.5, 14.5, 5.0, 14.0
"""Paper between panels, for the colour bar, for titles and for legends."""
AROUND_MM = 45.0
"""Shown around the organs, drawn or found."""


@printed
def entropy_and_error(
    name: str,
    ct: Integer[np.ndarray, "y x"],
    entropy: Float[np.ndarray, "y x"],
    reference: UInt8[np.ndarray, "y x"],
    prediction: UInt8[np.ndarray, "y x"],
    spacing_mm: tuple[float, float],
    hu_window: tuple[float, float] = HU_WINDOW,
) -> Figure:
    """Three panels of one axial slice in LPS order: CT with contours, entropy, wrong voxels.

    Args:
        name: the case's.
        ct: HU.
        entropy: of the ten probabilities, in nats, 0 to 2.3; the brightest colour is of the slice's
            highest, of 0.69 and above at most.
        reference: label map; unknown voxels (255) are never wrong.
        prediction: label map.
        spacing_mm: distance of rows, and of columns.
        hu_window: HU shown black and white.
    """
    near = _near_organs((reference, prediction), spacing_mm)
    ct, entropy, reference, prediction = (a[near] for a in (ct, entropy, reference, prediction))
    high, wide = Slice("axial", ct, spacing_mm).size_mm
    panel_mm = (DOUBLE_MM - 2 * GAP_MM - BAR_MM) / 3
    height_mm = panel_mm * high / wide
    total_mm = TOP_MM + height_mm + FOOT_MM
    figure = new_figure(DOUBLE_MM, total_mm, constrained=False)

    def place(left: float, width: float) -> Axes:
        box = (left, FOOT_MM, width, height_mm)
        return figure.add_axes(np.divide(box, [DOUBLE_MM, total_mm] * 2).tolist())

    contours, entropies = place(0.0, panel_mm), place(panel_mm + GAP_MM, panel_mm)
    bar, wrong = place(2 * panel_mm + GAP_MM + 1.5, 2.5), place(DOUBLE_MM - panel_mm, panel_mm)
    for axes in (contours, wrong):
        draw_ct(axes, Slice("axial", ct, spacing_mm), hu_window)
    shown = draw_contours(contours, Slice("axial", reference, spacing_mm))
    shown |= draw_contours(contours, Slice("axial", prediction, spacing_mm), predicted=True)
    draw_scale_bar(contours)
    _draw_entropy(entropies, bar, entropy, (0.0, wide, high, 0.0))
    titles = ("a   Reference and prediction", "b   Entropy", "c   Wrong voxels")
    for axes, title in zip((contours, entropies, wrong), titles, strict=True):
        axes.set_title(title)
    below = (FOOT_MM - 2) / total_mm
    organ_legend(figure, shown, True, True, loc="upper left", bbox_to_anchor=(0.0, below))
    kinds = error_kinds(reference, prediction)
    _draw_errors(wrong, kinds, (0.0, wide, high, 0.0))
    _error_legend(figure, kinds, (1.0, 1 / total_mm))
    foot = f"{name}, {window_text(hu_window)}"
    figure.text(0, 1.5 / total_mm, foot, color="#444444", parse_math=False)
    return figure


def _error_legend(
    figure: Figure, kinds: UInt8[np.ndarray, "y x"], corner: tuple[float, float]
) -> None:
    """The kinds of error that are in the slice, in one line."""
    figure.legend(
        handles=[
            Patch(facecolor=colour, label=kind)
            for number, (kind, colour) in enumerate(ERRORS, start=1)
            if np.any(kinds == number)
        ],
        loc="lower right",
        bbox_to_anchor=corner,
        ncols=3,
        handlelength=1.2,
        columnspacing=1.2,
        borderpad=0,
    )


def _near_organs(
    label_maps: tuple[UInt8[np.ndarray, "y x"], ...], spacing_mm: tuple[float, float]
) -> tuple[slice, slice]:
    """Rows and columns within AROUND_MM of an organ; all of them where there is none."""
    organs = np.any([(labels > 0) & (labels != UNKNOWN) for labels in label_maps], axis=0)
    box = box_of(organs) or (slice(0, organs.shape[0]), slice(0, organs.shape[1]))
    rows, columns = (
        slice(max(0, line.start - round(AROUND_MM / mm)), line.stop + round(AROUND_MM / mm))
        for line, mm in zip(box, spacing_mm, strict=True)
    )
    return rows, columns


def _draw_entropy(
    axes: Axes,
    bar: Axes,
    entropy: Float[np.ndarray, "y x"],
    extent: tuple[float, float, float, float],
) -> None:
    highest = float(entropy.max())
    most = min(MOST_NATS, max(LEAST_NATS, highest))
    image = axes.imshow(entropy, cmap="inferno", vmin=0, vmax=most, extent=extent)
    bare(axes)
    draw_marks(axes, MARKS["axial"])
    colour_bar = axes.figure.colorbar(image, cax=bar, extend="max" if highest > most else "neither")
    colour_bar.set_label("nats", labelpad=1)
    colour_bar.outline.set_visible(False)


def _draw_errors(
    axes: Axes, kinds: UInt8[np.ndarray, "y x"], extent: tuple[float, float, float, float]
) -> None:
    axes.imshow(
        np.ma.masked_equal(kinds, 0),
        cmap=ListedColormap([colour for _, colour in ERRORS]),
        vmin=0.5,
        vmax=3.5,
        extent=extent,
        interpolation="nearest",
        alpha=0.9,
    )


def error_kinds(
    reference: UInt8[np.ndarray, "y x"], prediction: UInt8[np.ndarray, "y x"]
) -> UInt8[np.ndarray, "y x"]:
    """0 right or unknown, 1 organ missed, 2 organ where there is none, 3 one organ for another."""
    kinds = np.zeros(reference.shape, np.uint8)
    wrong = (reference != prediction) & (reference != UNKNOWN)
    kinds[wrong & (prediction == 0)] = 1
    kinds[wrong & (reference == 0)] = 2
    kinds[wrong & (reference > 0) & (prediction > 0)] = 3
    return kinds
