"""Fully sharded data parallelism (FSDP): each rank holds a part of the weights, gradients and optimizer state."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from tlkit.lightning import DDPStrategy
from tlkit.models.classifier import Classifier
from tlkit.models.network import Network
from tlkit.models.process_group import whole_tensor

logger = logging.getLogger(__name__)

MIN_UNIT_SHARE = 0.01
"""Smallest share of a network's parameters for a block that is gathered alone."""


class ShardedStrategy(DDPStrategy):
    """Trains in several ranks, each of which holds a part of every weight, gradient and optimizer state.

    A block's weights are gathered while it is computed; gradients are averaged as in DDP, so training is the same. Zhao
    et al. 2023, "PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel", section 3, by torch's
    `fully_shard`. Checkpoints hold whole tensors in one file, under the names of a single process.

    Lightning's own strategies do not fit: FSDPStrategy refuses CPUs, so nothing could be tested without GPUs, and
    ModelParallelStrategy bypasses the CheckpointIO when it reads a checkpoint (2.6.6).
    """

    def configure_ddp(self) -> None:
        """Broadcast the weights of rank 0, and shard them."""
        classifier = self.model
        assert isinstance(classifier, Classifier)
        for tensor in (*classifier.parameters(), *classifier.buffers()):
            distributed.broadcast(tensor.detach(), 0)
        mesh = init_device_mesh(self.root_device.type, (self.world_size,))
        networks = [classifier.network, *([classifier.average.network] if classifier.average is not None else [])]
        for network in networks:
            _shard(network, mesh)
        parts = [parameter for parameter in classifier.network.parameters() if isinstance(parameter, DTensor)]
        logger.info(
            "Weights, gradients and optimizer state are sharded over %d processes: of %s weights rank 0 holds %s.",
            self.world_size,
            f"{sum(part.numel() for part in parts):,}",
            f"{sum(part.to_local().numel() for part in parts):,}",
        )

    @contextmanager
    def block_backward_sync(self) -> Iterator[None]:
        """Reduce the gradients of every batch, even while they accumulate: a rank has no room for whole gradients."""
        yield

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Return the whole tensors in rank 0, none in the others; a collective call."""
        assert self.lightning_module is not None
        return self._gathered(self.lightning_module.state_dict())

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Return the whole state in rank 0; a collective call."""
        state: dict[str, Any] = super().optimizer_state(optimizer)
        return {**state, "state": {place: self._gathered(values) for place, values in state["state"].items()}}

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Load this rank's part of the whole state in a checkpoint."""
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            state = {
                place: {name: _part(value, parameters[place]) for name, value in values.items()}
                for place, values in saved["state"].items()
            }
            optimizer.load_state_dict({**saved, "state": state})

    def teardown(self) -> None:
        """Tear down without moving the network: shards on a GPU cannot go to the CPU."""
        assert self.accelerator is not None and self.cluster_environment is not None
        self.cluster_environment.teardown()
        self.precision_plugin.teardown()
        self.accelerator.teardown()
        self.checkpoint_io.teardown()

    def _gathered(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values with whole tensors on the CPU, gathered one at a time, in rank 0; none in the others."""
        found = {}
        for name, value in values.items():
            whole = whole_tensor(value) if isinstance(value, torch.Tensor) else value
            if self.is_global_zero:
                found[name] = whole.cpu() if isinstance(value, DTensor) else whole
        return found


def _shard(network: Network, mesh: DeviceMesh) -> None:
    """Shard a network in units that are gathered one at a time: each larger block, and all other parameters."""
    smallest = MIN_UNIT_SHARE * sum(parameter.numel() for parameter in network.parameters())
    lists = [part for part in network.modules() if isinstance(part, nn.Sequential | nn.ModuleList)]
    for blocks in reversed(lists):  # the inner ones first
        for block in blocks:
            size = sum(parameter.numel() for parameter in block.parameters() if not isinstance(parameter, DTensor))
            if size >= smallest and not isinstance(block, nn.Sequential | nn.ModuleList):
                block.register_forward_hook(_copied)
                fully_shard(block, mesh=mesh)
    network.register_forward_hook(_copied)
    fully_shard(network, mesh=mesh)


def _copied(_module: nn.Module, _given: Any, output: Any) -> Any:
    """Return a copy of an output: an in-place change of a view would lose torch's gradient hook."""
    return output.clone() if isinstance(output, torch.Tensor) else None


def _part(value: Any, like: torch.Tensor) -> Any:
    """Return this rank's part of a value of a parameter's shape; any other value unchanged."""
    if not (isinstance(value, torch.Tensor) and isinstance(like, DTensor) and value.shape == like.shape):
        return value
    mesh = like.device_mesh
    return distribute_tensor(value.to(mesh.device_type), mesh, like.placements, src_data_rank=None)
