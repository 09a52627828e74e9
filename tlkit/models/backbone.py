"""Pretrained backbones by their timm names, with their preprocessing. Beside `timm_modules` a door to timm."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace
from typing import Any

from torch import nn

import tlkit.models.small_networks  # noqa: F401  makes LeNet-5 and AlexNet known to timm
from tlkit.choices import WEIGHTS
from tlkit.errors import ModelError
from tlkit.models.model_names import as_wildcard
from tlkit.models.pretrained_modules import load_module
from tlkit.models.timm_facts import feature_width
from tlkit.models.timm_modules import bare_backbone
from tlkit.models.weights.weight_files import WeightsFacts, tensors_digest
from tlkit.preprocess import Preprocess
from tlkit.timm import group_parameters, timm

logger = logging.getLogger(__name__)


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
            "weights": asdict(self.weights),
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


def create_backbone(name: str, *, weights: str = WEIGHTS, image_size: tuple[int, int] | None = None) -> Backbone:
    """Return a backbone with its weights loaded.

    Args:
        name: timm's name, with or without a tag: "resnet50", "resnet50.a1_in1k".
        weights: `hub` (timm's pretrained weights, from the hub or its cache), `none` (random), `pip:PACKAGE`,
            `file:PATH`, `hf-hub:ORG/REPO` or `run:PATH`.
        image_size: height and width in pixels; default: those of the weights.

    Raises:
        ModelError: the name is unknown, or the weights are not available or do not fit; the message says what to do.
    """
    loaded = load_module(name, weights=weights, image_size=image_size)
    module, preprocess, origin, terms = loaded.module, loaded.preprocess, loaded.origin, loaded.license
    module.reset_classifier(0)  # type: ignore[operator]
    digest = tensors_digest(module.state_dict())
    facts = WeightsFacts(source=weights, origin=origin, digest=digest, license=terms)
    if facts.non_commercial:
        logger.warning("The weights of %s are licensed %s: no commercial use.", origin, terms)
    width = feature_width(module, preprocess.image_size, name)
    return Backbone(
        name=loaded.architecture,
        module=module,
        num_features=width,
        preprocess=preprocess,
        weights=facts,
        options=loaded.options,
    )


def timm_groups(module: nn.Module, *, coarse: bool) -> tuple[dict[str, int], int] | None:
    """Return timm's group of each parameter by name, 0 at the stem, and the group of a classifier on top.

    None where the network has no `group_matcher`, or one that raises, as timm 1.0.26's RDNet.

    Args:
        module: a backbone without its classifier.
        coarse: stages instead of blocks.
    """
    if not hasattr(module, "group_matcher"):
        return None
    classifier = "a classifier on top"  # no pattern matches it, as none matches timm's own classifiers
    names = [name for name, _ in module.named_parameters()]
    whole = SimpleNamespace(named_parameters=lambda: [(name, None) for name in [*names, classifier]])
    try:
        matcher = module.group_matcher(coarse=coarse)  # type: ignore[operator]
        groups: dict[str, int] = group_parameters(whole, matcher, reverse=True)  # type: ignore[arg-type]
    except Exception:  # a missing part is an assertion in one network, an attribute in another
        return None
    return groups, groups.pop(classifier)
