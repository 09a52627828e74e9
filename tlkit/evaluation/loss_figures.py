"""Means of losses over images, whose intervals allow for errors that hardly occurred."""

from __future__ import annotations

import math

from tlkit.arrays import Floats, Ints
from tlkit.predictions import Predictions
from tlkit.stats.calibration import opposite_classes
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.estimate import Estimate
from tlkit.stats.means import mean_by_outcome


def opposite(labelled: Predictions) -> Ints:
    """Return the class with which a right image would be wrong and a wrong one right, shape (N,).

    Args:
        labelled: images with labels and probabilities.
    """
    assert labelled.proba is not None, "the opposite class needs probabilities"
    return opposite_classes(labelled.proba, labelled.y_true, labelled.y_pred)


def mean_loss(
    labelled: Predictions,
    losses: Floats,
    otherwise: Floats,
    units: Units | None,
    confidence: float,
    *,
    lowest: float = 0.0,
    highest: float = math.inf,
) -> Estimate:
    """Return the mean loss with the interval of `mean_by_outcome`; the mean alone where clusters are too few for one.

    Args:
        labelled: images with labels.
        losses: one per image, shape (N,).
        otherwise: the losses if the right images were wrong and the wrong ones right, shape (N,).
        units: weights and clusters; None = independent images of equal weight.
        confidence: two-sided level, in (0, 1).
        lowest: the smallest loss possible.
        highest: the largest loss possible.
    """
    return mean_by_outcome(losses, ~labelled.correct, otherwise, units, confidence, lowest=lowest, highest=highest)
