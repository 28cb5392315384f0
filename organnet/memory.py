"""The memory that large tensors lie in."""

import contextlib
import ctypes
import functools
import platform
from collections.abc import Iterator

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""What mallopt(3) calls M_TRIM_THRESHOLD and so on, as malloc.h numbers them."""
KEPT = {TRIM_THRESHOLD: -1, MMAP_MAX: 0}  # never given back, never apart from the heap
USUAL = {TRIM_THRESHOLD: 64 * 2**20, MMAP_THRESHOLD: 32 * 2**20, MMAP_MAX: 65536}
"""Where glibc ends by itself: its thresholds grow with use, but not once one of them was set."""


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """Inside, tensors are put where freed ones lay; at the end, what is free is given back.

    glibc asks the system for each tensor of more than 32 MiB anew, and the system clears all its
    pages: an eighth of the time that a large window takes on a CPU. Only the main thread gains
    much; other C libraries are left alone. Do not nest: the inner end is the end.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    try:
        for option, value in KEPT.items():
            libc.mallopt(option, value)
        yield
    finally:
        for option, value in USUAL.items():
            libc.mallopt(option, value)
        libc.malloc_trim(0)


@functools.cache
def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
