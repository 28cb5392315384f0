"""One slice of CT with what is drawn on it: the brick of every picture here.

A panel is measured in mm and seen as radiologists see it: the patient's right on the left of an
axial or coronal slice, the face on the left of a sagittal one, the head up.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from organnet.figures.style import CASING, FONT_PT
from organnet.organs import ORGANS, spoken
from organnet.volume import Volume

MARKS = {
    "axial": {"left": "R", "right": "L", "top": "A", "bottom": "P"},
    "coronal": {"left": "R", "right": "L", "top": "S", "bottom": "I"},
    "sagittal": {"left": "A", "right": "P", "top": "S", "bottom": "I"},
}
"""Which way the patient lies, by the edge of a panel."""

HU_WINDOW = (-160.0, 240.0)
"""Soft tissue of the neck, as it is commonly shown."""

MARK_PT = 9.0
"""Of these letters. Smaller or lighter ones lose a stroke on a screen, and L reads as I."""

SCALE_BAR_MM = 50.0
DASHES = (0, (2.4, 1.8))
"""Of a predicted contour, in line widths."""
DASHED_WIDTH = 1.4
"""Of a predicted contour, in those of a drawn one."""


@dataclass(frozen=True, eq=False)
class Slice:
    """A slice, as it is seen.

    Attributes:
        plane: axial, coronal or sagittal.
        values: the first row is the top of the picture.
        spacing_mm: distance of rows, and of columns.
    """

    plane: str
    values: Shaped[np.ndarray, "rows columns"]
    spacing_mm: tuple[float, float]

    @property
    def size_mm(self) -> tuple[float, float]:
        """Height and width."""
        (rows, columns), (high, wide) = self.values.shape, self.spacing_mm
        return rows * high, columns * wide


def cut(volume: Volume, plane: str, index: int) -> Slice:
    """Cut a volume in LPS order (see `volume.to_lps`) at this index of z, y or x."""
    z, y, x = volume.spacing_mm
    if plane == "axial":
        return Slice(plane, volume.array[index], (y, x))
    if plane == "coronal":
        return Slice(plane, volume.array[::-1, index], (z, x))
    return Slice(plane, volume.array[::-1, :, index], (z, y))


def draw_ct(
    axes: Axes,
    ct: Slice,
    window: tuple[float, float] = HU_WINDOW,
    frame_mm: tuple[float, float] | None = None,
) -> None:
    """Grey values, marks of direction, and a frame of this height and width (else the slice's).

    Where the frame is larger than the slice, the slice lies in its middle, on black.
    """
    height, width = ct.size_mm
    frame = frame_mm or ct.size_mm
    axes.imshow(
        ct.values,
        cmap="gray",
        vmin=window[0],
        vmax=window[1],
        extent=(0, width, height, 0),
        interpolation="bilinear",
    )
    axes.set_xlim(width / 2 - frame[1] / 2, width / 2 + frame[1] / 2)
    axes.set_ylim(height / 2 + frame[0] / 2, height / 2 - frame[0] / 2)
    bare(axes)
    draw_marks(axes, MARKS[ct.plane])


def bare(axes: Axes) -> None:
    """Black ground, no ticks, no frame."""
    axes.set_facecolor("black")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def draw_marks(axes: Axes, marks: dict[str, str]) -> None:
    """Letters R, L, A, P, S, I inside the edges of a panel."""
    places = {
        "left": (0.02, 0.5, "left", "center"),
        "right": (0.98, 0.5, "right", "center"),
        "top": (0.5, 0.98, "center", "top"),
        "bottom": (0.5, 0.02, "center", "bottom"),
    }
    for edge, letter in marks.items():
        x, y, ha, va = places[edge]
        text = axes.text(x, y, letter, transform=axes.transAxes, ha=ha, va=va, color="white")
        cased = [withStroke(linewidth=1.5, foreground=CASING)]
        text.set(fontsize=MARK_PT, fontweight="bold", path_effects=cased)


def draw_scale_bar(axes: Axes, length_mm: float = SCALE_BAR_MM) -> None:
    """A white bar of 5 cm in the lower left corner of a panel measured in mm."""
    left, right = sorted(axes.get_xlim())
    top, bottom = sorted(axes.get_ylim())
    x, y = left + 0.04 * (right - left), bottom - 0.05 * (bottom - top)
    cased = [withStroke(linewidth=3, foreground=CASING)]
    axes.plot([x, x + length_mm], [y, y], color="white", linewidth=1.6, path_effects=cased)
    axes.annotate(
        f"{length_mm / 10:g} cm",
        (x + length_mm / 2, y),
        (0, 2.5),
        textcoords="offset points",
        ha="center",
        color="white",
        fontsize=FONT_PT,
        path_effects=[withStroke(linewidth=1.5, foreground=CASING)],
    )


def draw_contours(
    axes: Axes, labels: Slice, predicted: bool = False, linewidth: float = 1.0
) -> set[str]:
    """Outline the organs of a label map; returns the names of those that are in the slice.

    A reference is a solid line cased in black. A prediction is dashed, wider and cased in a little
    white, so that the two differ without their colours; in more white red would look pink.
    """
    shown = set()
    for organ in ORGANS:
        mask = labels.values == organ.label
        if mask.any():
            width = linewidth * (DASHED_WIDTH if predicted else 1.0)
            lines = _outline(axes, mask, labels.spacing_mm, organ.colour, width)
            casing, rim = ("white", 0.2) if predicted else (CASING, 0.45)
            lines.set_path_effects([withStroke(linewidth=width + 2 * rim, foreground=casing)])
            if predicted:
                lines.set_linestyle([DASHES])
            lines.set_gid(f"{'prediction' if predicted else 'reference'} {organ.name}")
            shown.add(organ.name)
    return shown


def _outline(
    axes: Axes,
    mask: Shaped[np.ndarray, "rows columns"],
    spacing_mm: tuple[float, float],
    colour: str,
    linewidth: float,
):
    """Contour of a mask in mm; one voxel of margin closes it at the slice's edge."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    near = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    y = (np.arange(near.shape[0] + 2) + rows[0] - 0.5) * spacing_mm[0]
    x = (np.arange(near.shape[1] + 2) + columns[0] - 0.5) * spacing_mm[1]
    return axes.contour(
        x, y, np.pad(near, 1).astype(np.uint8), levels=[0.5], colors=[colour], linewidths=linewidth
    )


def organ_legend(
    figure: Figure, shown: Iterable[str], reference: bool = False, predicted: bool = False, **place
) -> None:
    """Legend of the organs that are in the picture, and of the two kinds of line where needed."""
    shown = set(shown)
    handles: list[Patch | Line2D] = [
        Patch(facecolor=organ.colour, edgecolor="#555555", linewidth=0.4, label=spoken(organ.name))
        for organ in ORGANS
        if organ.name in shown
    ]
    if reference:
        handles.append(Line2D([], [], color="#555555", label="reference"))
    if predicted:
        handles.append(Line2D([], [], color="#555555", linestyle=DASHES, label="prediction"))
    if handles:
        columns = len(handles) if len(handles) <= 6 else (len(handles) + 1) // 2
        figure.legend(
            handles=handles,
            ncols=columns,
            handlelength=1.6,
            handleheight=0.8,
            columnspacing=1.2,
            borderpad=0,
            **place,
        )
