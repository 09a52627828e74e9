"""LoRA: low-rank adapters of a backbone's weights, and their merging into plain weights."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn
from torch.nn.utils import parametrize

DOWN, UP = "down", "up"


class LowRank(nn.Module):
    """A weight with a low-rank adapter: W + (alpha / rank) · up · down.

    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1: `down` is random and `up` zero at
    the start, so that the network does not change. A convolution's weight (out, in, h, w) is the matrix
    (out, in · h · w) that multiplies its patches.

    Attributes:
        down: (rank, in), the paper's A.
        up: (out, rank), the paper's B.
        scale: alpha / rank.
    """

    def __init__(self, weight: torch.Tensor, *, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        start = torch.empty(rank, columns)
        nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=generator)  # as in the authors' loralib
        self.down = nn.Parameter(start.to(weight))
        self.up = nn.Parameter(weight.new_zeros(rows, rank))
        self.scale = alpha / rank

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the adapted weight, of the same shape."""
        return weight + self.scale * (self.up @ self.down).view_as(weight)


def add_adapters(backbone: nn.Module, *, rank: int, alpha: float, without: set[str], seed: int) -> int:
    """Add an adapter to each linear layer and ungrouped convolution; return their number.

    A weight is skipped if its name is in `without` or its matrix has no more rows or columns than the rank. The seed is
    that of the random half of each adapter.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = [
        module
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
        if f"{name}.weight" not in without and min(module.weight.shape[0], module.weight[0].numel()) > rank
    ]
    for module in chosen:
        adapter = LowRank(module.weight, rank=rank, alpha=alpha, generator=generator)
        parametrize.register_parametrization(module, "weight", adapter)
    return len(chosen)


def is_adapter(name: str) -> bool:
    """Return whether a parameter's name is that of an adapter."""
    return ".parametrizations." in name and name.rpartition(".")[2] in (DOWN, UP)


def merged_state(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return the state dict of a network as `merge_adapters` would leave it; the network keeps its adapters."""
    state = {name: value for name, value in network.state_dict().items() if ".parametrizations." not in name}
    for path, module in network.named_modules():
        if parametrize.is_parametrized(module, "weight"):
            state[f"{path}.weight" if path else "weight"] = cast(torch.Tensor, module.weight).detach()
    return state


def merge_adapters(network: nn.Module) -> None:
    """Replace each adapted weight by the sum; names and shapes are those of a network without adapters.

    The sum is the tensor that the layers have computed with, so the outputs keep every bit.
    """
    for module in list(network.modules()):
        if not parametrize.is_parametrized(module, "weight"):
            continue
        # torch's remove_parametrizations deletes the weight of the class, which copies of a network share (torch 2.13)
        weight = nn.Parameter(cast(torch.Tensor, module.weight).detach().clone())
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
        others = dict(module._parameters)
        module._parameters.clear()
        module._parameters.update({"weight": weight, **others})
