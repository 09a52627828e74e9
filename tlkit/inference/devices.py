"""The device and the precision of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from tlkit.errors import RecipeError

LightningPrecision = Literal["32-true", "bf16-mixed", "16-mixed"]
NAMES: dict[str, LightningPrecision] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def choose_device(device: str, *, key: str = "train.device") -> str:
    """Return "cuda", "mps" or "cpu"; `auto` takes the first of them that is available.

    Args:
        device: auto, cpu, cuda or mps.
        key: its name in the error message.

    Raises:
        RecipeError: torch does not find the device.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        device = next(name for name, found in available.items() if found)
    if not available.get(device, False):
        usable = " or ".join(name for name, found in available.items() if found)
        raise RecipeError(f"{key} is {device}, which torch {torch.__version__} does not find. Use auto or {usable}.")
    return device


def choose_precision(precision: str, *, device: str) -> LightningPrecision:
    """Return Lightning's name of a precision.

    `auto` is bf16 on a CUDA device that supports it and on a CPU that multiplies matrices in it (AMX), 16 on an older
    CUDA device, and 32 elsewhere.

    Raises:
        RecipeError: 16 on a CPU, for which torch has no loss scaling.
    """
    if precision == "auto":
        if device != "cuda":
            return "bf16-mixed" if device == "cpu" and has_bf16_matrix_unit() else "32-true"
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    if precision == "16" and device == "cpu":
        raise RecipeError("train.precision is 16, which a CPU cannot train in. Use auto, 32 or bf16.")
    return NAMES[precision]


def has_bf16_matrix_unit() -> bool:
    """Return whether the CPU has AMX's tiles for bf16 (Intel, Sapphire Rapids on), as far as torch can tell."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # not in torch 2.10
    return bool(capabilities.get("amx_bf16", False))


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread within the block."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)
