"""Files of pretrained weights, read without pickle; digest and licence of weights."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from tlkit.errors import ModelError, first_few
from tlkit.models.weights.weight_sources import require_weights_file

logger = logging.getLogger(__name__)

NON_COMMERCIAL = ("-nc", "noncommercial", "non-commercial", "seer-license", "apple-amlr")


@dataclass(frozen=True)
class WeightsFacts:
    """Facts about the initial weights of a backbone.

    Attributes:
        source: the recipe's `model.weights`, such as "hub".
        origin: a model tag, a file name, a repository or a run.
        digest: sha256 (hex) of the backbone's tensors, which does not depend on the file; see `tensors_digest`.
        license: licence identifier of the source; "unknown" if it states none.
    """

    source: str
    origin: str
    digest: str
    license: str

    @property
    def non_commercial(self) -> bool:
        """Whether the licence is known to forbid commercial use."""
        return any(mark in self.license.lower() for mark in NON_COMMERCIAL)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> WeightsFacts:
        """Read what `dataclasses.asdict` makes of them.

        Raises:
            ValueError: a value is not text.
        """
        facts = cls(**values)
        if not all(isinstance(value, str) for value in asdict(facts).values()):
            raise ValueError("a fact of the weights is not text")
        return facts


def tensors_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the sha256 (hex) over the names, types, shapes and bytes of tensors, in name order.

    Example:
        >>> tensors_digest({"a": torch.zeros(2)}) == tensors_digest({"a": torch.zeros(2)})
        True
        >>> tensors_digest({"a": torch.zeros(2)}) == tensors_digest({"a": torch.zeros(1, 2)})
        False
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Return the state dict in a file of weights; nothing in it can run code.

    Args:
        path: a `.safetensors` file, or a `.pth`/`.pt` file that holds tensors only.

    Raises:
        ModelError: the file is missing, of another kind, damaged, or needs pickle.
    """
    require_weights_file(path)
    try:
        if path.suffix.lower() == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise ModelError(f"model.weights: {path} is damaged or not safetensors ({error}). Fetch it again.") from error
    except Exception as error:  # torch.load raises a different kind for every damage
        raise ModelError(
            f"model.weights: {path} cannot be read as plain tensors ({type(error).__name__}). tlkit never unpickles "
            "code; store the weights as safetensors."
        ) from error
    for key in ("state_dict", "model", "model_state"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise ModelError(f"model.weights: {path} holds no state dict (names to tensors).")
    return {name.removeprefix("module."): tensor for name, tensor in loaded.items()}


def match_by_order(
    tensors: Mapping[str, torch.Tensor], names: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor] | None:
    """Return tensors under a model's names, matched by their order; None if the two do not correspond.

    Weights of the same network are often stored under other module names in the same order. They correspond if their
    numbers are equal and every pair has the same shape and the same last name (`weight`, `bias`, `running_mean`, …).
    Batch counters (`num_batches_tracked`), which some files lack, do not count.

    Args:
        tensors: the state dict of the file, in its order.
        names: the model's state dict, in its order.
    """
    counter = "num_batches_tracked"
    theirs = [(key, value) for key, value in tensors.items() if not key.endswith(counter)]
    ours = [(key, value) for key, value in names.items() if not key.endswith(counter)]
    if len(theirs) != len(ours):
        return None
    for (their_key, their_value), (our_key, our_value) in zip(theirs, ours, strict=True):
        same_role = their_key.rpartition(".")[2] == our_key.rpartition(".")[2]
        if not same_role or their_value.shape != our_value.shape:
            return None
    counters = {key: value for key, value in names.items() if key.endswith(counter)}
    renamed = {our_key: their_value for (_, their_value), (our_key, _) in zip(theirs, ours, strict=True)}
    return {key: renamed.get(key, counters.get(key)) for key in names}  # type: ignore[misc]


MOST_HEAD_TENSORS = 8


def without_head(
    tensors: Mapping[str, torch.Tensor], names: Mapping[str, torch.Tensor], *, origin: str
) -> dict[str, torch.Tensor]:
    """Return the tensors without those of a head at their end, where the others are a model's by order; else all.

    A head is at most `MOST_HEAD_TENSORS` matrices and vectors; what a deeper network adds is more.

    Args:
        tensors: the state dict of the file, in its order.
        names: the state dict of the model without a head.
        origin: name of the file, for the log.
    """
    counter = "num_batches_tracked"
    counted = [name for name in tensors if not name.endswith(counter)]
    own = sum(not name.endswith(counter) for name in names)
    head = counted[own:]
    if not 0 < len(head) <= MOST_HEAD_TENSORS or any(tensors[name].ndim > 2 for name in head):
        return dict(tensors)
    rest = {name: tensor for name, tensor in tensors.items() if name not in head}
    if match_by_order(rest, names) is None:
        return dict(tensors)
    logger.info("%s is loaded without its head: %s.", origin, first_few(head))
    return rest


def load_into(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor], *, origin: str) -> None:
    """Load a complete state dict, by names or by order (see `match_by_order`).

    Raises:
        ModelError: the tensors are of another architecture; the message names the first differences.
    """
    own = module.state_dict()
    if set(tensors) != set(own):
        renamed = match_by_order(tensors, own)
        if renamed is not None:
            logger.debug(
                "%s has other tensor names: all %d tensors are matched by order, role and shape.", origin, len(tensors)
            )
            tensors = renamed
    wrong = [
        f"{name} is {tuple(tensors[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    missing = [name for name in own if name not in tensors and not name.endswith("num_batches_tracked")]
    extra = [name for name in tensors if name not in own]
    if wrong or missing or extra:
        details = "; ".join(
            f"{title}: {first_few(names, most=3)}"
            for title, names in (("missing", missing), ("unknown", extra), ("shape", wrong))
            if names
        )
        raise ModelError(
            f"model.weights: {origin} does not hold the weights of this architecture ({details}). "
            "Use the architecture that they were made for (model.name), or other weights."
        )
    module.load_state_dict(dict(tensors), strict=False)  # only batch counters may be absent by now


def without_prefix(tensors: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the entries whose name starts with `prefix`, without it.

    Example:
        >>> without_prefix({"backbone.conv": 1, "head.weight": 2}, "backbone.")
        {'conv': 1}
    """
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
