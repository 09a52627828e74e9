"""Facts of a timm network: the preprocessing in its configuration, the width of its features, and its size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast, get_args

import torch
from torch import nn

from tlkit.errors import ModelError, reason_of
from tlkit.models.meta_pass import meta_pass
from tlkit.preprocess import Interpolation, Preprocess, Resize

CROP_MODES: dict[str, Resize] = {"center": "crop", "squash": "squash", "border": "letterbox"}


def read_preprocess(cfg: dict[str, Any]) -> Preprocess:
    """Return the preprocessing in timm's `pretrained_cfg`."""
    default = Preprocess()
    mean, std = tuple(cfg.get("mean", default.mean)), tuple(cfg.get("std", default.std))
    if len(mean) != 3 or len(std) != 3:
        mean, std = (mean * 3)[:3], (std * 3)[:3]
    named = cfg.get("interpolation")
    return Preprocess(
        image_size=tuple(cfg.get("input_size", (3, *default.image_size))[1:]),
        resize=CROP_MODES.get(cfg.get("crop_mode") or "center", "crop"),
        crop_pct=float(cfg.get("crop_pct") or default.crop_pct),
        interpolation=cast(Interpolation, named) if named in get_args(Interpolation) else "bilinear",
        mean=mean,
        std=std,
    )


def feature_width(module: nn.Module, image_size: tuple[int, int], name: str) -> int:
    """Return D of the (1, D) features that a network gives for a blank image.

    At the size of its configuration the network runs on torch's meta device, which computes shapes alone. At another
    size it runs on the CPU: the meta device looks up no values, so it takes sizes that some networks cannot (MViT).

    Raises:
        ModelError: the network cannot take images of this size, or does not pool its features.
    """
    training = module.training
    try:
        with torch.no_grad():
            features = _meta_features(module.eval(), image_size)
            if features is None:
                features = module(torch.zeros(1, 3, *image_size))
    except Exception as error:  # networks raise another kind for every size that they cannot take
        raise ModelError(
            f"{name} cannot take images of {image_size[0]}x{image_size[1]} px ({reason_of(error)}). "
            "Change or leave out data.image_size."
        ) from error
    finally:
        module.train(training)
    if features.ndim != 2:
        raise ModelError(
            f"{name} gives features of shape {tuple(features.shape)} instead of (1, D). Choose another model."
        )
    return int(features.shape[1])


def _meta_features(module: nn.Module, image_size: tuple[int, int]) -> torch.Tensor | None:
    """Return the features of a blank image on the meta device; None at another size, or where it cannot run there."""
    own = (getattr(module, "pretrained_cfg", None) or {}).get("input_size", ())
    if tuple(own[1:]) != tuple(image_size):
        return None
    try:
        return meta_pass(module, image_size)
    except Exception:  # networks raise any class; those that make tensors on the CPU in `forward`, too
        return None


def shapes_of(module: nn.Module) -> dict[str, torch.Size]:
    """Return the shape of each tensor in a network's state dict."""
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


def build_within(build: Callable[[], nn.Module], *, name: str, most: int | None) -> nn.Module:
    """Return a network, after checking that it has no more parameters than are stored for it.

    It is counted on torch's meta device, which takes no memory. A network that cannot be built there is not checked.

    Args:
        build: builds the network.
        name: its name, for the message.
        most: number of stored values; None = unknown.

    Raises:
        ModelError: the network is larger.
    """
    if most is None:
        return build()
    try:
        with torch.device("meta"):
            count = sum(parameter.numel() for parameter in build().parameters())
    except Exception:  # it reads values while it is built, or cannot be built at all
        count = 0
    if count > most:
        raise ModelError(
            f"{name} with the stored options has {count:,} parameters, but {most:,} values are stored. Restore the "
            "model's files."
        )
    return build()
