"""Timing: sides that take turns, and the peak memory of a process of its own.

Turns (A B A B ...) let whatever else a machine does fall on both sides alike.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

REPOSITORY = Path(__file__).resolve().parent.parent
TOLD_FROM_S = 5.0


@dataclass(frozen=True)
class Spent:
    """What one turn took, and what came of it.

    Attributes:
        seconds: wall clock.
        peak_bytes: most memory the process ever held; 0 where it was not a process of its own.
        result: what the side returned.
    """

    seconds: float
    peak_bytes: int
    result: Any


Side = Callable[[], Spent]


@dataclass(frozen=True)
class Spread:
    """Least, median and largest of several numbers."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        return f"{_short(self.median)} ({_short(self.low)} to {_short(self.high)})"


def _short(number: float) -> str:
    return f"{number:.3g}" if abs(number) < 999.5 else f"{number:,.0f}"


def spread(values: list[float]) -> Spread:
    """Least, median and largest."""
    return Spread(min(values), statistics.median(values), max(values))


def in_turn(sides: Mapping[str, Side], repeats: int) -> dict[str, list[Spent]]:
    """Let each side do its work once, then each again, `repeats` times over.

    Long turns are told as they end, so that a run that is stopped has not measured in vain.
    """
    spent: dict[str, list[Spent]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, side in sides.items():
            turn = side()
            spent[name].append(turn)
            if turn.seconds > TOLD_FROM_S:
                memory = f"{turn.peak_bytes / 2**30:.2f} GiB" if turn.peak_bytes else ""
                print(f"  {name}: {turn.seconds:.1f} s {memory}", flush=True)
    return spent


def ratios(above: list[Spent], below: list[Spent]) -> Spread:
    """Seconds of one side over those of the other, turn by turn."""
    return spread([a.seconds / b.seconds for a, b in zip(above, below, strict=True)])


def seconds(spent: list[Spent]) -> float:
    """The median turn's seconds."""
    return statistics.median(turn.seconds for turn in spent)


def here(work: Callable[[], Any]) -> Side:
    """A side that runs in this process; on a GPU it is waited for."""

    def side() -> Spent:
        started = time.perf_counter()
        result = work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return Spent(time.perf_counter() - started, 0, result)

    return side


def in_process(module: str, function: str, **arguments: Any) -> Side:
    """A side that runs `module.function(**arguments)` in a process of its own.

    The clock starts after the imports; the memory is that of the whole process. Arguments and
    result are what JSON can say.
    """
    command = [sys.executable, "-m", "benchmarks.child", module, function, json.dumps(arguments)]

    def side() -> Spent:
        done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{module}.{function} failed, see above")
        return Spent(**json.loads(done.stdout.splitlines()[-1]))

    return side


@dataclass
class NetworkTime:
    """What a network spent, and on how many windows and voxels of them."""

    seconds: float = 0.0
    windows: int = 0
    voxels: int = 0

    def begin(self, _, arguments: tuple) -> None:
        """Before the network is called."""
        (windows,) = arguments
        self.windows += len(windows)
        self.voxels += windows.numel()
        self.seconds -= time.perf_counter()

    def end(self, *_) -> None:
        """After it was."""
        self.seconds += time.perf_counter()


@contextlib.contextmanager
def network_time(model: torch.nn.Module) -> Iterator[NetworkTime]:
    """What the network spends while the block runs, whoever calls it."""
    spent = NetworkTime()
    hooks = [
        model.register_forward_pre_hook(spent.begin),
        model.register_forward_hook(spent.end),
    ]
    try:
        yield spent
    finally:
        for hook in hooks:
            hook.remove()
