"""The network as Fig. 1 of the paper shows it, drawn from the model object itself.

One pass over tensors without memory tells the rows, their order and what each of them takes, so the
figure of a variant or of another width is right without a word changed here.
"""

import copy
import itertools
import math
import re
import textwrap
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle
from matplotlib.path import Path
from torch import nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from organnet.errors import OrganNetError
from organnet.figures.style import DOUBLE_MM, FONT_PT, GREY, new_figure, printed
from organnet.layers import MaxPool
from organnet.model import OrganNet, ResSE, parameter_count

Size = tuple[int, int, int]
Way = tuple[tuple[float, float], ...]
"""Corners of an arrow, x and y in mm."""

INPUT = "input"
KINDS = {  # fill, edge, width and dashes of the edge: told apart without colour too
    INPUT: ("#ffffff", "#000000", 0.6, "-"),
    "2D block": ("#fff3b8", "#7a6000", 0.8, "-"),
    "coarse 3D block": ("#cfe6f7", "#0b5c94", 2.0, "-"),
    "fine 3D block (HDC)": ("#f9d3bd", "#a63c00", 2.0, (0, (3, 1))),
    "fine 3D block (undilated)": ("#f3e1ea", "#8f3f6c", 2.0, (0, (5, 1, 1, 1))),
    "resampling": ("#ebebeb", "#333333", 0.8, (0, (5, 2))),
    "1×1×1 convolution": ("#d4efe3", "#00684a", 1.4, (0, (1, 1))),
}
"""How each kind of row is drawn, in the legend's order."""

HALF_MM, GAP_MM, MARGIN_MM, TITLE_MM = 11.45, 5.2, 0.7, 6.0
"""Half a box's width, paper from a box to the next below, around the figure, for the first line."""
LINE_MM = 1.25 * FONT_PT * 25.4 / 72
LETTERS = 16
"""That fit into a line of a box."""
FLOW = {"color": "black", "linewidth": 0.8}
SKIP = {"color": GREY, "linewidth": 1.4, "linestyle": (0, (4, 1))}


@dataclass(frozen=True)
class Row:
    """A row of Fig. 1: the model's name of it, what it does, and what comes out.

    Attributes:
        channels: that come out.
        grid: voxels z, y, x that come out.
        inputs: names of the rows it takes, concatenated in this order.
    """

    name: str
    kind: str
    label: str
    channels: int
    grid: Size
    inputs: tuple[str, ...]

    @property
    def text(self) -> str:
        parts = re.split(r", (?!\d)", self.label)  # rates stay together
        operation = [line for part in parts for line in textwrap.wrap(part, LETTERS)]
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        return "\n".join([*operation, channels, _by(self.grid)])


class Box(NamedTuple):
    """Where a row is drawn: centre and half the height, in mm from the figure's upper left."""

    x: float
    y: float
    half: float


@printed
def architecture(model: OrganNet, patch_size: tuple[int, int, int] = (48, 256, 256)) -> Figure:
    """The network's rows as boxes on a U: the further down, the coarser the grid.

    Numbers above the boxes are those of the paper's rows and of organnet/model.py.

    Args:
        model: of any width or variant; it is only looked at.
        patch_size: voxels z, y, x, multiples of the model's `patch_multiple`; else OrganNetError.
    """
    rows = _rows(model, patch_size)
    boxes = _boxes(rows)
    skips = _skips(rows, boxes)
    lowest = [box.y + box.half for box in boxes.values()] + [y for way in skips for _, y in way]
    height = max(lowest) + MARGIN_MM
    figure = new_figure(DOUBLE_MM, height, constrained=False)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, DOUBLE_MM), ylim=(height, 0))
    axes.set_axis_off()
    title = f"{type(model).__name__}, {parameter_count(model):,} parameters"
    note = f"grids z × y × x in voxels, for a patch of {_by(patch_size)}"
    axes.text(MARGIN_MM, MARGIN_MM, f"{title}; {note}", va="top", fontsize=8)
    for row in rows:
        _draw_box(axes, row, boxes[row.name])
    for before, row in itertools.pairwise(rows):
        _draw_arrow(axes, _flow(boxes[before.name], boxes[row.name]), FLOW)
    for way, words in skips.items():
        _draw_arrow(axes, way, SKIP)
        middle = (way[0][0] + way[-1][0]) / 2
        axes.text(middle, max(y for _, y in way) - 0.6, words, ha="center", va="bottom")
    _draw_legend(axes, {row.kind for row in rows})
    return figure


