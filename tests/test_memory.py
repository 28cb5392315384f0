"""Freed memory is used again inside `kept_memory`, and given back after it."""

import ctypes
import multiprocessing
import platform
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from organnet import memory
from organnet.memory import kept_memory

LARGE = 64 * 2**20
LARGER_THAN_ANY_HOLE = 3 * 2**30


class Mallinfo(ctypes.Structure):
    """What mallinfo2(3) tells: the heap's bytes first; fourth, how many pieces stand apart."""

    _fields_: ClassVar = [("numbers", ctypes.c_size_t * 10)]


def heap_bytes_and_pieces_apart() -> tuple[int, int]:
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = Mallinfo
    numbers = mallinfo().numbers
    return numbers[0], numbers[3]


def stands_apart(size: int) -> bool:
    """Whether a tensor gets memory of its own, which goes back once it is freed."""
    _, before = heap_bytes_and_pieces_apart()
    tensor = torch.empty(size, dtype=torch.uint8)  # not touched: it takes no real memory
    _, after = heap_bytes_and_pieces_apart()
    return after == before + 1 and len(tensor) == size


def pages_cleared(times: int) -> int:
    """How many pages the system hands out while large tensors come and go."""
    import resource  # there is none on Windows

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(LARGE, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident_bytes() -> int:
    rollup = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8")
    return next(int(s.split()[1]) * 1024 for s in rollup.splitlines() if s.startswith("Rss:"))


def large_tensors_have_memory_of_their_own_but_inside() -> None:
    assert stands_apart(LARGER_THAN_ANY_HOLE)
    with kept_memory():
        assert not stands_apart(LARGER_THAN_ANY_HOLE)
        heap, _ = heap_bytes_and_pieces_apart()
        assert heap >= LARGER_THAN_ANY_HOLE  # freed, and kept
    assert stands_apart(LARGER_THAN_ANY_HOLE)
    with pytest.raises(ValueError, match="inside"), kept_memory():
        raise ValueError("inside")
    assert stands_apart(LARGER_THAN_ANY_HOLE)


def freed_memory_is_used_again() -> None:
    outside = pages_cleared(50)
    with kept_memory():
        inside = pages_cleared(50)  # small pieces may close the first holes to their like
    assert inside < outside / 2


def what_is_free_is_given_back_at_the_end_from_under_what_is_not() -> None:
    with kept_memory():
        pass  # gives back what others left free
    with kept_memory():
        before = resident_bytes()
        lower = torch.ones(LARGE, dtype=torch.uint8)
        upper = torch.ones(LARGE, dtype=torch.uint8)
        if lower.data_ptr() > upper.data_ptr():
            lower, upper = upper, lower
        del lower
        assert resident_bytes() > before + 1.5 * LARGE
    assert resident_bytes() < before + 1.25 * LARGE
    assert upper.all()
    with kept_memory():
        del upper
    assert resident_bytes() < before + 0.25 * LARGE


def a_smaller_tensor_does_not_stand_apart_afterwards() -> None:
    """As in a process that has run for a while; a new one begins at 128 KiB."""
    with kept_memory():
        pass
    assert not stands_apart(2**20)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc is meant")
@pytest.mark.parametrize(
    "holds",
    [
        large_tensors_have_memory_of_their_own_but_inside,
        freed_memory_is_used_again,
        what_is_free_is_given_back_at_the_end_from_under_what_is_not,
        a_smaller_tensor_does_not_stand_apart_afterwards,
    ],
)
def test_in_a_new_process(holds: Callable[[], None]) -> None:
    """What other tests leave in the heap decides where a tensor goes, and what can go back."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as new:
        new.submit(holds).result()


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: pytest.fail("was asked"))
    monkeypatch.setattr(memory, "_glibc", memory._glibc.__wrapped__)  # asks anew
    with kept_memory():
        assert torch.ones(2).sum() == 2
