"""How a training went: the loss and its terms, and the validation score of every organ."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from organnet.figures.style import (
    DOUBLE_MM,
    GREY,
    ink,
    is_right,
    marker,
    new_figure,
    printed,
)
from organnet.organs import ORGANS, spoken

LOSSES = (
    ("loss", "total", "black", "-"),
    ("focal_loss", "focal", "#0072b2", "--"),
    ("dice_loss", "average Dice", "#d55e00", ":"),
)
"""Column of log.csv, name, colour and line."""


@printed
def learning_curves(log: pd.DataFrame) -> Figure:
    """Loss and validation DSC against epoch, drops of the learning rate marked.

    Args:
        log: log.csv of a run, one row per epoch; scores are NaN where none were taken.
    """
    figure = new_figure(DOUBLE_MM, 74.0)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.05), sharex=True)
    for column, name, colour, line in LOSSES:
        left.plot(log["epoch"], log[column], line, color=colour, label=name, **_points(log[column]))
    left.set(title="a   Training loss", xlabel="epoch", ylabel="loss", ylim=(0, None))
    _draw_scores(right, log)
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
        _mark_drops(axes, log)
    # Below the axes: in a short run the lines are flat and reach the upper right.
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    return figure


def _draw_scores(axes: Axes, log: pd.DataFrame) -> None:
    scored = log.dropna(subset=["dsc_mean"])
    for organ in ORGANS:
        values = scored[f"dsc_{organ.name}"].astype(float)
        if values.notna().any():
            line = "--" if is_right(organ.name) else "-"
            label = spoken(organ.name)
            style = {"linewidth": 0.9, "color": ink(organ.colour), "markersize": 3.5}
            style |= {"marker": marker(organ.name), "markevery": max(1, len(values) // 15)}
            if is_right(organ.name):
                style["markerfacecolor"] = "white"
            axes.plot(scored["epoch"], 100 * values, line, label=label, **style)
    if len(scored):
        mean = 100 * scored["dsc_mean"]
        axes.plot(
            scored["epoch"], mean, color="black", linewidth=1.8, label="mean", **_points(mean)
        )
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=2.2)
    else:
        axes.text(0.5, 0.5, "no validation yet", transform=axes.transAxes, ha="center", color=GREY)
    axes.set(title="b   Validation score", xlabel="epoch", ylabel="DSC (%)", ylim=(0, 100))


def _points(values: pd.Series) -> dict[str, object]:
    """Few values are seen as points too, so that a line is not taken for more than it is."""
    few = values.notna().sum() <= 20
    return {"marker": "o" if few else "", "markersize": 2.5}


def _mark_drops(axes: Axes, log: pd.DataFrame) -> None:
    rate = log["learning_rate"]
    label = "learning rate drops"
    for epoch in log["epoch"][rate < rate.shift()]:
        axes.axvline(epoch - 0.5, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)), label=label)
        label = "_"  # one entry in the legend
