"""The training loop: Adam, a rate that drops by tens, a checkpoint every epoch and on a signal."""

import contextlib
import itertools
import math
import signal
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from organnet.checkpoints import Clock, TrainingState, load_checkpoint, save_checkpoint
from organnet.errors import OrganNetError, RunError
from organnet.files import atomic_path
from organnet.layout import CHECKPOINT_NAME, WEIGHTS_NAME
from organnet.losses import organ_loss
from organnet.memory import kept_memory
from organnet.metrics import dice
from organnet.model import OrganNet
from organnet.organs import ORGANS, UNKNOWN
from organnet.patches import Batch, Patches, stack
from organnet.prepared import PreparedCase
from organnet.settings import Settings, TrainingSettings
from organnet.tensors import load_tensors
from organnet.weights import (
    Network,
    autocast,
    load_state,
    on_device,
    pick_device,
    save_weights,
)
from organnet.windows import likeliest, window_probabilities

LOG_NAME = "log.csv"
START_NAME = "start.safetensors"
LOG_COLUMNS = [
    *("epoch", "step", "learning_rate", "loss", "focal_loss", "dice_loss", "seconds", "dsc_mean"),
    *(f"dsc_{organ.name}" for organ in ORGANS),
]


def train(
    run: Path, settings: Settings, training: list[PreparedCase], validation: list[PreparedCase]
) -> None:
    """Train until the last epoch is done; go on from the run's checkpoint where there is one.

    Leaves weights.safetensors (the last epoch's), checkpoint.safetensors and log.csv in `run`. A
    training that does not start from the seed starts from start.safetensors there.
    Raises OrganNetError without cases or for a checkpoint that does not fit, and RunError where the
    loss is not finite or a signal asked to stop; the last good checkpoint is kept.
    """
    if not training:
        raise OrganNetError(f"{settings.dataset} has no training cases: check its splits")
    device = pick_device()
    state = start_state(settings, device)
    if settings.training.start:
        load_state(state.model, load_tensors(run / START_NAME)[0], run / START_NAME)
    checkpoint = run / CHECKPOINT_NAME
    load_checkpoint(checkpoint, state, settings)
    clock, plan = state.clock, settings.training
    with (
        stop_on_signal() as stop,
        _bar(plan, clock) as bar,
        contextlib.closing(batches(training, settings, clock, device)) as left,
    ):
        while clock.epoch < plan.epochs:
            set_rate(state.optimiser, plan, clock.epoch)
            _go_through(itertools.islice(left, plan.steps - clock.step), state, settings, bar, stop)
            if stop.is_set():
                save_checkpoint(checkpoint, state, settings)
                raise RunError(
                    f"stopped in epoch {clock.epoch + 1} of {plan.epochs}, nothing is lost: "
                    f"run the same command to go on from {checkpoint}"
                )
            _finish_epoch(state, settings, validation)
            write_log(run / LOG_NAME, clock.rows)  # first: an epoch in the checkpoint is over
            save_checkpoint(checkpoint, state, settings)
            if bar.disable:
                print(_line(clock.rows, plan), flush=True)
    save_weights(run / WEIGHTS_NAME, state.model, settings)
    if stop.is_set():
        raise RunError("stopped when the training was done: run the same command to go on")


def start_state(settings: Settings, device: torch.device) -> TrainingState:
    """A network initialised from the seed, and an optimiser that has not moved."""
    torch.manual_seed(settings.training.seed)
    torch.backends.cudnn.deterministic = True
    model = on_device(OrganNet(settings.model), device)
    size = settings.patches.size
    if any(n % multiple for n, multiple in zip(size, model.patch_multiple, strict=True)):
        raise OrganNetError(
            f"patches of {size} voxels cannot be pooled: choose multiples of {model.patch_multiple}"
        )
    optimiser = torch.optim.Adam(model.parameters(), settings.training.learning_rate)
    return TrainingState(model, optimiser, Clock())


