"""Tells malloc what to do with freed memory. Imports no JAX, because benchmarks of other libraries use it too."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # of malloc.h


def keep_memory() -> None:
    """Makes glibc's malloc keep freed memory; with other systems' malloc it does nothing.

    By default it returns blocks over 32 MiB to the system, and a step that asks for them again pays a page fault for
    each of their pages (18 of 80 ms, measured). Keeping them costs memory: a DCGAN-28 step of 256 images peaks at
    1.3 GiB instead of 0.9. With a threshold of 32 MiB the peak is as low, but the step takes 1.2 to 1.4 times as long.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        for option, value in ((M_MMAP_THRESHOLD, 2**30), (M_TRIM_THRESHOLD, 2**31 - 1), (M_ARENA_MAX, 1)):
            mallopt(option, value)
