"""The `Engine` protocol for running a frozen backbone, and its implementation in PyTorch."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

Dtype = Literal["float32", "bfloat16"]


class Engine(Protocol):
    """Runs a frozen backbone; returns the same bytes whenever it gets the same batch of pixels.

    Attributes:
        name: what it is and where it runs, such as "torch/cpu"; part of every cache key.
        dtype: its arithmetic.
        images_per_run: how many images each of several threads gives it at a time; None = it takes one call at a time.
        threads: how many threads may call it at once.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def dtype(self) -> Dtype: ...  # noqa: D102
    @property
    def images_per_run(self) -> int | None: ...  # noqa: D102
    @property
    def threads(self) -> int: ...  # noqa: D102

    def __call__(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
        """Return the features (B, D) of uint8 RGB pixels (B, 3, H, W)."""


class TorchEngine:
    """PyTorch without gradients: channels-last, in float32 or under bfloat16 autocast.

    Args:
        module: maps uint8 pixels (B, 3, H, W) to features (B, D), normalization included.
        device: "cpu", "cuda" or "mps".
        dtype: the arithmetic of the network; features come out as float32 whichever it is.
    """

    images_per_run = None
    threads = 1

    def __init__(self, module: nn.Module, *, device: str = "cpu", dtype: Dtype = "float32") -> None:
        self.name = f"torch/{device}"
        self.dtype: Dtype = dtype
        self._device = device
        self._module = module.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def __call__(self, pixels: torch.Tensor) -> npt.NDArray[np.float32]:
        """Return the features (B, D) of uint8 RGB pixels (B, 3, H, W)."""
        images = pixels.to(self._device, non_blocking=True).contiguous(memory_format=torch.channels_last)
        autocast = torch.autocast(self._device, torch.bfloat16, enabled=self.dtype == "bfloat16")
        with torch.inference_mode(), autocast:
            features: npt.NDArray[np.float32] = self._module(images).float().cpu().numpy()
        return features
