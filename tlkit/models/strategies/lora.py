"""Low-rank changes to a backbone's weights (LoRA), and their sum as plain weights."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn
from torch.nn.utils import parametrize

DOWN, UP = "down", "up"


class LowRank(nn.Module):
    """A weight plus a change of low rank: W + (alpha / rank) · up · down.

    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1: `down` starts at random, `up` at
    zero, so that the network starts as it was. A convolution's weight (out, in, h, w) is taken as the matrix
    (out, in · h · w), the form in which it multiplies its patches.

    Attributes:
        down: (rank, in), the paper's A.
        up: (out, rank), the paper's B.
        scale: alpha / rank.
    """

    def __init__(self, weight: torch.Tensor, *, rank: int, alpha: float, generator: torch.Generator) -> None:
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        start = torch.empty(rank, columns)
        nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=generator)  # as the authors' loralib does
        self.down = nn.Parameter(start.to(weight))
        self.up = nn.Parameter(weight.new_zeros(rows, rank))
        self.scale = alpha / rank

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the changed weight, of the same shape."""
        return weight + self.scale * (self.up @ self.down).view_as(weight)


def add_adapters(backbone: nn.Module, *, rank: int, alpha: float, without: set[str], seed: int) -> int:
    """Give a low-rank change to each linear layer and ungrouped convolution; return how many got one.

    Args:
        backbone: the network; its layers compute with the changed weights from now on.
        rank: rank of each change. A weight whose matrix has no more rows or columns than this is passed over.
        alpha: scale of the changes, divided by the rank.
        without: names of parameters to pass over.
        seed: of the random half of each change.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = [
        module
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
        if f"{name}.weight" not in without and min(module.weight.shape[0], module.weight[0].numel()) > rank
    ]
    for module in chosen:
        change = LowRank(module.weight, rank=rank, alpha=alpha, generator=generator)
        parametrize.register_parametrization(module, "weight", change)
    return len(chosen)


def is_adapter(name: str) -> bool:
    """Tell whether a parameter's name is that of half a change."""
    return ".parametrizations." in name and name.rpartition(".")[2] in (DOWN, UP)


def merge_adapters(network: nn.Module) -> None:
    """Replace each changed weight by the plain sum; names, shapes and results are those of a network without changes.

    The sum is the very tensor that the layers computed with, so the results are the same to the last bit.
    """
    for module in list(network.modules()):
        if not parametrize.is_parametrized(module, "weight"):
            continue
        # torch's remove_parametrizations takes the weight from the class, which copies of a network share (torch 2.13)
        weight = nn.Parameter(cast(torch.Tensor, module.weight).detach().clone())
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
        others = dict(module._parameters)
        module._parameters.clear()
        module._parameters.update({"weight": weight, **others})
