"""Collective operations of processes that train one network: gathered values, the loss over all images."""

from __future__ import annotations

import torch
from torch import distributed, nn


def all_gather(values: torch.Tensor, *, processes: int) -> torch.Tensor:
    """Return the values of all processes, shape (processes, …), by rank; a collective call."""
    if processes == 1:
        return values[None]
    parts = [torch.empty_like(values) for _ in range(processes)]
    distributed.all_gather(parts, values)
    return torch.stack(parts)


def whole_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """Return the whole of a sharded tensor, by a collective call; any other tensor unchanged."""
    if type(tensor) in (torch.Tensor, nn.Parameter):
        return tensor
    from torch.distributed.tensor import DTensor  # imports SymPy, which takes 0.3 s

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def share_of_step(
    loss: torch.Tensor, basis: torch.Tensor | float, *, processes: int
) -> tuple[torch.Tensor | float, torch.Tensor, torch.Tensor | float]:
    """Return the factor on this process's mean loss; of all processes' images the mean loss and the total weight.

    Gradients are averaged over the processes. Their parts of a batch differ in size in the last batch or if a file is
    damaged, and in weight with class weights. With the factor, the average is the gradient of the mean over the whole
    batch.

    Args:
        loss: mean over this process's images.
        basis: total weight of these images: their number, or the sum of their class weights.
        processes: number of processes.
    """
    if processes == 1:
        return 1.0, loss.detach(), basis
    basis = torch.as_tensor(basis, dtype=loss.dtype, device=loss.device)
    means, bases = all_gather(torch.stack([loss.detach(), basis]), processes=processes).unbind(dim=1)
    total = bases.sum()
    divisor = torch.where(total > 0, total, 1.0)  # masks without a known pixel weigh nothing
    return basis * processes / divisor, (means * bases).sum() / divisor, total


def share_statistics(module: nn.Module, *, processes: int) -> None:
    """Broadcast the buffers of rank 0: each process updates norm statistics by its own images."""
    if processes > 1:
        for buffer in module.buffers():
            distributed.broadcast(buffer, 0)
