"""Checks of what a `Classifier` is built from: its backbone, its classes, and the data module of its trainer."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tlkit.choices import TrainedTask
from tlkit.errors import ModelError, first_few
from tlkit.models.backbone import Backbone, create_backbone
from tlkit.models.box_head import box_parts_of
from tlkit.models.mask_decoder import DecoderFacts, mask_parts_of
from tlkit.models.model_files import ModelFacts
from tlkit.models.network import Network
from tlkit.models.task_heads import MulticlassHead, TaskHead
from tlkit.preprocess import Preprocess
from tlkit.recipe import Recipe, plain_values

if TYPE_CHECKING:
    import torch

    from tlkit.lightning import pl

logger = logging.getLogger(__name__)

NO_CLASSES = (
    "The classes of the classifier are not known yet. Pass classes=[...], or train it with a data module that has "
    "`classes`, such as ImageFolderDataModule."
)


def require_classes(
    classes: Sequence[str], weights: Mapping[str, float] | None, counts: Mapping[str, int] | None, *, least: int = 2
) -> None:
    """Check the class names, of which there must be `least`, and that weights and counts are of these classes.

    Raises:
        ModelError: they are not.
    """
    names = [classes] if isinstance(classes, str) else list(classes)
    if len(names) < least or len(set(names)) != len(names):
        many = "two or more" if least == 2 else "one or more"
        raise ModelError(f"A classifier needs {many} different class names. Got {names} instead.")
    if weights is not None and set(weights) != set(names):
        raise ModelError(f"class_weights must name each class once. Got {sorted(weights)} for classes {sorted(names)}.")
    if weights is not None and not all(0 < weight < math.inf for weight in weights.values()):
        raise ModelError(f"class_weights must be numbers above 0. Got {dict(weights)}.")
    if counts is not None and (set(counts) != set(names) or min(counts.values()) < 1):
        raise ModelError(f"class_counts must give each class 1 or more images. Got {dict(counts)}.")


def classes_of(trainer: pl.Trainer) -> tuple[str, ...] | None:
    """Return the class names of a trainer's data module in target order; None where there are none."""
    names = getattr(trainer.datamodule, "classes", None)  # type: ignore[attr-defined]
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)


def require_same_classes(classes: Sequence[str], of_data: Sequence[str]) -> None:
    """Check that a classifier's targets are those of its data.

    Raises:
        ModelError: they are not.
    """
    if tuple(classes) != tuple(of_data):
        raise ModelError(
            f"The classes of the classifier are {first_few(classes)}, in this order, but those of the data module are "
            f"{first_few(of_data)}, so targets would mean other classes. Leave out `classes`, or load the data of "
            "these classes."
        )


def warn_of_preprocessing(preprocess: Preprocess, trainer: pl.Trainer) -> None:
    """Log how a trainer's data module prepares images otherwise than the backbone expects."""
    other = getattr(trainer.datamodule, "preprocess", None)  # type: ignore[attr-defined]
    if not isinstance(other, Preprocess) or other == preprocess:
        return
    ours, theirs = preprocess.to_dict(), other.to_dict()
    logger.warning(
        "The data module prepares images otherwise than the backbone expects (it differs in %s), and the stored model "
        "would predict with the backbone's. Pass preprocess=classifier.preprocess to the data module.",
        ", ".join(name for name in ours | theirs if ours.get(name) != theirs.get(name)),
    )


def require_whole_checkpoint(
    stored: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], *, frozen: Mapping[str, torch.Tensor]
) -> None:
    """Check that the state of a checkpoint holds the frozen tensors of a classifier.

    Raises:
        ModelError: the checkpoint is that of a run, which holds only the weights that training changes.
    """
    missing = state.keys() - stored.keys()
    if missing and missing <= frozen.keys():
        raise ModelError(
            f"This checkpoint holds only the weights that training changes; {len(missing)} frozen tensors are not in "
            "it. Load the run's model with tlkit.load_model, or continue the run with --resume."
        )


def hyperparameters(
    recipe: Recipe,
    backbone: Backbone,
    *,
    class_weights: Mapping[str, float] | None,
    class_counts: Mapping[str, int] | None,
) -> dict[str, Any]:
    """Return arguments of a classifier as plain values, for checkpoints; of `train` the keys that are stated."""
    sections, stated = plain_values(recipe), recipe.train.model_fields_set
    return {
        "backbone": backbone.to_dict(),
        "classes": None,
        "strategy": sections["strategy"],
        "train": {name: value for name, value in sections["train"].items() if name in stated},
        "class_weights": class_weights and {name: float(weight) for name, weight in class_weights.items()},
        "class_counts": class_counts and {name: int(count) for name, count in class_counts.items()},
    }


def model_facts_of(
    backbone: Backbone, classes: Sequence[str], *, drop_rate: float, head: Mapping[str, Any]
) -> ModelFacts:
    """Return the facts of a stored model; `head` are the facts of a scikit-learn head."""
    return ModelFacts(
        architecture=backbone.name,
        classes=tuple(classes),
        preprocess=backbone.preprocess,
        drop_rate=drop_rate,
        weights=backbone.weights,
        options=backbone.options,
        head=head,
    )


def backbone_of(
    given: str | Backbone | Mapping[str, Any], *, weights: str, task: TrainedTask = "multiclass"
) -> Backbone:
    """Return a backbone by timm's name, itself, or by its mapping in a checkpoint; a detector's crops nothing."""
    if isinstance(given, Backbone):
        found = given
    else:
        found = create_backbone(given, weights=weights) if isinstance(given, str) else Backbone.from_dict(given)
    if task == "detection" and found.preprocess.resize == "crop":
        whole = found.preprocess.replace(resize="letterbox", crop_pct=1.0, decode="full")
        return replace(found, preprocess=whole)
    return found


def decoder_facts(given: DecoderFacts | Mapping[str, Any] | None) -> DecoderFacts:
    """Return what a decoder is built from: as given, its mapping in a checkpoint, or the default."""
    if given is None:
        return DecoderFacts()
    return given if isinstance(given, DecoderFacts) else DecoderFacts.from_dict(given)


def network_of(
    backbone: Backbone,
    classes: int,
    *,
    drop_rate: float = 0.0,
    task: TaskHead = MulticlassHead(),  # noqa: B008  # frozen
    decoder: DecoderFacts = DecoderFacts(),  # noqa: B008  # frozen
) -> Network:
    """Return the network of a task on a backbone: with a linear head, or with a decoder for segmentation or detection.

    Args:
        backbone: the backbone; a decoder's encoder has copies of its weights.
        classes: number of classes, labels or grades.
        drop_rate: dropout before a linear head.
        task: what the network says.
        decoder: of segmentation; of detection its channels alone.

    Raises:
        ModelError: the backbone gives no feature maps that the decoder takes.
        MissingExtraError: segmentation_models_pytorch is not installed.
    """
    if task.task == "detection":
        encoder, boxes = box_parts_of(backbone, channels=decoder.channels, classes=classes)
        return Network(encoder, num_features=0, num_classes=classes, task=task, head=boxes)
    if task.task != "segmentation":
        width = backbone.num_features
        return Network(backbone.module, num_features=width, num_classes=classes, drop_rate=drop_rate, task=task)
    encoder, head = mask_parts_of(backbone, decoder, classes=classes)
    return Network(encoder, num_features=0, num_classes=classes, task=task, head=head)
