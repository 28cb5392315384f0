"""A whole CT from file to file: ours against MONAI's sliding windows over the whole volume."""

import dataclasses
from pathlib import Path

import numpy as np

from benchmarks.clock import (
    Spent,
    here,
    in_process,
    in_turn,
    network_time,
    ratios,
    seconds,
    spread,
)
from benchmarks.limits import CPU, matrix_rate, operations
from benchmarks.options import Options, there
from benchmarks.report import Table, gib, percent
from organnet.datasets.pddca import read_labels
from organnet.inference import predict, write_prediction
from organnet.layout import IMAGE
from organnet.metrics import dice
from organnet.organs import ORGANS
from organnet.settings import PatchSettings
from organnet.volume import read_ct, read_volume
from organnet.weights import Network, load_network

TITLE = "Inference on a whole CT"
GRIDS = {"paper": "the paper's grid and window", "own": "the weights' own grid and window"}
PEERS = {
    "whole": "MONAI, whole volume",
    "head": "MONAI, given our head box and overlap",
}
MONAI_OVERLAP = 0.5
SAME_DSC = 0.98
TIMES_FASTER, MEMORY_SHARE, OUTSIDE_SHARE = 10, 0.5, 0.15


def run(options: Options) -> list[Table]:
    """Time, memory, and the share of time outside the network, on both grids."""
    image = there(options.case / IMAGE)
    compared, outside = [], []
    for grid in GRIDS:
        sides = _sides(image, options, grid)
        spent = in_turn(sides, options.repeats)
        compared += _compared(spent, grid, options)
        outside.append(_outside(spent["ours"], grid))
    shape = " x ".join(str(n) for n in read_ct(image).shape)
    overlap = load_network(options.weights, CPU).settings.inference.overlap
    note = (
        f"{options.case.name} ({shape}, z y x), weights `{options.weights}`, float32, Gaussian "
        f"weights, from CT file to label-map file. MONAI's windows overlap by {MONAI_OVERLAP} on "
        f"the whole volume, ours by {overlap}. MONAI's side reads, resizes, sees windows mirrored "
        "as well where ours does (on the weights' grid), averages probabilities back to the CT's "
        "grid, drops stray pieces and writes as ours does. *Must reach*: "
        f"{TIMES_FASTER} times faster than MONAI on the whole volume, at most "
        f"{percent(MEMORY_SHARE)} of its memory, every organ's DSC with its label map at least "
        f"{SAME_DSC}. The paper's grid is finer than what these weights were trained on: there the "
        "work is measured alone, since what is drawn is no result. *Limit*: the network's "
        "operations in our windows at the machine's matrix-product rate."
    )
    columns = (
        *("grid", "against", "ours", "theirs", "times faster"),
        *("our memory", "theirs", "ours of theirs", "least DSC of an organ", "windows", "limit"),
    )
    note_outside = (
        f"Of our seconds, those outside the network. *Must reach*: at most "
        f"{percent(OUTSIDE_SHARE)} of the network's own time."
    )
    return [
        Table(columns, compared, note),
        Table(
            (
                *("grid", "network", "load weights", "read", "crop, resample, blend", "write"),
                "outside / network",
            ),
            outside,
            note_outside,
        ),
        _drawn(options),
    ]


def ours(image: str, weights: str, grid: str, out: str) -> dict[str, float]:
    """Segment a CT file into OUT; what each part took."""
    parts = {}
    network = _part(parts, "load", lambda: network_on(grid, weights))
    with network_time(network.model) as spent:
        read = _part(parts, "read", lambda: read_ct(Path(image)))
        found = _part(parts, "predict", lambda: predict([network], read))
        _part(parts, "write", lambda: write_prediction(found, Path(out).parent, Path(out).stem))
    return {**parts, "network": spent.seconds, "windows": spent.windows, "voxels": spent.voxels}


def network_on(grid: str, weights: str) -> Network:
    """The weights in float32, on their own grid or made to look at the paper's."""
    network = load_network(Path(weights), CPU)
    settings = network.settings
    if grid == "paper":
        paper = PatchSettings()
        patches = dataclasses.replace(
            settings.patches, spacing_mm=paper.spacing_mm, size=paper.size
        )
        inference = dataclasses.replace(settings.inference, mirror=False)  # nor does the paper
        settings = dataclasses.replace(settings, patches=patches, inference=inference)
    training = dataclasses.replace(settings.training, precision="float32")
    return Network(network.model, dataclasses.replace(settings, training=training))


