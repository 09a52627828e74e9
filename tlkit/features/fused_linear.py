"""Linear layers by oneDNN, with the activation that follows them: half the time of torch's own on AMD's processors.

torch computes linear layers by MKL, which is slow on processors of others than Intel; oneDNN is fast on all.
"""

from __future__ import annotations

import copy
import logging
from typing import Any

import torch
from torch import nn

from tlkit.features.following import find_followers, replace_part, share_changed

logger = logging.getLogger(__name__)

LARGEST_ERROR = 1e-5
"""Largest change of any output, as a share of the largest output, that is taken for rounding."""


class FusedLinear(nn.Linear):
    """A linear layer that applies its activation to each output before writing it, by oneDNN; float32.

    torch's own compiler makes the same call (`torch/_inductor/mkldnn_ir.py`, seen with torch 2.13).

    Args:
        linear: the layer.
        activation: what follows it; None for nothing.
    """

    def __init__(self, linear: nn.Linear, activation: nn.Module | None) -> None:
        super().__init__(linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta")
        self.weight, self.bias = linear.weight, linear.bias  # for networks that look into it
        self._word, self._way = ("none", "") if activation is None else _word_for(activation)
        self._packed: torch.Tensor | None = None  # in the layout that the first input asks for

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the packed weights, which cannot be copied; a copy packs its own."""
        return {**self.__dict__, "_packed": None}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (…, C) to (…, C'), activated."""
        x = x.contiguous()
        if self._packed is None:
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self.weight.detach(), x.numel() // x.shape[-1])
        fused: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, self._word, [], self._way)
        return fused


def fuse_linear(module: nn.Module, example: torch.Tensor) -> nn.Module:
    """Return a copy of a network, for inference in float32 on the CPU, whose linear layers are computed by oneDNN.

    The result is compared with the original on the example; where they differ by more than rounding, the original is
    returned.

    Args:
        module: any network in evaluation mode.
        example: an input of it.
    """
    if not can_fuse() or not any(map(_is_plain, module.modules())):
        return module
    fused = copy.deepcopy(module)
    try:
        followers, before = find_followers(fused, example, of=_is_plain, among=_is_known)
        for name, follower in followers.items():
            linear = fused.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            replace_part(fused, name, FusedLinear(linear, None if follower is None else fused.get_submodule(follower)))
            if follower is not None:
                replace_part(fused, follower, nn.Identity())
        with torch.no_grad():
            change = share_changed(before, fused(example))
    except Exception as error:  # oneDNN knows no such layer, or the network looks into the one that it had
        logger.debug("Linear layers stay torch's: %s: %s", type(error).__name__, error)
        return module
    if change <= LARGEST_ERROR:  # NaN is not
        return fused
    logger.info("Linear layers stay torch's: oneDNN would change the features by %.1e.", change)
    return module


def can_fuse() -> bool:
    """Tell whether this build of torch has what computes them."""
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and all(
        hasattr(torch.ops.mkldnn, name) for name in ("_linear_pointwise", "_reorder_linear_weight")
    )


def _is_plain(part: nn.Module) -> bool:
    return type(part) is nn.Linear and part.weight.dtype == torch.float32


def _is_known(part: nn.Module) -> bool:
    """Tell whether it is an activation that oneDNN computes as torch does; timm has a GELU of its own."""
    return type(part) in (nn.ReLU, nn.GELU) or type(part).__name__ == "GELU"


def _word_for(activation: nn.Module) -> tuple[str, str]:
    """Return oneDNN's word for an activation, and the way in which it is computed."""
    if isinstance(activation, nn.ReLU):
        return "relu", ""
    return "gelu", str(getattr(activation, "approximate", "none"))
