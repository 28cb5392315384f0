"""The drawn architecture: traced rows beside the paper's table, and a figure fit for print."""

import itertools
import re
from collections.abc import Callable

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from organnet.errors import OrganNetError
from organnet.figures import architecture
from organnet.figures.architecture import KINDS, _rows
from organnet.figures.style import DOUBLE_MM, FONT_PT
from organnet.model import OrganNet, parameter_count
from organnet.settings import VARIANTS, ModelSettings, make_settings
from organnet.weights import folded

PAPER = (48, 256, 256)
HALF, QUARTER = (48, 128, 128), (24, 64, 64)
CONV, DILATED = "2 × conv 3×3×3, ResSE", "3 × conv 3×3×3, rates 1, 2, 5, ResSE"
FIG_1 = [  # the paper's table: row, operation, channels out, grid
    ("row_1", "2 × conv 1×3×3", 16, PAPER),
    ("row_2", "max pool 1×2×2", 16, HALF),
    ("row_3", CONV, 32, HALF),
    ("row_4", "max pool 2×2×2", 32, QUARTER),
    ("row_5", CONV, 64, QUARTER),
    ("row_6", DILATED, 128, QUARTER),
    ("row_7", DILATED, 256, QUARTER),
    ("row_8", "conv 1×1×1", 128, QUARTER),
    ("row_9", DILATED, 128, QUARTER),
    ("row_10", "conv 1×1×1", 64, QUARTER),
    ("row_11", CONV, 64, QUARTER),
    ("row_12", "transposed conv 2×2×2", 32, HALF),
    ("row_13", CONV, 32, HALF),
    ("row_14", "transposed conv 1×2×2", 16, PAPER),
    ("row_15", "2 × conv 1×3×3", 32, PAPER),
    ("row_16", "conv 1×1×1", 10, PAPER),
]
SKIPS = {"row_9": "row_6", "row_11": "row_5", "row_13": "row_3", "row_15": "row_1"}


def network(variant="organnet", **changes):
    settings = make_settings("phantom", "smoke", variant).model
    with torch.device("meta"):  # shapes are all that is asked of it
        return OrganNet(ModelSettings(**{**vars(settings), "width": 16, **changes}))


def rows_of(variant="organnet", patch_size=PAPER, **changes):
    return {row.name: row for row in _rows(network(variant, **changes), patch_size)}


def test_rows_are_those_of_the_paper():
    patch, *rows = rows_of().values()
    assert (patch.label, patch.channels, patch.grid, patch.inputs) == ("CT patch", 1, PAPER, ())
    assert [(row.name, row.label, row.channels, row.grid) for row in rows] == FIG_1


@pytest.mark.parametrize("variant", VARIANTS)
def test_rows_take_the_row_before_and_the_skips_of_the_paper(variant):
    rows = list(rows_of(variant).values())
    for before, row in itertools.pairwise(rows):
        skip = SKIPS.get(row.name)
        assert row.inputs == ((before.name, skip) if skip else (before.name,))


def test_kinds_are_the_papers():
    kinds = {name.removeprefix("row_"): row.kind for name, row in rows_of().items()}
    groups = {kind: [name for name in kinds if kinds[name] == kind] for kind in kinds.values()}
    assert groups == {
        "input": ["input"],
        "2D block": ["1", "15"],
        "resampling": ["2", "4", "12", "14"],
        "coarse 3D block": ["3", "5", "11", "13"],
        "fine 3D block (HDC)": ["6", "7", "9"],
        "1×1×1 convolution": ["8", "10", "16"],
    }


def test_variants_differ_as_named():
    usual, no_hdc, no_resse, all_3d = map(rows_of, ("organnet", "no-hdc", "no-resse", "all-3d"))
    for name, row in usual.items():
        assert no_hdc[name].label == row.label.replace("1, 2, 5", "1, 1, 1")
        assert no_resse[name].label == row.label.replace(", ResSE", "")
        assert all_3d[name].label == row.label.replace("2 × conv 1×3×3", "2 × conv 3×3×3")
        for other in (no_hdc, no_resse, all_3d):
            assert (other[name].channels, other[name].grid) == (row.channels, row.grid)
    assert {no_hdc[f"row_{n}"].kind for n in (6, 7, 9)} == {"fine 3D block (undilated)"}


def test_unet_pools_four_times_and_comes_back():
    rows = rows_of("unet")
    labels = [row.label for row in rows.values()]
    assert sum(label.startswith("max pool") for label in labels) == 4
    assert sum(label.startswith("transposed conv") for label in labels) == 4
    assert rows["pool_5"].grid == (12, 32, 32) and rows["row_7"].grid == (6, 16, 16)
    assert rows["row_7"].inputs == ("pool_6",)
    assert not any("rates" in label for label in labels)


def test_half_the_width_halves_all_channels_but_the_classes():
    usual, narrow = rows_of(), rows_of(width=8)
    for name in set(usual) - {"input", "row_16"}:
        assert 2 * narrow[name].channels == usual[name].channels
    assert narrow["row_16"].channels == 10


