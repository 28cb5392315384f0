"""What the machine could do at best, measured in the same run as what is held against it."""

import time
from collections.abc import Iterable
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.clock import Side, here
from organnet.memory import kept_memory
from organnet.model import OrganNet
from organnet.settings import ModelSettings

MATRIX_SIDE = 4096
CPU = torch.device("cpu")


def matrix_product(
    precision: str, device: torch.device = CPU, side: int = MATRIX_SIDE
) -> tuple[Side, float]:
    """A product of two square matrices, and the floating-point operations in it."""
    a, b = (torch.randn(side, side, dtype=getattr(torch, precision), device=device) for _ in "ab")
    a @ b  # the first call also loads the library
    return here(lambda: a @ b), 2.0 * side**3


@kept_memory()
def matrix_rate(precision: str, device: torch.device = CPU, side: int = MATRIX_SIDE) -> float:
    """Floating-point operations per second in the best of five matrix products."""
    product, operations = matrix_product(precision, device, side)
    return operations / min(product().seconds for _ in range(5))


def memory_rate(device: torch.device = CPU, megabytes: int = 512) -> float:
    """Bytes per second read and written in the best of five copies."""
    source = torch.zeros(megabytes * 2**20, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    copy = here(lambda: target.copy_(source))
    return 2 * source.numel() / min(copy().seconds for _ in range(5))


def operations(settings: ModelSettings, patch_size: tuple[int, int, int]) -> float:
    """Floating-point operations of a network on one patch, counted without doing them."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        OrganNet(settings)(torch.empty(1, 1, *patch_size))
    return float(counter.get_total_flops())


def reading(paths: Iterable[Path]) -> tuple[float, int]:
    """Seconds to read the bytes of these files and do nothing with them, and how many they are."""
    started = time.perf_counter()
    size = sum(len(path.read_bytes()) for path in paths)
    return time.perf_counter() - started, size
