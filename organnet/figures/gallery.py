"""Phantom cases side by side, each slice one of which a reader knows what a real head shows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from organnet.boxes import box_of
from organnet.datasets.case import Case
from organnet.figures.panel import (
    HU_WINDOW,
    Slice,
    cut,
    draw_contours,
    draw_ct,
    draw_scale_bar,
    organ_legend,
)
from organnet.figures.planes import window_text
from organnet.figures.slices import slice_through
from organnet.figures.style import DOUBLE_MM, FONT_PT, new_figure, printed
from organnet.hu import TISSUE_FROM_HU
from organnet.volume import to_lps

COLUMNS = (
    ("parotid glands", "axial", ("Parotid_L", "Parotid_R")),
    ("orbits", "axial", ("OpticNerve_L", "OpticNerve_R")),
    ("jaw", "coronal", ("Mandible", "Submandibular_L", "Submandibular_R", "Parotid_L")),
    ("midline", "sagittal", ("BrainStem", "Chiasm")),
)
"""What a column shows, its plane, and the organs the slice is put through."""
LARGEST_MM = 300.0
"""Of a panel; of a longer body its upper part is shown, of a wider one its middle."""
GAP_MM = 1.0
LEFT_MM, TOP_MM, FOOT_MM = 4.0, 5.0, 11.0
"""Paper left of, above and below the pictures, for names, titles and legend."""


@printed
def phantom_gallery(cases: Sequence[Case], hu_window: tuple[float, float] = HU_WINDOW) -> Figure:
    """One row per case: axial at the parotids and at the orbits, coronal, sagittal.

    All panels are at one scale and show all that is not air, with the organs' outlines.
    """
    rows = [[_pair(case, plane, names) for _, plane, names in COLUMNS] for case in cases]
    tall = max(ct.size_mm[0] for row in rows for ct, _ in row)
    wide = [max(row[n][0].size_mm[1] for row in rows) for n in range(len(COLUMNS))]
    paper_mm = DOUBLE_MM - LEFT_MM - GAP_MM * (len(COLUMNS) - 1)
    scale = paper_mm / sum(wide)  # mm of paper per mm of patient
    row_mm = tall * scale + GAP_MM
    total_mm = TOP_MM + row_mm * len(cases) + FOOT_MM
    figure = new_figure(DOUBLE_MM, total_mm, constrained=False)
    shown: set[str] = set()
    for number, (case, row) in enumerate(zip(cases, rows, strict=True)):
        bottom, left = total_mm - TOP_MM - (number + 1) * row_mm + GAP_MM, LEFT_MM
        for (title, plane, _), width, (ct, labels) in zip(COLUMNS, wide, row, strict=True):
            box = (left, bottom, width * scale, tall * scale)
            left += width * scale + GAP_MM
            axes = figure.add_axes(np.divide(box, [DOUBLE_MM, total_mm] * 2).tolist())
            draw_ct(axes, ct, hu_window, (tall, width))
            shown |= draw_contours(axes, labels, linewidth=0.7)
            if number == 0:
                axes.set_title(f"{plane}, {title}")
        draw_scale_bar(figure.axes[number * len(COLUMNS)])
        middle = (bottom + tall * scale / 2) / total_mm
        figure.text(
            0, middle, case.name, rotation=90, va="center", fontsize=FONT_PT, parse_math=False
        )
    organ_legend(figure, shown, loc="lower left")
    note = {"ha": "right", "va": "bottom", "fontsize": FONT_PT, "color": "#444444"}
    figure.text(1, 0, window_text(hu_window), **note)
    return figure


def _pair(case: Case, plane: str, names: Sequence[str]) -> tuple[Slice, Slice]:
    """CT and labels of one slice, cropped alike."""
    ct, labels = to_lps(case.ct), to_lps(case.labels)
    index = slice_through(labels.array, plane, names)
    pair = [cut(volume, plane, index) for volume in (ct, labels)]
    box = _content_box(pair[0])
    ct_slice, label_slice = (replace(part, values=part.values[box]) for part in pair)
    return ct_slice, label_slice


def _content_box(ct: Slice) -> tuple[slice, slice]:
    """Rows and columns of what is not air, at most LARGEST_MM of them."""
    rows, columns = box_of(ct.values > TISSUE_FROM_HU) or map(slice, ct.values.shape)
    high, wide = (int(LARGEST_MM / mm) for mm in ct.spacing_mm)
    top, left = rows.start or 0, columns.start or 0
    left += max(0, columns.stop - left - wide) // 2
    return slice(top, min(rows.stop, top + high)), slice(left, min(columns.stop, left + wide))
