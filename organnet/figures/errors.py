"""Where a prediction errs: its distance painted on the organs of the reference."""

from collections.abc import Mapping, Set

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from scipy.ndimage import find_objects
from scipy.ndimage import label as number_pieces

from organnet.datasets.case import Case
from organnet.figures.panel import draw_scale_bar
from organnet.figures.planes import GAP_MM, place
from organnet.figures.scene import AZIMUTH_DEGREES
from organnet.figures.solid import draw_solid, render
from organnet.figures.style import DOUBLE_MM, SHORT_NAMES, new_figure, printed
from organnet.organs import ORGANS, UNKNOWN, spoken
from organnet.surfaces import Surface, mask_surface, organ_surfaces, signed_distances
from organnet.volume import Volume

SCALE = Normalize(-6.0, 6.0, clip=True)
"""Distances in mm from the first colour to the last."""
COLOURS = LinearSegmentedColormap.from_list("short and beyond", ["#1a6dff", "#f4f4f4", "#ff6a00"])
"""Blue and orange differ to every colour-blind eye; both are bright, to stay so in shadow."""
MISSED, STRIPES = "#3c3c3c", "#9a9a9a"
STRAY, DOTS = "#fff04d", "#3c3c3c"
SMOOTHED = "Distances of smoothed surfaces; HD95 in the tables is of voxel centres."

TITLE_MM, SOLID_MM, BAR_MM, TABLE_MM, NOTE_MM = 10.0, 70.0, 13.0, 25.0, 4.0
"""Paper for titles, bodies, the colour bar, the table, and each note."""
SMALLEST_MM = 100.0
"""Of the patient, down a panel: the scale bar keeps to its corner."""
NAMES_MM, COLUMN_MM = 31.0, 16.8
"""Paper for the names of the table's rows, and for each organ."""

Errors = Mapping[str, Float[np.ndarray, " _"]]


@printed
def error_surfaces(case: Case, prediction: Volume) -> Figure:
    """The reference's organs in 3D from two sides, painted with their distance to the prediction.

    Every point of an organ's surface has its distance in mm to that organ's surface in the
    prediction: positive where the prediction reaches beyond the reference, negative where it falls
    short. The table is over these points, but for its last row: that is over the points of the
    prediction's surface, and tells of what sticks out far. Pieces of the prediction that touch
    nothing of what was drawn of their organ are dotted, and named with how far they reach. Bone is
    left out, since it would tint the colours.

    Args:
        case: reference; an organ drawn but not found is hatched and named as missed.
        prediction: label map on the case's grid. It is cut where the truth is unknown (255), as in
            the metrics: what it finds there counts neither for nor against it.
    """
    unknown = case.labels.array == UNKNOWN
    found = prediction.with_array(np.where(unknown, np.uint8(0), prediction.array))
    organs = organ_surfaces(case.labels)
    errors = surface_errors(organs, found)
    excess = surface_errors(organ_surfaces(found), case.labels)
    stray = stray_surfaces(case.labels, found)
    notes = [*_notes(organs.keys(), found), *_stray_note(stray, case.labels), SMOOTHED]
    foot_mm = BAR_MM + TABLE_MM + NOTE_MM * len(notes)
    total_mm = TITLE_MM + SOLID_MM + foot_mm
    figure = new_figure(DOUBLE_MM, total_mm, constrained=False)
    count = "all" if len(errors) == len(organs) else f"{len(errors)} of"
    title = f"{case.name}: {count} {len(organs)} drawn organs found"
    figure.text(0, 1 - 1 / total_mm, title, va="top", fontsize=8, parse_math=False)
    wide = (DOUBLE_MM - GAP_MM) / 2
    for number, (azimuth, side) in enumerate(
        [(-AZIMUTH_DEGREES, "right"), (AZIMUTH_DEGREES, "left")]
    ):
        axes = place(figure, (number * (wide + GAP_MM), foot_mm, wide, SOLID_MM), total_mm)
        _draw_painted(axes, organs, errors, stray, azimuth, f"from the patient's front {side}")
    _fill_panels(figure.axes, wide / SOLID_MM)
    if organs:
        draw_scale_bar(figure.axes[0])
    _draw_bar(place(figure, (55, foot_mm - 5, DOUBLE_MM - 110, 2.5), total_mm))
    box = (0, foot_mm - BAR_MM - TABLE_MM, DOUBLE_MM, TABLE_MM)
    _draw_table(place(figure, box, total_mm), organs.keys(), errors, excess)
    for number, note in enumerate(notes):
        figure.text(0, (1 + NOTE_MM * (len(notes) - 1 - number)) / total_mm, note)
    return figure


