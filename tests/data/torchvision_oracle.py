"""Transforms and datasets of torchvision and timm as references."""

from __future__ import annotations

from pathlib import Path

import tlkit.torchvision_cure  # noqa: F401  before torchvision

import numpy as np
import numpy.typing as npt
from PIL import Image
from timm.data import create_transform
from torch import Tensor
from torchvision.datasets import ImageFolder
from torchvision.transforms import Normalize, ToTensor


def image_folder_classes(root: Path) -> list[str]:
    return list(ImageFolder(str(root)).classes)


def timm_evaluation(
    image: Image.Image, *, size: tuple[int, int], crop_pct: float, interpolation: str
) -> npt.NDArray[np.uint8]:
    """Return timm's evaluation crop, uint8 (H, W, 3)."""
    transform = create_transform(
        (3, *size), is_training=False, crop_pct=crop_pct, interpolation=interpolation, normalize=False
    )
    pixels = transform(image)
    return np.asarray(pixels.permute(1, 2, 0))


def to_tensor_and_normalise(
    pixels: npt.NDArray[np.uint8], *, mean: tuple[float, ...], std: tuple[float, ...]
) -> Tensor:
    """Return torchvision's normalised tensor, float32 (3, H, W)."""
    result: Tensor = Normalize(mean, std)(ToTensor()(pixels))
    return result
