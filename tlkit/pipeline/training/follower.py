"""A process that trains beside the first one and writes nothing: `python -m tlkit.pipeline.training.follower`."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback

import pytorch_lightning as pl
from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]  # torch 2.13 names them in no __all__

from tlkit.data.gather import Gathered
from tlkit.errors import TlkitError
from tlkit.models.classifier import Classifier
from tlkit.models.step import NotFiniteError
from tlkit.pipeline.training.prepare import Prepared, open_data, set_groups, use_groups
from tlkit.pipeline.training.together import HERE, READ_ABOVE, Task, joined, lost_connection, told
from tlkit.pipeline.training.train import train_along
from tlkit.pipeline.training.world import World


def follow(world: World, *, device: str, store: Store | None = None) -> None:
    """Do what the first process says, and return when training is over.

    Raises:
        TlkitError: as training does.
    """
    logging.getLogger("tlkit").setLevel(logging.WARNING)  # the first process tells the rest
    with joined(world, device=device, store=store):
        task = told()
        if task is not None:
            train_along(
                task.folder,
                _prepared(task, world),
                origin=task.origin,
                checkpoint=task.checkpoint,
                speed=task.speed,
                worst=task.worst,
            )


def _prepared(task: Task, world: World) -> Prepared:
    recipe = task.recipe
    pl.seed_everything(recipe.seed, workers=True, verbose=False)
    classifier = Classifier(**task.classifier)  # its weights come from the first process, when training begins
    data = open_data(recipe, classifier.preprocess, world=world, images=Gathered(task.samples))
    data.setup()
    groups = use_groups(recipe, data)
    if groups is not None:
        set_groups(classifier, groups)
    return Prepared(recipe, data, classifier, task.device, task.precision, task.steps_per_epoch, world)


def main() -> int:
    """Join the process that has started this one, and end with it."""
    rank, size, port = map(int, sys.argv[1:])
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    logging.basicConfig(level=logging.WARNING, format=f"process {rank + 1} of {size}: %(message)s")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    store = TCPStore(HERE, port, is_master=False)
    store.set(f"ready {rank}", "")
    device = store.get("device").decode()
    try:
        follow(World(rank, size, rank, size, "tlkit"), device=device, store=store)
    except NotFiniteError:
        return READ_ABOVE  # all processes meet it; the first one says so
    except TlkitError as error:
        sys.stderr.write(f"process {rank + 1} of {size}: error: {error}\n")
        return READ_ABOVE
    except Exception as error:
        if not lost_connection(error):
            traceback.print_exc()
        return 70
    return 0


def _end_with_the_first() -> None:
    """Wait for the end of the pipe that the first process holds, however it ends."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(READ_ABOVE)


if __name__ == "__main__":
    sys.exit(main())
