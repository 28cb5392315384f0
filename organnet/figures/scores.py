"""Scores of every case, organ by organ: points over box plots, nothing left out of sight."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from organnet.figures.style import (
    DOUBLE_MM,
    GREY,
    SHORT_NAMES,
    ink,
    new_figure,
    plain_ticks,
    printed,
)
from organnet.organs import ORGANS

BAND = "#d4d4d4"
MISSED = ("prediction empty", "reference empty")
"""Found by one of the two alone."""
HD95_TICKS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)


@printed
def organ_scores(
    metrics: pd.DataFrame,
    paper: Mapping[str, float] | None = None,
    observers: pd.DataFrame | None = None,
) -> Figure:
    """DSC and HD95 per organ, one point per case, boxes from quartile to quartile.

    A cross is an organ that the prediction or the reference lacks: DSC 0, HD95 the volume's
    diagonal. The HD95 axis is linear to 1 mm and logarithmic from there.

    Args:
        metrics: table of `evaluation.metrics_table`.
        paper: published DSC in % by organ, drawn as diamonds; PDDCA's off-site test.
        observers: the same table for two people who drew the same scans; a grey band from quartile
            to quartile behind each box, a line at the median.
    """
    figure = new_figure(DOUBLE_MM, 108.0)
    upper, lower = figure.subplots(2, 1, sharex=True)
    counted = metrics[metrics["status"] != "not drawn"]
    handles: list[Line2D | Patch] = [
        Line2D([], [], color="#555555", marker="o", linestyle="", markersize=3, label="case"),
    ]
    for axes, values_of in ((upper, _percent), (lower, _millimetres)):
        if observers is not None:
            _draw_bands(axes, observers, values_of)
        draw_boxes(axes, counted, values_of)
    if observers is not None:
        handles.append(
            Patch(
                facecolor=BAND,
                label=f"two observers, {observers['case'].nunique()} scans: middle half",
            )
        )
    if counted["status"].isin(MISSED).any():
        style = {"color": "#555555", "marker": "x", "linestyle": "", "markersize": 4}
        handles.append(Line2D([], [], **style, label="missed (HD95: the CT's diagonal)"))
    if paper is not None:
        handles.append(_draw_paper(upper, paper))
    upper.set(title="a   Dice similarity coefficient", ylabel="DSC (%)", ylim=(-3, 103))
    lower.set(title="b   95 % Hausdorff distance", ylabel="HD95 (mm)")
    _millimetre_axis(lower, counted["hd95_mm"])
    numbers = counted.groupby("organ").size()
    names = [f"{SHORT_NAMES[o.name]}\nn = {numbers.get(o.name, 0)}" for o in ORGANS]
    lower.set_xticks(range(len(ORGANS)), names)
    lower.set_xlim(-0.6, len(ORGANS) - 0.4)
    figure.legend(handles=handles, loc="outside upper right", ncols=4)
    return figure


def _percent(rows: pd.DataFrame) -> pd.Series:
    return 100 * rows["dsc"]


def _millimetres(rows: pd.DataFrame) -> pd.Series:
    return rows["hd95_mm"]


def _draw_paper(axes: Axes, paper: Mapping[str, float]) -> Line2D:
    """A diamond beside each box; returns what stands for it in a legend."""
    style = {"marker": "D", "color": "black", "linestyle": "", "markersize": 4}
    places = [number for number, organ in enumerate(ORGANS) if organ.name in paper]
    values = [paper[ORGANS[number].name] for number in places]
    axes.plot(np.add(places, 0.42), values, **style, markerfacecolor="white")
    return Line2D([], [], **style, markerfacecolor="white", label="paper (mean)")


def _draw_bands(
    axes: Axes, observers: pd.DataFrame, values_of: Callable[[pd.DataFrame], pd.Series]
) -> None:
    """Middle half and median of the agreement of two people, behind each organ's box."""
    for number, organ in enumerate(ORGANS):
        rows = observers[(observers["organ"] == organ.name) & (observers["status"] == "scored")]
        if len(rows):
            low, middle, high = np.percentile(values_of(rows), (25, 50, 75))
            x = (number - 0.46, number + 0.46)
            axes.fill_between(x, low, high, color=BAND, linewidth=0, zorder=0)
            axes.plot(x, (middle, middle), color=GREY, linewidth=0.8, zorder=0.5)


def draw_boxes(
    axes: Axes, rows: pd.DataFrame, values_of: Callable[[pd.DataFrame], pd.Series]
) -> None:
    """A box and its points per organ, at x = 0 to 8."""
    for number, organ in enumerate(ORGANS):
        of_organ = rows[rows["organ"] == organ.name]
        values = values_of(of_organ).to_numpy(float)
        if not len(values):
            place = {"transform": axes.get_xaxis_transform(), "ha": "center", "color": GREY}
            axes.text(number, 0.5, "none drawn", **place)
            continue
        colour = ink(organ.colour)
        axes.boxplot(
            values,
            positions=[number],
            widths=0.56,
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": f"{organ.colour}55", "edgecolor": colour, "linewidth": 0.8},
            medianprops={"color": "black", "linewidth": 1.2},
            whiskerprops={"color": colour, "linewidth": 0.8},
            capprops={"color": colour, "linewidth": 0.8},
            manage_ticks=False,
        )
        missing = of_organ["status"].isin(MISSED).to_numpy(bool)
        x = number + spread(len(values))
        axes.plot(x[~missing], values[~missing], "o", color=colour, markersize=2.4, alpha=0.8)
        axes.plot(x[missing], values[missing], "x", color=colour, markersize=4)
    axes.grid(axis="y")


def spread(n: int) -> np.ndarray:
    """Sideways places of n points in a box; the same each time, neighbours apart."""
    golden = (np.sqrt(5) - 1) / 2
    return (np.arange(n) * golden % 1 - 0.5) * 0.4 if n > 1 else np.zeros(n)


def _millimetre_axis(axes: Axes, values: pd.Series) -> None:
    highest = max(5.0, float(values.max())) if len(values) else 5.0
    axes.set_yscale("symlog", linthresh=1.0, linscale=0.6)
    plain_ticks(axes.yaxis, [tick for tick in HD95_TICKS if tick <= highest * 1.3])
    axes.set_ylim(-0.15, highest * 1.3)
