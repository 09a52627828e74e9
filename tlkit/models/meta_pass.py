"""A pass of a network over tensors without values, which computes shapes alone."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call


def meta_pass(module: nn.Module, image_size: tuple[int, int]) -> torch.Tensor:
    """Return what a network in evaluation mode gives for one image: a tensor on torch's meta device.

    Nothing is computed, and no weight is copied. The network is then as it was: its tensors, modes, and what it notes
    during a pass (timm's rotary embeddings note the size of their grid).

    Args:
        module: maps images (B, 3, H, W) to a tensor.
        image_size: height and width in pixels.

    Raises:
        Exception: of any class, where the network cannot run on tensors without values or at this size.
    """
    named = [*module.named_parameters(), *module.named_buffers()]
    without_values = {name: torch.empty_like(tensor, device="meta") for name, tensor in named}
    before = {part: dict(vars(part)) for part in module.modules()}
    try:
        module.eval()
        with torch.no_grad():
            found: torch.Tensor = functional_call(
                module, without_values, (torch.zeros(1, 3, *image_size, device="meta"),)
            )
    finally:
        for part, attributes in before.items():
            for added in vars(part).keys() - attributes.keys():
                del vars(part)[added]
            vars(part).update(attributes)
    return found
