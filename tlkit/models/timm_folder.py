"""A network as timm's hub folder: `model.safetensors` under timm's names and `config.json`. A door to timm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from tlkit.errors import ModelError
from tlkit.models.model_files import ModelFacts
from tlkit.models.network import Network
from tlkit.models.pretrained_head import LARGEST_ERROR
from tlkit.models.timm_facts import CROP_MODES
from tlkit.models.timm_modules import module_with_head
from tlkit.preprocess import Preprocess
from tlkit.timm import save_for_hf

RESIZES = {resize: mode for mode, resize in CROP_MODES.items()}


def write_timm_folder(folder: Path, network: Network, facts: ModelFacts) -> None:
    """Write a network so that `timm.create_model("hf-hub:…", pretrained=True)` returns it with its head.

    The outputs of timm's network are compared with those of the given one before anything is written.

    Raises:
        ModelError: the head is no linear layer, or timm's architecture has no such head in its place.
    """
    if not isinstance(network.head, nn.Linear):
        raise ModelError(
            f"The head is of kind {facts.head.get('kind')}, which timm's format does not hold. Fit the run with "
            "strategy.head: linear, or share the folder model/ of the run itself."
        )
    module = module_with_head(facts, network.backbone.state_dict(), _calibrated_head(network.head, facts))
    images = torch.rand(2, 3, *facts.preprocess.image_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, given = network.eval()(images), module.eval()(images)
    error = float((given - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
    if not error <= LARGEST_ERROR:
        raise ModelError(
            f"timm's {facts.architecture} has more than a linear layer on its features, so its outputs would not be "
            f"this model's (relative difference {error:.2g}). Share the folder model/ of the run itself."
        )
    config: dict[str, Any] = {
        "num_classes": len(facts.classes),
        "label_names": list(facts.classes),
        "pretrained_cfg": _timm_cfg(facts.preprocess, facts.weights.license, len(facts.classes)),
    }
    options = {**facts.options, "num_classes": len(facts.classes)}
    save_for_hf(module, str(folder), model_config=config, model_args=options, safe_serialization=True)


def _calibrated_head(head: nn.Linear, facts: ModelFacts) -> dict[str, torch.Tensor]:
    """Return the tensors of a head that gives the rescaled logits: scale (Wx + b) + offset is a linear layer, too.

    Raises:
        ModelError: the logits are rescaled by vector scaling, which works on log probabilities.
    """
    weight, bias, scaling = head.weight.detach(), head.bias.detach(), facts.calibration
    if scaling is None:
        return {"weight": weight, "bias": bias}
    if scaling.method == "vector":
        raise ModelError(
            "The model is calibrated by vector scaling, which timm's format does not hold. Calibrate it by "
            "temperature, or share the folder model/ of the run itself."
        )
    scale = torch.tensor(scaling.scale, dtype=torch.float32)
    offset = torch.tensor(scaling.offset or (0.0,), dtype=torch.float32)
    return {"weight": weight * scale.reshape(-1, 1), "bias": bias * scale + offset}


def _timm_cfg(preprocess: Preprocess, terms: str, num_classes: int) -> dict[str, Any]:
    """Return timm's configuration of a preprocessing; the inverse of `read_preprocess`."""
    return {
        "input_size": (3, *preprocess.image_size),
        "crop_pct": preprocess.crop_pct,
        "crop_mode": RESIZES[preprocess.resize],
        "interpolation": preprocess.interpolation,
        "mean": preprocess.mean,
        "std": preprocess.std,
        "num_classes": num_classes,
        "license": terms,
        "tag": "tlkit",
    }
