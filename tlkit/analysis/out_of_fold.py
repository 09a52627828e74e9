"""Out-of-fold predictions: what a head says of each image when it has not learnt from it."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.features.folds import Folds, assign_folds, warn_of_scarce
from tlkit.features.heads.fit_head import (
    ClassWeight,
    checked,
    cross_scores,
    cross_validate,
    image_weights,
    require_kind,
)
from tlkit.features.heads.head import Features
from tlkit.features.heads.head_kinds import HeadKind, Settings
from tlkit.features.heads.temperature import fit_temperature, probabilities
from tlkit.predictions import Predictions

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Predictions for every image by heads that had not learnt from it, nor from its copies, nor from its group.

    Attributes:
        predictions: one row per image, probabilities averaged over the repeats.
        proba: of each repeat, shape (R, N, C).
        folds: which fold each image was in.
        kind: of the head.
        settings: of the head, chosen by cross-validation on the first repeat's folds.
    """

    predictions: Predictions
    proba: Floats
    folds: Folds
    kind: HeadKind
    settings: Settings


def out_of_fold(
    x: Features,
    y: npt.ArrayLike,
    *,
    classes: Sequence[str],
    paths: Sequence[str],
    kind: HeadKind = "logistic",
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    digests: Sequence[str] | None = None,
    groups: Sequence[Hashable | None] | None = None,
    class_weight: ClassWeight = None,
    group_table: pd.DataFrame | None = None,
) -> OutOfFold:
    """Predict every image by a head that was fitted on the other folds.

    Folds are stratified, and depend on seed, paths, labels and groups alone (`assign_folds`). The setting is the one
    with the smallest log loss over the first repeat's folds; each repeat has its own temperature. A class that is
    absent from the training part of a fold has probability 0 there, so with one image of a class its own probability
    is 0.

    Args:
        x: features, shape (N, D).
        y: positions in `classes`, shape (N,).
        classes: class names in the order of the columns.
        paths: of the images, N different ones.
        kind: of the head.
        folds: K.
        repeats: how many times to deal the folds anew.
        seed: of the folds and of what is random in trees.
        digests: sha256 of each file, so that copies share a fold; "" = unknown.
        groups: what must not be torn apart by folds, one per image.
        class_weight: as in `fit_head`.
        group_table: group columns to carry along in the predictions, N rows.

    Raises:
        DataError: the features are no finite matrix, or the images are too few.
        ModelError: the kind is unknown, or takes no class weights.
    """
    require_kind(kind, class_weight)
    x, codes = checked(x, y, classes)
    dealt = assign_folds(paths, codes, folds=folds, repeats=repeats, seed=seed, groups=groups, digests=digests)
    warn_of_scarce(dealt, classes)
    first = cross_validate(x, codes, kind=kind, classes=classes, fold=dealt.of[0], seed=seed, class_weight=class_weight)
    settings, weights = first.chosen.settings, image_weights(codes, classes, class_weight)
    parts = [first.proba]
    for fold in dealt.of[1:]:
        (scores,) = cross_scores(kind, x, codes, [settings], fold, classes=len(classes), weights=weights, seed=seed)
        parts.append(probabilities(scores, fit_temperature(scores, codes, weights=weights)))
    proba = np.stack(parts)
    predictions = Predictions.build(
        classes=classes, path=paths, y_true=codes, proba=proba.mean(axis=0), groups=group_table, source="out of fold"
    )
    return OutOfFold(predictions, proba, dealt, kind, settings)
