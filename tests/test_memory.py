"""Freed memory is used again inside `kept_memory`, and given back after it."""

import ctypes
import platform
import resource
from typing import ClassVar

import pytest
import torch

from organnet import memory
from organnet.memory import kept_memory

LARGE = 64 * 2**20
LARGER_THAN_ANY_HOLE = 2**30

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc is meant")


class Mallinfo(ctypes.Structure):
    """What mallinfo(3) tells; the fourth number is how many pieces of memory stand apart."""

    _fields_: ClassVar = [("numbers", ctypes.c_int * 10)]


def is_asked_of_the_system() -> bool:
    """Whether a large tensor gets memory of its own, which goes back once it is freed."""
    mallinfo = ctypes.CDLL(None).mallinfo
    mallinfo.restype = Mallinfo
    before = mallinfo().numbers[3]
    tensor = torch.empty(LARGER_THAN_ANY_HOLE, dtype=torch.uint8)
    return mallinfo().numbers[3] == before + 1 and len(tensor) > 0


def pages_cleared(times: int) -> int:
    """How many pages the system hands out while large tensors come and go."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(LARGE, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


@glibc
def test_large_tensors_have_memory_of_their_own_but_inside() -> None:
    assert is_asked_of_the_system()
    with kept_memory():
        assert not is_asked_of_the_system()
    assert is_asked_of_the_system()
    with pytest.raises(ValueError, match="inside"), kept_memory():
        raise ValueError("inside")
    assert is_asked_of_the_system()


@glibc
def test_freed_memory_is_used_again() -> None:
    outside = pages_cleared(50)
    with kept_memory():
        inside = pages_cleared(50)  # small pieces may close the first holes to their like
    assert inside < outside / 2


@glibc
def test_what_is_free_is_given_back_at_the_end() -> None:
    with kept_memory():
        before = resident_bytes()
        lowest = torch.ones(LARGE, dtype=torch.uint8)
        highest = torch.ones(LARGE, dtype=torch.uint8)
        above = lowest[:1000].clone()  # so that there is a hole, which is given back as well
        del lowest, highest
        assert resident_bytes() > before + 1.5 * LARGE
    assert resident_bytes() < before + LARGE / 4
    assert above.all()


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: pytest.fail("was asked"))
    with kept_memory():
        assert torch.ones(2).sum() == 2
