"""The 3D view: the CT as itkwidgets' volume, the organs as surfaces in their colours.

Organs go in as named surfaces and not as a label map, whose colours itkwidgets 0.32 takes from
fixed tables. Everything lies in the patient's millimetres, x to the left, y to the back, z to the
head.
"""

from collections.abc import Callable
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets as widgets
import itk
import numpy as np
from itkwidgets import Viewer
from jaxtyping import Float32
from matplotlib.colors import to_rgb

from organnet.datasets.case import Case
from organnet.organs import ORGANS, spoken
from organnet.surfaces import Surface, organ_surfaces
from organnet.viewer.legend import organ_ticks, ticks_row
from organnet.viewer.shown import for_3d, named_maps
from organnet.volume import Volume, to_lps

HEIGHT_PX = 480
"""Of the view: without a graphics card every pixel costs; itkwidgets has 700 built in."""

LOWEST_HU, HIGHEST_HU = -500, 1500
"""CT is clipped to these: air beneath shows nothing, metal above drowns everything."""

OPACITY = {
    "bone": {"position": 0.62, "height": 0.015, "width": 0.25, "xBias": 0.0, "yBias": 0.4},
    "soft tissue": {"position": 0.30, "height": 0.08, "width": 0.09, "xBias": 0.0, "yBias": 0.4},
    "no CT": {"position": 0.99, "height": 0.0, "width": 0.01, "xBias": 0.0, "yBias": 0.0},
}
"""How opaque each HU is: Gaussians over the clipped range, itkwidgets' own form."""

SAMPLE_DISTANCE = 0.35
"""Of rays through the CT, itkwidgets' own measure from 0 to 1: about two voxels."""

_STYLE = f"<style>.organnet-3d > div {{ height: {HEIGHT_PX}px !important; }}</style>"

VIEWS = {"front": (0.0, -1.0), "left": (1.0, 0.0), "right": (-1.0, 0.0), "oblique": (0.55, -0.85)}
"""From where one looks: x to the patient's left, y to the back."""


def three_d(case: Case, prediction: Volume | None = None) -> widgets.VBox:
    """Controls above one 3D view, or above two that turn together (reference, prediction)."""
    maps = named_maps(case, prediction)
    ct = for_3d(case.ct, list(maps.values()))
    surfaces = {what: organ_surfaces(to_lps(labels)) for what, labels in maps.items()}
    views = [_viewer(ct, organs) for organs in surfaces.values()]
    for other in views[1:]:
        for what in ("camera", "opacity_gaussians", "mode"):
            widgets.jslink((views[0], what), (other, what))
    columns = []
    for what, view in zip(surfaces, views, strict=True):
        title = [widgets.HTML(f"<b>{what}</b>")] if len(views) > 1 else []
        layout = widgets.Layout(width=f"{100 // len(views)}%")
        columns.append(widgets.VBox([*title, view], layout=layout))
    z, y, x = ct.shape
    size = f"{x} × {y} × {z} voxels, {2 * ct.array.size / 2**20:.0f} MiB"
    about = f"{escape(case.name or 'CT')} shown: {size}"
    controls = widgets.HBox(
        [_ct_buttons(views), _camera_buttons(views, ct), widgets.HTML(about)],
        layout=widgets.Layout(align_items="center"),
    )
    organs = _organ_boxes(list(surfaces.values()), views)
    return widgets.VBox([widgets.HTML(_STYLE), controls, organs, widgets.HBox(columns)])


def _viewer(ct: Volume, organs: dict[str, Surface]) -> Viewer:
    """A viewer that opens with a thumbnail of the CT and takes the CT once it is there.

    While it opens it draws a frame for each of its settings; without a graphics card that took
    forty seconds with the CT, and sixteen by way of the thumbnail (docs/viewer.md).
    """
    colours = [to_rgb(o.colour) for o in ORGANS if o.name in organs]
    viewer = Viewer(
        image=_itk_image(_thumbnail(ct)),
        geometries={spoken(name): _polydata(surface) for name, surface in organs.items()},
        geometry_colors=np.array(colours, np.float32).reshape(-1, 3),
        geometry_opacities=np.ones(len(organs), np.float32),
        cmap="Grayscale",
        vmin=LOWEST_HU,
        vmax=HIGHEST_HU,
        opacity_gaussians=[[OPACITY["bone"]]],
        channels=[True],  # without it the viewer stops half-way through its settings
        gradient_opacity=0.2,
        sample_distance=1.0,
        units="mm",
        ui_collapsed=True,
        background=(0.0, 0.0, 0.0),
        camera=_camera(ct, "oblique"),
    )
    viewer.layout.width = "100%"
    viewer.add_class("organnet-3d")

    steps = iter(("whole CT", "camera"))

    def go_on(change: Any) -> None:
        if change["new"]:
            return
        step = next(steps, None)
        if step == "whole CT":
            viewer._rendering_image = True
            viewer.rendered_image = _itk_image(ct)
        elif step == "camera":  # a new image has turned it; and rays step by the old one's voxels
            viewer.camera = _camera(ct, "oblique") + np.float32(1e-3)
            viewer.sample_distance = SAMPLE_DISTANCE

    viewer.observe(go_on, "_rendering_image")
    return viewer


