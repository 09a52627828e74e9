"""How the arithmetic of training is laid out: memory format and compilation, measured where a run is long enough."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import Any, Literal

import torch

from tlkit.errors import RecipeError
from tlkit.models.sweep import training_step_of, untouched
from tlkit.pipeline.training.measured import measured_once, processor
from tlkit.pipeline.training.prepare import Prepared
from tlkit.runs import RunDirectory

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
LONG = 200
"""Steps from which a run is long enough for measuring to pay: it takes eight of them."""
LONG_FOR_COMPILING = 2000
"""Steps from which a run on a GPU is long enough to try compiling, which takes a minute or more."""
CLEARLY = 1.05
"""Factor in throughput below which a difference may be chance; the usual way is kept."""
RECOMPILE_LIMIT = 64

MemoryFormat = Literal["contiguous", "channels_last"]


@dataclass(frozen=True)
class Speed:
    """How training computes; it changes the last digits, so a run keeps it.

    Attributes:
        memory_format: order of the numbers of images and convolutions in memory.
        compiled: whether torch.compile has made kernels for the backbone.
        images_per_s: throughput of training steps of each way that was measured; empty where nothing was.
    """

    memory_format: MemoryFormat
    compiled: bool
    images_per_s: dict[str, float] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The way, in words."""
        return self.memory_format.replace("_", "-") + (", compiled" if self.compiled else "")


def choose_speed(directory: RunDirectory, prepared: Prepared, *, resume: bool, from_pixels: bool) -> Speed:
    """Return how a run trains: what it was started with, what the recipe says, or what is faster here.

    `train.memory_format: auto` is channels-last, which most convolutions are faster in; a run of 200 steps or more
    measures it against the contiguous format on a copy of the model, and takes that where it is clearly faster.
    `train.compile: auto` tries compiling on a GPU in a run of 2,000 steps or more; on a CPU it is off, because a short
    run does not earn back the compiler's minute. What was measured is noted on this machine, so that the next run of
    the recipe chooses alike and ends with the same bits.

    Args:
        directory: holds the choice, which a resumed run takes up.
        prepared: the recipe, made concrete.
        resume: the run is continued.
        from_pixels: the backbone takes part in training; else nothing is worth measuring.

    Raises:
        RecipeError: compiling is asked for and cannot be done here.
    """
    if resume and directory.speed.is_file():
        noted = directory.read_json(directory.speed)
        speed = Speed(noted["memory_format"], noted["compiled"], noted["images_per_s"])
        logger.info("Training goes on as it was begun: %s.", speed.words)
        return speed
    settings = prepared.recipe.train
    given = settings.memory_format
    speed = Speed("channels_last" if given == "auto" else given, settings.compile is True)
    if prepared.sharded:  # torch's fully_shard takes contiguous weights only
        speed = Speed("contiguous", compiled=False)
        directory.write_json(directory.speed, {"format_version": FORMAT_VERSION, **asdict(speed)})
        return speed
    if speed.compiled and not from_pixels:
        logger.info("Training takes features, not images: there is nothing to compile.")
        speed = replace(speed, compiled=False)
    steps = settings.epochs * prepared.steps_per_epoch
    if from_pixels and given == "auto" and steps >= LONG:
        speed = _faster(prepared, speed, replace(speed, memory_format="contiguous"))
    if from_pixels and settings.compile == "auto" and prepared.device == "cuda" and steps >= LONG_FOR_COMPILING:
        speed = _faster(prepared, speed, replace(speed, compiled=True))
    directory.write_json(directory.speed, {"format_version": FORMAT_VERSION, **asdict(speed)})
    return speed


