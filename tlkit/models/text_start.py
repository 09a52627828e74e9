"""Training that starts from the class names of a stored zero-shot model: `strategy.head: text`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from tlkit.errors import ModelError, first_few
from tlkit.models.model_files import read_model_facts, read_tensors
from tlkit.models.model_format import FACTS_FILE, TENSORS_FILE
from tlkit.models.network import Network
from tlkit.models.weights.weight_sources import parse_source

KIND = "text"
"""What the facts of a stored model say of a head that is made of class names."""
MAKE_ONE = "Make one: tlkit zero-shot CLASSES.txt FOLDER --model MODEL --store FOLDER."


def start_from_text(network: Network, weights: str, classes: Sequence[str]) -> None:
    """Set the linear head of a network to that of a stored zero-shot model, matched by the names of the classes.

    Args:
        network: the network, whose backbone has the weights of the stored model.
        weights: `file:FOLDER/model.safetensors` or `run:FOLDER`, as in `model.weights`.
        classes: classes of the network, in its order.

    Raises:
        ModelError: the weights are no such model, or it lacks one of the classes.
    """
    stored = _folder_of(weights)
    facts = read_model_facts(stored)
    if facts.head.get("kind") != KIND:
        raise ModelError(f"strategy.head is text, but the head of {stored} is not made of class names. {MAKE_ONE}")
    missing = [name for name in classes if name not in facts.classes]
    if missing:
        raise ModelError(
            f"strategy.head is text, but {stored} has no words for {len(missing)} of the classes: "
            f"{first_few(missing)}. It has {first_few(facts.classes)}. Add them to the class names, and store the "
            "model anew."
        )
    rows = torch.tensor([facts.classes.index(name) for name in classes])
    tensors = read_tensors(stored)
    assert isinstance(network.head, nn.Linear), "a network in training has a linear head"
    with torch.no_grad():
        network.head.weight.copy_(tensors["head.weight"][rows])
        network.head.bias.copy_(tensors["head.bias"][rows])


def _folder_of(weights: str) -> Path:
    """Return the folder of the stored model that weights come from.

    Raises:
        ModelError: they come from elsewhere.
    """
    kind, location = parse_source(weights)
    path = Path(location).expanduser()
    if kind == "run":
        return path if (path / FACTS_FILE).is_file() else path / "model"
    if kind == "file" and path.name == TENSORS_FILE:
        return path.parent
    raise ModelError(
        f"strategy.head is text, but model.weights is {weights}, which has no class names. Use "
        f"file:FOLDER/{TENSORS_FILE} of a stored zero-shot model. {MAKE_ONE}"
    )
