"""Ranks other than 0 in a fit that torchrun has started: they receive rank 0's task, train, and write nothing."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from typing import NoReturn

import torch

from tlkit.data.dataset_source import LoadedDataset
from tlkit.errors import TlkitError
from tlkit.lightning import pl
from tlkit.models.classifier import Classifier
from tlkit.models.training_step import NotFiniteError
from tlkit.training.distributed import Task, joined, lost_connection, receive_task
from tlkit.training.launch import World, torchrun_world
from tlkit.training.prepare import Prepared, open_data, set_groups, use_groups
from tlkit.training.trainer import train_nonzero_rank

GRACE_S = 30.0
"""How long a rank that failed only because another did waits for torchrun to end it: as long as torchrun waits."""
FAILED = 2


def run_nonzero_rank() -> NoReturn:
    """Wait for rank 0's task, train, and end the process.

    The rank that fails first gives the whole run its exit code, and torchrun ends the others. So this process waits
    after an error that rank 0 reports as well, or that only means that another rank has ended.

    Raises:
        SystemExit: training is over: 0, or 2 after an error.
    """
    world = torchrun_world()
    assert world is not None, "torchrun has started the ranks"
    logging.getLogger("tlkit").setLevel(logging.WARNING)  # rank 0 logs for all
    if threading.current_thread() is threading.main_thread():
        signal.signal(
            signal.SIGINT, signal.SIG_DFL
        )  # Python does not call its own handler while torch waits for rank 0
    try:
        with joined():
            task = receive_task()
            if task is not None:
                train_nonzero_rank(task, _prepared(task, world))
    except NotFiniteError:
        time.sleep(GRACE_S)
        raise SystemExit(FAILED) from None
    except TlkitError as error:
        for problem in error.problems:
            sys.stderr.write(f"process {world.rank + 1} of {world.size}: error: {problem}\n")
        raise SystemExit(FAILED) from None
    except Exception as error:
        if not lost_connection(error):
            raise
        time.sleep(GRACE_S)
        raise SystemExit(FAILED) from None
    raise SystemExit(0)


def _prepared(task: Task, world: World) -> Prepared:
    """Return the recipe prepared for this rank, without reading weights or searching for images."""
    recipe = task.recipe
    if task.device == "cuda":
        torch.cuda.set_device(world.local_rank)
    pl.seed_everything(recipe.seed, workers=True, verbose=False)
    classifier = Classifier(**task.classifier)  # rank 0 sends the weights when training starts
    data = open_data(recipe, classifier.preprocess, world=world, images=LoadedDataset(task.samples, sizes=task.sizes))
    data.setup()
    groups = use_groups(recipe, data)
    if groups is not None:
        set_groups(classifier, groups)
    return Prepared(recipe, data, classifier, task.device, task.precision, task.steps_per_epoch, world)
