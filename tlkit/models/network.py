"""`Network`: a backbone, dropout and one linear head, as it is trained and stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tlkit.errors import ModelError
from tlkit.models.box_head import BoxHead, box_parts, channels_of
from tlkit.models.cuts import Parts
from tlkit.models.mask_decoder import DecoderFacts, MaskDecoder, mask_parts
from tlkit.models.model_files import REMEDY, ModelFacts, read_model_facts, read_tensors
from tlkit.models.model_format import FACTS_FILE
from tlkit.models.task_heads import MulticlassHead, TaskHead, task_head
from tlkit.models.timm_modules import bare_backbone
from tlkit.stats.logit_scaling import SMALLEST, LogitScaling
from tlkit.stored_values import damaged

HEAD_INIT_STD = 0.01
LOWEST_LOG = math.log(SMALLEST)


class ScoredHead(nn.Module):
    """A scikit-learn head: features (B, D) to log probabilities (B, C). It has no gradients; torch cannot export it.

    Attributes:
        predict_proba: maps features (B, D) to probabilities (B, C).
        in_features: D.
    """

    def __init__(
        self, predict_proba: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]], *, in_features: int
    ) -> None:
        super().__init__()
        self.predict_proba = predict_proba
        self.in_features = in_features

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return log probabilities, shape (B, C); -inf for a class of probability 0."""
        proba = self.predict_proba(features.detach().float().cpu().numpy())
        return torch.from_numpy(proba).log().float().to(features.device)


class _Suffixes:
    """The suffixes of a network's backbone, built when first used; a copy of the network builds its own."""

    def __init__(self) -> None:
        self._by_cut: dict[str, nn.Module] = {}

    def __deepcopy__(self, memo: dict[int, object]) -> _Suffixes:
        return _Suffixes()

    def of(self, backbone: nn.Module, after: str) -> nn.Module:
        """Return the modules above a cut, shared with the backbone."""
        if after not in self._by_cut:
            self._by_cut[after] = Parts(backbone).suffix(after)
        return self._by_cut[after]


class CalibratedLogits(nn.Module):
    """Rescales logits (B, C) as a `LogitScaling` says; the numbers are not part of the state dict.

    Vector scaling works on log probabilities, since a constant added to logits must not matter.
    """

    scale: torch.Tensor
    offset: torch.Tensor

    def __init__(self, scaling: LogitScaling) -> None:
        super().__init__()
        self.normalize = scaling.method == "vector"
        self.register_buffer("scale", torch.tensor(scaling.scale, dtype=torch.float32), persistent=False)
        self.register_buffer("offset", torch.tensor(scaling.offset or (0.0,), dtype=torch.float32), persistent=False)

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        """Return rescaled logits, shape (B, C)."""
        scores = logits.float()
        if self.normalize:
            scores = torch.log_softmax(scores, dim=1).clamp_min(LOWEST_LOG)
        return scores * self.scale + self.offset


