"""A training step on real data against the same step on one batch over and over."""

import dataclasses
import itertools
from collections.abc import Callable

from benchmarks.clock import Side, Spent, here, in_turn, ratios, seconds
from benchmarks.options import Options, there
from benchmarks.report import Table, percent
from organnet.checkpoints import Clock
from organnet.datasets import open_dataset
from organnet.memory import kept_memory
from organnet.prepared import PreparedCase, prepare_all
from organnet.settings import Settings, make_settings
from organnet.training import batches, start_state, train_step
from organnet.weights import fast_precision, pick_device

TITLE = "Training on real data"
PROFILE, CASES, STEPS = "hours", 12, 101
WORKERS = (0, 2)
SHARE = 0.95


def run(options: Options) -> list[Table]:
    """Steps per second with patches drawn from OpenKBP, and with a batch that stays."""
    dataset = open_dataset("openkbp", there(options.openkbp))
    settings = make_settings("openkbp", PROFILE)
    names = dataset.splits["training"][:CASES]
    folder = options.scratch / "prepared"
    cases = prepare_all(names, dataset.load, settings.patches.spacing_mm, folder)
    rows = [row(cases, with_workers(settings, n), options.repeats) for n in WORKERS]
    patch = " x ".join(str(n) for n in settings.patches.size)
    note = (
        f"OpenKBP, profile `{PROFILE}`: width {settings.model.width}, {settings.training.batch} "
        f"patches of {patch}, {fast_precision(pick_device())}. {STEPS - 1} steps a turn after a "
        "first, in which workers start, as they do once in a training. *Limit*: what speed would "
        "be left if the patches were drawn between steps and nothing ran side by side. *Must "
        f"reach*: {percent(SHARE)}."
    )
    columns = (
        *("`num_workers`", "a step, one batch", "a step, real data"),
        *("drawing a batch", "speed kept", "limit without workers"),
    )
    return [Table(columns, rows, note)]


def with_workers(settings: Settings, workers: int, steps: int = STEPS) -> Settings:
    """The same settings for an epoch of so many steps with so many workers, in fast precision."""
    precision = fast_precision(pick_device())
    training = dataclasses.replace(
        settings.training, epochs=1, steps=steps, workers=workers, precision=precision
    )
    return dataclasses.replace(settings, training=training)


def row(cases: list[PreparedCase], settings: Settings, repeats: int) -> tuple:
    """One number of workers."""
    steps = settings.training.steps
    device = pick_device()
    kept = next(batches(cases, settings, Clock(), device))
    alone = with_workers(settings, 0, steps)
    sides = {
        "one batch": stepper(settings, lambda: itertools.repeat(kept, steps)),
        "real": stepper(settings, lambda: batches(cases, settings, Clock(), device)),
        "drawing": here(lambda: list(batches(cases, alone, Clock(), device))),
    }
    spent = in_turn(sides, repeats)
    speed = ratios(spent["one batch"], spent["real"])
    one, real = (seconds(spent[side]) / (steps - 1) for side in ("one batch", "real"))
    drawing = seconds(spent["drawing"]) / steps
    return (
        *(settings.training.workers, f"{one:.3g} s", f"{real:.3g} s", f"{drawing:.3g} s"),
        f"{percent(speed.median)} ({percent(speed.low)} to {percent(speed.high)})",
        percent(one / (one + drawing)),
    )


def stepper(settings: Settings, draw: Callable) -> Side:
    """Training steps on the batches drawn, timed from the second on: workers start once."""
    device = pick_device()
    state = start_state(settings, device)

    @kept_memory()
    def side() -> Spent:
        drawn = iter(draw())
        here(lambda: train_step(state, next(drawn), settings, device))()  # waits for a GPU
        return here(lambda: [train_step(state, batch, settings, device) for batch in drawn])()

    return side
