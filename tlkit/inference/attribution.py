"""Where in an image a network looks: Grad-CAM, attention and occlusion. The only door to Captum."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tlkit.choices import ExplainMethod
from tlkit.errors import ModelError
from tlkit.models.attention_maps import attention_relevance, attention_rollout, has_attention
from tlkit.models.network import Network, ScoredHead

CELLS = 8
"""Steps of the occluding square along each side of the image; its side is two steps."""
AT_ONCE = 16
"""Occluded copies per forward pass."""


class FeatureStage(nn.Module):
    """The backbone up to its last feature maps, as (B, C, h, w); a layer that Captum can attribute to."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.channels_last = getattr(backbone, "output_fmt", "NCHW") == "NHWC"

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return feature maps (B, C, h, w) of images (B, 3, H, W)."""
        features: torch.Tensor = self.backbone.forward_features(images)  # type: ignore[operator]
        if features.ndim != 4:
            raise ModelError("This model has no feature maps for Grad-CAM. Use the method attention or occlusion.")
        return features.permute(0, 3, 1, 2) if self.channels_last else features


class StagedNetwork(nn.Module):
    """A network in two stages, which gives the same logits as the network itself."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.features = FeatureStage(network.backbone)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits, shape (B, classes)."""
        features = self.features(images)
        if self.features.channels_last:
            features = features.permute(0, 2, 3, 1)
        pooled = self.network.backbone.forward_head(features)  # type: ignore[operator]
        logits: torch.Tensor = self.network.head(pooled)
        return logits


def choose_method(network: Network, method: ExplainMethod = "auto") -> ExplainMethod:
    """Return the method: for "auto" attention for vision transformers, Grad-CAM for other networks with gradients.

    A scikit-learn head has no gradients, so that occlusion remains for it.

    Raises:
        ModelError: the method cannot be applied to this network.
    """
    gradients = not isinstance(network.head, ScoredHead)
    staged = hasattr(network.backbone, "forward_features") and hasattr(network.backbone, "forward_head")
    transformer = has_attention(network)
    tokens = transformer and getattr(network.backbone, "output_fmt", "") != "NHWC"
    if method == "auto":
        if not gradients:
            return "occlusion"
        return "attention" if tokens else "grad_cam" if staged else "occlusion"
    if method in {"grad_cam", "attention"} and not gradients:
        raise ModelError(f"The head of this model has no gradients, which {method} takes. Use the method occlusion.")
    if method in {"attention", "rollout"} and not transformer:
        raise ModelError(f"This model has no attention, which {method} takes. Use the method grad_cam or occlusion.")
    if method == "grad_cam" and not staged:
        raise ModelError("This model has no separate feature maps, which grad_cam takes. Use the method occlusion.")
    return method


def heat_maps(
    network: Network, images: torch.Tensor, targets: torch.Tensor, *, method: ExplainMethod
) -> npt.NDArray[np.float32]:
    """Return how much each cell of an image counts for a class, shape (B, rows, columns), larger = more.

    Args:
        network: in evaluation mode; its state is not changed.
        images: normalised, shape (B, 3, H, W).
        targets: positions of the classes to explain, shape (B,).
        method: from `choose_method`. grad_cam: Selvaraju et al. (2017), equations 1 and 2; attention: Chefer et al.
            (2021); rollout: Abnar & Zuidema (2020); occlusion: Zeiler & Fergus (2014), section 4.2, the fall of the
            probability where a gray square hides the cell.

    Raises:
        ModelError: Captum is not installed, or the network has no such maps.
    """
    match method:
        case "attention":
            found = attention_relevance(network, images, targets)
        case "rollout":
            found = attention_rollout(network, images)
        case "occlusion":
            found = occlusion_maps(lambda batch: torch.softmax(network(batch).float(), dim=1), images, targets)
        case _:
            found = _grad_cam(network, images, targets)
    maps: npt.NDArray[np.float32] = found.detach().float().cpu().numpy()
    return maps


def occlusion_maps(
    predict: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Return by how much the probability of a class falls where a gray square hides a cell, shape (B, 8, 8).

    Args:
        predict: any function from normalised images (B, 3, H, W) to probabilities (B, C): a network, or an engine.
        images: normalised, so that 0 is the mean color.
        targets: positions of the classes, shape (B,).
    """
    height, width = images.shape[-2:]
    steps = max(1, height // CELLS), max(1, width // CELLS)
    window = (images.shape[1], min(height, 2 * steps[0]), min(width, 2 * steps[1]))
    with torch.no_grad():
        falls = (
            _captum()
            .Occlusion(predict)
            .attribute(
                images,
                target=targets,
                sliding_window_shapes=window,
                strides=(images.shape[1], *steps),
                baselines=0.0,
                perturbations_per_eval=AT_ONCE,
            )
        )
    return torch.nn.functional.adaptive_avg_pool2d(falls.sum(dim=1), (min(CELLS, height), min(CELLS, width)))


def randomized_network(network: Network, *, seed: int) -> Network:
    """Return a copy whose weights of two or more dimensions are random, with the spread of the trained ones.

    A map that stays the same shows edges of the image, not what the model learned: Adebayo et al. (2018), "Sanity
    Checks for Saliency Maps", section 4 (all layers randomised).
    """
    other = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in other.parameters():
            if tensor.ndim >= 2:
                spread = float(tensor.std()) or 0.01
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * spread)
    return other.eval()


def first_filters(network: Network) -> npt.NDArray[np.float32]:
    """Return the filters of the first convolution on RGB, shape (F, 3, h, w).

    Raises:
        ModelError: the network has none.
    """
    for module in network.backbone.modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == 3 and module.groups == 1:
            filters: npt.NDArray[np.float32] = module.weight.detach().float().cpu().numpy()
            return filters
    raise ModelError("This model has no convolution on RGB, so that there are no filters to show.")


def last_feature_maps(network: Network, images: torch.Tensor) -> npt.NDArray[np.float32]:
    """Return the last feature maps of images, shape (B, C, h, w).

    Raises:
        ModelError: the network has none, as vision transformers with tokens.
    """
    if not hasattr(network.backbone, "forward_features"):
        raise ModelError("This model has no separate feature maps.")
    with torch.no_grad():
        maps: npt.NDArray[np.float32] = FeatureStage(network.backbone)(images).float().cpu().numpy()
    return maps


def _grad_cam(network: Network, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    staged = StagedNetwork(network)
    with torch.enable_grad():
        layer = _captum().LayerGradCam(staged, staged.features)
        maps: torch.Tensor = layer.attribute(images.detach().requires_grad_(), target=targets, relu_attributions=True)
    return maps[:, 0]


def _captum() -> Any:
    """Return Captum's attribution methods.

    Raises:
        ModelError: it is not installed.
    """
    try:
        from captum import attr
    except ImportError as error:
        raise ModelError(
            'Maps of what a model looks at take Captum. Install it: pip install "tlkit[explain]"'
        ) from error
    return attr
