"""Folding of batch normalization into the convolution before it: the same function with fewer layers."""

from __future__ import annotations

import copy
import logging
from collections import Counter

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

logger = logging.getLogger(__name__)

FOLDING_VERSION = 1
"""Raised when folding gives other weights than before; part of the key of cached features."""
LARGEST_ERROR = 1e-3
"""Largest change of any output, as a share of the largest output, that counts as rounding."""


def fold_batch_norm(module: nn.Module, example: torch.Tensor) -> nn.Module:
    """Return a copy of a network, in evaluation mode, with its batch normalization folded into its convolutions.

    A forward pass of the example shows which normalization follows which convolution. Where the outputs of copy and
    original differ by more than rounding, for instance because a convolution's output is used twice, the original is
    returned.
    """
    module = module.eval()
    folded = copy.deepcopy(module)
    pairs, before = _find_pairs(folded, example)
    with torch.no_grad():
        for conv_name, norm_name in pairs:
            conv, norm = folded.get_submodule(conv_name), folded.get_submodule(norm_name)
            assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            _replace(folded, conv_name, fuse_conv_bn_eval(conv, norm))
            remaining = [part for part in (getattr(norm, "drop", None), getattr(norm, "act", None)) if part is not None]
            _replace(folded, norm_name, nn.Sequential(*remaining))  # timm's BatchNormAct2d ends with an activation
        after = folded(example)
    error = float((after - before).abs().max() / before.abs().max().clamp_min(1e-12))
    if not error <= LARGEST_ERROR:  # NaN fails too
        logger.info("Batch normalization is not folded: it would change the features by %.1e.", error)
        return module
    return folded


def _find_pairs(module: nn.Module, example: torch.Tensor) -> tuple[list[tuple[str, str]], torch.Tensor]:
    """Return the names of each convolution and the normalization that takes its output, and the network's output.

    A layer that runs more than once is in no pair: its weights serve several places.
    """
    made_by: dict[int, tuple[str, torch.Tensor]] = {}  # by id of the tensor, which is kept so that no id is used twice
    pairs: list[tuple[str, str]] = []
    calls: Counter[str] = Counter()

    def note_output(name: str, output: torch.Tensor) -> None:
        calls[name] += 1
        made_by[id(output)] = (name, output)

    def note_input(name: str, given: torch.Tensor) -> None:
        calls[name] += 1
        if id(given) in made_by:
            pairs.append((made_by[id(given)][0], name))

    handles = []
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d):
            handles.append(part.register_forward_hook(lambda _, __, output, name=name: note_output(name, output)))
        elif isinstance(part, nn.BatchNorm2d) and part.track_running_stats:
            handles.append(part.register_forward_pre_hook(lambda _, inputs, name=name: note_input(name, inputs[0])))
    try:
        with torch.no_grad():
            output: torch.Tensor = module(example)
    finally:
        for handle in handles:
            handle.remove()
    followers = Counter(conv for conv, _ in pairs)
    return [(conv, norm) for conv, norm in pairs if calls[conv] == calls[norm] == 1 and followers[conv] == 1], output


def _replace(module: nn.Module, name: str, part: nn.Module) -> None:
    """Replace the submodule of this dotted name."""
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, part)