def surface_errors(
    organs: Mapping[str, Surface], prediction: Volume
) -> dict[str, Float[np.ndarray, " n"]]:
    """Signed distance in mm by organ, for each point of its surface; without organs not found."""
    boxes = find_objects(prediction.array, max_label=len(ORGANS))
    return {
        organ.name: signed_distances(
            organs[organ.name].points_mm, prediction, prediction.array[box] == organ.label, box
        )
        for organ, box in zip(ORGANS, boxes, strict=True)
        if box is not None and organ.name in organs
    }


def stray_surfaces(labels: Volume, prediction: Volume) -> dict[str, Surface]:
    """Surface by organ of its found pieces (26 neighbours) without a voxel that was drawn as it."""
    surfaces = {}
    for organ, box in zip(
        ORGANS, find_objects(prediction.array, max_label=len(ORGANS)), strict=True
    ):
        drawn = labels.array == organ.label
        if box is None or not drawn.any():
            continue
        pieces, _ = number_pieces(prediction.array[box] == organ.label, np.ones((3, 3, 3)))
        apart = (pieces > 0) & ~np.isin(pieces, np.unique(pieces[drawn[box]]))
        if apart.any():
            surfaces[organ.name] = mask_surface(prediction, apart, box)
    return surfaces


def _stray_note(stray: Mapping[str, Surface], labels: Volume) -> list[str]:
    """How far from what was drawn of their organ the stray pieces reach."""
    boxes = dict(zip(ORGANS, find_objects(labels.array, max_label=len(ORGANS)), strict=True))
    reach = {
        organ.name: signed_distances(
            stray[organ.name].points_mm, labels, labels.array[box] == organ.label, box
        )
        for organ, box in boxes.items()
        if organ.name in stray
    }
    names = [f"{spoken(name)}, up to {-mm.min():.0f} mm off" for name, mm in reach.items()]
    return [f"Found apart (dotted): {'; '.join(names)}"] if names else []


def _notes(drawn: Set[str], prediction: Volume) -> list[str]:
    """What the bodies cannot show: which organs only one of the two has."""
    found = {organ.name for organ in ORGANS if np.any(prediction.array == organ.label)}
    sides = {
        "Missed (hatched): ": drawn - found,
        "Found, not drawn: ": found - drawn,
    }
    return [
        text + ", ".join(spoken(organ.name) for organ in ORGANS if organ.name in names)
        for text, names in sides.items()
        if names
    ]


def _draw_painted(
    axes: Axes,
    organs: Mapping[str, Surface],
    errors: Errors,
    stray: Mapping[str, Surface],
    azimuth_degrees: float,
    title: str,
) -> None:
    missed = organs.keys() - errors.keys()
    apart = {f"{name}, apart": surface for name, surface in stray.items()}
    bodies = {**organs, **apart}
    plain = dict.fromkeys(missed, MISSED) | dict.fromkeys(apart, STRAY)
    paint = {name: COLOURS(SCALE(distances))[:, :3] for name, distances in errors.items()}
    paint |= {
        name: np.tile(to_rgb(colour), (len(bodies[name].points_mm), 1))
        for name, colour in plain.items()
    }
    draw_solid(axes, bodies, None, azimuth_degrees, title, paint)
    _hatch(axes, bodies, missed, azimuth_degrees, "//////", STRIPES)
    _hatch(axes, bodies, apart.keys(), azimuth_degrees, "....", DOTS)


