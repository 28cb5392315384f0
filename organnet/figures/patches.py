"""What the network sees: patches after windowing, resampling and augmentation."""

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure

from organnet.figures.panel import cut, draw_contours, draw_ct, draw_scale_bar, organ_legend
from organnet.figures.slices import best_slices
from organnet.figures.style import DOUBLE_MM, new_figure, printed
from organnet.organs import UNKNOWN
from organnet.volume import Volume

NETWORK_UNITS = (-1.0, 1.0)
"""Grey values are windowed to this range before the network sees them."""
GAP_MM = 1.0
TOP_MM, FOOT_MM = 5.0, 9.0


@printed
def patch_gallery(
    ct_patches: Float[np.ndarray, "n z y x"],
    labels: UInt8[np.ndarray, "n z y x"],
    spacing_mm: tuple[float, float, float],
) -> Figure:
    """An axial slice of each patch above a coronal one, with the organs' outlines.

    The slices are those that show most organs; unknown voxels are tinted red.

    Args:
        ct_patches: grey values in network units, -1 to 1; n may be 1 to 6.
        labels: label map of each patch.
        spacing_mm: of the patches' grid, z, y, x.
    """
    n = len(ct_patches)
    columns = max(n, 4)  # few patches are not blown up beyond a quarter of the page
    volumes = [
        [Volume(a, spacing_mm) for a in pair] for pair in zip(ct_patches, labels, strict=True)
    ]
    tall_z, tall_y, wide = np.multiply(ct_patches.shape[1:], spacing_mm)
    panel_mm = (DOUBLE_MM - GAP_MM * (columns - 1)) / columns
    heights = {"axial": tall_y * panel_mm / wide, "coronal": tall_z * panel_mm / wide}
    total_mm = TOP_MM + sum(heights.values()) + GAP_MM + FOOT_MM
    figure = new_figure(DOUBLE_MM, total_mm, constrained=False)
    bottoms = {"axial": FOOT_MM + heights["coronal"] + GAP_MM, "coronal": FOOT_MM}
    shown: set[str] = set()
    for number, (ct, label_map) in enumerate(volumes):
        slices = best_slices(label_map.array, tuple(heights))
        for plane, height in heights.items():
            left = number * (panel_mm + GAP_MM)
            box = (left, bottoms[plane], panel_mm, height)
            axes = figure.add_axes(np.divide(box, [DOUBLE_MM, total_mm] * 2).tolist())
            index = slices[plane]
            draw_ct(axes, cut(ct, plane, index), NETWORK_UNITS)
            seen = cut(label_map, plane, index)
            tint = np.ma.masked_equal(seen.values == UNKNOWN, False)
            axes.imshow(
                tint, cmap="Reds", vmin=0, vmax=1.5, alpha=0.5, extent=_extent(seen.size_mm)
            )
            shown |= draw_contours(axes, seen, linewidth=0.8)
            if plane == "axial":
                axes.set_title(f"patch {number + 1}")
                if number == 0:
                    draw_scale_bar(axes)
    organ_legend(figure, shown, loc="lower left")
    return figure


def _extent(size_mm: tuple[float, float]) -> tuple[float, float, float, float]:
    return (0.0, size_mm[1], size_mm[0], 0.0)
