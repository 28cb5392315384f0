"""How the cost grows: inference with the CT, metrics with the organ, training with the patch."""

import dataclasses
import itertools
import statistics

import numpy as np
from jaxtyping import Bool
from matplotlib.figure import Figure
from torch import from_numpy, randn

from benchmarks.clock import here, in_process, in_turn, seconds
from benchmarks.metric_peers import by_deepmind
from benchmarks.metrics import DEEPMIND, OURS
from benchmarks.options import Options, there
from benchmarks.report import Table, gib
from benchmarks.training import stepper, with_workers
from organnet.figures.style import DOUBLE_MM, new_figure, printed, save
from organnet.grids import resize
from organnet.layout import IMAGE
from organnet.metrics import dice, hd95, surface_dice, surface_distances
from organnet.patches import Patch, stack
from organnet.prepared import drawn_classes
from organnet.settings import make_settings
from organnet.volume import Volume, read_ct, to_lps, write_volume

TITLE = "How the cost grows"
VOLUMES = ((80, 256, 256), (159, 256, 256), (159, 512, 512), (265, 512, 512), (400, 512, 512))
RADII = (4, 8, 16, 32, 64)
PATCHES = (
    (16, 32, 32),
    (32, 48, 48),
    (48, 64, 64),
    (48, 96, 96),
    (48, 128, 128),
    (48, 256, 256),
)
SPACING_MM = (2.5, 1.0, 1.0)
Curve = dict[float, float]


def run(options: Options) -> list[Table]:
    """Three tables and one figure."""
    time, memory, volumes = inference(options)
    scores, organs = metrics(options)
    steps, patches = training(options)
    draw(time, memory, scores, steps, options)
    return [volumes, organs, patches]


def inference(options: Options) -> tuple[Curve, Curve, Table]:
    """The same head scanned coarser and finer, from file to file, each CT in its own process."""
    ct = to_lps(read_ct(there(options.case / IMAGE)))
    folder = options.scratch / "scaling"
    time, memory, rows = {}, {}, []
    for shape in VOLUMES:
        name = " x ".join(str(n) for n in shape)
        image = folder / f"{name.replace(' ', '')}.nrrd"
        write_volume(scanned(ct, shape), image)
        what = {"image": str(image), "weights": str(options.weights), "grid": "own"}
        out = str(folder / "labels.nrrd")
        side = in_process("benchmarks.inference", "ours", **what, out=out)
        turns = in_turn({"ours": side}, options.repeats)["ours"]
        peak = max(turn.peak_bytes for turn in turns)
        voxels = float(np.prod(shape))
        time[voxels], memory[voxels] = seconds(turns), peak / 2**30
        network = statistics.median(turn.result["network"] for turn in turns)
        rows.append((name, f"{seconds(turns):.1f} s", f"{network:.1f} s", gib(peak)))
    note = (
        f"Whole-CT inference, weights `{options.weights}`, {options.case.name} as a coarser and a "
        "finer scan of the same body would show it (z, y, x). Peak memory of the same work varies "
        "by some 0.1 GiB from one process to the next.\n\n"
        "![How the cost grows](performance.png)"
    )
    columns = ("voxels", "file to file", "of that, the network", "peak memory")
    return time, memory, Table(columns, rows, note)


def scanned(ct: Volume, shape: tuple[int, int, int]) -> Volume:
    """The same body on another grid."""
    array = resize(ct.array, shape).round().astype(np.int16)
    z, y, x = (mm * n / m for mm, n, m in zip(ct.spacing_mm, ct.shape, shape, strict=True))
    return Volume(array, (z, y, x))


def metrics(options: Options) -> tuple[dict[str, Curve], Table]:
    """Balls against balls a voxel off, one organ's three numbers."""
    curves: dict[str, Curve] = {OURS: {}, DEEPMIND: {}}
    rows = []
    for radius in RADII:
        a, b = ball(radius), np.roll(ball(radius), 1, axis=2)

        def ours(a=a, b=b) -> tuple[float, float, float]:
            distances = surface_distances(a, b, SPACING_MM)
            return dice(a, b), hd95(*distances), surface_dice(*distances)

        def theirs(a=a, b=b) -> None:
            by_deepmind({"ball": (a, b)}, SPACING_MM)

        spent = in_turn({OURS: here(ours), DEEPMIND: here(theirs)}, options.repeats)
        voxels = float(a.sum())
        for tool, turns in spent.items():
            curves[tool][voxels] = seconds(turns)
        rows.append((f"{voxels:.0f}", *(f"{seconds(turns):.2g} s" for turns in spent.values())))
    note = "The three metrics of a ball and the same ball one voxel further, in the ball's own box."
    return curves, Table(("voxels of the organ", OURS, DEEPMIND), rows, note)


def ball(radius: int) -> Bool[np.ndarray, "n n n"]:
    """A ball with some air around it."""
    axis = np.arange(2 * radius + 5) - radius - 2.0
    return axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2 <= radius**2


def training(options: Options) -> tuple[Curve, Table]:
    """One step on a constant batch of noise."""
    curve, rows = {}, []
    for size in PATCHES:
        settings = with_workers(make_settings("openkbp", "hours"), 0)
        patches = dataclasses.replace(settings.patches, size=size)
        settings = dataclasses.replace(settings, patches=patches)
        labels = from_numpy(np.random.default_rng(0).integers(0, 10, size, np.uint8))
        drawn = from_numpy(drawn_classes(["BrainStem", "Mandible"]))
        patch = Patch(randn(1, *size), labels, drawn)
        batch = stack([patch] * settings.training.batch)
        step = stepper(settings, lambda batch=batch: itertools.repeat(batch, 2))
        turns = in_turn({"step": step}, options.repeats)["step"]
        curve[float(np.prod(size))] = seconds(turns)
        rows.append((" x ".join(str(n) for n in size), f"{seconds(turns):.3g} s"))
    note = "One training step, width 8, two patches."
    return curve, Table(("patch", "step"), rows, note)


@printed
def draw(
    time: Curve, memory: Curve, scores: dict[str, Curve], steps: Curve, options: Options
) -> Figure:
    """Four panels; metrics, of organs from hundreds of voxels to a million, on logarithmic axes."""
    figure = new_figure(DOUBLE_MM, 55)
    whole, most, organ, patch = figure.subplots(1, 4)
    panels = (
        (whole, "inference, s", "voxels of the CT, millions", 1e6, time),
        (most, "inference, GiB", "voxels of the CT, millions", 1e6, memory),
        (patch, "training step, s", "voxels of a patch, thousands", 1e3, steps),
    )
    for axes, title, label, unit, curve in panels:
        axes.plot([x / unit for x in curve], list(curve.values()), "o-", markersize=3)
        axes.set(title=title, xlabel=label, xlim=(0, None), ylim=(0, 1.1 * max(curve.values())))
    for name, curve in scores.items():
        (line,) = organ.plot(list(curve), list(curve.values()), "o-", markersize=3)
        over = {OURS: -12, DEEPMIND: 36}[name]
        first = next(iter(curve.items()))
        organ.annotate(
            name.replace(" ", "\n"),
            first,
            (0, over),
            textcoords="offset points",
            color=line.get_color(),
            va="bottom" if over > 0 else "top",
        )
    organ.set(xscale="log", yscale="log", title="metrics of an organ, s")
    organ.set(xlabel="voxels of the organ", ylim=(2e-4, None))
    save(figure, options.figure)
    return figure
