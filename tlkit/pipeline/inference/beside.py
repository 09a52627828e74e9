"""Features made beside: another process runs the frozen backbone while this one loads what training needs.

Loading torch, timm and Lightning takes seconds, in which one core has nothing to do. The images are checked in one
process beside (`check_images`), while this one loads torch; then another one makes their features, and later looks for
edited copies among them while this one trains. The features are handed over in the cache: whatever becomes of that
process, this one computes what it does not find there.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tlkit.data.cores import available_cores
from tlkit.disk import cache_folder
from tlkit.forked import Forked, ForkedError, can_fork, tell
from tlkit.pipeline.starting.asked import can_use_cache
from tlkit.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

    from tlkit.data.duplicates import Pair
    from tlkit.data.looks import Looks
    from tlkit.models.backbone import Backbone
    from tlkit.samples import Samples

logger = logging.getLogger(__name__)

MOST_IMAGES = 20_000
"""With more images, what another process saves does not show."""
FINDER = "tlkit.pipeline.inference.embed"
"""Whose lines say what is in the cache."""
PATIENCE_S = 300.0
"""How long this process waits for a word of the other one, which gives one for each batch and each try of an engine;
longer, and something keeps it from its work."""


class FeaturesBeside:
    """What runs beside a fit that begins; a context, at the end of which no other process is left.

    Args:
        recipe: whose images and features.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._other: Forked | None = None
        self._possible = can_begin()
        self.backbone: Backbone | None = None
        """The backbone, once it is loaded."""

    def __enter__(self) -> Self:
        return self

    @property
    def load(self) -> Callable[[], None] | None:
        """What to do while another process checks the images; None where it is to be no other."""
        return self._load if self._possible else None

    @property
    def at_work(self) -> bool:
        """Whether there is another process that makes features."""
        return self._other is not None

    def begin(self, samples: Samples, *, looks: Looks) -> None:
        """Have the features of images made, where the recipe's head trains on features, by a process forked from here.

        Args:
            samples: the images as they have been checked.
            looks: what is known of them for `look_for_copies`, by digest.
        """
        if self.backbone is None or len(samples) > MOST_IMAGES or not can_fork():
            return
        if not _can_be_shared(cache_folder() / "features"):
            return
        backbone = self.backbone

        def work(home: Connection) -> None:
            _make(home, self._recipe, backbone, samples, looks)

        try:
            self._other = Forked(work)
        except ForkedError as error:
            logger.debug("No process makes features beside (%s).", error)

    def wait(self) -> None:
        """Wait until the features are made; say in the log what the other process has decided."""
        if self._other is not None:
            self._other.say("alone")  # on all cores from here on
        self._hear("made")

    def look_for_copies(self, samples: Samples, leaks: pd.DataFrame) -> None:
        """Have it look for copies that the features give away, while this process trains; `copies` returns them.

        Args:
            samples: the images, all of which it has made features of.
            leaks: the known leaks, as `Run.leaks` gives them.
        """
        if self._other is not None:
            self._other.say((samples, leaks))

    def copies(self) -> list[Pair] | None:
        """Return the pairs that `look_for_copies` has asked for; None where the other process cannot say."""
        found: list[Pair] | None = self._hear("copies")
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End the other process where it still runs."""
        if self._other is not None:
            self._other.end()
            self._other = None

    def _load(self) -> None:
        from tlkit.pipeline.inference.devices import choose_device, one_thread

        if can_be_made_beside(self._recipe) and choose_device(self._recipe.train.device) == "cpu":
            from tlkit.pipeline.inference.wanted import backbone_of

            with one_thread():  # so that no threads are waited for after forking
                self.backbone = backbone_of(self._recipe)
        else:  # a GPU is done before another process would be ready
            import tlkit.models.classifier  # noqa: F401  timm and Lightning

    def _hear(self, key: str) -> Any:
        """Return what the other process tells under a key; None where it has ended, or something keeps it."""
        if self._other is None:
            return None
        try:
            while True:
                match self._other.hear(PATIENCE_S):
                    case str(name), int(level), str(message):
                        logging.getLogger(name).log(level, "%s", message)
                    case {**told} if key in told:
                        return told[key]
        except ForkedError as error:
            logger.info("The process that makes features beside has stopped (%s); the rest is made here.", error)
        self.end()
        return None


def can_begin() -> bool:
    """Tell whether other processes can be forked from this one to some use: where torch is loaded, little is saved."""
    return can_fork() and available_cores() > 1 and "torch" not in sys.modules


def can_be_made_beside(recipe: Recipe) -> bool:
    """Tell whether another process could make a recipe's features: its head trains on them, on the CPU.

    Random weights are drawn in this process, after its seed is set.
    """
    return can_use_cache(recipe) and recipe.model.weights != "none" and recipe.train.device in ("auto", "cpu")


def _make(home: Connection, recipe: Recipe, backbone: Backbone, samples: Samples, looks: Looks) -> None:
    """Make the features, leave them in the cache; then look for copies that they give away. In the other process."""
    import torch

    from tlkit.features.cache import keep_to_shared
    from tlkit.pipeline.inference.copies import pairs_by_features
    from tlkit.pipeline.inference.wanted import features_for

    threads = torch.get_num_threads()  # as many as OMP_NUM_THREADS allows
    torch.set_num_threads(1)  # the one it was forked from needs a core
    log = logging.getLogger("tlkit")
    log.handlers, log.propagate = [_Relay(home)], False

    alone = False

    def step(done: int, _: int) -> None:
        nonlocal alone
        tell(home, None)
        if not alone and (done == 0 or home.poll()):  # engines are compared on all cores, or not at all
            alone = home.recv() == "alone"
            torch.set_num_threads(threads)

    keep_to_shared()
    engine = recipe.features.engine
    cached = features_for(recipe, samples, backbone=backbone, engine=engine, device="cpu", progress=step)
    tell(home, {"made": len(cached.plain)})
    if not alone:
        home.recv()
    samples, leaks = home.recv()
    pairs = pairs_by_features(
        samples, cached.plain, leaks, looks=looks, max_pixels=recipe.data.max_pixels, progress=step
    )
    tell(home, {"copies": pairs})


class _Relay(logging.Handler):
    """Hands over what was decided, and what was wrong with the cache.

    What is wrong with an image, and what there is in the cache, the other process finds out itself.
    """

    def __init__(self, home: Connection) -> None:
        super().__init__()
        self._home = home

    def emit(self, record: logging.LogRecord) -> None:
        """Tell what has been decided."""
        decided = record.levelno == logging.INFO and record.name != FINDER
        if decided or record.name.startswith("tlkit.features."):
            tell(self._home, (record.name, record.levelno, record.getMessage()))


def _can_be_shared(folder: Path) -> bool:
    """Tell whether features can be kept in a folder, there or not: else each process keeps its own to itself."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    return there is not None and there.is_dir() and os.access(there, os.W_OK | os.X_OK)
