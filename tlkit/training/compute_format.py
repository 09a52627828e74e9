"""Memory format and compilation of training: chosen by rule, stored in the run, kept on resume."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal

import torch
import torch.compiler.config
from torch import nn

from tlkit.errors import RecipeError, reason_of
from tlkit.models.classifier import Classifier
from tlkit.runs import RunDirectory
from tlkit.training.prepare import Prepared

logger = logging.getLogger(__name__)

FORMAT_VERSION = 2
RECOMPILE_LIMIT = 64
"""Graphs of the backbone that torch compiles before it falls back to eager: one per batch size, mode and phase."""

MemoryFormat = Literal["contiguous", "channels_last"]
Compiled = bool | Literal["regional"]


@dataclass(frozen=True)
class ComputeFormat:
    """Memory format and compilation; both change the last digits, so a resumed run keeps them.

    Attributes:
        memory_format: order of the values of images and convolution weights in memory.
        compiled: whether the backbone is compiled by `torch.compile`; "regional" = block by block.
    """

    memory_format: MemoryFormat
    compiled: Compiled


def choose_compute_format(
    directory: RunDirectory, prepared: Prepared, *, resume: bool, from_pixels: bool
) -> ComputeFormat:
    """Return the memory format and compilation of a run, and store them in its directory.

    `train.memory_format: auto` is channels-last, in which most convolutions are faster, and contiguous where the
    weights are sharded: torch's `fully_shard` needs contiguous weights. The backbone is compiled only where
    `train.compile` is true. Nothing is timed, so two runs of one recipe choose alike.

    A resumed run takes them from the directory. On cached features (not `from_pixels`) there is nothing to compile.
    """
    if resume and directory.compute_format.is_file():
        stored = directory.read_json(directory.compute_format)
        return directory.read_result(
            directory.compute_format, lambda one: ComputeFormat(one["memory_format"], one["compiled"]), stored
        )
    settings = prepared.recipe.train
    given: MemoryFormat | Literal["auto"] = "contiguous" if prepared.sharded else settings.memory_format
    if settings.compile and not from_pixels:
        logger.info("Training takes features, not images: there is nothing to compile.")
    chosen = ComputeFormat("channels_last" if given == "auto" else given, settings.compile if from_pixels else False)
    directory.write_json(directory.compute_format, {"format_version": FORMAT_VERSION, **asdict(chosen)})
    return chosen


@contextmanager
def applied_compute_format(classifier: Classifier, compute_format: ComputeFormat, *, device: str) -> Iterator[None]:
    """Apply a memory format and compilation to a classifier. A compiled one stays compiled: pass a copy.

    Raises:
        RecipeError: torch cannot compile here, or `train.compile` is regional and the backbone has no repeated blocks.
    """
    channels_last = compute_format.memory_format == "channels_last"
    classifier.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    if not compute_format.compiled:
        yield
        return
    backbone = classifier.network.backbone
    regions = repeated_blocks(backbone) if compute_format.compiled == "regional" else [backbone]
    if not regions:
        raise RecipeError(
            f"train.compile is regional, but {classifier.source.name} has no repeated blocks. Use train.compile: true."
        )
    _require_compiler(device)
    for region in regions:
        region.compile(dynamic=False)
    # Kernels are compiled per shape, never for several, so a resumed run computes as an uninterrupted one.
    limit = torch.compiler.config.recompile_limit
    torch.compiler.config.recompile_limit = RECOMPILE_LIMIT
    try:
        yield
    finally:
        torch.compiler.config.recompile_limit = limit


def repeated_blocks(module: nn.Module, *, in_list: bool = False) -> list[nn.Module]:
    """Return the innermost blocks that a network holds in lists: members of `nn.Sequential` or `nn.ModuleList`.

    Layers of torch alone are no blocks: there is nothing in them to fuse, and torch cannot compile them alone.

    Args:
        module: the network.
        in_list: whether the module itself is a member of a list.
    """
    is_list = isinstance(module, nn.Sequential | nn.ModuleList)
    inner = [block for child in module.children() for block in repeated_blocks(child, in_list=is_list)]
    is_block = in_list and not is_list and not type(module).__module__.startswith("torch.nn") and any(module.children())
    return inner or ([module] if is_block else [])


class _Double(nn.Module):  # torch.nn's own layers cannot be compiled alone
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def _require_compiler(device: str) -> None:
    """Compile one operation, so that a missing compiler is reported before training starts."""
    module = _Double()
    module.compile(dynamic=False)
    try:
        module(torch.zeros(4, device=device))
    except Exception as error:  # torch raises a different kind for every missing part of a compiler
        reason = reason_of(error)
        raise RecipeError(
            f"train.compile is given, but torch {torch.__version__} cannot compile here: {reason} "
            "Install a C++ compiler, or use train.compile: false."
        ) from error