def set_rate(optimiser: torch.optim.Optimizer, plan: TrainingSettings, epoch: int) -> None:
    """A tenth of the learning rate every `drop_every` epochs, never below the lowest rate."""
    rate = max(plan.lowest_rate, plan.learning_rate * 0.1 ** (epoch // plan.drop_every))
    for group in optimiser.param_groups:
        group["lr"] = rate


def validation_scores(network: Network, cases: list[PreparedCase]) -> dict[str, float]:
    """Mean DSC per organ over the cases in which it is drawn, on the network's own grid.

    Cheaper than the scores of a test: no resampling, no mirroring, no surface. NaN where no case
    has the organ.
    """
    scores: dict[str, list[float]] = {organ.name: [] for organ in ORGANS}
    network.model.eval()
    for case in cases:
        p = window_probabilities(network, case.ct, network.settings.inference.overlap)
        predicted = likeliest(p).numpy().astype(np.uint8)
        known = case.labels != UNKNOWN
        for organ in ORGANS:
            truth = case.labels == organ.label
            found = (predicted == organ.label) & known
            if case.drawn[organ.label] and (truth.any() or found.any()):
                scores[organ.name].append(dice(truth, found))
    network.model.train()
    return {name: float(np.mean(values)) if values else math.nan for name, values in scores.items()}


def write_log(path: Path, rows: list[dict]) -> None:
    """log.csv: one row per finished epoch; scores are empty where none were taken."""
    logged = (key for row in rows for key in row)  # a loss may have terms of its own
    columns = list(dict.fromkeys([*LOG_COLUMNS, *logged]))
    with atomic_path(path) as temporary:
        pd.DataFrame(rows, columns=columns).to_csv(temporary, index=False)


@contextlib.contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """An event that SIGTERM, Ctrl-C or a closed terminal sets: no step is ever cut in half."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may take signals
        return
    kinds = [signal.SIGTERM, signal.SIGINT]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        kinds.append(signal.SIGHUP)  # Windows has none, and nohup wants it ignored
    before = {kind: signal.signal(kind, lambda *_: stop.set()) for kind in kinds}
    try:
        yield stop
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def batches(
    cases: list[PreparedCase], settings: Settings, clock: Clock, device: torch.device
) -> Generator[Batch, None, None]:
    """The batches that are left of the training, in all its epochs; closed, its workers end.

    A GPU, which then holds all cases, draws its own. Workers start once: that forks this process,
    and the next step, which copies every page that it writes to, takes three times as long.
    """
    plan = settings.training
    done = (clock.epoch * plan.steps + clock.step) * plan.batch
    count = plan.epochs * plan.steps * plan.batch
    patches = Patches(cases, settings.patches, count, plan.seed, device)
    left = range(done, count)
    workers = plan.workers if device.type == "cpu" else 0
    loader = DataLoader(patches, plan.batch, sampler=left, num_workers=workers, collate_fn=stack)
    if device.type == "cpu":
        yield from loader
    else:
        yield from drawn_ahead(iter(loader))


def drawn_ahead(drawn: Iterator[Batch]) -> Generator[Batch, None, None]:
    """Batches on the GPU, each drawn there while the network learns from the one before."""
    aside = torch.cuda.Stream()

    def draw() -> Batch | None:
        with torch.cuda.stream(aside):
            batch = next(drawn, None)
            aside.synchronize()
        return batch

    with ThreadPoolExecutor(1, thread_name_prefix="drawing") as thread:
        drawing = thread.submit(draw)
        while batch := drawing.result():
            drawing = thread.submit(draw)
            for tensor in (batch.ct, batch.labels):  # the next may not be drawn where it lies
                tensor.record_stream(torch.cuda.current_stream())
            yield batch


def train_step(
    state: TrainingState, batch: Batch, settings: Settings, device: torch.device
) -> None:
    """One optimiser step, added to the clock's sums."""
    with autocast(device, settings.training.precision):
        logits = state.model(batch.ct.to(device))
    drawn = batch.drawn.to(device, non_blocking=True)  # the step before may still be under way
    loss = organ_loss(logits, batch.labels.to(device), drawn, settings.loss)
    clock = state.clock
    values = {"loss": loss.total, "focal_loss": loss.focal, "dice_loss": loss.dice}
    for key, value in values.items():
        clock.sums[key] = clock.sums.get(key, 0.0) + value.item()
    if not math.isfinite(clock.sums["loss"]):
        raise RunError(
            f"the loss is not finite in epoch {clock.epoch + 1}, step {clock.step + 1}; the last "
            f"good checkpoint is kept: lower the learning rate or train in float32"
        )
    state.optimiser.zero_grad()
    loss.total.backward()
    state.optimiser.step()
    clock.step += 1


@kept_memory()
def _go_through(
    left: Iterator[Batch],
    state: TrainingState,
    settings: Settings,
    bar: tqdm,
    stop: threading.Event,
) -> None:
    """The steps that are left of an epoch, or as many as are done when a signal asks to stop."""
    clock = state.clock
    device = next(state.model.parameters()).device
    started = time.monotonic() - clock.seconds
    for batch in left:
        train_step(state, batch, settings, device)
        clock.seconds = time.monotonic() - started
        bar.set_postfix_str(_progress(clock), refresh=False)
        bar.update()
        if stop.is_set():
            return


def _finish_epoch(state: TrainingState, settings: Settings, validation: list[PreparedCase]) -> None:
    """Validate where it is due, log the epoch, and turn the clock to the next."""
    clock, plan = state.clock, settings.training
    started = time.monotonic() - clock.seconds
    due = (clock.epoch + 1) % plan.validate_every == 0 or clock.epoch + 1 == plan.epochs
    scores = {}
    if due and validation:
        scores = validation_scores(Network(state.model, settings), validation)
    known = [score for score in scores.values() if not math.isnan(score)]
    means = {key: value / clock.step for key, value in clock.sums.items()}
    clock.rows.append(
        {
            "epoch": clock.epoch + 1,
            "step": (clock.epoch + 1) * plan.steps,
            "learning_rate": state.optimiser.param_groups[0]["lr"],
            **means,
            "seconds": round(time.monotonic() - started, 1),
            "dsc_mean": float(np.mean(known)) if known else None,
            **{f"dsc_{k}": None if math.isnan(v) else v for k, v in scores.items()},
        }
    )
    clock.epoch, clock.step, clock.sums, clock.seconds = clock.epoch + 1, 0, {}, 0.0


def _bar(plan: TrainingSettings, clock: Clock) -> tqdm:
    """A bar on a terminal; where there is none, each epoch prints a line instead."""
    done = clock.epoch * plan.steps + clock.step
    return tqdm(total=plan.epochs * plan.steps, initial=done, unit="step", disable=None)


def _progress(clock: Clock) -> str:
    score = next((r["dsc_mean"] for r in reversed(clock.rows) if r["dsc_mean"] is not None), None)
    text = f"epoch {clock.epoch + 1}, loss {clock.sums['loss'] / clock.step:.3f}"
    return text if score is None else f"{text}, DSC {score:.3f}"


def _line(rows: list[dict], plan: TrainingSettings) -> str:
    row = rows[-1]
    left = sum(r["seconds"] for r in rows) / len(rows) * (plan.epochs - row["epoch"]) / 60
    score = "" if row["dsc_mean"] is None else f"  DSC {row['dsc_mean']:.3f}"
    return f"epoch {row['epoch']}/{plan.epochs}  loss {row['loss']:.3f}{score}  {left:.1f} min left"
