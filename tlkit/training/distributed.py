"""Training in several ranks: the process group, the task that rank 0 sends, and the arguments of the trainer.

Torchrun starts the ranks. Rank 0 reads the data, sends the task, writes the run, predicts and evaluates.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import distributed

from tlkit.errors import RunError
from tlkit.inference.devices import LightningPrecision
from tlkit.lightning import DDPStrategy, LightningEnvironment, TorchElasticEnvironment
from tlkit.recipe import Recipe
from tlkit.samples import Samples
from tlkit.training.compute_format import ComputeFormat
from tlkit.training.launch import World, torchrun_world
from tlkit.training.worst_group_metric import WorstGroup

logger = logging.getLogger(__name__)

TIMEOUT = timedelta(hours=2)
"""Timeout of a collective operation. It is long, since the other ranks wait while rank 0 checks all images."""
PATIENCE = timedelta(seconds=30)
"""How long a rank waits for the others before it logs a warning."""


@dataclass(frozen=True)
class Task:
    """What rank 0 sends to the others.

    Attributes:
        recipe: the recipe.
        samples: all images with their splits, as rank 0 found them.
        classifier: the arguments of its Classifier, as a checkpoint holds them.
        device: "cpu" or "cuda".
        precision: Lightning's name of it.
        steps_per_epoch: optimizer steps per epoch.
        folder: the run's directory.
        origin: identifies the run; see `origin_of`.
        checkpoint: what to resume from; None = start.
        compute_format: memory format and compilation.
        sizes: of the images, for the image cache; see `LoadedDataset`.
        worst: the metric of the worst group of val; None = not monitored.
    """

    recipe: Recipe
    samples: Samples
    classifier: Mapping[str, Any]
    device: str
    precision: LightningPrecision
    steps_per_epoch: int
    folder: Path
    origin: str
    checkpoint: Path | None
    compute_format: ComputeFormat
    sizes: pd.DataFrame | None
    worst: WorstGroup | None


def trainer_arguments(world: World, *, several_phases: bool, sharded: bool) -> dict[str, Any]:
    """Return the arguments of a Lightning trainer that depend on the processes.

    With several phases not every parameter has a gradient in each, which DDP must be prepared for. One process is
    alone whatever a scheduler's variables say (SLURM, LSF, MPI), by which Lightning would join or refuse it (2.6.6).
    """
    if world.size == 1:
        return {"devices": 1, "plugins": [LightningEnvironment()]}
    environment = TorchElasticEnvironment()
    strategy = DDPStrategy(cluster_environment=environment, find_unused_parameters=several_phases)
    if sharded:
        from tlkit.training.sharded import ShardedStrategy  # imports torch's sharded tensors

        strategy = ShardedStrategy(cluster_environment=environment)
    return {
        "inference_mode": not sharded,  # gathered weights that were inference tensors could not be trained on
        "devices": world.local_size,
        "plugins": [],
        "num_nodes": world.nodes,
        "strategy": strategy,
        "use_distributed_sampler": False,
    }


@contextmanager
def leading(world: World, task: Task) -> Iterator[None]:
    """Join the process group of all ranks within the block, and send the task to the others.

    Raises:
        RunError: another rank has died or failed.
    """
    if world.size == 1:
        yield
        return
    try:
        with joined():
            distributed.broadcast_object_list([task], src=0)
            yield
    except Exception as error:
        if not lost_connection(error):
            raise
        raise RunError(
            "The connection to another process of this run broke: it was killed, or its own error stands above. What "
            "was saved is kept: continue with --resume."
        ) from error


def release_ranks() -> None:
    """End the other ranks that torchrun has started: there is nothing for them to train."""
    world = torchrun_world()
    if world is not None and world.size > 1:
        with joined():
            distributed.broadcast_object_list([None], src=0)


def receive_task() -> Task | None:
    """Return the task that rank 0 sends; None = there is nothing to train."""
    received: list[Task | None] = [None]
    distributed.broadcast_object_list(received, src=0)
    return received[0]


def gather_objects(value: Any, world: World) -> list[Any]:
    """Return every rank's value, by rank; all of them must call."""
    if world.size == 1:
        return [value]
    values: list[Any] = [None] * world.size
    distributed.all_gather_object(values, value)
    return values


@contextmanager
def joined() -> Iterator[None]:
    """Join the process group of torchrun's ranks within the block; a long wait for the others is logged.

    Raises:
        RunError: the others have not come in time.
    """
    has_gpu = torch.cuda.is_available()
    waiting = threading.Timer(PATIENCE.total_seconds(), _log_waiting)
    waiting.daemon = True
    waiting.start()
    until = time.monotonic() + TIMEOUT.total_seconds()
    try:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if has_gpu else "gloo", timeout=TIMEOUT)
    except distributed.DistError as error:
        if time.monotonic() < until:
            raise
        raise RunError(f"The other processes have not come. {_waiting_message()}") from error
    finally:
        waiting.cancel()
    try:
        yield
    finally:
        if not has_gpu or sys.exc_info()[0] is None:  # nccl waits for processes that have died
            distributed.destroy_process_group()


def _log_waiting() -> None:
    logger.warning("%s It gives up after %.3g hours.", _waiting_message(), TIMEOUT / timedelta(hours=1))


def _waiting_message() -> str:
    """Return that this rank waits for the others, where, and what to do if there are none."""
    world = torchrun_world() or World()
    host, port = (os.environ.get(name, "unknown") for name in ("MASTER_ADDR", "MASTER_PORT"))
    first = ", the first of which checks the images before it joins" if world.rank else ""
    return (
        f"Process {world.rank + 1} of {world.size} waits for the others at {host}, port {port} (MASTER_ADDR, "
        f"MASTER_PORT){first}. If nobody has started them, the variables are torchrun's from another program: unset "
        "TORCHELASTIC_RUN_ID."
    )


def lost_connection(error: BaseException) -> bool:
    """Return whether an error means that another rank has ended."""
    return isinstance(error, distributed.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))
