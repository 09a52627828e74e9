"""Activations computed by the convolutions before them: one pass over memory instead of two or three."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping

import torch
from torch import nn

from tlkit.features.folding import replace_part

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
    """

    def __init__(self, conv: nn.Conv2d, activation: nn.Module | None) -> None:
        super().__init__()
        self._same = type(conv).__name__ == "Conv2dSame"
        self._word, self._numbers = ("none", []) if activation is None else WORDS[type(activation)]
        self._kernel, self._stride, self._dilation = conv.kernel_size, conv.stride, conv.dilation
        self._padding = (0, 0) if self._same else conv.padding
        self._groups = conv.groups
        self._weight, self._bias = conv.weight.detach(), None if conv.bias is None else conv.bias.detach()
        self._packed: torch.Tensor | None = None  # in the layout that the first input asks for

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C', H', W'), activated."""
        if self._same:
            x = _padded_same(x, self._kernel, self._stride, self._dilation)
        where = (list(self._padding), list(self._stride), list(self._dilation), self._groups)
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


def fuse_activations(module: nn.Module, example: torch.Tensor) -> nn.Module:
    """Return a copy of a network, for inference in float32 on the CPU, whose convolutions apply their activations.

    Which activation follows which convolution is read off a pass of the example. The result is compared with the
    original on the same example; where they differ by more than rounding, the original is returned. In batches of 32
    they have given the same bits; small inputs torch hands to another library, which rounds differently.

    Args:
        module: any network in evaluation mode.
        example: an input of it.
    """
    if not can_fuse():
        return module
    fused, example = copy.deepcopy(module), example.contiguous(memory_format=torch.channels_last)
    try:
        with torch.no_grad():
            for name, follower in _activated(fused, example).items():
                conv = fused.get_submodule(name)
                assert isinstance(conv, nn.Conv2d)
                activation = None if follower is None else fused.get_submodule(follower)
                replace_part(fused, name, FusedConv2d(conv, activation))
                if follower is not None:
                    replace_part(fused, follower, nn.Identity())
            before, after = module(example), fused(example)
    except Exception as error:  # oneDNN knows no such convolution, or the network looks into the one that it had
        logger.debug("Activations are not fused: %s: %s", type(error).__name__, error)
        return module
    change = float((after - before).abs().max() / before.abs().max().clamp_min(1e-12))
    if change <= LARGEST_ERROR:  # NaN is not
        return fused
    logger.info("Activations are not fused: it would change the features by %.1e.", change)
    return module


def _activated(module: nn.Module, example: torch.Tensor) -> dict[str, str | None]:
    """Return the name of each convolution that can be replaced, and of the activation that takes its very output."""
    made: dict[int, tuple[str, torch.Tensor, int]] = {}  # the tensors are kept, so that no id is used twice
    calls: list[str] = []
    pairs: list[tuple[str, str]] = []

    def note(name: str, output: torch.Tensor) -> None:
        calls.append(name)
        made[id(output)] = (name, output, output._version)

    def match(name: str, given: torch.Tensor) -> None:
        calls.append(name)
        conv, _, version = made.get(id(given), ("", given, -1))
        if version == given._version:  # nothing was added to it in place since
            pairs.append((conv, name))

    handles = []
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d) and _is_plain(part):
            handles.append(part.register_forward_hook(lambda _, __, output, name=name: note(name, output)))
        elif type(part) in WORDS:
            handles.append(part.register_forward_pre_hook(lambda _, inputs, name=name: match(name, inputs[0])))
    try:
        module(example)
    finally:
        for handle in handles:
            handle.remove()
    once = {name for name in calls if calls.count(name) == 1}  # a shared layer stays as it is
    followers = {conv: name for conv, name in pairs if conv in once and name in once}
    return {name: followers.get(name) for name in dict.fromkeys(calls) if name in once and _is_conv(module, name)}


def _is_plain(conv: nn.Conv2d) -> bool:
    """Tell whether it is torch's own convolution, or the one that pads as TensorFlow does, and in float32."""
    own = type(conv) is nn.Conv2d or type(conv).__name__ == "Conv2dSame"
    return (
        own
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
        and conv.weight.dtype == torch.float32
    )


def _is_conv(module: nn.Module, name: str) -> bool:
    return isinstance(module.get_submodule(name), nn.Conv2d)


def _padded_same(
    x: torch.Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> torch.Tensor:
    """Pad with zeros so that a convolution gives ceil(size / stride) outputs a side, the odd one below and right."""
    high, wide = (
        max((-(-size // step) - 1) * step + (width - 1) * spread + 1 - size, 0)
        for size, width, step, spread in zip(x.shape[-2:], kernel, stride, dilation, strict=True)
    )
    if not high and not wide:
        return x
    height, width = x.shape[-2:]
    top, left = high // 2, wide // 2
    padded = torch.empty((*x.shape[:2], height + high, width + wide), dtype=x.dtype, memory_format=torch.channels_last)
    padded[:, :, top : top + height, left : left + width] = x
    for border in (padded[:, :, :top], padded[:, :, top + height :], padded[..., :left], padded[..., left + width :]):
        border.zero_()
    return padded
