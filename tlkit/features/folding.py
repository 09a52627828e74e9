"""Batch normalisation folded into the convolutions before it: the same function with fewer passes over memory."""

from __future__ import annotations

import copy
import logging

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

logger = logging.getLogger(__name__)

LARGEST_ERROR = 1e-3
"""Largest change of any output, as a share of the largest output, that is taken for rounding."""


def fold_batch_norm(module: nn.Module, example: torch.Tensor) -> nn.Module:
    """Return a copy of a network, in evaluation mode, with its batch normalisation folded into its convolutions.

    Which layer follows which is read off a pass of the example through the network. The result is compared with the
    original on the same example; where they differ by more than rounding, the original is returned.

    Args:
        module: any network.
        example: an input of it.
    """
    module = module.eval()
    folded = copy.deepcopy(module)
    with torch.no_grad():
        pairs = _followers(folded, example)
        for conv_name, norm_name in pairs:
            conv, norm = folded.get_submodule(conv_name), folded.get_submodule(norm_name)
            assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            replace_part(folded, conv_name, fuse_conv_bn_eval(conv, norm))
            rest = [part for part in (getattr(norm, "drop", None), getattr(norm, "act", None)) if part is not None]
            replace_part(folded, norm_name, nn.Sequential(*rest))  # timm's BatchNormAct2d ends with an activation
        before, after = module(example), folded(example)
    error = float((after - before).abs().max() / before.abs().max().clamp_min(1e-12))
    if not error <= LARGEST_ERROR:  # NaN fails too
        logger.info("Batch normalisation is not folded: it would change the features by %.1e.", error)
        return module
    return folded


def _followers(module: nn.Module, example: torch.Tensor) -> list[tuple[str, str]]:
    """Return the names of each convolution and the batch normalisation that takes its very output and nothing else."""
    made: dict[int, tuple[str, torch.Tensor]] = {}  # the tensors are kept, so that no id is used twice
    pairs: list[tuple[str, str]] = []

    def note(name: str, output: torch.Tensor) -> None:
        made[id(output)] = (name, output)

    def match(name: str, given: torch.Tensor) -> None:
        if id(given) in made:
            pairs.append((made[id(given)][0], name))

    handles = []
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d):
            handles.append(part.register_forward_hook(lambda _, __, output, name=name: note(name, output)))
        elif isinstance(part, nn.BatchNorm2d) and part.track_running_stats:
            handles.append(part.register_forward_pre_hook(lambda _, inputs, name=name: match(name, inputs[0])))
    try:
        module(example)
    finally:
        for handle in handles:
            handle.remove()
    convs, norms = [conv for conv, _ in pairs], [norm for _, norm in pairs]
    return [(c, n) for c, n in pairs if convs.count(c) == 1 and norms.count(n) == 1]  # a shared layer stays as it is


def replace_part(module: nn.Module, name: str, part: nn.Module) -> None:
    """Put another module in the place of the one with this dotted name."""
    parent, _, last = name.rpartition(".")
    setattr(module.get_submodule(parent), last, part)
