"""Memory that one training step frees is kept for the next one."""

from __future__ import annotations

import contextlib
import ctypes
import sys

# glibc's <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE, _LARGEST = 2**30, 2**31 - 1


def keep_freed_memory() -> None:
    """Tell glibc's allocator not to give large blocks back to the system while training on a CPU.

    By default every tensor above some megabytes is mapped anew and handed back when it is freed, and the system fills
    each of its pages with zeros when it is first touched. Training allocates the same sizes at every step: kept, a
    small Transformer trained 11 to 13 % faster (4+4 layers of 128, bf16, one thread of an AMD EPYC). Other C libraries
    have no such call, and nothing is changed there.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        change = ctypes.CDLL(None).mallopt
        change(_M_MMAP_THRESHOLD, _LARGE)
        change(_M_TRIM_THRESHOLD, _LARGEST)