class _Concats(TorchFunctionMode):
    """Notes on each tensor that a concat makes which rows it joins."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func is torch.cat:
            out.rows = tuple(row for tensor in args[0] for row in tensor.rows)
        return out


def _rows(model: OrganNet, patch_size: Size) -> list[Row]:
    """The patch, then the model's children in the order in which they run.

    By a pass on the meta device, which has shapes and no numbers, and not by torch.fx, whose
    proxies the shape checks of the tests refuse.
    """
    if any(n % multiple for n, multiple in zip(patch_size, model.patch_multiple, strict=True)):
        raise OrganNetError(
            f"a patch of {patch_size} voxels cannot be pooled: "
            f"choose multiples of {model.patch_multiple}"
        )
    rows = [Row(INPUT, INPUT, "CT patch", 1, patch_size, ())]
    patch = torch.empty(1, 1, *patch_size, device="meta")
    patch.rows = (INPUT,)
    model = copy.deepcopy(model).train()  # which takes every row whole
    weights = {name: tensor.to("meta") for name, tensor in model.state_dict().items()}
    with ExitStack() as stack, torch.no_grad(), _Concats():
        for name, module in model.named_children():

            def note(module: nn.Module, taken: tuple, out: torch.Tensor, name: str = name) -> None:
                _, channels, *grid = out.shape
                rows.append(Row(name, *_operation(module), channels, tuple(grid), taken[0].rows))
                out.rows = (name,)

            if not isinstance(module, nn.Identity):
                stack.callback(module.register_forward_hook(note).remove)
        functional_call(model, weights, (patch,))
    return rows


def _operation(module: nn.Module) -> tuple[str, str]:
    """A row's kind, and in words its operation with kernel and dilation rates."""
    if isinstance(module, MaxPool):
        return "resampling", f"max pool {_by(module.stride)}"
    if isinstance(module, nn.ConvTranspose3d):
        return "resampling", f"transposed conv {_by(module.kernel_size)}"
    if isinstance(module, nn.Conv3d):
        return "1×1×1 convolution", f"conv {_by(module.kernel_size)}"
    convs = [part for part in module.modules() if isinstance(part, nn.Conv3d)]
    rates = [conv.dilation[-1] for conv in convs]
    parts = [f"{len(convs)} × conv {_by(convs[0].kernel_size)}"]
    kind = "2D block" if convs[0].kernel_size[0] == 1 else "coarse 3D block"
    if rates != [1, 1]:
        kind = f"fine 3D block ({'HDC' if max(rates) > 1 else 'undilated'})"
        parts.append(f"rates {', '.join(map(str, rates))}")
    if isinstance(module, ResSE) and module.excite is not None:
        parts.append("ResSE")
    return kind, ", ".join(parts)


def _by(size: Sequence[int]) -> str:
    return "×".join(map(str, size))


