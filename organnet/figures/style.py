"""One look for every figure, sized as it is printed: 183 mm double or 89 mm single column."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axis import Axis
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from organnet.files import atomic_path

SINGLE_MM = 89.0
"""Width of one column."""
DOUBLE_MM = 183.0
"""Width of two columns."""
INCHES_PER_MM = 1 / 25.4
DPI = 200
"""Of saved PNG files; a notebook shows the figure at its own, lower resolution."""

FONT_PT = 7.0
"""No text in any figure is smaller."""
CASING = "#000000"
GREY = "#777777"

_RC = {
    "figure.dpi": 110,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # matplotlib ships it, so figures look alike anywhere
    "font.size": FONT_PT,
    "axes.labelsize": FONT_PT,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": FONT_PT,
    "ytick.labelsize": FONT_PT,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": FONT_PT,
    "legend.frameon": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.1,
}

printed = matplotlib.rc_context(_RC)
"""Decorator of every drawing function: its figure has this style, matplotlib's state is kept."""

SHORT_NAMES = {
    "BrainStem": "Brain\nstem",
    "Chiasm": "Chiasm",
    "Mandible": "Mandible",
    "OpticNerve_L": "Optic\nnerve L",
    "OpticNerve_R": "Optic\nnerve R",
    "Parotid_L": "Parotid\nL",
    "Parotid_R": "Parotid\nR",
    "Submandibular_L": "Subman-\ndibular L",
    "Submandibular_R": "Subman-\ndibular R",
}
"""How an axis names an organ."""


MARKERS = {
    "BrainStem": "s",
    "Chiasm": "D",
    "Mandible": "^",
    "OpticNerve": "o",
    "Parotid": "v",
    "Submandibular": "P",
}
"""Shapes beside colours, which on paper and to a colour-blind reader come close."""


def marker(name: str) -> str:
    """The shape of an organ's points; a pair shares one."""
    return MARKERS[name.split("_")[0]]


def new_figure(width_mm: float, height_mm: float, constrained: bool = True) -> Figure:
    """An empty figure of that printed size, which belongs to no window and no global state."""
    size = (width_mm * INCHES_PER_MM, height_mm * INCHES_PER_MM)
    layout = "constrained" if constrained else "none"
    return Shown(figsize=size, layout=layout, facecolor="white")


class Shown(Figure):
    """A figure that a notebook shows without %matplotlib inline."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()


def ink(colour: str) -> str:
    """An organ's colour dark enough for lines and points on white paper, its hue kept."""
    red, green, blue = to_rgb(colour)
    luminance = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    factor = min(1.0, (0.36 / luminance) ** (1 / 2.2))
    return to_hex((red * factor, green * factor, blue * factor))


def is_right(name: str) -> bool:
    """Whether this is the right one of a pair: drawn dashed or hollow beside the left one."""
    return name.endswith("_R")


def plain_ticks(axis: Axis, ticks: Sequence[float]) -> None:
    """These ticks and no others, as plain numbers; for a logarithmic axis, after its scale."""
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:g}")


def save(figure: Figure, path: Path) -> Path:
    """Write the figure as PNG of 200 dpi, whole or not at all; OrganNetError where it cannot be."""
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # of a case's name
        figure.savefig(temporary, dpi=DPI, format="png")
    return path
