"""The same network on a GPU: inference and training in float32, TF32, bfloat16 and compiled."""

import dataclasses
import sys
from collections.abc import Callable
from typing import NamedTuple

import torch

from benchmarks.clock import here, in_turn, ratios, seconds
from benchmarks.limits import matrix_rate, memory_rate, operations
from benchmarks.options import Options
from benchmarks.report import Table, gib, percent
from organnet.checkpoints import TrainingState
from organnet.errors import OrganNetError
from organnet.patches import Batch
from organnet.settings import Settings, make_settings
from organnet.training import start_state, train_step
from organnet.weights import autocast

TITLE = "On a GPU"
TIMES_FASTER = 3
PROFILES = ("paper", "gpu")


class Mode(NamedTuple):
    """How the card is asked to do its arithmetic."""

    precision: str
    tf32: bool
    compiled: bool = False
    layout: torch.memory_format = torch.channels_last_3d


BASELINE = "float32, as torch lays tensors"
MODES = {
    BASELINE: Mode("float32", tf32=False, layout=torch.contiguous_format),
    "float32": Mode("float32", tf32=False),
    "TF32": Mode("float32", tf32=True),
    "bfloat16": Mode("bfloat16", tf32=True),
    "bfloat16, compiled": Mode("bfloat16", tf32=True, compiled=True),
}
TRAINING_OPERATIONS = 3  # of a forward pass: backward takes two products where forward takes one


def run(options: Options) -> list[Table]:
    """The paper's patches, and the smaller ones that the shipped weights were trained on."""
    if not torch.cuda.is_available():
        raise OrganNetError("there is no GPU here")
    device = torch.device("cuda")
    limits = matrix_rate("bfloat16", device, 8192), memory_rate(device, 4096)
    note = (
        "A batch of the profile's size, on the GPU already. The bfloat16 matrix product runs at "
        f"{limits[0] / 1e12:.0f} T/s, a copy at {limits[1] / 1e9:.0f} GB/s; bytes are those that "
        "each layer reads and writes once. All but the first mode have channels last. What all "
        "modes hold is on the card at once, and in the memory. "
        f"*Must reach*: {TIMES_FASTER} times float32."
    )
    columns = (
        *("profile", "work", "mode", "a batch", "patches/s", "times float32"),
        *("of the bfloat16 rate", "of the bandwidth", "peak memory", "largest batch"),
    )
    rows = []
    for profile in PROFILES:
        settings = make_settings("joint", profile)
        for work in ("inference", "training"):
            some = rows_of(work, settings, device, limits, options.repeats)
            rows += [(profile, *row) for row in some]
    return [Table(columns, rows, note)]


def rows_of(
    work: str, settings: Settings, device: torch.device, limits: tuple, repeats: int
) -> list[tuple]:
    """All modes, in turn."""
    steps = {mode: mode_step(work, mode, settings, device) for mode in MODES}
    batches = {mode: noise(settings, device, settings.training.batch) for mode in MODES}
    for mode, step in steps.items():
        print(f"{work}, {mode}", file=sys.stderr, flush=True)
        for _ in range(3):  # compiling and choosing kernels
            step(batches[mode])
    sides = {mode: here(lambda m=mode: steps[m](batches[m])) for mode in MODES}
    in_turn(sides, 1)  # the card has cooled down while the last mode was compiled
    spent = in_turn(sides, repeats)
    calls = TRAINING_OPERATIONS if work == "training" else 1
    patches = settings.training.batch
    once = operations(settings.model, settings.patches.size) * patches
    moved = bytes_moved(settings, device) * patches
    rows = []
    for mode, turns in spent.items():
        took = seconds(turns)
        narrow = 2 if MODES[mode].precision == "bfloat16" else 1
        row = (
            *(work, mode, f"{1000 * took:.1f} ms", f"{patches / took:.2f}"),
            *(ratios(spent[BASELINE], turns), percent(calls * once / took / limits[0])),
            percent(calls * moved / narrow / took / limits[1]),
            gib(peak(steps[mode], batches[mode])),
            largest(mode, steps[mode], settings, device),
        )
        print(*row, sep=" | ", file=sys.stderr, flush=True)
        rows.append(row)
    return rows


def mode_step(
    work: str, mode: str, settings: Settings, device: torch.device
) -> Callable[[Batch], None]:
    """A forward pass or a training step in that mode."""
    precision, tf32, compiled, layout = MODES[mode]
    training = dataclasses.replace(settings.training, precision=precision)
    settings = dataclasses.replace(settings, training=training)
    state = start_state(settings, device)
    state.model.to(memory_format=layout)
    if work == "inference":
        state.model.eval()
    network = torch.compile(state.model) if compiled else state.model
    state = TrainingState(network, state.optimiser, state.clock)

    @torch.inference_mode()
    def forward(batch: Batch) -> None:
        with autocast(device, precision):
            network(batch.ct)

    def step(batch: Batch) -> None:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        if work == "inference":
            forward(batch)
        else:
            train_step(state, batch, settings, device)

    return step


def noise(settings: Settings, device: torch.device, count: int) -> Batch:
    """A batch of noise on the GPU, every organ drawn."""
    size = settings.patches.size
    return Batch(
        torch.randn(count, 1, *size, device=device),
        torch.randint(0, 10, (count, *size), device=device, dtype=torch.uint8),
        torch.ones(count, 10, dtype=torch.bool, device=device),
    )


def bytes_moved(settings: Settings, device: torch.device) -> float:
    """What the layers read and write in float32 for one patch, each tensor once."""
    moved = 0

    def count(layer: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal moved
        tensors = (*inputs, output, *layer.parameters(recurse=False))
        moved += sum(t.numel() * t.element_size() for t in tensors)

    model = start_state(settings, device).model  # training, in which the rows are whole
    for layer in model.modules():
        if not list(layer.children()):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        model(noise(settings, device, 1).ct)
    return float(moved)


def peak(step: Callable[[Batch], None], batch: Batch) -> int:
    """Most memory held during a step; 0 where there is no GPU."""
    if not torch.cuda.is_available():
        return 0
    torch.cuda.reset_peak_memory_stats()
    step(batch)
    return torch.cuda.max_memory_allocated()


def largest(
    mode: str, step: Callable[[Batch], None], settings: Settings, device: torch.device
) -> int | str:
    """The largest batch of 1, 2, 4, ... 32 that fits; each size would be compiled anew."""
    if MODES[mode].compiled:
        return "-"
    fits = 0
    for count in (1, 2, 4, 8, 16, 32):
        try:
            step(noise(settings, device, count))
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            return fits
        fits = count
    return fits
