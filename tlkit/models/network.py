"""The network that is trained, stored and served: a backbone, dropout and one linear head."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from tlkit.errors import ModelError
from tlkit.models.artifact import ModelCard, read_card, read_tensors
from tlkit.models.backbone import bare_backbone

HEAD_INIT_STD = 0.01


class Network(nn.Module):
    """A backbone with a linear head: (B, 3, H, W) normalised images, or (B, D) features of them, to (B, C) logits.

    The head is tlkit's own for every architecture, so its dropout and its start do not depend on timm's. timm's
    EfficientNet, for one, draws a new head from U(±1/√C): a standard deviation of 0.41 for two classes.

    Attributes:
        backbone: (B, 3, H, W) to (B, D) pooled features.
        head: (B, D) to (B, C).
    """

    def __init__(self, backbone: nn.Module, *, num_features: int, num_classes: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(drop_rate)
        self.head = nn.Linear(num_features, num_classes)

    def init_head(self, seed: int) -> None:
        """Start the head from N(0, 0.01²) weights and zero biases, drawn from a stream of its own."""
        generator = torch.Generator().manual_seed(seed)
        nn.init.normal_(self.head.weight, std=HEAD_INIT_STD, generator=generator)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, shape (B, C), of images (B, 3, H, W) or of their features (B, D)."""
        features = images if images.ndim == 2 else self.backbone(images)
        logits: torch.Tensor = self.head(self.dropout(features))
        return logits


def load_network(folder: Path) -> tuple[Network, ModelCard]:
    """Load a stored model for prediction, in evaluation mode.

    Args:
        folder: the folder with `model.safetensors` and `model.json`.

    Raises:
        ModelError: there is no stored model, or its parts do not belong together.
    """
    card, tensors = read_card(folder), read_tensors(folder)
    head = tensors.get("head.weight")
    if head is None or head.shape[0] != len(card.classes):
        raise ModelError(f"{folder}: the tensors do not belong to the {len(card.classes)} classes of its card.")
    backbone = bare_backbone(card.architecture, image_size=card.preprocess.image_size, options=card.options)
    network = Network(backbone, num_features=head.shape[1], num_classes=head.shape[0], drop_rate=card.drop_rate)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"{folder}: the tensors do not fit {card.architecture} of this timm. {error}") from error
    return network.eval(), card
