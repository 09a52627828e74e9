"""Warns of valid settings that are far outside published use, such as a learning rate of 30 for 3e-3.

Each limit lies beyond published values, or where float32 arithmetic ends.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tlkit.choices import TRAINED_HEADS

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe

logger = logging.getLogger(__name__)

LARGEST_RATE = 1.0
"""For adam, adamw and rmsprop, which move every weight by about the learning rate at each step, whatever the gradient
(Kingma & Ba 2015, section 2.1); the weights of a network are smaller than that."""
LARGEST_SGD_RATE = 100.0
"""For sgd, whose step is proportional to the gradient: 30 is published for a classifier on frozen features (the linear
protocol of MoCo, He et al. 2020), 3.2 for a whole network in batches of 8,192 (Goyal et al. 2017)."""
SMALLEST_RATE = 1e-8
"""Below, a step is lost: half a unit in the last place of a float32 weight of 0.1 is 4e-9."""
LARGEST_DECAY = 1.0
"""Published values end at about 0.4 for adamw (DINO, Caron et al. 2021), and at 5e-4 for sgd."""
LARGEST_SMOOTHING = 0.5
"""0.1 is usual (Szegedy et al. 2016, section 7)."""
LARGEST_WARMUP = 0.5
"""Share of the epochs: 5 of 90 is usual (Goyal et al. 2017)."""


def warn_of_unusual(recipe: Recipe) -> None:
    """Log a warning for each setting that is far outside published use."""
    for sentence in unusual_settings(recipe):
        logger.warning("%s", sentence)


def unusual_settings(recipe: Recipe) -> Iterator[str]:
    """Yield a sentence for each setting that is far outside published use."""
    train = recipe.train
    if getattr(recipe.strategy, "head", "linear") not in TRAINED_HEADS:
        return
    largest = LARGEST_SGD_RATE if train.optimizer == "sgd" else LARGEST_RATE
    if not SMALLEST_RATE <= train.learning_rate <= largest:
        yield (
            f"train.learning_rate is {train.learning_rate:g}; {train.optimizer} is used with {SMALLEST_RATE:g} to "
            f"{largest:g}. `tlkit recipe tune` suggests a rate for these images."
        )
    if train.weight_decay > LARGEST_DECAY:
        yield f"train.weight_decay is {train.weight_decay:g}. Usual is 0 to 0.1."
    if train.label_smoothing > LARGEST_SMOOTHING:
        yield f"train.label_smoothing is {train.label_smoothing:g}. Usual is 0 to 0.2."
    if train.schedule != "one_cycle" and train.warmup_epochs > LARGEST_WARMUP * train.epochs:
        yield f"train.warmup_epochs is {train.warmup_epochs:g} of {train.epochs} epochs. Usual is a tenth at most."