@contextmanager
def computing(prepared: Prepared, speed: Speed, *, from_pixels: bool) -> Iterator[None]:
    """Let a classifier compute in a way while the block runs; what it has learnt stays, compiled kernels go.

    Raises:
        RecipeError: compiling is asked for and cannot be done here.
    """
    classifier = prepared.classifier
    classifier.to(memory_format=_torch_format(speed))
    if not (speed.compiled and from_pixels):
        yield
        return
    _compile(classifier.network.backbone)
    # A shape has its kernels, whatever came before it: so a resumed run computes as the one that never stopped.
    limit: Any = torch._dynamo.config.patch(recompile_limit=RECOMPILE_LIMIT)
    try:
        with limit:
            yield
    except torch._dynamo.exc.BackendCompilerFailed as error:
        reason = str(error).splitlines()[0]
        raise RecipeError(
            f"train.compile is true, but torch {torch.__version__} cannot compile here: {reason} "
            "Install a C++ compiler, or use train.compile: false."
        ) from error
    finally:
        classifier.network.backbone._compiled_call_impl = None


def _compile(backbone: torch.nn.Module) -> None:
    backbone.compile(dynamic=False)


def _faster(prepared: Prepared, usual: Speed, other: Speed) -> Speed:
    """Return the other way where its training steps are clearly faster than those of the usual one."""

    def measure() -> dict[str, float]:
        images, seconds = prepared.recipe.data.batch_size, _seconds(prepared, usual, other)
        return {way.words: round(images / best, 2) for way, best in zip((usual, other), seconds, strict=True)}

    rates, noted = measured_once(_facts(prepared, usual, other), measure)
    chosen = other if rates[other.words] > CLEARLY * rates[usual.words] else usual
    logger.info(
        "Training steps %s: %s; training is %s.",
        f"were measured on this machine before, as {noted} says" if noted else "measured",
        ", ".join(f"{words} {rate:g} images/s" for words, rate in rates.items()), chosen.words,
    )  # fmt: skip
    return replace(chosen, images_per_s={**usual.images_per_s, **rates})


def _facts(prepared: Prepared, *ways: Speed) -> dict[str, Any]:
    """Return all that the speed of training steps depends on, so that measuring it once is enough."""
    classifier, recipe = prepared.classifier, prepared.recipe
    return {
        "measured": "images per second of training steps",
        "ways": [way.words for way in ways],
        "network": classifier.source.name,
        "options": dict(classifier.source.options),
        "strategy": recipe.strategy.model_dump(mode="json"),
        "image_size": list(classifier.preprocess.image_size),
        "batch_size": min(recipe.data.batch_size, len(prepared.data.samples.split("train"))),
        "precision": prepared.precision,
        "device": prepared.device,
        "processor": processor(prepared.device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "timm": version("timm"),
    }


def _seconds(prepared: Prepared, *ways: Speed) -> list[float]:
    """Time training steps in each way, in turn, on copies; the fastest of three after one to warm up."""
    classifier, device = prepared.classifier, prepared.device
    height, width = classifier.preprocess.image_size
    size = min(prepared.recipe.data.batch_size, len(prepared.data.samples.split("train")))
    zeros = torch.zeros(size, dtype=torch.int64, device=device)  # targets, and rows for a loss that takes them
    batch = [torch.zeros(size, 3, height, width, device=device), zeros, zeros]
    best = [float("inf")] * len(ways)
    names = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    dtype = names.get(prepared.precision)
    for place, way in enumerate(ways):
        with untouched(classifier, device) as trained:
            trained.to(memory_format=_torch_format(way))
            if way.compiled:
                _compile(trained.network.backbone)
            step = training_step_of(trained)
            for number in range(4):
                begun = time.perf_counter()
                with torch.autocast(device, dtype=dtype) if dtype is not None else nullcontext():
                    step([batch], 0)
                if device == "cuda":
                    torch.cuda.synchronize()
                if number:
                    best[place] = min(best[place], time.perf_counter() - begun)
    return best


def _torch_format(speed: Speed) -> torch.memory_format:
    return torch.channels_last if speed.memory_format == "channels_last" else torch.contiguous_format
