"""The processes that train one model together: how many there are, who started them, and which one this is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.strategies import DDPStrategy

from tlkit.errors import RecipeError
from tlkit.pipeline.inference.devices import choose_device
from tlkit.recipe import Recipe

Launcher = Literal["none", "tlkit", "torchrun"]


@dataclass(frozen=True)
class World:
    """Processes that train together.

    Attributes:
        rank: which one this is, from 0; the first one (rank 0) writes the run.
        size: how many there are on all machines.
        local_rank: which one of its machine this is, from 0.
        local_size: how many each machine has.
        launcher: who starts them: "none" for one process, "tlkit" for the first one itself, or torchrun.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    launcher: Launcher = "none"

    @property
    def nodes(self) -> int:
        """Number of machines."""
        return self.size // self.local_size

    def for_trainer(self, *, several_phases: bool, sharded: bool) -> dict[str, Any]:
        """Return what a Lightning trainer is to be given beside its other settings.

        Args:
            several_phases: whether another part of the network learns at another time, so that the processes cannot
                wait for a gradient of every parameter.
            sharded: whether each process holds a part of the weights only.
        """
        if self.size == 1:
            return {"devices": 1}
        environment = _Environment(self)
        strategy = DDPStrategy(cluster_environment=environment, find_unused_parameters=several_phases)
        if sharded:
            from tlkit.pipeline.training.sharded import ShardedStrategy  # with torch's sharded tensors

            strategy = ShardedStrategy(cluster_environment=environment)
        return {
            "inference_mode": not sharded,  # gathered weights that were inference tensors could not be trained on
            "devices": self.local_size,
            "num_nodes": self.nodes,
            "strategy": strategy,
            "use_distributed_sampler": False,
        }


class _Environment(ClusterEnvironment):
    """Tells Lightning about processes that run already and have met: it starts none."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return ""  # not asked for: the process group is there

    @property
    def main_port(self) -> int:
        return 0

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._world.size

    def set_world_size(self, size: int) -> None:
        assert size == self._world.size

    def global_rank(self) -> int:
        return self._world.rank

    def set_global_rank(self, rank: int) -> None:
        assert rank == self._world.rank

    def local_rank(self) -> int:
        return self._world.local_rank

    def node_rank(self) -> int:
        return self._world.rank // self._world.local_size


def find_world(recipe: Recipe) -> World:
    """Return the processes that a recipe, or whoever started this process, asks for.

    Raises:
        RecipeError: there are fewer GPUs, several machines but nobody who starts processes on them, or another number
            of processes than the recipe says.
    """
    settings = recipe.train
    outside = _from_torchrun()
    if outside is not None:
        said = {"train.num_nodes": settings.num_nodes, "train.devices": settings.devices}
        found = {"train.num_nodes": outside.nodes, "train.devices": outside.local_size}
        changes = [f"{key}={found[key]}" for key in said if said[key] not in ("auto", found[key])]
        if changes:
            raise RecipeError(
                f"torchrun has started {outside.local_size} processes on each of {outside.nodes} machines, but the "
                f"recipe has {' and '.join(f'{key} {value}' for key, value in said.items())}. Use {' '.join(changes)}, "
                "or start another number."
            )
        return outside
    device = choose_device(settings.device)
    gpus = torch.cuda.device_count() if device == "cuda" else 1
    count = gpus if settings.devices == "auto" else settings.devices
    if settings.num_nodes > 1:
        raise RecipeError(
            f"train.num_nodes is {settings.num_nodes}, but nothing has started tlkit on other machines. Start it with "
            "torchrun as docs/devices.md shows, or use train.num_nodes=1."
        )
    if device != "cpu" and count > gpus:
        raise RecipeError(
            f"train.devices is {count}, but of {device} there are {gpus} here. Use train.devices={gpus}, or auto."
        )
    return World(size=count, local_size=count, launcher="tlkit") if count > 1 else World()


def _from_torchrun() -> World | None:
    """Return the processes that torchrun has started; None where there is one, or no torchrun."""
    if not TorchElasticEnvironment.detect() or (size := int(os.environ["WORLD_SIZE"])) == 1:
        return None
    rank, local_rank, local_size = (int(os.environ[name]) for name in ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    return World(rank, size, local_rank, local_size, "torchrun")
