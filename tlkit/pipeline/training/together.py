"""Training in several processes: the first one starts the others (or torchrun has), and each of them follows it.

The others are `python -m tlkit.pipeline.training.follower`. They hold no part of the run: the first process reads the
data, tells them what to train, writes the run, predicts and judges.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]  # torch 2.13 names them in no __all__

from tlkit.errors import RunError, TlkitError
from tlkit.pipeline.inference.devices import LightningPrecision
from tlkit.pipeline.training.speed import Speed
from tlkit.pipeline.training.world import World
from tlkit.pipeline.training.worst_group import WorstGroup
from tlkit.recipe import Recipe
from tlkit.samples import Samples

logger = logging.getLogger(__name__)

HERE = "127.0.0.1"
PATIENCE = timedelta(hours=2)
"""How long a process waits for another that lives: in torchrun, for the first one to check all images."""
GRACE_S = 20.0
READ_ABOVE = 2
"""Exit code of a process whose own message says what was wrong."""


@dataclass(frozen=True)
class Task:
    """What the first process tells the others.

    Attributes:
        recipe: the recipe.
        samples: all images with their splits, as the first process found them.
        classifier: the arguments of its Classifier, as a checkpoint holds them.
        device: "cpu" or "cuda".
        precision: Lightning's word for it.
        steps_per_epoch: optimizer steps per epoch.
        folder: the run's directory.
        origin: what identifies the run.
        checkpoint: where to go on; None = at the start.
        speed: how the first process has chosen to compute.
        worst: what watches the worst group of val; None = nobody asks for it.
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
    speed: Speed
    worst: WorstGroup | None


@contextmanager
def leading(world: World, task: Task) -> Iterator[None]:
    """Be the first of the processes that train together while the block runs; the others do as the task says.

    Raises:
        RunError: another process has died.
    """
    if world.size == 1:
        yield
        return
    if world.launcher == "tlkit":
        store = TCPStore(HERE, 0, is_master=True, wait_for_workers=False)
        store.set("device", task.device)
        with _others(world, store), joined(world, device=task.device, store=store):
            distributed.broadcast_object_list([task], src=0)
            yield
        return
    try:
        with joined(world, device=task.device):
            distributed.broadcast_object_list([task], src=0)
            yield
    except Exception as error:
        if not lost_connection(error):
            raise
        raise RunError(
            "The connection to another process of this run broke: one of them has died; what it said stands in the "
            "log of torchrun. What was saved is kept: continue with --resume."
        ) from error


def dismiss(world: World, *, device: str) -> None:
    """Let the processes that torchrun has started end, because there is nothing to train."""
    if world.launcher == "torchrun":
        with joined(world, device=device):
            distributed.broadcast_object_list([None], src=0)


def told() -> Task | None:
    """Return what the first process says; None = there is nothing to train."""
    said: list[Task | None] = [None]
    distributed.broadcast_object_list(said, src=0)
    return said[0]


def gathered(value: Any, world: World) -> list[Any]:
    """Return every process's value, by rank; all of them must ask."""
    if world.size == 1:
        return [value]
    values: list[Any] = [None] * world.size
    distributed.all_gather_object(values, value)
    return values


@contextmanager
def joined(world: World, *, device: str, store: Store | None = None) -> Iterator[None]:
    """Be in the group of processes while the block runs; the store is where they meet, torchrun's by default."""
    if device == "cuda":
        torch.cuda.set_device(world.local_rank)
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo",
        rank=world.rank, world_size=world.size, store=store, timeout=PATIENCE,
    )  # fmt: skip
    try:
        yield
    finally:
        if device != "cuda" or sys.exc_info()[0] is None:  # nccl waits for processes that have died
            distributed.destroy_process_group()


def lost_connection(error: BaseException) -> bool:
    """Return whether an error says that another process is gone."""
    return isinstance(error, distributed.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


@contextmanager
def _others(world: World, store: TCPStore) -> Iterator[None]:
    """Start the other processes of this machine; they are gone when the block is left.

    Raises:
        RunError: one of them died.
    """
    processes = {rank: _start(rank, world, port=store.port) for rank in range(1, world.size)}
    over = threading.Event()
    threading.Thread(target=_watch, args=(processes, world, over), daemon=True).start()
    try:
        _wait_until_ready(processes, store, world)
        yield
        for process in processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
    except Exception as error:
        if isinstance(error, TlkitError) or not (
            died := _first_death(processes, within_s=5.0 * lost_connection(error))
        ):
            raise
        raise RunError(_obituary(*died, world)) from error
    finally:
        over.set()
        for process in processes.values():
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()


def _start(rank: int, world: World, *, port: int) -> subprocess.Popen[bytes]:
    """Start one process, in a session of its own: Ctrl-C is for the first one to handle. It ends with its pipe."""
    command = [sys.executable, "-m", "tlkit.pipeline.training.follower", str(rank), str(world.size), str(port)]
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip


def _wait_until_ready(processes: Mapping[int, subprocess.Popen[bytes]], store: TCPStore, world: World) -> None:
    while not store.check([f"ready {rank}" for rank in processes]):
        if died := _first_death(processes):
            raise RunError(_obituary(*died, world))
        time.sleep(0.05)


def _watch(processes: Mapping[int, subprocess.Popen[bytes]], world: World, over: threading.Event) -> None:
    """End this process if another has died and the main thread, which may be waiting for it in the GPU, does not."""
    while not over.wait(1.0):
        if died := _first_death(processes):
            if not over.wait(GRACE_S):
                logger.error("%s", _obituary(*died, world))
                os._exit(READ_ABOVE)
            return


def _first_death(processes: Mapping[int, subprocess.Popen[bytes]], *, within_s: float = 0.0) -> tuple[int, int] | None:
    """Return rank and exit code of a process that has failed, or does so within a time."""
    until = time.monotonic() + within_s
    while True:
        for rank, process in processes.items():
            if process.poll():
                return rank, process.returncode
        if time.monotonic() >= until:
            return None
        time.sleep(0.05)


def _obituary(rank: int, code: int, world: World) -> str:
    if code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
        why = " (for want of memory?)" if code == -signal.SIGKILL else ""
    else:
        how, why = f"ended with exit code {code}", "; what it said stands above"
    return (
        f"Process {rank + 1} of {world.size} {how}{why}, and the run ends with it. What was saved is kept: continue "
        "with --resume."
    )
