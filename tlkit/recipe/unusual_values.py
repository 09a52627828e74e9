"""Settings that are allowed and that nobody uses: a recipe with one of them is warned of, and not refused.

Each limit lies beyond what is published, or where arithmetic ends; a slip such as 30 for 3e-3 lies far outside.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlkit.recipe.schema import Recipe
    from tlkit.recipe.sections.train_section import TrainSection

logger = logging.getLogger(__name__)

LARGEST_RATE = 1.0
"""Of adam, adamw and rmsprop, which move every weight by about the learning rate at each step, whatever the gradient
(Kingma & Ba 2015, section 2.1); the weights of a network are smaller than that."""
LARGEST_SGD_RATE = 100.0
"""Of sgd, whose step shrinks with the gradient: 30 is published for a classifier on frozen features (the linear
protocol of MoCo, He et al. 2020), 3.2 for a whole network in batches of 8,192 (Goyal et al. 2017)."""
SMALLEST_RATE = 1e-8
"""Below, a step is lost: half a unit in the last place of a float32 weight of 0.1 is 4e-9."""
LARGEST_DECAY = 1.0
"""Published recipes end at about 0.4 for adamw (DINO, Caron et al. 2021), and at 5e-4 for sgd."""
LARGEST_SMOOTHING = 0.5
"""0.1 is usual (Szegedy et al. 2016, section 7); above, most of every target is what the image does not show."""
LARGEST_WARMUP = 0.5
"""Share of the epochs: 5 of 90 is usual (Goyal et al. 2017)."""
LARGEST_MOMENTUM = 0.999
"""The largest that Sutskever et al. 2013 try: the mean of the last 1,000 steps."""
LARGEST_GAMMA = 10.0
"""Lin et al. 2017 try 0 to 5 (table 1b)."""
LARGEST_DROPOUT = 0.9
"""Srivastava et al. 2014 drop up to a half of a hidden layer; here nine of ten features are gone at every step."""


def warn_of_unusual(recipe: Recipe) -> None:
    """Say in the log which settings of a recipe are far outside what anybody uses."""
    for sentence in unusual_settings(recipe):
        logger.warning("%s", sentence)


def unusual_settings(recipe: Recipe) -> tuple[str, ...]:
    """Return a sentence for each setting that is far outside what anybody uses; empty where there is none."""
    found = [*_of_training(recipe.train)] if getattr(recipe.strategy, "head", "linear") == "linear" else []
    if recipe.model.drop_rate > LARGEST_DROPOUT:
        rate = f"{recipe.model.drop_rate:g}"
        found.append(f"model.drop_rate is {rate}: hardly a feature reaches the classifier. Usual is 0 to 0.5.")
    return tuple(found)


def _of_training(train: TrainSection) -> Iterator[str]:
    rate, largest = train.learning_rate, LARGEST_SGD_RATE if train.optimizer == "sgd" else LARGEST_RATE
    tune = "`tlkit recipe tune` suggests one for these images."
    if rate > largest:
        yield (
            f"train.learning_rate is {rate:g}, far above what is used with {train.optimizer}: training will hardly "
            f"converge. {tune}"
        )
    elif rate < SMALLEST_RATE:
        yield f"train.learning_rate is {rate:g}, so small that hardly a weight will change. {tune}"
    if train.weight_decay > LARGEST_DECAY:
        yield (
            f"train.weight_decay is {train.weight_decay:g}, far above what is used: it pulls the weights to 0 faster "
            "than they learn. Usual is 0 to 0.1."
        )
    if train.label_smoothing > LARGEST_SMOOTHING:
        yield (
            f"train.label_smoothing is {train.label_smoothing:g}, which leaves the true class the smaller part of its "
            "own target. Usual is 0 to 0.2."
        )
    if train.schedule != "one_cycle" and train.warmup_epochs > LARGEST_WARMUP * train.epochs:
        yield (
            f"train.warmup_epochs is {train.warmup_epochs:g} of {train.epochs} epochs: most of the training goes by "
            "before the learning rate is reached. Usual is a tenth at most."
        )
    if train.momentum > LARGEST_MOMENTUM and train.optimizer in ("sgd", "rmsprop"):
        yield (
            f"train.momentum is {train.momentum:g}: each step follows the mean of the last "
            f"{1 / (1 - train.momentum):,.0f}. Usual is 0.9."
        )
    if train.focal_gamma > LARGEST_GAMMA and train.loss == "focal":
        yield f"train.focal_gamma is {train.focal_gamma:g}, so that hardly an image counts. Usual is 0.5 to 5."
