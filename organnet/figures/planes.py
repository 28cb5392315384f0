"""A case in three planes, and the best, the median and the worst of many."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from organnet.boxes import box_of
from organnet.datasets.case import Case
from organnet.figures.panel import (
    HU_WINDOW,
    cut,
    draw_contours,
    draw_ct,
    draw_scale_bar,
    organ_legend,
)
from organnet.figures.slices import PLANES, best_slices, is_organ, labels_on, slices_of_all
from organnet.figures.style import DOUBLE_MM, FONT_PT, new_figure, printed
from organnet.head import TISSUE_HU
from organnet.organs import ORGANS, spoken
from organnet.volume import Volume, to_lps

MARGIN_MM = (30.0, 45.0, 40.0)
"""Shown around the organs along z, y, x: the face in front, the ears beside."""
GAP_MM = 1.5
"""White between two panels."""
AIR_MM = 10.0
"""Shown around tissue at most."""
FEWEST_ORGANS = 3
"""Scored in a case that is ranked among others."""


@dataclass(frozen=True, eq=False)
class View:
    """CT, reference and prediction in LPS order, cropped to the organs and their surroundings."""

    ct: Volume
    labels: Volume
    prediction: Volume | None

    @property
    def compares(self) -> bool:
        """Whether there are both, a prediction and a reference that is not empty."""
        return self.prediction is not None and bool(is_organ(self.labels.array).any())

    @property
    def guide(self) -> Volume:
        """What the slices are chosen by: the reference, or the prediction where it is empty."""
        return self.labels if self.prediction is None or self.compares else self.prediction

    @property
    def slices(self) -> dict[str, int]:
        """Index by plane of the three slices that show it best."""
        return best_slices(self.guide.array)


@printed
def case_planes(
    case: Case,
    prediction: Volume | None = None,
    hu_window: tuple[float, float] = HU_WINDOW,
) -> Figure:
    """Axial, coronal and sagittal slice through the organs, with their contours.

    Args:
        case: CT (HU) and reference.
        prediction: label map on the case's grid, drawn dashed over the reference.
        hu_window: HU shown black and white.
    """
    view = view_of(case, prediction)
    return _rows([(case.name, view, view.slices)], hu_window)


@printed
def every_organ(case: Case, hu_window: tuple[float, float] = HU_WINDOW) -> Figure:
    """`case_planes`, with further rows for the organs that are on none of its slices.

    Args:
        case: CT (HU) and label map.
        hu_window: HU shown black and white.
    """
    view = view_of(case)
    rows, seen = [], set()
    for slices in slices_of_all(view.labels.array):
        here = labels_on(view.labels.array, slices)
        new = [spoken(organ.name) for organ in ORGANS if organ.label in here - seen]
        title = f"{case.name}: further slices, for {', '.join(new)}" if seen else case.name
        rows.append((title, view, slices))
        seen |= here
    return _rows(rows, hu_window)


@printed
def best_median_worst(
    cases: Mapping[str, Case],
    predictions: Mapping[str, Volume],
    metrics: pd.DataFrame,
    hu_window: tuple[float, float] = HU_WINDOW,
) -> Figure:
    """`case_planes` of the best, the median and the worst case by mean DSC, one row each.

    Only the cases that `ranked_cases` names need be in `cases` and `predictions`.
    """
    scores = _ranked(metrics)
    left_out = len(scores) < metrics.dropna(subset="dsc")["case"].nunique()
    few = f" with at least {FEWEST_ORGANS} organs" if left_out else ""
    rows = []
    for rank, name in ranked_cases(metrics).items():
        of = f" of {len(scores)}{few}" if rank == "best" else ""
        mean, count = scores.loc[name, ["mean", "count"]]
        organs = "1 organ" if count == 1 else f"{count:.0f} organs"
        title = f"{rank}{of}: {name}, mean DSC of {organs} {100 * mean:.0f} %"
        view = view_of(cases[name], predictions[name])
        rows.append((title, view, view.slices))
    return _rows(rows, hu_window)


def ranked_cases(metrics: pd.DataFrame) -> dict[str, str]:
    """Names of the best, the median and the worst case by mean DSC over their drawn organs.

    Cases of fewer than FEWEST_ORGANS count where there are no others: one easy organ is not the
    best of cases. With two cases there is no median, with one only a best.
    """
    order = _ranked(metrics).index
    ranks = {"best": 0, "median": len(order) // 2, "worst": len(order) - 1}
    keep = {1: ("best",), 2: ("best", "worst")}.get(len(order), tuple(ranks))
    return {rank: str(order[ranks[rank]]) for rank in keep} if len(order) else {}


def _ranked(metrics: pd.DataFrame) -> pd.DataFrame:
    """Mean DSC and number of scored organs of the cases that are ranked, the best first."""
    scores = metrics.dropna(subset="dsc").groupby("case", sort=True)["dsc"].agg(["mean", "count"])
    enough = scores["count"] >= FEWEST_ORGANS
    kept = scores[enough] if enough.any() else scores
    return kept.sort_values("mean", ascending=False, kind="stable")


def view_of(case: Case, prediction: Volume | None = None) -> View:
    """Turn a case to LPS and crop it to what is drawn, plus MARGIN_MM; the whole if nothing is.

    Of that, what lies further than AIR_MM from the CT's tissue is left out: it is black.
    """
    predicted = None if prediction is None else to_lps(prediction)
    view = View(to_lps(case.ct), to_lps(case.labels), predicted)
    drawn = is_organ(view.guide.array)
    near = _around(drawn, view.ct.spacing_mm, MARGIN_MM)
    tissue = _around((view.ct.array > TISSUE_HU) | drawn, view.ct.spacing_mm, (AIR_MM,) * 3)
    box = tuple(
        slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(near, tissue, strict=True)
    )
    cropped = [_cropped(volume, box) for volume in (view.ct, view.labels)]
    return View(*cropped, None if predicted is None else _cropped(predicted, box))


def _around(
    mask: Bool[np.ndarray, "z y x"],
    spacing_mm: tuple[float, float, float],
    margin_mm: tuple[float, float, float],
) -> tuple[slice, ...]:
    """Smallest box that holds a mask and its margin, within the array; the whole if it is empty."""
    box = box_of(mask) or tuple(slice(0, n) for n in mask.shape)
    pads = [int(np.ceil(mm / side)) for mm, side in zip(margin_mm, spacing_mm, strict=True)]
    return tuple(
        slice(max(0, line.start - pad), min(size, line.stop + pad))
        for line, pad, size in zip(box, pads, mask.shape, strict=True)
    )


def _cropped(volume: Volume, box: tuple[slice, ...]) -> Volume:
    """The box alone; its place in the patient is not kept, since a picture has none."""
    return replace(volume, array=volume.array[box])


def _rows(rows: list[tuple[str, View, dict[str, int]]], hu_window: tuple[float, float]) -> Figure:
    """A row of three panels for each title, view and slices; all at one scale, in mm of paper."""
    sizes = [sizes_mm(view.ct) for _, view, _ in rows]
    widths = [max(size[plane][1] for size in sizes) for plane in PLANES]
    height = max(size[plane][0] for size in sizes for plane in PLANES)
    scale = paper_scale(widths)
    title_mm, foot_mm = 6.0, 10.0
    row_mm = height * scale + title_mm
    total_mm = row_mm * len(rows) + foot_mm
    figure = new_figure(DOUBLE_MM, total_mm, constrained=False)
    shown: set[str] = set()
    for number, (title, view, slices) in enumerate(rows):
        bottom = total_mm - (number + 1) * row_mm
        shown |= draw_planes(figure, view, slices, hu_window, widths, height, bottom, total_mm)
        y = (bottom + height * scale + 1.2) / total_mm
        figure.text(0, y, title, ha="left", va="bottom", fontsize=8, parse_math=False)
    predicted = any(view.prediction is not None for _, view, _ in rows)
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, (foot_mm - 2) / total_mm)}
    compared = any(view.compares for _, view, _ in rows)
    organ_legend(figure, shown, compared, predicted, **below)
    y = 1 - (title_mm - 1.2) / total_mm
    figure.text(1, y, window_text(hu_window), ha="right", fontsize=FONT_PT, color="#444444")
    return figure


def paper_scale(widths_mm: list[float]) -> float:
    """Mm of paper per mm of patient where panels of these widths fill the page."""
    return (DOUBLE_MM - (len(widths_mm) - 1) * GAP_MM) / sum(widths_mm)


def draw_planes(
    figure: Figure,
    view: View,
    slices: dict[str, int],
    hu_window: tuple[float, float],
    widths_mm: list[float],
    height_mm: float,
    bottom_mm: float,
    total_mm: float,
) -> set[str]:
    """Three panels side by side, `bottom_mm` above the foot of a page of height `total_mm`.

    Each panel frames `widths_mm` by `height_mm` of the patient. Names of the organs shown.
    """
    shown: set[str] = set()
    scale = paper_scale(widths_mm)
    left = 0.0
    for plane, width in zip(PLANES, widths_mm, strict=True):
        axes = place(figure, (left, bottom_mm, width * scale, height_mm * scale), total_mm)
        draw_ct(axes, cut(view.ct, plane, slices[plane]), hu_window, (height_mm, width))
        shown |= _draw_view(axes, view, plane, slices[plane])
        if plane == "axial":
            draw_scale_bar(axes)
        left += width * scale + GAP_MM
    return shown


def _draw_view(axes: Axes, view: View, plane: str, index: int) -> set[str]:
    """Contours of a view's reference and prediction in one slice; names of the organs shown."""
    shown = draw_contours(axes, cut(view.labels, plane, index))
    if view.prediction is not None:
        shown |= draw_contours(axes, cut(view.prediction, plane, index), predicted=True)
    return shown


def window_text(hu_window: tuple[float, float]) -> str:
    """What to write beside CT: the window, with a true minus sign."""
    low, high = (f"{value:g}".replace("-", "−") for value in hu_window)
    return f"CT window {low} to {high} HU"


def sizes_mm(volume: Volume) -> dict[str, tuple[float, float]]:
    """Height and width by plane."""
    z, y, x = np.multiply(volume.shape, volume.spacing_mm)
    return {"axial": (y, x), "coronal": (z, x), "sagittal": (z, y)}


def place(figure: Figure, place_mm: tuple[float, float, float, float], total_mm: float) -> Axes:
    """Axes at left, bottom, width, height in mm of paper."""
    left, bottom, width, height = place_mm
    box = (left / DOUBLE_MM, bottom / total_mm, width / DOUBLE_MM, height / total_mm)
    return figure.add_axes(box)
