"""Checks of one exported file: batches against single images, and how far its logits are from torch's in float64."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from tlkit.arrays import Floats32, Pixels
from tlkit.data.loading.batch import normalize
from tlkit.exported import ExportedModel
from tlkit.preprocess import Preprocess

logger = logging.getLogger(__name__)

BATCH = 7
"""Size of the larger batches; the smaller ones have one image."""
ROUNDING = 4 * float(np.finfo(np.float32).eps)
"""Distance from float64, as a share of the largest logit, below which nothing is wrong: rounding of the output."""


def batch_problems(file: ExportedModel, tolerance: float, unit: float) -> list[str]:
    """Return whether images have other probabilities in a batch of seven than alone."""
    height, width = file.facts.preprocess.image_size
    size = (height, width) if file.facts.kind == "network" else (height + 13, 2 * width + 5)
    images = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (BATCH, *size, 3), dtype=np.uint8)
    alone = np.concatenate([file.probabilities(image[None]) for image in images])
    error = float(np.abs(file.probabilities(images) - alone).max()) / unit
    return [] if error <= tolerance else [f"a batch of {BATCH} differs by {error:.1e} from the same images alone."]


def normalized_pixels(scaled: Sequence[Pixels], preprocess: Preprocess) -> torch.Tensor:
    """Return scaled pixels, uint8 (H, W, 3) each, as the network takes them, (N, 3, H, W)."""
    return normalize(torch.from_numpy(np.stack(scaled)).permute(0, 3, 1, 2), preprocess).contiguous()


def distances_from_exact(
    network: nn.Module, scaled: Sequence[Pixels], logits: Floats32, preprocess: Preprocess
) -> tuple[float, float] | None:
    """Return `distances_of_logits` for scaled pixels, uint8 (H, W, 3) each."""
    return distances_of_logits(network, normalized_pixels(scaled, preprocess), logits)


def distances_of_logits(network: nn.Module, images: torch.Tensor, logits: Floats32) -> tuple[float, float] | None:
    """Return the root mean square distance of logits, and of torch's in float32, from torch's in float64.

    Float32 torch is two computations, one for each memory format, whose sums run in different orders; the larger
    distance counts. Where it is smaller than the rounding of the largest logit, that rounding stands for it.

    Args:
        network: in evaluation mode, float32.
        images: normalized, (N, 3, H, W).
        logits: what is judged, of these images.

    Returns:
        None where the network does not run in float64.
    """
    try:
        with torch.inference_mode():
            exact = copy.deepcopy(network).double()(images.double()).numpy()
            single = [
                copy.deepcopy(network).to(memory_format=order)(images.to(memory_format=order)).float().numpy()  # type: ignore[call-overload]
                for order in (torch.channels_last, torch.contiguous_format)
            ]
    except RuntimeError:  # a layer that makes float32 tensors of its own
        logger.info("The network does not run in float64; the rule about rounding is not applied.")
        return None
    floor = ROUNDING * float(np.abs(exact).max())
    distance, *own = (float(np.sqrt(np.mean((values - exact) ** 2))) for values in (logits, *single))
    return distance, max(*own, floor)
