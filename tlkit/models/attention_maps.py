"""Attention of a vision transformer: rollout, and relevance by gradient-weighted attention."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from tlkit.errors import ModelError
from tlkit.models.network import Network


def has_attention(network: Network) -> bool:
    """Return whether the backbone has attention whose weights can be read."""
    return bool(_attention_modules(network.backbone))


@contextmanager
def recorded_attention(module: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Yield a list that receives the attention of every block, (B, heads, N, N), in a forward pass within the context.

    Fused kernels give no weights, so timm's `fused_attn` of each block is off within the context, and as before after
    it.
    """
    found: list[torch.Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        found.append(output)

    modules = _attention_modules(module)
    before = [one.fused_attn for one in modules]
    with ExitStack() as stack:
        for one in modules:
            stack.callback(one.attn_drop.register_forward_hook(keep).remove)  # type: ignore[union-attr]
        try:
            for one in modules:
                one.fused_attn = False  # type: ignore[assignment]
            yield found
        finally:
            for one, value in zip(modules, before, strict=True):
                one.fused_attn = value


def attention_relevance(network: Network, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return how much each patch counts for a class, by gradient-weighted attention, shape (B, rows, columns).

    R ← R + Ā R from R = I, with Ā the mean over heads of (∇A ⊙ A)⁺ of each block: Chefer, Gur & Wolf (2021), "Generic
    Attention-Model Explainability", equations 5 and 6. A hierarchical network such as Swin is judged by the blocks of
    its last stage, if one window covers the whole picture there.

    Args:
        network: in evaluation mode.
        images: normalised, shape (B, 3, H, W).
        targets: position of the class to explain, shape (B,).

    Raises:
        ModelError: the network has no such attention.
    """
    with torch.enable_grad(), recorded_attention(network.backbone) as found:
        logits = network(images.detach().requires_grad_())
        score = logits.gather(1, targets[:, None]).sum()
        if not score.requires_grad:
            raise ModelError("The head of this model has no gradients. Use the method occlusion or rollout.")
        blocks = _global_blocks(found, len(images))
        gradients = torch.autograd.grad(score, blocks)
    relevance = _identity(blocks[0])
    for attention, gradient in zip(blocks, gradients, strict=True):
        weighted = (gradient * attention).clamp(min=0).mean(dim=1)
        relevance = relevance + weighted @ relevance
    return _to_grid(relevance.detach(), network.backbone, images.shape[-2:])


def attention_rollout(network: Network, images: torch.Tensor) -> torch.Tensor:
    """Return the attention of the output to each patch through all blocks, shape (B, rows, columns).

    The product of (A + I) / 2 with A the mean over heads: Abnar & Zuidema (2020), "Quantifying Attention Flow in
    Transformers", equation 1. It does not depend on the class. Arguments and errors are those of `attention_relevance`.
    """
    with torch.no_grad(), recorded_attention(network.backbone) as found:
        network.backbone(images)
        blocks = _global_blocks(found, len(images))
        flow = _identity(blocks[0])
        for attention in blocks:
            flow = (attention.mean(dim=1) + _identity(attention)) / 2 @ flow
    return _to_grid(flow, network.backbone, images.shape[-2:])


def _attention_modules(module: nn.Module) -> list[nn.Module]:
    return [one for one in module.modules() if hasattr(one, "fused_attn") and hasattr(one, "attn_drop")]


def _global_blocks(found: list[torch.Tensor], batch: int) -> list[torch.Tensor]:
    """Return the attention of the last blocks that see the whole picture, all of the same shape."""
    last = found[-1].shape if found else ()
    if len(last) != 4 or last[0] != batch or last[2] != last[3]:
        raise ModelError("This model has no attention over the whole picture. Use the method grad_cam or occlusion.")
    blocks: list[torch.Tensor] = []
    for one in reversed(found):
        if one.shape != last:
            break
        blocks.insert(0, one)
    return blocks


def _identity(attention: torch.Tensor) -> torch.Tensor:
    return torch.eye(attention.shape[-1], dtype=attention.dtype, device=attention.device)


def _to_grid(tokens: torch.Tensor, backbone: nn.Module, size: torch.Size) -> torch.Tensor:
    """Return the relevance of the patches to the pooled output, (B, rows, columns), from that of tokens to tokens."""
    prefix = int(getattr(backbone, "num_prefix_tokens", 0))
    by_class_token = prefix > 0 and getattr(backbone, "global_pool", "token") == "token"
    pooled = tokens[:, 0, prefix:] if by_class_token else tokens[:, prefix:, prefix:].mean(dim=1)
    rows, columns = grid_of(pooled.shape[1], size)
    return pooled.reshape(len(pooled), rows, columns)


def grid_of(patches: int, size: torch.Size | tuple[int, int]) -> tuple[int, int]:
    """Return the rows and columns of patches of a picture with this height and width.

    Example:
        >>> grid_of(196, (224, 224)), grid_of(98, (224, 112))
        ((14, 14), (14, 7))
    """
    height, width = size
    rows = round((patches * height / width) ** 0.5)
    if rows == 0 or patches % rows:
        raise ModelError(f"{patches} patches form no grid over {height}x{width} pixels. Use the method occlusion.")
    return rows, patches // rows
