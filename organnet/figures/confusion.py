"""Does the network mistake left for right? What it calls the voxels of each paired organ."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from organnet.figures.planes import place
from organnet.figures.style import DOUBLE_MM, is_right, new_figure, printed
from organnet.organs import spoken
from organnet.sides import CALLED, PAIRED

BESIDE = ("n cases", "n with any voxel\non the wrong side", "n swapped: more\non the wrong side")
"""Numbers of cases beside the shares."""

NAMES_MM, CELL_MM, COUNT_MM = 28.0, 20.0, 25.0
"""Paper for the rows' names, a cell's width, and the width of a column of counts."""
HEAD_MM, ROW_MM, FOOT_MM = 10.0, 8.0, 6.0


@printed
def left_right_confusion(counts: pd.DataFrame) -> Figure:
    """Of the voxels of each paired organ, the share called left, right, another or background.

    Voxels are summed over the cases of `count_sides`; the framed cell is the right answer. Beside
    it: how many cases have voxels of the organ, in how many of them any voxel is called the other
    side, and in how many more voxels are called the other side than the right one.
    """
    table = _summarise(counts)
    lacking = [spoken(name) for name in PAIRED if name not in table.index]
    height_mm = ROW_MM * len(table)
    total_mm = HEAD_MM + height_mm + FOOT_MM
    figure = new_figure(DOUBLE_MM, total_mm, constrained=False)
    if len(table):
        axes = place(figure, (NAMES_MM, FOOT_MM, CELL_MM * len(CALLED), height_mm), total_mm)
        _draw_cells(axes, table)
        _draw_counts(axes, table)
    if lacking:
        note = f"Not drawn in any case: {', '.join(lacking)}"
        figure.text(0, 1.2 / total_mm, note, color="#444444")
    return figure


def _summarise(counts: pd.DataFrame) -> pd.DataFrame:
    """Sums by organ that has voxels: those of CALLED, and the cases of BESIDE."""
    rows = counts[counts[list(CALLED)].sum(axis=1) > 0]
    of_right = rows["organ"].map(is_right).astype(bool)
    same = rows["right"].where(of_right, rows["left"])
    other = rows["left"].where(of_right, rows["right"])
    cases = dict(zip(BESIDE, (1, other > 0, other > same), strict=True))
    sums = rows.assign(**cases).groupby("organ")[[*CALLED, *BESIDE]].sum()
    return sums.reindex([name for name in PAIRED if name in sums.index])


def _draw_cells(axes: Axes, table: pd.DataFrame) -> None:
    voxels = table[list(CALLED)].to_numpy(float)
    shares = 100 * voxels / voxels.sum(axis=1, keepdims=True)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        red, green, blue, _ = np.power(image.to_rgba(share), 2.2)
        dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.18  # white reads better
        style = {"ha": "center", "va": "center", "color": "white" if dark else "black"}
        axes.text(column, row, _percent(share), **style)
    for row, name in enumerate(table.index):
        corner = (int(is_right(name)) - 0.5, row - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, linewidth=1.4, clip_on=False, zorder=3))
    axes.set_xticks(np.arange(1, len(CALLED)) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, len(table)) - 0.5, minor=True)
    axes.grid(which="minor")
    axes.set_axisbelow(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", length=0)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xticks(range(len(CALLED)), CALLED)
    axes.set_yticks(range(len(table)), [spoken(name) for name in table.index])
    axes.set_xlabel("called by the prediction (% of the organ's voxels)", labelpad=4)


def _percent(share: float) -> str:
    """One decimal; what is not quite none or all never reads so."""
    if share in (0, 100):
        return f"{share:.0f}"
    return "<0.1" if share < 0.05 else ">99.9" if share >= 99.95 else f"{share:.1f}"


def _draw_counts(axes: Axes, table: pd.DataFrame) -> None:
    """Numbers of cases, right of the cells."""
    for column, name in enumerate(BESIDE):
        x = len(CALLED) + (column + 0.5) * COUNT_MM / CELL_MM - 0.5
        for row, n in enumerate(table[name]):
            axes.text(x, row, f"{n:.0f}", ha="center", va="center")
        above = {"textcoords": "offset points", "ha": "center", "va": "bottom"}
        axes.annotate(name, (x, -0.5), (0, 3.5), annotation_clip=False, **above)
