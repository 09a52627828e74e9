"""Out-of-fold predictions: each image predicted by a head that was fitted on the other folds."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tlkit.arrays import Floats
from tlkit.choices import FOLDS, HEAD, REPEATS, SEED
from tlkit.features.folds import Folds, assign_folds, warn_rare_classes
from tlkit.features.heads.fit_head import (
    ClassWeight,
    cross_validate,
    image_weights,
    out_of_fold_scores,
    validate_features,
    validate_kind,
    validate_number,
)
from tlkit.features.heads.head import Features
from tlkit.features.heads.head_kinds import HeadKind, Settings
from tlkit.predictions import Predictions
from tlkit.stats.temperature import fit_temperature, probabilities


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Predictions of every image by heads fitted without it, without its copies and without its group.

    Attributes:
        predictions: one row per image, probabilities averaged over the repeats.
        proba: of each repeat, shape (R, N, C).
        folds: the fold of each image.
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
    kind: HeadKind = HEAD,
    folds: int = FOLDS,
    repeats: int = REPEATS,
    seed: int = SEED,
    digests: Sequence[str] | None = None,
    groups: Sequence[Hashable | None] | None = None,
    class_weight: ClassWeight = None,
    group_table: pd.DataFrame | None = None,
) -> OutOfFold:
    """Return the out-of-fold predictions of every image.

    Folds are stratified, and depend on seed, paths, labels and groups only (`assign_folds`). The setting is the one
    with the smallest log loss over the first repeat's folds; each repeat has its own temperature. A class that is
    absent from the training part of a fold has probability 0 there; the only image of a class always has.

    Arguments as in `fit_head`; `paths` are N different texts, `digests` the sha256 of each file, so that copies share a
    fold ("" = unknown). `repeats` are repeats of the cross-validation, each with other folds. `group_table` has N rows:
    the group columns of the predictions.

    Raises:
        DataError: the features are no finite matrix, or the images are too few.
        ModelError: the kind is unknown, takes no class weights, or takes fewer images.
    """
    validate_kind(kind, class_weight)
    x, codes = validate_features(x, y, classes)
    validate_number(kind, len(x))
    assigned = assign_folds(paths, codes, folds=folds, repeats=repeats, seed=seed, groups=groups, digests=digests)
    warn_rare_classes(assigned, classes)
    first = cross_validate(
        x, codes, kind=kind, classes=classes, fold=assigned.assignments[0], seed=seed, class_weight=class_weight
    )
    settings, weights = first.chosen.settings, image_weights(codes, classes, class_weight)
    parts = [first.proba]
    for fold in assigned.assignments[1:]:
        (scores,) = out_of_fold_scores(
            kind, x, codes, [settings], fold, classes=len(classes), weights=weights, seed=seed
        )
        parts.append(probabilities(scores, fit_temperature(scores, codes, weights=weights)))
    proba = np.stack(parts)
    predictions = Predictions.build(
        classes=classes,
        path=paths,
        y_true=codes,
        proba=proba.mean(axis=0),
        groups=group_table,
        source="out of fold",
        verbatim=True,
    )
    return OutOfFold(predictions, proba, assigned, kind, settings)
