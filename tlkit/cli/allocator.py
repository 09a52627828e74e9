"""Sets glibc's memory allocator in processes of the command line that run networks."""

from __future__ import annotations

import ctypes
import logging
import os

logger = logging.getLogger(__name__)

SWITCH = "TLKIT_KEEP_FREED_MEMORY"
"""Environment variable; 0 leaves the allocator as it is."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
LARGEST_KEPT = 1 << 30
"""Bytes; larger blocks are still mapped separately."""


def keep_freed_memory() -> bool:
    """Make glibc keep the memory that this process frees; return whether it does.

    A forward pass on a CPU allocates the same large activations for every batch. By default glibc maps and unmaps each
    of them, and the kernel clears every page again. The price: used memory stays with the process until it ends.
    Only the command line calls this function; `TLKIT_KEEP_FREED_MEMORY=0` turns it off. With another C library nothing
    changes. See `mallopt(3)`.
    """
    if os.environ.get(SWITCH, "1") == "0":
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
        kept = libc.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT) and libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
    except (OSError, AttributeError):
        return False
    if kept:
        logger.debug("Freed memory stays with this process, for speed; %s=0 turns that off.", SWITCH)
    return bool(kept)
