"""What a `Classifier` takes from the data module of its trainer: the numbers' scale, the masks, the shares."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from tlkit.choices import TrainedTask
from tlkit.errors import ModelError
from tlkit.mask_classes import MaskClasses
from tlkit.models.mask_decoder import DecoderFacts
from tlkit.samples import Samples

if TYPE_CHECKING:
    from tlkit.lightning import pl

logger = logging.getLogger(__name__)


def samples_of(trainer: pl.Trainer) -> Samples | None:
    """Return the images of a trainer's data module; None where it has no table of them."""
    samples = getattr(trainer.datamodule, "samples", None)  # type: ignore[attr-defined]
    return samples if isinstance(samples, Samples) else None


def require_same_task(task: TrainedTask, samples: Samples) -> None:
    """Check that the labels of images are those of a classifier's task.

    Raises:
        ModelError: they are not.
    """
    if samples.task != task:
        raise ModelError(
            f"The images of the data module have the labels of task {samples.task}, and the classifier's task is "
            f'{task}. Pass task="{samples.task}" to the Classifier, or task="{task}" to the ListOptions of the data.'
        )


def decoder_of_data(decoder: DecoderFacts, masks: MaskClasses | None) -> DecoderFacts:
    """Return a decoder's facts with the numbers that stand for the classes in the masks of the data.

    Raises:
        ModelError: the decoder states others.
    """
    if masks is None:
        return decoder
    given, own = (decoder.values, decoder.void), (masks.values, masks.void)
    if decoder.values and given != own:
        raise ModelError(
            f"The decoder states the numbers {given[0]} of the classes in masks, and {given[1]} for void, but the data "
            f"module's masks have {own[0]} and {own[1]}. Leave out values and void: they come from the data module."
        )
    return replace(decoder, values=masks.values, void=masks.void)


def shares_of_annotators(train: Samples) -> torch.Tensor | None:
    """Return the shares of the classes among each training image's annotators (N, C), logged; None without any."""
    shares = train.label_shares
    if shares is None:
        return None
    logger.info(
        "Soft labels: the annotators of %d of %d training images disagree; their shares are the targets (the "
        "majority's label has %.3g on average). Evaluation takes the majority's label.",
        (shares.max(axis=1) < 1).sum(),
        len(train),
        float(shares.max(axis=1).mean()),
    )
    return torch.from_numpy(shares)
