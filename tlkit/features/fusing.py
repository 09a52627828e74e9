"""Convolutions that compute their activation and need no padding before them: one pass over memory instead of three.

TensorFlow pads the odd zero below and to the right. torch's convolutions pad all sides alike, so timm copies the whole
tensor first. Turned by 180 degrees, kernels and images alike, a network gives the same means over all places, and the
odd zero lies above and to the left, where padding on all sides puts it too: what is too much at the far end is never
reached by a step of two. Whether a network is one that can be turned shows in its output.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tlkit.features.following import find_followers, replace_part, share_changed

logger = logging.getLogger(__name__)

WORDS: Mapping[type[nn.Module], tuple[str, list[float]]] = {nn.ReLU: ("relu", []), nn.ReLU6: ("hardtanh", [0.0, 6.0])}
"""oneDNN's word and numbers for an activation. It knows others, such as SiLU, which it approximates, and which save no
time (EfficientNet-B0, MobileNetV3 on AVX-512)."""

LARGEST_ERROR = 1e-5
"""Largest change of any output, as a share of the largest output, that is taken for rounding."""


class FusedConv2d(nn.Module):
    """A convolution that applies its activation to each output before writing it, by oneDNN; float32, channels-last.

    torch's own compiler makes the same call (`torch/_inductor/mkldnn_ir.py`, seen with torch 2.13).

    Args:
        conv: the convolution; one that is padded as TensorFlow does is known by timm's name for it, Conv2dSame.
        activation: what follows it; None for nothing.
        turned: whether its input is turned by 180 degrees.
    """

    def __init__(self, conv: nn.Conv2d, activation: nn.Module | None, *, turned: bool = False) -> None:
        super().__init__()
        self._same, self._turned = _pads_as_needed(conv), turned
        self._word, self._numbers = ("none", []) if activation is None else WORDS[type(activation)]
        self._kernel, self._stride, self._dilation = conv.kernel_size, conv.stride, conv.dilation
        self._padding = (0, 0) if self._same else conv.padding
        self._groups = conv.groups
        weight = conv.weight.detach()
        self._weight = weight.flip(2, 3) if turned else weight
        self._bias = None if conv.bias is None else conv.bias.detach()
        self._packed: torch.Tensor | None = None  # in the layout that the first input asks for

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the packed weights, which cannot be copied; a copy packs its own."""
        return {**self.__dict__, "_packed": None}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C', H', W'), activated."""
        padding = list(self._padding)
        if self._same and self._turned:
            padding = [-(-zeros // 2) for zeros in _zeros_around(x, self._kernel, self._stride, self._dilation)]
        elif self._same:
            x = _padded_same(x, self._kernel, self._stride, self._dilation)
        where = (padding, list(self._stride), list(self._dilation), self._groups)
        if self._packed is None:
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(self._weight, *where, list(x.shape))
        fused: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._packed, self._bias, *where, self._word, self._numbers, ""
        )
        return fused


def can_fuse() -> bool:
    """Tell whether this build of torch has what fuses."""
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


class Turned(nn.Module):
    """A network that is given images turned by 180 degrees.

    Args:
        module: takes (B, C, H, W).
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Turn the images, and run the network on them."""
        features: torch.Tensor = self.module(images.flip(2, 3))
        return features


def fuse_activations(module: nn.Module, example: torch.Tensor) -> nn.Module:
    """Return a copy of a network, for inference in float32 on the CPU, whose convolutions apply their activations.

    Which activation follows which convolution is read off a pass of the example. The result is compared with the
    original on the example and on noise; where they differ by more than rounding, the original is returned. In batches
    of 32 they have given the same bits, unless they are turned; small inputs torch hands to another library, which
    rounds differently.

    Args:
        module: any network in evaluation mode.
        example: an input of it, of the height and width of all others.
    """
    if not can_fuse():
        return module
    example = _beside_noise(example).contiguous(memory_format=torch.channels_last)
    pads = any(_pads_as_needed(part) for part in module.modules())
    for turned in (True, False) if pads else (False,):
        try:
            fused, before = _fused(module, example, turned=turned)
            with torch.no_grad():
                after = fused(example)
            change = share_changed(before, after)
        except Exception as error:  # oneDNN knows no such convolution, or the network looks into the one that it had
            logger.debug("Activations are not fused: %s: %s", type(error).__name__, error)
            continue
        if change <= LARGEST_ERROR:  # NaN is not
            return fused
        if not turned:
            logger.info("Activations are not fused: it would change the features by %.1e.", change)
    return module


def _beside_noise(example: torch.Tensor) -> torch.Tensor:
    """Add an image of noise: a plain picture looks the same turned, also to networks that cannot be turned."""
    noise = torch.rand(1, *example.shape[1:], generator=torch.Generator().manual_seed(0))
    return torch.cat([example, (noise if example.is_floating_point() else noise * 256).to(example.dtype)])


def _fused(module: nn.Module, example: torch.Tensor, *, turned: bool) -> tuple[nn.Module, torch.Tensor]:
    """Return a copy whose convolutions apply their activations, to images that are turned or not; and what it gave."""
    fused = copy.deepcopy(module)
    followers, before = find_followers(fused, example, of=_is_plain, among=lambda part: type(part) in WORDS)
    for name, follower in followers.items():
        conv = fused.get_submodule(name)
        assert isinstance(conv, nn.Conv2d)
        activation = None if follower is None else fused.get_submodule(follower)
        replace_part(fused, name, FusedConv2d(conv, activation, turned=turned))
        if follower is not None:
            replace_part(fused, follower, nn.Identity())
    return Turned(fused) if turned else fused, before


def _is_plain(part: nn.Module) -> bool:
    """Tell whether it is torch's own convolution, or the one that pads as TensorFlow does, and in float32."""
    return (
        isinstance(part, nn.Conv2d)
        and (type(part) is nn.Conv2d or _pads_as_needed(part))
        and part.padding_mode == "zeros"
        and not isinstance(part.padding, str)
        and part.weight.dtype == torch.float32
    )


def _pads_as_needed(part: nn.Module) -> bool:
    """Tell whether it is timm's convolution that pads as TensorFlow does."""
    return type(part).__name__ == "Conv2dSame"


def _zeros_around(
    x: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> list[int]:
    """Return how many zeros the height and the width need in all, for ceil(size / stride) outputs a side."""
    return [
        max((-(-size // step) - 1) * step + (width - 1) * spread + 1 - size, 0)
        for size, width, step, spread in zip(x.shape[-2:], kernel, stride, dilation, strict=True)
    ]


def _padded_same(
    x: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> torch.Tensor:
    """Pad with zeros so that a convolution gives ceil(size / stride) outputs a side, the odd one below and right."""
    high, wide = _zeros_around(x, kernel, stride, dilation)
    if not high and not wide:
        return x
    height, width = x.shape[-2:]
    top, left = high // 2, wide // 2
    padded = torch.empty((*x.shape[:2], height + high, width + wide), dtype=x.dtype, memory_format=torch.channels_last)
    padded[:, :, top : top + height, left : left + width] = x
    for border in (padded[:, :, :top], padded[:, :, top + height :], padded[..., :left], padded[..., left + width :]):
        border.zero_()
    return padded
