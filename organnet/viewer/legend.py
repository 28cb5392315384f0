"""The organs' names beside their colours, each with a box to tick."""

import ipywidgets as widgets

from organnet.organs import organ, spoken

_SWATCH = '<span style="background:{};border:1px solid #555;padding:0 7px">&nbsp;</span>'


def organ_ticks(names: list[str]) -> dict[str, widgets.Checkbox]:
    """A ticked box for each of these organs."""
    layout = widgets.Layout(width="auto", margin="0 10px 0 4px")
    return {
        name: widgets.Checkbox(True, description=spoken(name), indent=False, layout=layout)
        for name in names
    }


def ticks_row(ticks: dict[str, widgets.Checkbox]) -> widgets.HBox:
    """The boxes in a row, each led by its organ's colour."""
    pairs = [
        widgets.HBox([widgets.HTML(_SWATCH.format(organ(name).colour)), tick])
        for name, tick in ticks.items()
    ]
    return widgets.HBox(pairs, layout=widgets.Layout(flex_flow="row wrap"))
