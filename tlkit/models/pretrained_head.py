"""Networks with the head that their pretrained weights have, and the names of its classes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tlkit.choices import WEIGHTS
from tlkit.errors import DataError, ModelError, did_you_mean, first_few
from tlkit.models.model_files import ModelFacts
from tlkit.models.network import Network
from tlkit.models.pretrained_modules import load_module
from tlkit.models.timm_facts import feature_width
from tlkit.models.weights.weight_files import WeightsFacts, tensors_digest
from tlkit.spelling import known_name, normal_form
from tlkit.timm import ImageNetInfo, infer_imagenet_subset

logger = logging.getLogger(__name__)

LARGEST_ERROR = 1e-4
"""Largest difference of a logit, relative to the largest one, by which a head may miss timm's own output."""


@dataclass(frozen=True)
class PretrainedNetwork:
    """A network with the head of its pretrained weights.

    Attributes:
        network: images to logits.
        facts: classes, preprocessing and origin, as those of a stored model.
        other_names: other names of the classes by the class name: WordNet's number, all of its words.
        digest: sha256 (hex) of all tensors, head included.
    """

    network: Network
    facts: ModelFacts
    other_names: Mapping[str, tuple[str, ...]]
    digest: str


def load_pretrained(
    name: str, *, weights: str = WEIGHTS, image_size: tuple[int, int] | None = None
) -> PretrainedNetwork:
    """Return a network with the head of its pretrained weights, for prediction without training.

    Args:
        name: timm's name, with or without a tag.
        weights: as for `create_backbone`; `none` and `run:PATH` have no such head.
        image_size: height and width in pixels; default: those of the weights.

    Raises:
        ModelError: the weights are not available, have no head, or one whose classes have no names; or it is more than
            a linear layer on the features.
    """
    loaded = load_module(name, weights=weights, image_size=image_size)
    if not loaded.has_head:
        raise ModelError(
            f"The weights {weights} of {name} have no head, so they predict no classes. Train one: tlkit fit RECIPE."
        )
    classes, other_names = _class_names(loaded.module, name)
    network = _with_linear_head(loaded.module, loaded.preprocess.image_size, name)
    digest = tensors_digest(network.backbone.state_dict())
    given = WeightsFacts(source=weights, origin=loaded.origin, digest=digest, license=loaded.license)
    if given.non_commercial:
        logger.warning("The weights of %s are licensed %s: no commercial use.", loaded.origin, loaded.license)
    facts = ModelFacts(loaded.architecture, classes, loaded.preprocess, 0.0, given, loaded.options)
    return PretrainedNetwork(network.eval(), facts, other_names, tensors_digest(network.state_dict()))


def match_classes(
    labels: Sequence[str], classes: Sequence[str], other_names: Mapping[str, tuple[str, ...]], given: Mapping[str, str]
) -> dict[str, str]:
    """Return the class of each label, by its name or another name of it.

    Case, and "_" for a blank, do not matter. A word that several classes have is none of them.

    Args:
        labels: names, such as those of class folders.
        classes: the class names.
        other_names: as `PretrainedNetwork` has them.
        given: classes that the user states, by label; they may be stated by another name too.

    Raises:
        DataError: labels are no class; all of them at once, with the nearest names.
    """
    own = {plain_name(name): name for name in classes}
    further = Counter(plain_name(word) for words in other_names.values() for word in {*map(plain_name, words)})
    words = [(plain_name(word), name) for name, some in other_names.items() for word in some]
    known = {word: name for word, name in words if further[word] == 1} | own
    given = {known_name(label, labels): name for label, name in given.items()}
    unused = [label for label in given if label not in labels]
    problems = [f"There is no label {label!r} to state a class for. There are {first_few(labels)}." for label in unused]
    found = {}
    for label in labels:
        stated = given.get(label, label)
        if plain_name(stated) in known:
            found[label] = known[plain_name(stated)]
        else:
            problems.append(
                f"The model has no class {stated!r}.{did_you_mean(stated, known)} State the class of the label: "
                f"--class {label}=NAME."
            )
    if problems:
        raise DataError(*problems)
    return found


def plain_name(name: str) -> str:
    """Return a name that is equal for two names of one class: case, white space and "_" for a blank do not matter.

    Example:
        >>> plain_name("Sea_Lion ")
        'sea lion'
    """
    return " ".join(normal_form(name).replace("_", " ").lower().split())


def _class_names(module: nn.Module, name: str) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return the class names in the order of the outputs, and other names of each.

    They are those that the weights state, or those of the set of ImageNet that has as many classes, by timm's table.
    """
    cfg: Mapping[str, Any] = getattr(module, "pretrained_cfg", {})
    outputs = int(module.num_classes)  # type: ignore[arg-type]
    stated = cfg.get("label_names")
    if stated and len(stated) == outputs and len(set(stated)) == outputs:
        words = cfg.get("label_descriptions") or {}
        return tuple(map(str, stated)), {str(label): (str(words[label]),) for label in stated if label in words}
    subset = infer_imagenet_subset({"num_classes": outputs})
    if subset is None:
        raise ModelError(
            f"The head of {name} has {outputs} classes without names: it is of no set of ImageNet that timm knows. "
            "Train a head of your own classes: tlkit fit RECIPE."
        )
    table = ImageNetInfo(subset)
    ids = [table.index_to_label_name(index) for index in range(outputs)]
    lemmas = [table.index_to_description(index) for index in range(outputs)]
    names = _distinct([text.split(", ")[0] for text in lemmas], lemmas, ids)
    others = zip(names, ids, lemmas, strict=True)
    return names, {label: (number, text, *text.split(", ")) for label, number, text in others}


def _distinct(*choices: Sequence[str]) -> tuple[str, ...]:
    """Return for each class the first of its names that no other class has as the same choice."""
    counts = [Counter(names) for names in choices]
    return tuple(_first_unique(names, counts) for names in zip(*choices, strict=True))


def _first_unique(names: Iterable[str], counts: Sequence[Counter[str]]) -> str:
    return next(name for name, count in zip(names, counts, strict=True) if count[name] == 1)


def _with_linear_head(module: nn.Module, image_size: tuple[int, int], name: str) -> Network:
    """Return the backbone with timm's own head as its linear layer, after a check that the outputs are the same."""
    module = module.eval()
    images = torch.rand(2, 3, *image_size, generator=torch.Generator().manual_seed(0))
    head = module.get_classifier()  # type: ignore[operator]
    with torch.random.fork_rng(devices=()), torch.no_grad():
        expected = module(images)
        if isinstance(head, nn.Linear):
            weight, bias = head.weight.detach().clone(), None if head.bias is None else head.bias.detach().clone()
            module.reset_classifier(0)  # type: ignore[operator]
            width = feature_width(module, image_size, name)
            network = Network(module, num_features=width, num_classes=len(weight)).eval()
            if network.head.weight.shape == weight.shape:
                network.head.load_state_dict(
                    {"weight": weight, "bias": torch.zeros(len(weight)) if bias is None else bias}
                )
                error = (network(images) - expected).abs().max() / expected.abs().max().clamp(min=1e-12)
                if float(error) <= LARGEST_ERROR:
                    return network
    raise ModelError(
        f"The head of {name} is more than a linear layer on its features, which is not read here. Train a head: "
        "tlkit fit RECIPE."
    )
