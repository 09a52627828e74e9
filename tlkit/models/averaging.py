"""Weight averaging: the exponential moving average in training, and the mean of several epochs."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import cast

import torch
from torch import nn

from tlkit.models.network import Network
from tlkit.models.strategies.lora import merge_adapters, merged_state


class AveragedNetwork(nn.Module):
    """An exponential moving average of a network: avg ← d · avg + (1 − d) · network after each step.

    Polyak averaging with the warm-up of TensorFlow's `ExponentialMovingAverage(num_updates)`: after t updates d is the
    smaller of `decay` and (1 + t) / (10 + t), so that the initial weights do not dominate a short run. Norm statistics
    are averaged like weights. Of an adapted weight the sum that the layer computes with is averaged, not the factors
    of its adapter: the product of two means is not the mean of products. The `state_dict` holds all of it.

    Args:
        network: the network, whose weights are the first average.
        decay: the share d, below 1.
        constant: names in the network's state dict of tensors that training does not change, which are skipped.

    Attributes:
        constant: the names that are skipped.
        network: the average, without adapters; always in evaluation mode, never with gradients.
        updates: t, a whole number.
    """

    def __init__(self, network: Network, *, decay: float, constant: Collection[str] = ()) -> None:
        super().__init__()
        self.constant = frozenset(constant)
        self.network = copy.deepcopy(network)
        merge_adapters(self.network)
        self.network.requires_grad_(False).eval()
        self.decay = decay
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def train(self, mode: bool = True) -> AveragedNetwork:
        """Stay in evaluation mode: an average is not trained."""
        return super().train(False)

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Update the average after a step of the network."""
        updates = int(cast(torch.Tensor, self.updates))
        decay = min(self.decay, (1 + updates) / (10 + updates))
        values = merged_state(network)
        once = {name for named in (self.network.named_parameters(), self.network.named_buffers()) for name, _ in named}
        for name, average in self.network.state_dict().items():
            if name in self.constant or name not in once:  # a layer that is used twice has two names
                continue
            if average.is_floating_point():
                average.lerp_(values[name], 1 - decay)
            else:
                average.copy_(values[name])
        cast(torch.Tensor, self.updates).add_(1)


def mean_state(states: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Return the mean of several state dicts of one network; integer tensors are those of the first one.

    Sums are float64, so that values that are equal in all of them keep every bit.
    """
    means = {}
    for name, first in states[0].items():
        if first.is_floating_point():
            total = torch.stack([state[name].double() for state in states]).sum(0)
            means[name] = (total / len(states)).to(first.dtype)
        else:
            means[name] = first.clone()
    return means


def moved_statistics(network: nn.Module, states: Sequence[Mapping[str, torch.Tensor]]) -> list[nn.Module]:
    """Return the layers of a network whose running statistics differ between its state dicts."""
    moved = []
    for name, module in network.named_modules():
        key = f"{name}.running_mean"
        if key in states[0] and any(not torch.equal(state[key], states[0][key]) for state in states):
            moved.append(module)
    return moved


@torch.no_grad()
def renew_statistics(network: nn.Module, layers: Sequence[nn.Module], batches: Iterable[torch.Tensor]) -> None:
    """Compute the running statistics of averaged weights again, as the mean over batches.

    Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima and Better Generalization", section 3.2. Other layers
    stay in evaluation mode. A batch of one image is skipped.

    Args:
        network: the network; in evaluation mode afterwards.
        layers: the batch normalization layers whose statistics are computed.
        batches: inputs of the network.
    """
    network.eval()
    before = []
    for layer in layers:
        before.append(layer.momentum)
        layer.reset_running_stats()  # type: ignore[operator]
        layer.momentum = None  # type: ignore[assignment]  # the mean over all batches so far
        layer.train()
    for batch in batches:
        if len(batch) > 1:
            network(batch)
    for layer, momentum in zip(layers, before, strict=True):
        layer.momentum = momentum
    network.eval()