def test_grids_follow_the_patch():
    grids = {row.grid for row in rows_of(patch_size=(16, 32, 48)).values()}
    assert grids == {(16, 32, 48), (16, 16, 24), (8, 8, 12)}
    with pytest.raises(OrganNetError, match=r"choose multiples of \(2, 4, 4\)"):
        rows_of(patch_size=(48, 256, 254))


@pytest.mark.parametrize(
    "ready", [OrganNet.train, OrganNet.eval, lambda model: folded(model.eval())]
)
def test_the_model_is_only_looked_at(ready: Callable[[OrganNet], OrganNet]):
    model = ready(OrganNet(ModelSettings(width=4)))
    training = model.training
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert _rows(model, (48, 256, 256)) == _rows(OrganNet(ModelSettings(width=4)), (48, 256, 256))
    architecture(model)
    assert model.training == training
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}


FIGURES = {
    **{variant: {"variant": variant} for variant in VARIANTS if "loss" not in VARIANTS[variant]},
    "wide": {"width": 64, "hdc_rates": (1, 2, 5, 9, 17)},
    "narrow": {"variant": "unet", "width": 8},
}


@pytest.fixture(scope="module", params=FIGURES)
def drawn(request):
    """The figure, drawn by Agg as for print, and its model."""
    model = network(**FIGURES[request.param])
    figure = architecture(model)
    FigureCanvasAgg(figure).draw()
    return figure, model


def texts(figure):
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]


def apart(a: Bbox, b: Bbox) -> bool:
    return a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0


def test_no_text_is_cut_off_small_or_over_another(drawn):
    figure, _ = drawn
    assert figure.get_figwidth() * 25.4 == pytest.approx(DOUBLE_MM)
    assert figure.get_figheight() * 25.4 < 240  # fits on a page
    extents = {text: text.get_window_extent() for text in texts(figure)}
    for text, extent in extents.items():
        assert text.get_fontsize() >= FONT_PT
        assert figure.bbox.x0 <= extent.x0 and extent.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= extent.y0 and extent.y1 <= figure.bbox.y1, text
    for (a, at), (b, bt) in itertools.combinations(extents.items(), 2):
        assert apart(at, bt), (a, b)


def row_boxes(figure):
    (axes,) = figure.axes
    rectangles = [p for p in axes.patches if isinstance(p, Rectangle)]
    return {p.get_gid(): p.get_window_extent() for p in rectangles}


def test_every_row_has_a_box_around_its_words(drawn):
    figure, model = drawn
    boxes = row_boxes(figure)
    inside = {t.get_gid(): t for t in texts(figure) if t.get_gid()}
    assert len(boxes) == len(inside) == len(_rows(model, PAPER))
    for row in _rows(model, PAPER):
        words, box = inside[row.name].get_window_extent(), boxes[row.name]
        assert box.x0 < words.x0 and words.x1 < box.x1, row
        assert box.y0 < words.y0 and words.y1 < box.y1, row
        for part in (
            *row.label.split(", "),
            f"{row.channels} channel",
            "×".join(map(str, row.grid)),
        ):
            assert all(word in inside[row.name].get_text() for word in part.split()), row
    assert all(apart(a, b) for a, b in itertools.combinations(boxes.values(), 2))


def test_arrows_run_beside_words_and_boxes(drawn):
    figure, model = drawn
    (axes,) = figure.axes
    arrows = [p for p in axes.patches if isinstance(p, FancyArrowPatch)]
    assert len(arrows) == sum(len(row.inputs) for row in _rows(model, PAPER))
    pixels_per_mm = figure.dpi / 25.4
    inner = [box.padded(-0.8 * pixels_per_mm) for box in row_boxes(figure).values()]
    extents = [*inner, *(text.get_window_extent() for text in texts(figure))]
    for arrow in arrows:
        path = arrow.get_path().transformed(arrow.get_transform())
        for line, extent in itertools.product(path.to_polygons(closed_only=False), extents):
            assert not Path(line).intersects_bbox(extent, filled=False)


def test_coarser_grids_lie_lower(drawn):
    figure, model = drawn
    rows = _rows(model, PAPER)[1:-1]
    boxes = row_boxes(figure)
    for before, row in itertools.pairwise(rows):
        size = [int(torch.Size(r.grid).numel()) for r in (before, row)]
        y = [(boxes[r.name].y0 + boxes[r.name].y1) / 2 for r in (before, row)]
        if size[0] != size[1]:
            assert (size[0] > size[1]) == (y[0] > y[1]), row


def test_title_and_legend_tell_the_rest(drawn):
    figure, model = drawn
    (axes,) = figure.axes
    words = [text.get_text() for text in texts(figure)]
    assert any(f"{parameter_count(model):,} parameters" in text for text in words)
    kinds = {row.kind for row in _rows(model, PAPER)} - {"input"}
    legend = {text.get_text() for text in axes.get_legend().get_texts()}
    assert legend == kinds | {"data flow", "skip to a concat"}
    sums = [re.findall(r"\d+", text) for text in words if text.startswith("concat")]
    assert all(int(a) + int(b) == int(total) for a, b, total in sums) and len(sums) == 4


def test_kinds_differ_in_fill_and_in_edge():
    fills, edges = zip(*[(fill, edge) for fill, _, *edge in KINDS.values()], strict=True)
    assert len(set(fills)) == len(set(map(tuple, edges))) == len(KINDS)
