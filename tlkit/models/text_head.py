"""An image-text model with class names as a stored tlkit model: timm's backbone and a linear head made of the names."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tlkit.errors import ModelError, first_few
from tlkit.models.image_text import ImageTextModel
from tlkit.models.model_files import ModelFacts, save_artifact
from tlkit.models.network import Network
from tlkit.models.text_start import KIND
from tlkit.models.timm_modules import bare_backbone, clip_vision_transformer
from tlkit.models.weights.weight_files import WeightsFacts, tensors_digest

logger = logging.getLogger(__name__)

LARGEST_ERROR = 1e-4
"""Largest difference of an embedding, relative to the largest value, by which timm's network may miss open_clip's."""


@dataclass(frozen=True)
class TimmTower:
    """The image side of an image-text model as a backbone of timm and a linear projection.

    Attributes:
        architecture: timm's name.
        options: timm's arguments for this variant.
        module: normalized images (B, 3, H, W) to features (B, D).
        weight: the projection, (E, D).
        bias: of the projection, (E,).
    """

    architecture: str
    options: Mapping[str, Any]
    module: nn.Module
    weight: torch.Tensor
    bias: torch.Tensor

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Return embeddings (B, E) before they are scaled."""
        return nn.functional.linear(self.module(images), self.weight, self.bias)


def store_text_head(
    folder: Path,
    model: ImageTextModel,
    classes: npt.NDArray[np.float32],
    words: Mapping[str, tuple[str, ...]],
    *,
    templates: Sequence[str],
    temperature: float | None = None,
    pictures: torch.Tensor,
) -> ModelFacts:
    """Write a tlkit model that predicts the classes of zero-shot; return its facts.

    The logits of zero-shot are s · cos(z, t), with the embedding z = W f + b of an image, the features f of timm's
    backbone, unit embeddings t of the classes, and the logit scale s. A linear head has no length of z to divide by, so
    it divides by the mean length m over the pictures: s / m · t · (W f + b). The length is the same for all classes of
    an image, so the predicted classes are those of zero-shot; the confidence of an image differs by the factor |z| / m.

    Args:
        folder: to write `model.safetensors` and `model.json` to; new or empty.
        model: the image-text model.
        classes: unit embeddings of the classes, (C, E).
        words: the words of each class, in the same order.
        templates: the prompts, for the facts.
        temperature: T by which the logits are divided; None = not at all.
        pictures: normalized images (B, 3, H, W), on which the head is scaled and the outputs are compared.

    Raises:
        ModelError: the folder holds something, or the image side is no backbone of timm with a linear projection.
    """
    require_empty_folder(folder)
    tower = timm_tower(model, pictures)
    text = torch.from_numpy(classes)
    with torch.inference_mode():
        embedded = torch.cat([tower.embed(part) for part in torch.split(pictures, 32)])
        factor = model.logit_scale / (temperature or 1.0) / float(embedded.norm(dim=1).mean())
    network = Network(tower.module, num_features=tower.weight.shape[1], num_classes=len(text))
    network.head.load_state_dict({"weight": factor * text @ tower.weight, "bias": factor * text @ tower.bias})
    facts = ModelFacts(
        architecture=tower.architecture,
        classes=tuple(words),
        preprocess=model.preprocess,
        drop_rate=0.0,
        weights=WeightsFacts(
            source=model.weights.source,
            origin=model.weights.origin,
            digest=tensors_digest(tower.module.state_dict()),
            license=model.weights.license,
        ),
        options=tower.options,
        head={
            "kind": KIND,
            "words": {name: list(own) for name, own in words.items()},
            "templates": list(templates),
            "logit_scale": model.logit_scale,
            "model_digest": model.weights.digest,
        },
    )
    save_artifact(folder, network.state_dict(), facts)
    logger.info(
        "%s holds the zero-shot model as %s with a linear head: the same classes; confidence differs by the length of "
        "an image's embedding.",
        folder,
        tower.architecture,
    )
    return facts


