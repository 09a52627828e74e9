"""The moving average of a network's weights while it trains."""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import nn

from tlkit.models.network import Network


class AveragedNetwork(nn.Module):
    """An exponential moving average of a network: avg ← d · avg + (1 − d) · network after each step.

    Polyak averaging with the warm-up of TensorFlow's `ExponentialMovingAverage(num_updates)`: after t updates d is the
    smaller of `decay` and (1 + t) / (10 + t), so that a short run does not keep its start. Norm statistics are averaged
    as the weights are; what is frozen stays what it is, to the bit. All of it is in the `state_dict`.

    Attributes:
        network: the average; always in evaluation mode, never with gradients.
        updates: t, a whole number.
    """

    def __init__(self, network: Network, *, decay: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def train(self, mode: bool = True) -> AveragedNetwork:
        """Stay in evaluation mode: an average is judged, not trained."""
        return super().train(False)

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Take one step of the network into the average."""
        updates = int(cast(torch.Tensor, self.updates))
        decay = min(self.decay, (1 + updates) / (10 + updates))
        values = network.state_dict()
        for name, average in self.network.state_dict().items():
            if average.is_floating_point():
                average.lerp_(values[name], 1 - decay)
            else:
                average.copy_(values[name])
        cast(torch.Tensor, self.updates).add_(1)
