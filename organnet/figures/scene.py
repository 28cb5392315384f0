"""A case in three planes above its organs in 3D: what the viewer shows, on paper."""

from matplotlib.figure import Figure

from organnet.datasets.case import Case
from organnet.figures.panel import HU_WINDOW, organ_legend
from organnet.figures.planes import (
    GAP_MM,
    draw_planes,
    paper_scale,
    place,
    sizes_mm,
    view_of,
    window_text,
)
from organnet.figures.slices import PLANES
from organnet.figures.solid import draw_solid
from organnet.figures.style import DOUBLE_MM, FONT_PT, new_figure, printed
from organnet.surfaces import bone_surface, organ_surfaces
from organnet.volume import Volume

TITLE_MM, FOOT_MM, SOLID_MM = 6.0, 10.0, 72.0
AZIMUTH_DEGREES = 35.0


@printed
def case_scene(
    case: Case,
    prediction: Volume | None = None,
    hu_window: tuple[float, float] = HU_WINDOW,
) -> Figure:
    """Three planes with contours, and below them the organs within the skull, twice.

    Args:
        case: CT (HU) and reference.
        prediction: label map on the case's grid. It is drawn dashed over the reference, and in 3D
            beside it. Where there is but one of the two, that one is seen from the front right
            and the front left.
        hu_window: HU shown black and white.
    """
    view = view_of(case, prediction)
    sizes = sizes_mm(view.ct)
    widths = [sizes[plane][1] for plane in PLANES]
    height = max(sizes[plane][0] for plane in PLANES)
    planes_mm = height * paper_scale(widths)
    total_mm = TITLE_MM + planes_mm + TITLE_MM + SOLID_MM + FOOT_MM
    figure = new_figure(DOUBLE_MM, total_mm, constrained=False)
    bottom = FOOT_MM + SOLID_MM + TITLE_MM
    shown = draw_planes(figure, view, view.slices, hu_window, widths, height, bottom, total_mm)
    figure.text(0, 1 - (TITLE_MM - 1.2) / total_mm, case.name, fontsize=8, parse_math=False)
    window = window_text(hu_window)
    y = 1 - (TITLE_MM - 1.2) / total_mm
    figure.text(1, y, window, ha="right", fontsize=FONT_PT, color="#444444")

    bone = bone_surface(view.ct)
    if view.compares:
        panels = [
            (organ_surfaces(view.labels), AZIMUTH_DEGREES, "reference"),
            (organ_surfaces(view.prediction), AZIMUTH_DEGREES, "prediction"),
        ]
    else:
        only = organ_surfaces(view.guide)
        panels = [
            (only, -AZIMUTH_DEGREES, "from the patient's front right"),
            (only, AZIMUTH_DEGREES, "from the patient's front left"),
        ]
    wide = (DOUBLE_MM - GAP_MM) / 2
    for number, (organs, azimuth, title) in enumerate(panels):
        axes = place(figure, (number * (wide + GAP_MM), FOOT_MM, wide, SOLID_MM), total_mm)
        draw_solid(axes, organs, bone, azimuth, title)
        shown |= organs.keys()
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, (FOOT_MM - 2) / total_mm)}
    organ_legend(figure, shown, view.compares, view.prediction is not None, **below)
    return figure