def _boxes(rows: Sequence[Row]) -> dict[str, Box]:
    """Where the rows lie: two bands of the figure per level of resolution.

    A row that keeps the grid lies right of the one before it; one that changes it lies between
    two levels, over or under it. The input and the last row stand above the U's two ends.
    """
    levels = sorted({row.grid for row in rows}, key=math.prod, reverse=True)
    at = [levels.index(row.grid) for row in rows]
    bands = [0, *(1 + a + b for a, b in itertools.pairwise(at[:-1])), 0]
    turns = [n for n in range(1, len(rows) - 1) if bands[n - 1] < bands[n] > bands[n + 1]]
    columns = [0]
    for n in range(1, len(rows)):  # a row alone at the bottom stands between the U's two sides
        columns.append(columns[-1] + (bands[n] == bands[n - 1] or n in turns or n - 1 in turns))
    left, right = MARGIN_MM + HALF_MM, DOUBLE_MM - MARGIN_MM - HALF_MM
    halves = [(len(row.text.splitlines()) * LINE_MM + 2.2) / 2 for row in rows]
    boxes, y = {}, TITLE_MM
    for band in range(max(bands) + 1):
        members = [n for n in range(len(rows)) if bands[n] == band]
        highest = max(halves[n] for n in members)
        for n in members:
            x = left + (right - left) * columns[n] / columns[-1]
            boxes[rows[n].name] = Box(x, y + highest, halves[n])
        y += 2 * highest + GAP_MM
    return boxes


def _flow(a: Box, b: Box) -> Way:
    """From a box to the next one: along a side of the U, or round its bend."""
    if a.x == b.x:
        down = 1 if a.y < b.y else -1
        return (a.x, a.y + down * a.half), (b.x, b.y - down * b.half)
    if a.y == b.y:
        return (a.x + HALF_MM, a.y), (b.x - HALF_MM, b.y)
    if a.y < b.y:
        return (a.x, a.y + a.half), (a.x, b.y), (b.x - HALF_MM, b.y)
    return (a.x + HALF_MM, a.y), (b.x, a.y), (b.x, b.y + b.half)


def _skips(rows: Sequence[Row], boxes: dict[str, Box]) -> dict[Way, str]:
    """Ways of the skips and what they concatenate: across the U, or under the boxes between."""
    channels = {row.name: row.channels for row in rows}
    lowest = max(box.y + box.half for box in boxes.values())
    ways = {}
    for row in rows:
        for skip in row.inputs[1:]:
            a, b = boxes[skip], boxes[row.name]
            way = (a.x + HALF_MM, a.y), (b.x - HALF_MM, b.y)
            if any(box.y == a.y and a.x < box.x < b.x for box in boxes.values()):
                lowest += GAP_MM  # the inner skip comes first
                way = (a.x, a.y + a.half), (a.x, lowest), (b.x, lowest), (b.x, b.y + b.half)
            terms = [channels[name] for name in row.inputs]
            ways[way] = f"concat: {' + '.join(map(str, terms))} = {sum(terms)} channels"
    return ways


def _draw_box(axes: Axes, row: Row, box: Box) -> None:
    left, top = box.x - HALF_MM, box.y - box.half
    outline = Rectangle((left, top), 2 * HALF_MM, 2 * box.half, gid=row.name, **_look(row.kind))
    axes.add_patch(outline)
    words = {"ha": "center", "va": "center", "linespacing": 1.25, "gid": row.name}
    axes.text(box.x, box.y, row.text, **words)
    if row.kind != INPUT:
        axes.text(left, top - 0.7, row.name.removeprefix("row_"), va="bottom", weight="bold")


def _look(kind: str) -> dict[str, object]:
    return dict(zip(("facecolor", "edgecolor", "linewidth", "linestyle"), KINDS[kind], strict=True))


def _draw_arrow(axes: Axes, way: Way, line: dict) -> None:
    head = {"arrowstyle": "-|>,head_width=2,head_length=4", "mutation_scale": 1}
    axes.add_patch(FancyArrowPatch(path=Path(way), **head, **line))


def _draw_legend(axes: Axes, kinds: set[str]) -> None:
    """In the open top of the U, between the input and the last row."""
    handles: list[Patch | Line2D] = [
        Patch(**_look(kind), label=kind) for kind in KINDS if kind in kinds - {INPUT}
    ]
    handles += [
        Line2D([], [], **FLOW, label="data flow"),
        Line2D([], [], **SKIP, label="skip to a concat"),
    ]
    axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(DOUBLE_MM / 2, TITLE_MM),
        bbox_transform=axes.transData,
        ncols=3,
        handlelength=2.6,
        borderpad=0,
        borderaxespad=0,
    )