def _thumbnail(ct: Volume, side: int = 12) -> Volume:
    """The same box in few voxels, with the CT's own extremes in them."""
    step = [max(1, -(-n // side)) for n in ct.shape]
    z, y, x = (mm * n for mm, n in zip(ct.spacing_mm, step, strict=True))
    array = ct.array[:: step[0], :: step[1], :: step[2]].copy()
    array.flat[:2] = ct.array.min(), ct.array.max()
    return replace(ct, array=array, spacing_mm=(z, y, x))


def _itk_image(ct: Volume) -> Any:
    """The clipped CT as ITK's image, x, y, z; `for_3d` has laid it along them."""
    image = itk.image_from_array(np.clip(ct.array, LOWEST_HU, HIGHEST_HU).astype(np.int16))
    image.SetSpacing(ct.spacing_mm[::-1])
    image.SetOrigin(ct.origin_mm[::-1])
    return image


def _polydata(surface: Surface) -> dict[str, Any]:
    """A surface in vtk.js's form, x, y, z; each triangle is led by its number of points."""
    points = np.ascontiguousarray(surface.points_mm[:, ::-1], np.float32).ravel()
    threes = np.full(len(surface.triangles), 3)
    cells = np.column_stack([threes, surface.triangles]).astype(np.uint32).ravel()
    return {
        "vtkClass": "vtkPolyData",
        "points": {
            "vtkClass": "vtkPoints",
            "name": "_points",
            "numberOfComponents": 3,
            "dataType": "Float32Array",
            "size": points.size,
            "values": points,
        },
        "polys": {
            "vtkClass": "vtkCellArray",
            "name": "_polys",
            "numberOfComponents": 1,
            "dataType": "Uint32Array",
            "size": cells.size,
            "values": cells,
        },
    }


def _camera(ct: Volume, view: str) -> Float32[np.ndarray, "3 3"]:
    """Eye, what it looks at, and what is up, as x, y, z rows in mm."""
    middle = ct.position_mm(tuple((n - 1) / 2 for n in ct.shape))[::-1]
    extent = float(np.linalg.norm(np.multiply(ct.shape, ct.spacing_mm)))
    x, y = VIEWS[view]
    eye = middle + 1.3 * extent * np.array([x, y, 0.12])
    return np.array([eye, middle, (0.0, 0.0, 1.0)], np.float32)


def _ct_buttons(views: list[Viewer]) -> widgets.Widget:
    buttons = widgets.ToggleButtons(options=list(OPACITY), style={"button_width": "90px"})

    def choose(change: Any) -> None:
        for view in views:
            view.opacity_gaussians = [[OPACITY[change["new"]]]]

    buttons.observe(choose, "value")
    return buttons


def _camera_buttons(views: list[Viewer], ct: Volume) -> widgets.Widget:
    def looks_from(view: str) -> Callable[[Any], None]:
        def turn(_: Any) -> None:
            views[0].camera = _camera(ct, view)

        return turn

    buttons = []
    for view in VIEWS:
        side = "front left" if view == "oblique" else view
        button = widgets.Button(
            description=view,
            tooltip=f"seen from the patient's {side}",
            layout=widgets.Layout(width="70px"),
        )
        button.on_click(looks_from(view))
        buttons.append(button)
    return widgets.HBox(buttons)


def _organ_boxes(surfaces: list[dict[str, Surface]], views: list[Viewer]) -> widgets.Widget:
    """A box to tick beside each organ's colour; what is not ticked is not shown."""
    ticks = organ_ticks([o.name for o in ORGANS if any(o.name in organs for organs in surfaces)])

    def show(_: Any) -> None:
        for organs, view in zip(surfaces, views, strict=True):
            weights = [float(ticks[name].value) for name in organs]
            view.geometry_opacities = np.array(weights, np.float32)

    for tick in ticks.values():
        tick.observe(show, "value")
    return ticks_row(ticks)
