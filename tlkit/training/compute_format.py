"""Memory format and compilation of training: chosen by rule, stored in the run, the same after a resume."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal

import torch
import torch.compiler.config
from torch import nn

from tlkit.errors import RecipeError
from tlkit.models.classifier import Classifier
from tlkit.runs import RunDirectory
from tlkit.training.prepare import Prepared

logger = logging.getLogger(__name__)

FORMAT_VERSION = 2
RECOMPILE_LIMIT = 64
"""Graphs of the backbone that torch compiles before it falls back to eager: one per batch size, mode and phase."""

MemoryFormat = Literal["contiguous", "channels_last"]


@dataclass(frozen=True)
class ComputeFormat:
    """How training computes. It changes the last digits, so a resumed run keeps it.

    Attributes:
        memory_format: order of the values of images and convolution weights in memory.
        compiled: whether the backbone is compiled by `torch.compile`.
    """

    memory_format: MemoryFormat
    compiled: bool

    @property
    def words(self) -> str:
        """The memory format and "compiled" where it is, for the log."""
        return self.memory_format.replace("_", "-") + (", compiled" if self.compiled else "")


def choose_compute_format(
    directory: RunDirectory, prepared: Prepared, *, resume: bool, from_pixels: bool
) -> ComputeFormat:
    """Return the memory format and compilation of a run, and store them in its directory.

    `train.memory_format: auto` is channels-last, in which most convolutions are faster, and contiguous where the
    weights are sharded: torch's `fully_shard` takes contiguous weights only. The backbone is compiled only where
    `train.compile` is true. Nothing is measured, so two runs of one recipe compute alike.

    Args:
        directory: stores the choice; a resumed run takes it from there.
        prepared: the recipe, made concrete.
        resume: the run is continued.
        from_pixels: the backbone runs in training; on cached features there is nothing to compile.
    """
    if resume and directory.speed.is_file():
        stored = directory.read_json(directory.speed)
        speed = ComputeFormat(stored["memory_format"], stored["compiled"])
        logger.info("Training continues as it was started: %s.", speed.words)
        return speed
    settings = prepared.recipe.train
    given: MemoryFormat | Literal["auto"] = "contiguous" if prepared.sharded else settings.memory_format
    if settings.compile and not from_pixels:
        logger.info("Training takes features, not images: there is nothing to compile.")
    speed = ComputeFormat("channels_last" if given == "auto" else given, settings.compile and from_pixels)
    directory.write_json(directory.speed, {"format_version": FORMAT_VERSION, **asdict(speed)})
    return speed


@contextmanager
def applied_compute_format(classifier: Classifier, speed: ComputeFormat, *, device: str) -> Iterator[None]:
    """Let a classifier compute as `speed` says. A compiled one stays compiled: pass a copy.

    Args:
        classifier: what is trained.
        speed: its memory format, and whether its backbone is compiled.
        device: where it trains: "cpu", "cuda" or "mps".

    Raises:
        RecipeError: compilation is asked for, and torch cannot compile here.
    """
    channels_last = speed.memory_format == "channels_last"
    classifier.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    if not speed.compiled:
        yield
        return
    _require_compiler(device)
    _compile(classifier.network.backbone)
    # Every shape gets its own kernels, whatever came before it, so a resumed run computes as one that never stopped.
    limit = torch.compiler.config.recompile_limit
    torch.compiler.config.recompile_limit = RECOMPILE_LIMIT
    try:
        yield
    finally:
        torch.compiler.config.recompile_limit = limit


class _Doubled(nn.Module):
    """Two times a tensor."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def _require_compiler(device: str) -> None:
    """Compile one operation, so that a missing compiler is named before training starts.

    Raises:
        RecipeError: it cannot be compiled.
    """
    module = _Doubled()  # torch compiles none of its own layers by themselves
    _compile(module)
    try:
        module(torch.zeros(4, device=device))
    except Exception as error:  # torch raises a different kind for every missing part of a compiler
        reason = str(error).splitlines()[0]
        raise RecipeError(
            f"train.compile is true, but torch {torch.__version__} cannot compile here: {reason} "
            "Install a C++ compiler, or use train.compile: false."
        ) from error


def _compile(module: nn.Module) -> None:
    module.compile(dynamic=False)
