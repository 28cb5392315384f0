"""The memory that large tensors lie in."""

import contextlib
import ctypes
import platform
from collections.abc import Iterator

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""What mallopt(3) calls M_TRIM_THRESHOLD and M_MMAP_MAX, as malloc.h numbers them."""
USUAL = {TRIM_THRESHOLD: 128 * 1024, MMAP_MAX: 65536}
KEPT = {TRIM_THRESHOLD: 2**31 - 1, MMAP_MAX: 0}


@contextlib.contextmanager
def kept_memory() -> Iterator[None]:
    """Inside, tensors are put where freed ones lay; at the end, what is free is given back.

    glibc asks the system for each tensor of more than 32 MiB anew, and the system clears all its
    pages: an eighth of the time that a large window takes on a CPU. Other C libraries are left
    alone. Do not nest: the inner end is the end.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    try:
        for option, value in KEPT.items():
            libc.mallopt(option, value)
        yield
    finally:
        for option, value in USUAL.items():
            libc.mallopt(option, value)
        libc.malloc_trim(0)
