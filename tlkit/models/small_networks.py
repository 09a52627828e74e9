"""LeNet-5 and AlexNet without pretrained weights; importing this module registers `lenet5` and `alexnet` with timm."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from tlkit.timm import build_model_with_cfg, generate_default_cfgs, register_model

__all__ = ["AlexNet", "LeNet5"]

_HALF = (0.5, 0.5, 0.5)
_COMMON = {"url": "", "crop_pct": 1.0, "interpolation": "bilinear", "mean": _HALF, "std": _HALF, "classifier": "head"}

_LENET5 = {"num_classes": 10, "input_size": (3, 32, 32), "first_conv": "c1"}
_ALEXNET = {"num_classes": 1000, "input_size": (3, 224, 224), "first_conv": "conv1"}

default_cfgs = generate_default_cfgs(
    {"lenet5.untrained": {**_COMMON, **_LENET5}, "alexnet.untrained": {**_COMMON, **_ALEXNET}}
)


class LeNet5(nn.Module):
    """LeNet-5 for images of 32 px and more.

    LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", section II.B and figure 2, in today's
    form: color input, every map of C3 sees every map of S2, plain average pooling, plain tanh, and a linear output
    layer instead of radial basis functions. The maps of C5 are averaged over a larger image.
    """

    def __init__(self, num_classes: int = 10, in_chans: int = 3, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.num_classes, self.num_features, self.head_hidden_size = num_classes, 84, 84
        self.c1 = nn.Conv2d(in_chans, 6, 5)
        self.c3 = nn.Conv2d(6, 16, 5)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.pool = nn.AvgPool2d(2)
        self.f6 = nn.Linear(120, 84)
        self.drop = nn.Dropout(drop_rate)
        self.head = _linear(84, num_classes)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return timm's patterns of the layers, from the stem up."""
        return {"stem": r"^c1", "blocks": [(r"^c3", (0,)), (r"^c5", (1,)), (r"^f6", (2,))]}

    def get_classifier(self) -> nn.Module:
        """Return the output layer."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the output layer; 0 classes remove it."""
        self.num_classes = num_classes
        self.head = _linear(84, num_classes)

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the maps of C5, (B, 120, H', W'), for images (B, 3, H, W)."""
        maps = self.pool(torch.tanh(self.c1(images)))
        maps = self.pool(torch.tanh(self.c3(maps)))
        return torch.tanh(self.c5(maps))

    def forward_head(self, maps: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Return the scores of maps, or with `pre_logits` the 84 features under them."""
        features = self.drop(torch.tanh(self.f6(maps.mean(dim=(2, 3)))))
        return features if pre_logits else cast(torch.Tensor, self.head(features))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return scores (B, C); features (B, 84) where there is no output layer."""
        return self.forward_head(self.forward_features(images))


class AlexNet(nn.Module):
    """AlexNet for images of 224 px; other sizes are averaged to its 6 × 6 last maps.

    Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural Networks", section 3: two columns as
    grouped convolutions, local response normalization, overlapping pooling, dropout of a half.
    """

    def __init__(self, num_classes: int = 1000, in_chans: int = 3, drop_rate: float = 0.5) -> None:
        super().__init__()
        self.num_classes, self.num_features, self.head_hidden_size = num_classes, 4096, 4096
        self.conv1 = nn.Conv2d(in_chans, 96, 11, stride=4, padding=2)  # 224 px are 227 with this padding
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.norm = nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)  # torch divides alpha by the size
        self.pool = nn.MaxPool2d(3, stride=2)
        self.fit = nn.AdaptiveAvgPool2d(6)
        self.fc6 = nn.Linear(256 * 6 * 6, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.drop = nn.Dropout(drop_rate)
        self.head = _linear(4096, num_classes)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return timm's patterns of the layers, from the stem up."""
        return {"stem": r"^conv1", "blocks": [(r"^conv(\d+)", None), (r"^fc(\d+)", None)]}

    def get_classifier(self) -> nn.Module:
        """Return the output layer."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the output layer; 0 classes remove it."""
        self.num_classes = num_classes
        self.head = _linear(4096, num_classes)

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        """Return the last maps, (B, 256, 6, 6), for images (B, 3, H, W)."""
        maps = self.pool(self.norm(torch.relu(self.conv1(images))))
        maps = self.pool(self.norm(torch.relu(self.conv2(maps))))
        maps = torch.relu(self.conv4(torch.relu(self.conv3(maps))))
        return cast(torch.Tensor, self.fit(self.pool(torch.relu(self.conv5(maps)))))

    def forward_head(self, maps: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Return the scores of maps, or with `pre_logits` the 4,096 features under them."""
        features = torch.relu(self.fc6(self.drop(maps.flatten(1))))
        features = torch.relu(self.fc7(self.drop(features)))
        return features if pre_logits else cast(torch.Tensor, self.head(features))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return scores (B, C); features (B, 4096) where there is no output layer."""
        return self.forward_head(self.forward_features(images))


@register_model
def lenet5(pretrained: bool = False, **options: Any) -> LeNet5:
    """LeNet-5 (LeCun et al. 1998), without pretrained weights."""
    return build_model_with_cfg(LeNet5, "lenet5", pretrained, **options)


@register_model
def alexnet(pretrained: bool = False, **options: Any) -> AlexNet:
    """AlexNet (Krizhevsky et al. 2012), without pretrained weights."""
    return build_model_with_cfg(AlexNet, "alexnet", pretrained, **options)


def _linear(width: int, num_classes: int) -> nn.Module:
    return nn.Linear(width, num_classes) if num_classes else nn.Identity()
