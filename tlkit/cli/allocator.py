"""The C library's memory allocator, set once for a process of the command line that runs networks."""

from __future__ import annotations

import ctypes
import logging
import os

logger = logging.getLogger(__name__)

SWITCH = "TLKIT_KEEP_FREED_MEMORY"
"""Environment variable; 0 leaves the allocator as it is."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
LARGEST_KEPT = 1 << 30
"""Bytes; the kernel still maps larger blocks for themselves."""


def keep_freed_memory() -> bool:
    """Return whether glibc keeps the memory that this process frees, instead of handing it back to the kernel.

    A forward pass on a CPU allocates the same large activations for every batch. By default glibc maps and unmaps each
    of them, and the kernel clears every page anew. The price is that memory once used stays with the process until it
    ends. Only processes of the command line ask for this; `TLKIT_KEEP_FREED_MEMORY=0` turns it off. See `mallopt(3)`;
    with another C library nothing is changed.
    """
    if os.environ.get(SWITCH, "1") == "0":
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
        kept = libc.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT) and libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
    except (OSError, AttributeError):
        return False
    if kept:
        logger.info("Memory that is freed stays with this process, for speed; %s=0 turns that off.", SWITCH)
    return bool(kept)
