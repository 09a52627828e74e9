"""The loss of one optimizer step over several batches, equal to that of one batch of the same images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tlkit.models.losses import GroupDROLoss

if TYPE_CHECKING:
    from tlkit.lightning import pl

Batch = Sequence[torch.Tensor]


class StepWeight:
    """The weight of the images whose gradients have accumulated for an optimizer step.

    The loss of a step is Σ w_b · l_b / Σ w_b over its batches, with l_b the mean loss of a batch and w_b the weight of
    its images. Σ w_b is known only after the last batch, so each l_b is scaled by w_b over that of the first batch, and
    the sum of the gradients is scaled at the end.
    """

    def __init__(self) -> None:
        self._first: torch.Tensor | float | None = None
        self._total: torch.Tensor | float = 0.0

    def add(self, weight: torch.Tensor | float, *, starts: bool) -> torch.Tensor | float:
        """Add a batch by the weight of its images in all processes; return the factor on its mean loss.

        `starts` says that it is the first batch of a step; otherwise that is the first one since `scale_gradients`.
        """
        if starts or self._first is None:
            self._first, self._total = _or_one(weight), 0.0
        self._total = self._total + weight
        return weight / self._first

    def scale_gradients(self, optimizer: torch.optim.Optimizer, *, batches: int) -> None:
        """Scale the sum of the step's gradients, each of which Lightning has divided by a number of batches."""
        factor = 1.0 if self._first is None else float(self._first / _or_one(self._total))
        self._first = None
        for parameter in (parameter for group in optimizer.param_groups for parameter in group["params"]):
            if batches > 1 and parameter.grad is not None:
                parameter.grad.mul_(batches * factor)


def _or_one(weight: torch.Tensor | float) -> torch.Tensor | float:
    """Return a weight as a divisor: 1 for 0, which is that of masks without a known pixel, whose loss is 0."""
    return torch.where(weight > 0, weight, 1.0) if isinstance(weight, torch.Tensor) else weight or 1.0


def ends_step(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Return whether the optimizer steps after a batch, which counts from 0 within the epoch."""
    done = batch_idx + 1
    is_last = done == trainer.num_training_batches or trainer.is_last_batch
    return is_last or done % trainer.accumulate_grad_batches == 0


def group_dro_loss(
    loss: GroupDROLoss,
    sums_of: Callable[[Batch, int], torch.Tensor],
    batches: Sequence[tuple[Batch, int]],
    *,
    network: nn.Module,
    processes: int,
) -> torch.Tensor:
    """Return the group DRO loss of a step's batches, for which the weights of the groups are updated once.

    The weights depend on the losses of all images, so no batch can be trained on before the others are seen. Of several
    batches the activations are not kept but computed again in the backward pass (Chen et al. 2016, "Training Deep Nets
    with Sublinear Memory Cost"), which needs the memory of one batch and the time of one more forward pass.

    Args:
        loss: the loss.
        sums_of: maps a batch and its number to `loss.sums`, shape (2, G).
        batches: the batches with their numbers.
        network: the network, whose running statistics the second computation leaves as they are.
        processes: number of processes, each of which has its part of the images.
    """
    if len(batches) == 1:
        return loss.of_sums(sums_of(*batches[0]), processes=processes)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _kept_statistics(network)

    sums = [checkpoint(sums_of, *one, use_reentrant=False, context_fn=contexts) for one in batches]
    return loss.of_sums(torch.stack(cast(list[torch.Tensor], sums)).sum(dim=0), processes=processes)


@contextmanager
def _kept_statistics(network: nn.Module) -> Iterator[None]:
    """Leave running statistics as they are within the block; batches are still normalized by their own."""
    layers = [module for module in network.modules() if getattr(module, "running_mean", None) is not None]
    before = [(layer.momentum, layer.num_batches_tracked.clone()) for layer in layers]  # type: ignore[operator]
    for layer in layers:
        layer.momentum = 0.0  # type: ignore[assignment]
    try:
        yield
    finally:
        for layer, (momentum, tracked) in zip(layers, before, strict=True):
            layer.momentum = momentum
            layer.num_batches_tracked.copy_(tracked)  # type: ignore[operator]
