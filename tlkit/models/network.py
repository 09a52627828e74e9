"""The network that is trained, stored and served: a backbone, dropout and one linear head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tlkit.errors import ModelError
from tlkit.models.backbone import bare_backbone
from tlkit.models.model_files import ModelCard, read_card, read_tensors

HEAD_INIT_STD = 0.01


class ScoredHead(nn.Module):
    """A head that is no layer: features (B, D) to the logarithm of its probabilities (B, C), whose softmax they are.

    It passes no gradients, and cannot be exported with the network.

    Attributes:
        predict_proba: takes features (B, D) and returns probabilities (B, C).
        in_features: D.
    """

    def __init__(
        self, predict_proba: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]], *, in_features: int
    ) -> None:
        super().__init__()
        self.predict_proba = predict_proba
        self.in_features = in_features

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return log probabilities, shape (B, C); -inf for a class that is out of the question."""
        proba = self.predict_proba(features.detach().float().cpu().numpy())
        return torch.from_numpy(proba).log().float().to(features.device)


class Network(nn.Module):
    """A backbone with a head: (B, 3, H, W) normalised images, or (B, D) features of them, to (B, C) logits.

    The head is tlkit's own for every architecture, so its dropout and its start do not depend on timm's. timm's
    EfficientNet, for one, draws a new head from U(±1/√C): a standard deviation of 0.41 for two classes.

    Attributes:
        backbone: (B, 3, H, W) to (B, D) pooled features.
        head: (B, D) to (B, C); a linear layer, or a `ScoredHead` that was put in its place.
    """

    head: nn.Linear | ScoredHead

    def __init__(self, backbone: nn.Module, *, num_features: int, num_classes: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(drop_rate)
        self.head = nn.Linear(num_features, num_classes)

    def init_head(self, seed: int) -> None:
        """Start the head from N(0, 0.01²) weights and zero biases, drawn from a stream of its own."""
        generator = torch.Generator().manual_seed(seed)
        assert isinstance(self.head, nn.Linear), "a head of another kind is not trained"
        nn.init.normal_(self.head.weight, std=HEAD_INIT_STD, generator=generator)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, shape (B, C), of images (B, 3, H, W) or of their features (B, D)."""
        features = images if images.ndim == 2 else self.backbone(images)
        logits: torch.Tensor = self.head(self.dropout(features))
        return logits


def load_network(folder: Path, *, head: ScoredHead | None = None) -> tuple[Network, ModelCard]:
    """Load a stored model for prediction, in evaluation mode.

    Args:
        folder: the folder with `model.safetensors` and `model.json`.
        head: the head of a model whose card names a file for it; `tlkit.load_model` reads it.

    Raises:
        ModelError: there is no stored model, its parts do not belong together, or its head is no layer and is not
            given.
    """
    card, tensors = read_card(folder), read_tensors(folder)
    with torch.random.fork_rng(devices=()):  # building a network draws weights, which the stored ones replace
        return _load(folder, card, tensors, head), card


def _load(folder: Path, card: ModelCard, tensors: Mapping[str, torch.Tensor], head: ScoredHead | None) -> Network:
    if card.head_file is not None:
        if head is None:
            raise ModelError(
                f"The head of {folder} is of kind {card.head.get('kind')}, which is no layer of a network. Use "
                "tlkit.load_model to predict with it."
            )
        return _with_head(folder, card, tensors, head)
    head_weight = tensors.get("head.weight")
    if head_weight is None or head_weight.shape[0] != len(card.classes):
        raise ModelError(f"{folder}: the tensors do not belong to the {len(card.classes)} classes of its card.")
    backbone = bare_backbone(card.architecture, image_size=card.preprocess.image_size, options=card.options)
    network = Network(
        backbone, num_features=head_weight.shape[1], num_classes=head_weight.shape[0], drop_rate=card.drop_rate
    )
    return _filled(network, tensors, folder, card)


def _with_head(folder: Path, card: ModelCard, tensors: Mapping[str, torch.Tensor], head: ScoredHead) -> Network:
    backbone = bare_backbone(card.architecture, image_size=card.preprocess.image_size, options=card.options)
    network = Network(backbone, num_features=head.in_features, num_classes=len(card.classes))
    network.head = head
    return _filled(network, tensors, folder, card)


def _filled(network: Network, tensors: Mapping[str, torch.Tensor], folder: Path, card: ModelCard) -> Network:
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise ModelError(f"{folder}: the tensors do not fit {card.architecture} of this timm. {error}") from error
    return network.eval()