def _hatch(
    axes: Axes,
    bodies: Mapping[str, Surface],
    names: Set[str],
    azimuth_degrees: float,
    pattern: str,
    colour: str,
) -> None:
    """Hatch these bodies where they are seen."""
    if not names:
        return
    # a picture that is black but where they are seen says where to hatch
    seen = {name: np.full_like(s.points_mm, name in names) for name, s in bodies.items()}
    picture, (wide, high) = render(bodies, None, azimuth_degrees, seen)
    grid = {"origin": "lower", "extent": (0, wide, 0, high)}
    style = {"levels": [0.5, 1.5], "colors": "none", "hatches": [pattern]}
    axes.contourf(picture.any(-1), **grid, **style).set(edgecolor=colour, linewidth=0.6)


def _fill_panels(panels: list[Axes], aspect: float) -> None:
    """One scale for all panels, of this width over height, with room for their marks."""
    sizes = [
        np.abs((np.diff(axes.get_xlim()), np.diff(axes.get_ylim()))).ravel() for axes in panels
    ]
    high = max(SMALLEST_MM, *(1.1 * max(tall, wide / aspect) for wide, tall in sizes))
    for axes, (wide, tall) in zip(panels, sizes, strict=True):
        axes.set_xlim((wide - high * aspect) / 2, (wide + high * aspect) / 2)
        axes.set_ylim((tall + high) / 2, (tall - high) / 2)


def _draw_bar(axes: Axes) -> None:
    bar = axes.figure.colorbar(
        ScalarMappable(SCALE, COLOURS), axes, orientation="horizontal", extend="both"
    )
    ticks = {mm: _signed(f"{mm:+d}") for mm in range(-6, 7, 2)}
    bar.set_ticks(list(ticks), labels=list(ticks.values()))
    bar.set_label("distance from the reference's surface to the prediction's (mm)", labelpad=1)
    ends = {"va": "center", "transform": axes.transAxes}
    axes.text(-0.07, 0.5, "prediction falls short", ha="right", **ends)
    axes.text(1.07, 0.5, "prediction reaches beyond", ha="left", **ends)


def _draw_table(axes: Axes, drawn: Set[str], errors: Errors, excess: Errors) -> None:
    """A column per drawn organ: mean of its distances, and without sign their mean and 95 %."""
    axes.set(xlim=(0, DOUBLE_MM), ylim=(0, TABLE_MM))
    axes.axis("off")
    axes.text(0, 18, "distances (mm)", va="bottom")
    rows = {
        "mean": lambda name: _signed(f"{errors[name].mean():+.1f}"),
        "mean absolute": lambda name: f"{np.abs(errors[name]).mean():.1f}",
        "95 %, drawn to found": lambda name: f"{np.percentile(np.abs(errors[name]), 95):.1f}",
        "95 %, found to drawn": lambda name: f"{np.percentile(np.abs(excess[name]), 95):.1f}",
    }
    for number, row in enumerate(rows):
        axes.text(0, 14 - 4 * number, row)
    columns = [organ.name for organ in ORGANS if organ.name in drawn]
    for number, name in enumerate(columns):
        right = NAMES_MM + COLUMN_MM * (number + 1)
        axes.text(right, 18, SHORT_NAMES[name], ha="right", va="bottom")
        for line, summary in enumerate(rows.values()):
            cell = summary(name) if name in errors else "missed" if line == 0 else "-"
            axes.text(right, 14 - 4 * line, cell, ha="right")
    if columns:
        axes.plot([0, right], [17.3, 17.3], color="#555555", linewidth=0.6)


def _signed(number: str) -> str:
    """A true minus sign; zero has no sign."""
    return number.replace("-", "−") if float(number) else number[1:]