class Network(nn.Module):
    """A backbone with a head: normalized images (B, 3, H, W), or their features (B, D), to logits (B, C).

    Another task than one class for each image has logits (B, K) of its own (see `TaskHead`). For segmentation the
    backbone is a `MaskEncoder`, the head a `MaskDecoder`, and logits are (B, C, H, W); for detection the head is a
    `BoxHead`, and in place of logits there are boxes (B, 100, 6).

    The head is not timm's, so its dropout and initialization are the same for every architecture. timm's EfficientNet
    draws a new head from U(±1/√C): a standard deviation of 0.41 for two classes.

    Attributes:
        backbone: (B, 3, H, W) to (B, D) pooled features.
        head: (B, D) to (B, C); a linear layer, or a `ScoredHead`, `MaskDecoder` or `BoxHead` in its place.
        task: what the logits say.
        calibration: rescales the logits of a stored model; None = not at all, as in training.
    """

    head: nn.Linear | ScoredHead | MaskDecoder | BoxHead
    calibration: CalibratedLogits | None

    def __init__(
        self,
        backbone: nn.Module,
        *,
        num_features: int,
        num_classes: int,
        drop_rate: float = 0.0,
        task: TaskHead = MulticlassHead(),  # noqa: B008  # frozen
        head: MaskDecoder | BoxHead | None = None,
    ) -> None:
        super().__init__()
        self.task = task
        self.backbone = backbone
        self.dropout = nn.Dropout(drop_rate) if head is None else nn.Identity()
        self.head = nn.Linear(num_features, task.outputs(num_classes)) if head is None else head
        self._suffixes = _Suffixes()
        self.calibration = None

    def init_head(self, seed: int) -> None:
        """Initialize the head: weights from N(0, 0.01²) by a generator of this seed, zero biases; or a decoder."""
        if isinstance(self.head, MaskDecoder | BoxHead):
            self.head.init(seed)
            return
        generator = torch.Generator().manual_seed(seed)
        assert isinstance(self.head, nn.Linear), "a scikit-learn head is not trained"
        nn.init.normal_(self.head.weight, std=HEAD_INIT_STD, generator=generator)
        nn.init.zeros_(self.head.bias)

    def calibrate(self, scaling: LogitScaling | None) -> None:
        """Rescale logits from now on, or no longer."""
        self.calibration = None if scaling is None else CalibratedLogits(scaling).to(next(self.parameters()).device)

    def scores(self, images: torch.Tensor, after: str = "") -> torch.Tensor:
        """Return what the logits of images or features say: probabilities (B, C), or numbers (B, 1), in float32."""
        return self.task.scores(self(images, after).float())

    def forward(self, images: torch.Tensor, after: str = "") -> torch.Tensor:
        """Return logits, shape (B, C); calibrated if the network is.

        Args:
            images: normalized images (B, 3, H, W), their features (B, D), or activations of a frozen prefix.
            after: name of the module whose output the activations are; "" for images and features.
        """
        if after:
            features = self._suffixes.of(self.backbone, after)(images)
        else:
            features = images if images.ndim == 2 else self.backbone(images)
        if isinstance(self.head, BoxHead):
            return cast(torch.Tensor, self.head(features, images.shape[-2:]))
        logits: torch.Tensor = self.head(self.dropout(features))
        return logits if self.calibration is None else self.calibration(logits)

    def box_loss(self, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch of images (B, 3, H, W) with true boxes (B, M, 5), of a detector; see `BoxHead`."""
        assert isinstance(self.head, BoxHead), "only a detector is trained on boxes"
        return self.head.loss(self.backbone(images), (images.shape[2], images.shape[3]), targets)


def load_network(folder: Path, *, head: ScoredHead | None = None) -> tuple[Network, ModelFacts]:
    """Return a stored model, in evaluation mode.

    Args:
        folder: the folder with `model.safetensors` and `model.json`.
        head: the scikit-learn head of a model whose facts name its file; `tlkit.load_model` reads it.

    Raises:
        ModelError: there is no stored model, its parts do not match, or its scikit-learn head is not given.
    """
    facts, tensors = read_model_facts(folder), read_tensors(folder)
    if facts.task == "segmentation":
        return _load_mask_network(folder, facts, tensors), facts
    if facts.task == "detection":
        return _load_box_network(folder, facts, tensors), facts
    task = task_head(facts.task, scale=facts.target_scale, quantiles=facts.quantiles)
    if facts.head_file is None:
        head, weight = None, tensors.get("head.weight")
        if weight is None or weight.shape[0] != task.outputs(len(facts.classes)):
            raise ModelError(f"{folder}: the tensors do not match the {len(facts.classes)} classes in {FACTS_FILE}.")
        num_features = weight.shape[1]
    elif head is None:
        raise ModelError(
            f"The head of {folder} is of kind {facts.head.get('kind')}, which is not a layer of the network. Use "
            "tlkit.load_model to predict with it."
        )
    else:
        num_features = head.in_features
    with torch.random.fork_rng(devices=()):  # building a network draws weights, which the stored ones replace
        size, stored = facts.preprocess.image_size, sum(tensor.numel() for tensor in tensors.values())
        with damaged(folder / FACTS_FILE, error=ModelError, remedy=REMEDY):
            backbone = bare_backbone(facts.architecture, image_size=size, options=facts.options, most=stored)
        network = Network(
            backbone, num_features=num_features, num_classes=len(facts.classes), drop_rate=facts.drop_rate, task=task
        )
    if head is not None:
        network.head = head
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"{folder}: the tensors do not fit {facts.architecture} of this timm. {error}") from error
    network.calibrate(facts.calibration)
    return network.eval(), facts


def _load_mask_network(folder: Path, facts: ModelFacts, tensors: Mapping[str, torch.Tensor]) -> Network:
    """Return a stored encoder and decoder, in evaluation mode."""
    stored, size = sum(tensor.numel() for tensor in tensors.values()), facts.preprocess.image_size
    with damaged(folder / FACTS_FILE, error=ModelError, remedy=REMEDY):
        decoder = DecoderFacts.from_dict(facts.decoder)
        decoder.classes(facts.classes)  # raises where numbers and names differ
    encoder, head = mask_parts(
        facts.architecture, decoder, classes=len(facts.classes), image_size=size, options=facts.options, most=stored
    )
    network = Network(encoder, num_features=0, num_classes=len(facts.classes), task=task_head(facts.task), head=head)
    return _with_tensors(network, tensors, folder, facts)


def _load_box_network(folder: Path, facts: ModelFacts, tensors: Mapping[str, torch.Tensor]) -> Network:
    """Return a stored detector, in evaluation mode."""
    stored, size = sum(tensor.numel() for tensor in tensors.values()), facts.preprocess.image_size
    with damaged(folder / FACTS_FILE, error=ModelError, remedy=REMEDY):
        channels = channels_of(facts.decoder)
    encoder, head = box_parts(
        facts.architecture,
        channels=channels,
        classes=len(facts.classes),
        image_size=size,
        options=facts.options,
        most=stored,
    )
    network = Network(encoder, num_features=0, num_classes=len(facts.classes), task=task_head(facts.task), head=head)
    return _with_tensors(network, tensors, folder, facts)


def _with_tensors(network: Network, tensors: Mapping[str, torch.Tensor], folder: Path, facts: ModelFacts) -> Network:
    """Return a network with stored tensors, in evaluation mode."""
    try:
        network.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise ModelError(f"{folder}: the tensors do not fit {facts.architecture} of this timm. {error}") from error
    return network.eval()
