"""What each part of the network is worth: the variants' scores beside the paper's network."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from organnet.figures.style import DOUBLE_MM, GREY, new_figure, printed

ROW_MM, TOP_MM, FOOT_MM = 7.0, 12.0, 19.0
VARIANT_NAMES = {
    "organnet": "OrganNet2.5D",
    "no-hdc": "no dilation (HDC)",
    "no-resse": "no ResSE",
    "all-3d": "3D throughout",
    "unet": "U-Net, four poolings",
    "focal-only": "focal loss alone",
    "dice-only": "Dice loss alone",
}
COLUMNS = (
    ("parameters\n(millions)", lambda row: f"{row['parameters']:.2f}"),
    ("GFLOP,\na patch", lambda row: f"{row['gflop']:.1f}"),
    ("DSC\n(%)", lambda row: f"{100 * row['dsc']:.1f}"),
    ("HD95\n(mm)", lambda row: f"{row['hd95_mm']:.1f}"),
)
"""Head of a column of numbers, and what stands in it."""


@printed
def ablation(table: pd.DataFrame, trained: str) -> Figure:
    """Cost and scores of each variant, and its DSC minus that of the paper's network.

    Points are mean differences over cases in percentage points, bars the bootstrap's 95 % interval;
    hollow where Wilcoxon's test, Holm-corrected, gives p of 0.05 or more.

    Args:
        table: of `ablation.ablation_table`.
        trained: on what, and how long: the figure is often shown beside other runs.
    """
    height_mm = TOP_MM + ROW_MM * len(table) + FOOT_MM
    figure = new_figure(DOUBLE_MM, height_mm)
    numbers, axes, ps = figure.subplots(1, 3, width_ratios=(1.15, 1.0, 0.22), sharey=True)
    for place in (numbers, ps):
        place.set_axis_off()
    for y, (name, row) in enumerate(table.iterrows()):
        numbers.text(0.0, y, variant_title(str(name)), va="center")
        for column, (_, cell) in enumerate(COLUMNS):
            numbers.text(_x(column), y, cell(row), va="center", ha="right")
        if np.isnan(row["difference"]):
            continue
        _draw_difference(axes, y, row)
        ps.text(0.0, y, p_text(row["p_holm"]), va="center")
    for column, (head, _) in enumerate(COLUMNS):
        numbers.text(_x(column), -0.9, head, va="center", ha="right", color="#444444")
    ps.text(0.0, -0.9, "p (Holm)", va="center", color="#444444")
    numbers.set_xlim(0, 1)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_ylim(len(table) - 0.5, -1.5)
    difference = "DSC minus OrganNet2.5D's (percentage points; right: better)"
    axes.set_xlabel(f"{difference}\n{_basis(table)}\n{trained}")
    axes.tick_params(left=False, labelleft=False)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    return figure


def _x(column: int) -> float:
    """Right edge of a column of numbers."""
    return 0.55 + 0.15 * column


def _draw_difference(axes: Axes, y: int, row: pd.Series) -> None:
    ends = 100 * row[["difference_low", "difference_high"]].to_numpy(float)
    axes.plot(ends, [y, y], color=GREY, linewidth=1.6, solid_capstyle="butt")
    face = "black" if row["p_holm"] < 0.05 else "white"
    axes.plot(100 * row["difference"], y, "o", color="black", markerfacecolor=face, markersize=5)


def variant_title(variant: str) -> str:
    """What a reader is shown: a title, or the variant's own name where it has none."""
    return VARIANT_NAMES.get(variant, variant)


def p_text(p: float) -> str:
    """A p-value as a table prints it."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _basis(table: pd.DataFrame) -> str:
    """How many cases and seeds the differences rest on."""
    cases, seeds = table["cases"].dropna(), int(table["seeds"].min())
    n = f"n = {cases.min():.0f} cases" if len(cases) else "no variant to compare"
    return (
        f"{n} (a case's DSC is its organs' mean), {seeds} seed{'s' if seeds > 1 else ''}\n"
        "filled: p < 0.05; bar: 95 % interval over cases, not over trainings"
    )
