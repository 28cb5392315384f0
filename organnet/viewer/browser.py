"""Browse the slices of a case in three planes."""

import io
from html import escape
from typing import Any

import ipywidgets as widgets
import numpy as np

from organnet.datasets.case import Case
from organnet.figures.panel import Slice, cut, draw_contours, draw_ct, draw_scale_bar
from organnet.figures.slices import PLANES, best_slices
from organnet.figures.style import new_figure, printed
from organnet.organs import ORGANS
from organnet.viewer.legend import organ_ticks, ticks_row
from organnet.viewer.shown import cropped, named_maps
from organnet.volume import Volume

PRESETS = {
    "soft tissue": (-160.0, 240.0),
    "bone": (-500.0, 1500.0),
    "brain": (0.0, 80.0),
    "wide": (-1000.0, 1000.0),
}
"""HU shown black and white."""

PANEL_MM = 95.0
"""Longer side of a panel on paper; the browser scales it to its column."""
DPI = 130


class SliceBrowser:
    """Three panels, each with its slider, above them windows, drawings and organs.

    A slider that has the focus also goes by the arrow keys and Page Up and Down.

    Attributes:
        widget: what a notebook shows.
        sliders: by plane.
        pictures: PNG by plane.
    """

    def __init__(self, case: Case, prediction: Volume | None, hu_window: tuple[float, float]):
        maps = named_maps(case, prediction)
        self.ct, label_maps, self.first = cropped(case.ct, list(maps.values()))
        self.maps = dict(zip(maps, label_maps, strict=True))
        presets = {"as given": hu_window, **PRESETS}
        if hu_window in PRESETS.values():
            del presets["as given"]
        options = [
            (f"{name} ({low:g} to {high:g} HU)", (low, high))
            for name, (low, high) in presets.items()
        ]
        self.window = widgets.Dropdown(options=options, value=hu_window, description="window")
        self.drawings = {
            what: widgets.Checkbox(
                True, description=text, indent=False, layout=widgets.Layout(width="auto")
            )
            for what, text in (
                ("reference", "reference (solid)"),
                ("prediction", "prediction (dashed)"),
            )
            if what in self.maps
        }
        present = {int(label) for labels in self.maps.values() for label in np.unique(labels.array)}
        self.organs = organ_ticks([o.name for o in ORGANS if o.label in present])
        self.sliders, self.pictures = {}, {}
        start = best_slices(next(iter(self.maps.values())).array)
        for axis, plane in enumerate(PLANES):
            low, size = self.first[axis], self.ct.shape[axis]
            self.sliders[plane] = widgets.IntSlider(
                low + start[plane],
                low,
                low + size - 1,
                description=plane,
                layout=widgets.Layout(width="98%"),
            )
            self.pictures[plane] = widgets.Image(format="png", layout=widgets.Layout(width="100%"))
            self.draw(plane)
        self._listen()
        self.widget = self._arranged(case.name)

    def draw(self, plane: str) -> None:
        """Draw one panel anew, as the controls stand."""
        index = self.sliders[plane].value - self.first[PLANES.index(plane)]
        hidden = [
            o.label for o in ORGANS if o.name in self.organs and not self.organs[o.name].value
        ]
        drawings = {}
        for what, labels in self.maps.items():
            if self.drawings[what].value:
                seen = cut(labels, plane, index)
                kept = np.where(np.isin(seen.values, hidden), 0, seen.values).astype(np.uint8)
                drawings[what] = Slice(plane, kept, seen.spacing_mm)
        self.pictures[plane].value = panel_png(
            cut(self.ct, plane, index), drawings, self.window.value
        )

    def _listen(self) -> None:
        def all_planes(_: Any) -> None:
            for plane in PLANES:
                self.draw(plane)

        for plane, slider in self.sliders.items():
            slider.observe(lambda _, plane=plane: self.draw(plane), "value")
        for control in (self.window, *self.drawings.values(), *self.organs.values()):
            control.observe(all_planes, "value")

    def _arranged(self, name: str) -> widgets.VBox:
        title = [widgets.HTML(f"<b>{escape(name)}</b>")] if name else []
        top = widgets.HBox([*title, self.window, *self.drawings.values()])
        wide = [cut(self.ct, plane, 0).size_mm[1] for plane in PLANES]
        columns = [
            widgets.VBox(
                [self.pictures[plane], self.sliders[plane]],
                layout=widgets.Layout(width=f"{100 * mm / sum(wide):.1f}%"),
            )
            for plane, mm in zip(PLANES, wide, strict=True)
        ]
        panels = widgets.HBox(columns, layout=widgets.Layout(align_items="flex-end"))
        whole = widgets.VBox([top, ticks_row(self.organs), panels])
        whole.add_class("organnet-slices")
        return whole


@printed
def panel_png(ct: Slice, drawings: dict[str, Slice], hu_window: tuple[float, float]) -> bytes:
    """One slice as PNG: CT in HU, a solid reference and a dashed prediction, sides and scale."""
    high, wide = ct.size_mm
    scale = PANEL_MM / max(high, wide)
    figure = new_figure(wide * scale, high * scale, constrained=False)
    axes = figure.add_axes((0, 0, 1, 1))
    draw_ct(axes, ct, hu_window)
    for what, labels in drawings.items():
        draw_contours(axes, labels, predicted=what == "prediction")
    draw_scale_bar(axes)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=DPI)
    return png.getvalue()
