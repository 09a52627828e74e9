"""Batch normalisation folded into the convolutions before it: the same function with fewer passes over memory."""

from __future__ import annotations

import copy
import logging

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tlkit.features.following import find_followers, replace_part, share_changed

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
    found, before = find_followers(folded, example, of=lambda part: isinstance(part, nn.Conv2d), among=_is_norm)
    with torch.no_grad():
        for conv_name, norm_name in found.items():
            if norm_name is None:
                continue
            conv, norm = folded.get_submodule(conv_name), folded.get_submodule(norm_name)
            assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            replace_part(folded, conv_name, fuse_conv_bn_eval(conv, norm))
            rest = [part for part in (getattr(norm, "drop", None), getattr(norm, "act", None)) if part is not None]
            replace_part(folded, norm_name, nn.Sequential(*rest))  # timm's BatchNormAct2d ends with an activation
        after = folded(example)
    error = share_changed(before, after)
    if not error <= LARGEST_ERROR:  # NaN fails too
        logger.info("Batch normalisation is not folded: it would change the features by %.1e.", error)
        return module
    return folded


def _is_norm(part: nn.Module) -> bool:
    return isinstance(part, nn.BatchNorm2d) and part.track_running_stats