def _part(parts: dict[str, float], name: str, work):
    spent = here(work)()
    parts[name] = spent.seconds
    return spent.result


def _sides(image: Path, options: Options, grid: str) -> dict:
    what = {"image": str(image), "weights": str(options.weights), "grid": grid}
    out = options.scratch / "inference" / grid
    sides = {"ours": in_process("benchmarks.inference", "ours", **what, out=str(out / "ours.nrrd"))}
    for peer in PEERS:
        arguments = {**what, "box": peer == "head", "out": str(out / f"{peer}.nrrd")}
        sides[peer] = in_process("benchmarks.monai_windows", "theirs", **arguments)
    return sides


def _compared(spent: dict[str, list[Spent]], grid: str, options: Options) -> list[tuple]:
    ours = spent["ours"]
    network = network_on(grid, str(options.weights))
    patch = network.settings.patches.size
    per_voxel = operations(network.settings.model, patch) / np.prod(patch)
    limit = ours[0].result["voxels"] * per_voxel / matrix_rate("float32")
    folder = options.scratch / "inference" / grid
    shown = spent if grid == "own" else ()  # what is drawn on the paper's grid is no result
    label_maps = {name: read_volume(folder / f"{name}.nrrd").array for name in shown}
    rows = []
    for peer, name in PEERS.items():
        memory = [max(turn.peak_bytes for turn in spent[side]) for side in ("ours", peer)]
        windows = [spent[side][0].result["windows"] for side in ("ours", peer)]
        rows.append(
            (
                *(GRIDS[grid], name, f"{seconds(ours):.1f} s", f"{seconds(spent[peer]):.1f} s"),
                *(ratios(spent[peer], ours), *map(gib, memory), percent(memory[0] / memory[1])),
                least_dsc(label_maps["ours"], label_maps[peer]) if label_maps else "-",
                *(f"{windows[0]} and {windows[1]}", f"{limit:.1f} s"),
            )
        )
    return rows


def least_dsc(a: np.ndarray, b: np.ndarray) -> str:
    """The smallest DSC of the organs that either label map has, and whose it is."""
    scores = {
        organ.name: dice(a == organ.label, b == organ.label)
        for organ in ORGANS
        if (a == organ.label).any() or (b == organ.label).any()
    }
    if not scores:
        return "no organ found"
    worst = min(scores, key=scores.get)
    return f"{scores[worst]:.4f} ({worst})"


def _drawn(options: Options) -> Table:
    """Whether what differs between the sides is better or worse, and how far MONAI is from itself.

    Read from the label maps that the last turn left.
    """
    folder = options.scratch / "inference" / "own"
    ours, whole, head = (
        read_volume(folder / f"{name}.nrrd").array for name in ("ours", "whole", "head")
    )
    labels, drawn = read_labels(options.case)
    rows = []
    for organ in ORGANS:
        a, b, c = (side == organ.label for side in (ours, whole, head))
        drawing = labels.array == organ.label if organ.name in drawn else np.zeros_like(a)
        pairs = ((a, b), (a, c), (b, c), *((side, drawing) for side in (a, b, c)))
        both = [f"{dice(*pair):.3f}" if all(map(np.any, pair)) else "-" for pair in pairs]
        rows.append((organ.name, *both))
    note = (
        "DSC on the weights' own grid: of the sides with each other, and with PDDCA's drawing. In "
        "our box the grid starts elsewhere than in the whole volume, and ResSE squeezes what a "
        "window holds: MONAI in both, the same software and weights, differs as much from itself."
    )
    columns = (
        *("organ", "ours, MONAI whole", "ours, MONAI in our box", "MONAI whole, MONAI in our box"),
        *("ours, drawing", "MONAI whole, drawing", "MONAI in our box, drawing"),
    )
    return Table(columns, rows, note)


def _outside(ours: list[Spent], grid: str) -> tuple:
    def median(part: str) -> float:
        return spread([turn.result[part] for turn in ours]).median

    network = median("network")
    rest = spread([turn.result["predict"] - turn.result["network"] for turn in ours]).median
    share = spread([turn.seconds / turn.result["network"] - 1 for turn in ours])
    return (
        *(GRIDS[grid], f"{network:.1f} s", f"{median('load'):.2f} s", f"{median('read'):.2f} s"),
        *(f"{rest:.2f} s", f"{median('write'):.2f} s"),
        f"{percent(share.median)} ({percent(share.low)} to {percent(share.high)})",
    )
