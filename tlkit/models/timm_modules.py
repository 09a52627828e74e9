"""Networks of timm with random or with given weights, built by name and options. A door to timm beside `backbone`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

import tlkit.models.small_networks  # noqa: F401  makes LeNet-5 and AlexNet known to timm
from tlkit.errors import ModelError, did_you_mean, first_few, reason_of
from tlkit.models.model_files import ModelFacts
from tlkit.models.model_names import unknown_name
from tlkit.models.model_options import check_options
from tlkit.models.timm_facts import build_within
from tlkit.timm import timm


def split_name(name: str) -> tuple[str, str]:
    """Return architecture and tag of a name, after checking both.

    Raises:
        ModelError: timm has no such architecture, or no such weights for it; the nearest names are suggested.
    """
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise ModelError(unknown_name(name, timm.list_models()))
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise ModelError(
            f"model.name is {name!r}, but timm has no weights {tag!r} for {architecture}.{did_you_mean(tag, tags)} "
            f"It has: {first_few(tags, most=10) or 'none'}."
        )
    return architecture, tag


def bare_backbone(
    architecture: str, *, image_size: tuple[int, int], options: Mapping[str, Any] | None = None, most: int | None = None
) -> nn.Module:
    """Return the module of a backbone with random weights, for `most` stored values; it gives features (B, D).

    Raises:
        ModelError: this timm has no such architecture, or does not build it with these options.
    """
    split_name(architecture)
    given = check_options(options, source=f"The stored {architecture}")
    size = {"img_size": image_size} if has_fixed_size(architecture) else {}
    arguments = {**given, **size, "num_classes": 0}
    try:
        return build_within(
            lambda: create_module(architecture, pretrained=False, **arguments), name=architecture, most=most
        )
    except ModelError:
        raise
    except Exception as error:  # a constructor of timm raises a different kind for every wrong option
        if not given:
            raise
        raise ModelError(
            f"timm cannot build {architecture} with the stored options {given} ({type(error).__name__}: {error}). "
            "Restore the file that holds them, or train again."
        ) from error


def clip_vision_transformer(
    tensors: Mapping[str, torch.Tensor], vision: Mapping[str, Any], *, image_size: tuple[int, int], act_layer: str
) -> tuple[str, dict[str, Any], nn.Module]:
    """Return timm's name, options and network of a vision transformer of CLIP, whose classifier is its projection.

    Args:
        tensors: the image side in open_clip's names, with the prefix "visual.".
        vision: open_clip's `vision_cfg`.
        image_size: height and width of the images.
        act_layer: "gelu" or "quick_gelu".

    Raises:
        ModelError: timm cannot hold these tensors.
    """
    width, patch = int(vision["width"]), int(vision["patch_size"])
    options: dict[str, Any] = {
        "embed_dim": width,
        "depth": int(vision["layers"]),
        "num_heads": width // int(vision.get("head_width", 64)),
        "patch_size": patch,
        "mlp_ratio": float(vision.get("mlp_ratio", 4.0)),
        "act_layer": act_layer,
    }
    overlay = {
        "state_dict": dict(tensors),
        "num_classes": len(tensors["visual.proj"][0]),
        "input_size": (3, *image_size),
    }
    given = {"num_classes": overlay["num_classes"], "img_size": image_size, "pretrained_cfg_overlay": overlay}
    try:
        with torch.random.fork_rng(devices=()):
            return (
                _CLIP_VIT,
                options,
                create_module(_CLIP_VIT, pretrained=True, **check_options(options, source="CLIP"), **given),
            )
    except ModelError:
        raise
    except Exception as error:  # timm raises another kind for every tensor that does not fit
        raise ModelError(f"timm cannot hold this vision transformer ({reason_of(error)}).") from error


_CLIP_VIT = "vit_base_patch32_clip_224"
"""The vision transformer of CLIP, of which the other sizes differ in options."""


def module_with_head(
    facts: ModelFacts, backbone: Mapping[str, torch.Tensor], head: Mapping[str, torch.Tensor]
) -> nn.Module:
    """Return timm's network of an architecture with the tensors of a backbone and of a linear head.

    Raises:
        ModelError: the architecture has no linear layer in the place of the head, or other tensors than these.
    """
    size = {"img_size": facts.preprocess.image_size} if has_fixed_size(facts.architecture) else {}
    arguments = {**facts.options, **size, "num_classes": len(facts.classes)}
    with torch.random.fork_rng(devices=()):
        module = create_module(facts.architecture, pretrained=False, **arguments)
    layer = module.get_classifier()  # type: ignore[operator]
    fits = isinstance(layer, nn.Linear) and layer.weight.shape == head["weight"].shape
    found = module.load_state_dict(dict(backbone), strict=False)
    own = {name for name, value in module.named_parameters() if any(value is one for one in layer.parameters())}
    if not fits or found.unexpected_keys or set(found.missing_keys) - own:
        raise ModelError(f"timm's {facts.architecture} has no linear layer in the place of this head.")
    layer.load_state_dict(dict(head))
    return module


def size_options(name: str, image_size: tuple[int, int]) -> dict[str, Any]:
    """Return timm's argument for the size of the images, of a network that has a fixed one; else none."""
    return {"img_size": image_size} if has_fixed_size(name) else {}


def feature_maps(name: str, *, finest: int, options: Mapping[str, Any]) -> tuple[nn.Module, list[int], list[int]]:
    """Return timm's feature extractor with random weights, the channels of its maps and their strides in pixels.

    Args:
        name: timm's name of the network, without a tag.
        finest: smallest stride of a map that is kept.
        options: timm's further arguments.
    """
    whole: Any = timm.create_model(name, features_only=True, pretrained=False, **options)
    used = tuple(place for place, stride in enumerate(whole.feature_info.reduction()) if stride >= finest)
    maps: Any = timm.create_model(name, features_only=True, pretrained=False, out_indices=used, **options)
    return maps, list(maps.feature_info.channels()), list(maps.feature_info.reduction())


def has_fixed_size(name: str) -> bool:
    """Return whether a network takes images of one size only, so that timm needs to know another one."""
    return bool(timm.get_pretrained_cfg_value(name, "fixed_input_size"))


def create_module(name: str, *, pretrained: bool, **options: Any) -> nn.Module:
    """Return a network of timm whose classifier can be replaced.

    Args:
        name: timm's name.
        pretrained: whether timm loads its weights.
        options: timm's further arguments.

    Raises:
        ModelError: it cannot be built for the size of the images, or has no classifier that could be replaced.
    """
    try:
        module: nn.Module = timm.create_model(name, pretrained=pretrained, **options)
    except Exception as error:  # a constructor of timm raises another kind for every size that it cannot have
        size = options.get("img_size")
        if pretrained or size is None:
            raise
        raise ModelError(
            f"{name} cannot be built for images of {size[0]}x{size[1]} px ({reason_of(error)}). Change or leave out "
            "data.image_size, or choose another model."
        ) from error
    if not hasattr(module, "reset_classifier"):
        raise ModelError(f"{name} has no classifier that could be replaced. Choose another model (`tlkit models`).")
    return module
