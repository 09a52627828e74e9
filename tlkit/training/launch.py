"""The processes that train together, and their start by torchrun. torch is imported inside functions."""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlkit.data.num_workers import available_cores
from tlkit.errors import RecipeError
from tlkit.preflight.recipe_queries import can_use_cache
from tlkit.recipe import Recipe

SHUTDOWN_TIMEOUT_S = 600
"""How long a run may take to store and evaluate its model after a signal; torchrun's default is 30."""


@dataclass(frozen=True)
class World:
    """The processes that train together.

    Attributes:
        rank: index of this process, from 0; rank 0 writes the run.
        size: number of processes on all machines.
        local_rank: index of this process on its machine, from 0.
        local_size: number of processes on each machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def nodes(self) -> int:
        """Number of machines."""
        return self.size // self.local_size


def torchrun_world() -> World | None:
    """Return the processes that torchrun has started, this one among them; None without torchrun.

    Schedulers set some of the variables too, such as Kubeflow RANK and WORLD_SIZE; torchrun sets all of them.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")
    *values, port = [os.environ.get(name, "") for name in names]
    if not all(value.isdecimal() for value in (*values, port)):
        return None
    if not os.environ.get("TORCHELASTIC_RUN_ID") or not os.environ.get("MASTER_ADDR"):
        return None
    return World(*(int(value) for value in values))


def is_nonzero_rank() -> bool:
    """Return whether torchrun has started this process as another rank than 0, which writes nothing."""
    world = torchrun_world()
    return world is not None and world.rank > 0


def find_world(recipe: Recipe) -> World:
    """Return the processes that torchrun has started; without torchrun those of the recipe, this one being rank 0.

    Raises:
        RecipeError: the recipe has more GPUs than the machine, several machines without torchrun, or another number of
            processes than torchrun has started.
    """
    import torch

    from tlkit.inference.devices import choose_device

    settings = recipe.train
    world = torchrun_world()
    if world is not None:
        _require_equal(world, recipe)
        return world
    if settings.num_nodes > 1:
        raise RecipeError(
            f"train.num_nodes is {settings.num_nodes}, but nothing has started tlkit on other machines. Start it with "
            "torchrun as docs/devices.md shows, or use train.num_nodes=1."
        )
    device = choose_device(settings.device)
    gpus = torch.cuda.device_count() if device == "cuda" else 1
    count = gpus if settings.devices == "auto" else settings.devices
    if device != "cpu" and count > gpus:
        raise RecipeError(
            f"train.devices is {count}, but this machine has {gpus} of {device}. Use train.devices={gpus}, or auto."
        )
    return World(size=count, local_size=count)


def processes_to_start(recipe: Recipe) -> int:
    """Return the number of processes that torchrun must start for a fit; 1 where this process is enough.

    It is 1 for `train.devices: 1`, for a head on cached features, and where torchrun has started this process.

    Raises:
        RecipeError: as `find_world` raises it.
    """
    one = recipe.train.devices == 1 and recipe.train.num_nodes == 1
    if can_use_cache(recipe) or (one and torchrun_world() is None):
        return 1
    world = find_world(recipe)
    return 1 if torchrun_world() is not None else world.size


def launch(arguments: Sequence[str], *, processes: int) -> int:
    """Run the command line in several processes of this machine by torchrun, and return the exit code.

    It calls torchrun's main function as `torchrun --standalone --nproc-per-node=N -m tlkit ARGUMENTS` does. Torchrun
    sends Ctrl-C and SIGTERM to every rank, waits for all of them, and ends the others where one fails.

    Args:
        arguments: of the command line, such as ["fit", "recipe.yaml", "train.devices=2"].
        processes: how many to start.

    Returns:
        0 = success; the exit code of the rank that failed first, or 2 if it was killed; 128 + N for a signal N.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // processes)))  # torchrun's default is 1
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SHUTDOWN_TIMEOUT_S))
    if not logging.getLogger("tlkit").isEnabledFor(logging.DEBUG):
        logging.disable(logging.ERROR)  # hides torchrun's own log of each signal
    try:
        torchrun(["--standalone", f"--nproc-per-node={processes}", "-m", "tlkit", *arguments])
    except SignalException as error:
        return 128 + int(error.sigval)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode > 0:  # the rank has printed its error
            return int(failure.exitcode)
        sys.stderr.write(f"error: {_death(rank, -failure.exitcode, processes)}\n")
        return 2
    finally:
        logging.disable(logging.NOTSET)
    return 0


def launch_needed(
    processes: int,
    recipe: str | Path | Recipe,
    overrides: Mapping[str, Any] | Iterable[str],
    *,
    runs_dir: str | Path,
    resume: bool,
    overwrite: bool,
) -> RecipeError:
    """Return the error of a fit in Python that needs several processes; it names the command to type.

    `tlkit fit` writes below `runs/` of the working directory; another `runs_dir` needs a script under torchrun.
    """
    script = f"torchrun --standalone --nproc-per-node={processes} SCRIPT.py"
    needs = f"This fit needs {processes} processes, which tlkit.fit does not start."
    if Path(runs_dir) != Path("runs"):
        return RecipeError(f"{needs} tlkit fit writes to runs, not to {runs_dir}, so run your script by: {script}")
    texts = (
        [f"{key}={_text(value)}" for key, value in overrides.items()] if isinstance(overrides, Mapping) else overrides
    )
    file = "RECIPE.yaml" if isinstance(recipe, Recipe) else str(recipe)
    words = ["tlkit", "fit", file, *texts, *["--resume"] * resume, *["--overwrite"] * overwrite]
    return RecipeError(f"{needs} Type: {shlex.join(words)}  (or run your script by: {script})")


def _require_equal(world: World, recipe: Recipe) -> None:
    """Check that torchrun has started the number of processes that a recipe states."""
    stated = {"train.num_nodes": recipe.train.num_nodes, "train.devices": recipe.train.devices}
    found = {"train.num_nodes": world.nodes, "train.devices": world.local_size}
    changes = [f"{key}={found[key]}" for key in stated if stated[key] not in ("auto", found[key])]
    if changes:
        raise RecipeError(
            f"torchrun has started {world.local_size} processes on each of {world.nodes} machines, but the recipe has "
            f"{' and '.join(f'{key} {value}' for key, value in stated.items())}. Use {' '.join(changes)}, or start "
            "another number."
        )


def _death(rank: int, number: int, processes: int) -> str:
    """Return the message about a rank that was killed by a signal."""
    why = " (out of memory?)" if number == signal.SIGKILL else ""
    return (
        f"Process {rank + 1} of {processes} was killed by {signal.Signals(number).name}{why}, so the run ends. What "
        "was saved is kept: continue with --resume."
    )


def _text(value: Any) -> str:
    """Return a value as the command line takes it, as JSON, which is YAML."""
    return str(value) if isinstance(value, str | Path) else json.dumps(value, default=str)
