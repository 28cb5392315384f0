"""How large the organs are, and whether small ones score worse."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from organnet.datasets.case import Case
from organnet.figures.scores import draw_boxes
from organnet.figures.style import (
    DOUBLE_MM,
    SHORT_NAMES,
    SINGLE_MM,
    ink,
    is_right,
    marker,
    new_figure,
    plain_ticks,
    printed,
)
from organnet.organs import ORGANS, spoken

ML_TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def measure_volumes(cases: Iterable[Case]) -> pd.DataFrame:
    """Volume in ml of each drawn organ of each case: columns case, organ, ml.

    Takes one case at a time, so a generator that loads them keeps one in memory.
    """
    rows = []
    for case in cases:
        voxels = np.bincount(case.labels.array.ravel(), minlength=256)
        rows += [
            {"case": case.name, "organ": o.name, "ml": voxels[o.label] * case.labels.voxel_ml}
            for o in ORGANS
            if o.name in case.drawn
        ]
    return pd.DataFrame(rows, columns=["case", "organ", "ml"])


@printed
def organ_volumes(volumes: pd.DataFrame) -> Figure:
    """Volume of every drawn organ in ml, on a logarithmic axis, from `measure_volumes`."""
    figure = new_figure(DOUBLE_MM, 62.0)
    axes = figure.subplots()
    draw_boxes(axes, volumes.assign(status="scored"), lambda rows: rows["ml"])
    axes.set_yscale("log")
    plain_ticks(axes.yaxis, ML_TICKS)
    numbers = volumes.groupby("organ").size()
    names = [f"{SHORT_NAMES[o.name]}\nn = {numbers.get(o.name, 0)}" for o in ORGANS]
    axes.set_xticks(range(len(ORGANS)), names)
    axes.set(ylabel="volume (ml)", xlim=(-0.6, len(ORGANS) - 0.4))
    return figure


@printed
def volume_against_dsc(metrics: pd.DataFrame, voxel_ml: Mapping[str, float]) -> Figure:
    """DSC of every organ of every case against its true volume in ml.

    Args:
        metrics: table of `evaluation.metrics_table`; what has no reference voxel is left out.
        voxel_ml: volume of a voxel of each case.
    """
    rows = metrics[metrics["reference_voxels"] > 0]
    ml = rows["reference_voxels"] * rows["case"].map(voxel_ml)
    figure = new_figure(SINGLE_MM, 82.0)
    axes = figure.subplots()
    for organ in ORGANS:
        mine = rows["organ"] == organ.name
        if mine.any():
            axes.plot(
                ml[mine],
                100 * rows["dsc"][mine],
                marker(organ.name),
                color=ink(organ.colour),
                markerfacecolor="none" if is_right(organ.name) else ink(organ.colour),
                markersize=3,
                alpha=0.85,
                label=spoken(organ.name),
            )
    axes.set_xscale("log")
    plain_ticks(axes.xaxis, ML_TICKS)
    cases = rows["case"].nunique()
    n = f"n = {len(rows)} organs of {cases} case{'s' if cases > 1 else ''}"
    axes.set(xlabel=f"volume of the organ (ml); {n}", ylabel="DSC (%)", ylim=(-3, 103))
    axes.grid()
    figure.legend(loc="outside lower center", ncols=3, handletextpad=0.2, columnspacing=1.0)
    return figure
