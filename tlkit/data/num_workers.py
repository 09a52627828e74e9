"""The number of cores and of worker processes for decoding."""

from __future__ import annotations

import logging
import os
from typing import Literal

from tlkit.errors import DataError

logger = logging.getLogger(__name__)

FEW_IMAGES = 512
"""With fewer images, starting worker processes takes longer than they save."""
MOST_WORKERS = 8


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_num_workers(num_workers: int | Literal["auto"], *, images: int, processes: int = 1) -> int:
    """Return the number of worker processes for a loader.

    Args:
        num_workers: a number, or "auto": 0 for fewer than 512 images or on a single core, else one per core, 8 at most.
        images: number of images that one epoch loads.
        processes: training processes on this machine, which share its cores.

    Raises:
        DataError: `num_workers` is neither "auto" nor a number from 0.
    """
    if num_workers == "auto":
        cores = max(1, available_cores() // processes)
        chosen = 0 if images < FEW_IMAGES or cores == 1 else min(cores, MOST_WORKERS)
        if chosen:
            why = f"{chosen} worker processes decode the {images:,} images while the model computes ({cores} cores)"
        elif images < FEW_IMAGES:
            why = f"none for so few images ({images}), since worker processes take longer to start than they save"
        else:
            why = "none, since there is only one core for workers and training"
        logger.debug("%s (data.num_workers is auto; a number changes it).", why)
        return chosen
    if isinstance(num_workers, bool) or not isinstance(num_workers, int) or num_workers < 0:
        raise DataError(f"num_workers is {num_workers!r}. Use 'auto' or a number from 0.")
    return num_workers