def require_empty_folder(folder: Path) -> None:
    """Check that a folder for a model does not exist, or is empty.

    Raises:
        ModelError: it holds something, which is never overwritten.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(f"{folder} exists already. Name another folder for the model, or remove it first.")


def timm_tower(model: ImageTextModel, pictures: torch.Tensor) -> TimmTower:
    """Return the image side as a backbone of timm, after comparing its embeddings of pictures with open_clip's.

    Raises:
        ModelError: it is none; the message says which part is not.
    """
    vision = model.config["vision_cfg"]
    visual, size = model.tower.visual, model.preprocess.image_size
    few = pictures[:4]
    with torch.inference_mode():
        expected = model.tower.raw(few.to(model.tower.logit_scale.device)).cpu()
    worst, reasons = float("inf"), []
    for build in _candidates(visual, vision, size=size):
        try:
            tower = build()
            with torch.inference_mode():
                error = float((tower.embed(few) - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
        except (ModelError, RuntimeError, TypeError, AssertionError) as problem:  # another variant of the network
            reasons.append(str(problem))
            continue
        worst = min(worst, error)
        if error <= LARGEST_ERROR:
            return tower
    why = (
        f"its embeddings differ by {worst:.2g}"
        if worst < float("inf")
        else (first_few(reasons, most=1) or "no such one")
    )
    raise ModelError(
        f"The image side of {model.name} is no backbone of timm with a linear projection: {why}. Zero-shot works "
        "without --store; to train, choose an image-text model whose image side is timm's, or a ViT of CLIP."
    )


class _Unfit(ModelError):
    """The image side has a part that a backbone with a linear head cannot hold."""


def _candidates(
    visual: nn.Module, vision: Mapping[str, Any], *, size: tuple[int, int]
) -> Iterator[Callable[[], TimmTower]]:
    """Yield functions that build the image side as timm would, from the likeliest on."""
    name = vision.get("timm_model_name")
    if name is None:
        if not isinstance(vision.get("layers"), int):
            raise _Unfit(
                "The image side is CLIP's own ResNet, whose attention pooling is no part of a backbone here. Zero-shot "
                "works without --store; to train, choose a ViT."
            )
        yield partial(_native, visual, vision, size=size)
        return
    pool = vision.get("timm_pool", "avg")
    if pool in ("abs_attn", "rot_attn"):
        raise _Unfit(
            f"The image side pools by {pool}, which is no part of a backbone here. Zero-shot works without --store."
        )
    for options in ({}, {"global_pool": pool}, {"global_pool": pool, "fc_norm": False}):
        if options.get("global_pool", "x"):
            yield partial(_with_trunk, visual, str(name), options, size=size)


def _with_trunk(visual: nn.Module, name: str, options: Mapping[str, Any], *, size: tuple[int, int]) -> TimmTower:
    """Return open_clip's tower around a network of timm: the network, and the linear layer on it."""
    trunk, head = cast(nn.Module, visual.trunk), cast(nn.Module, visual.head)
    layers = {part: layer for part, layer in head.named_children() if part != "drop"}
    source = copy.deepcopy(trunk)
    classifier = source.get_classifier()  # type: ignore[operator]
    if not layers and isinstance(classifier, nn.Linear):
        layer: nn.Module | None = classifier
        source.reset_classifier(0)  # type: ignore[operator]
    else:
        layer = layers.get("proj")
    if (layers and set(layers) != {"proj"}) or (layer is not None and not isinstance(layer, nn.Linear)):
        raise _Unfit(f"the layers after {name} ({', '.join(layers)}) are more than a linear projection")
    module = bare_backbone(name, image_size=size, options=options)
    module.load_state_dict(source.state_dict())
    module = module.eval()
    if layer is None:
        with torch.inference_mode():
            width = int(module(torch.zeros(1, 3, *size)).shape[1])
        weight, bias = torch.eye(width), torch.zeros(width)
    else:
        weight = layer.weight.detach().cpu().clone()
        bias = torch.zeros(len(weight)) if layer.bias is None else layer.bias.detach().cpu().clone()
    return TimmTower(name, dict(options), module, weight, bias)


def _native(visual: nn.Module, vision: Mapping[str, Any], *, size: tuple[int, int]) -> TimmTower:
    """Return open_clip's own ViT as timm's; timm converts the tensors."""
    tensors = {f"visual.{name}": value.detach().cpu() for name, value in visual.state_dict().items()}
    name, options, module = clip_vision_transformer(tensors, vision, image_size=size, act_layer=_activation(visual))
    layer = cast(nn.Linear, module.get_classifier())  # type: ignore[operator]
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    module.reset_classifier(0)  # type: ignore[operator]
    return TimmTower(name, options, module.eval(), weight, bias)


def _activation(visual: nn.Module) -> str:
    names = {type(module).__name__ for module in visual.modules()}
    return "quick_gelu" if "QuickGELU" in names else "gelu"
