"""Fits a head on features: hyper-parameters by cross-validation, temperature scaling, then a fit on all images."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats, Ints
from tlkit.choices import FOLDS, HEADS_WITHOUT_CLASS_WEIGHTS, MOST_HEAD_IMAGES, SEED
from tlkit.errors import DataError, ModelError, did_you_mean, first_few
from tlkit.features.folds import assign_folds, hash_rows, warn_rare_classes
from tlkit.features.heads.head import ABSENT_BIAS, Features, Head, ScaledEstimator, Trial
from tlkit.features.heads.head_kinds import FACTS, KINDS, HeadKind, Settings
from tlkit.features.heads.linear import FINE_TOLERANCE, TOLERANCE, LinearWeights
from tlkit.features.heads.standardized import Standardized, row_blocks
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson
from tlkit.stats.temperature import fit_temperature, mean_log_loss, probabilities

logger = logging.getLogger(__name__)

ClassWeight = Literal["balanced"] | Mapping[str, float] | None


def fit_head(
    x: Features,
    y: npt.ArrayLike,
    *,
    kind: HeadKind,
    classes: Sequence[str],
    seed: int = SEED,
    class_weight: ClassWeight = None,
    groups: Sequence[Hashable | None] | None = None,
    folds: int | Ints = FOLDS,
) -> Head:
    """Return a head whose settings and temperature were chosen by cross-validation, fitted on all images.

    Features are standardized inside, by the training part of each fold. Of the grid in `FACTS[kind].grid` the setting
    with the smallest out-of-fold log loss is taken, at the temperature that fits those scores (`fit_temperature`); that
    temperature calibrates the head. Images with equal features are copies, and stay in one fold. A class that is absent
    from the training part of a fold has probability 0 there; a class without any image has probability 0 everywhere.

    Args:
        x: features, shape (N, D).
        y: positions in `classes`, shape (N,).
        kind: which head; see `KINDS`.
        classes: class names, C of them; the order of the columns of `predict_proba`.
        seed: of the folds and of what is random in trees.
        class_weight: None = all images count the same, "balanced" = N / (C · N_c) as scikit-learn defines it, or a
            weight above 0 by class name (1 where none is given).
        groups: what must stay in one fold, one per image; None = no group.
        folds: how many, or the fold of each image, shape (N,), as from `assign_folds`.

    Raises:
        ModelError: the kind is unknown, takes no class weights, or takes fewer images.
        DataError: the features are no finite matrix, or the images are too few.
    """
    validate_kind(kind, class_weight)
    x, codes = validate_features(x, y, classes)
    validate_number(kind, len(x))
    fold = resolve_folds(x, codes, classes, folds=folds, groups=groups, seed=seed)
    found = cross_validate(x, codes, kind=kind, classes=classes, fold=fold, seed=seed, class_weight=class_weight)
    return fit_best_setting(x, codes, found, classes=classes, seed=seed, class_weight=class_weight)


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Result of the cross-validation of one kind of head.

    Attributes:
        kind: which kind.
        trials: every setting of the grid.
        best: the position of the one with the smallest log loss.
        proba: its calibrated out-of-fold probabilities, shape (N, C).
        accuracy: out of fold, with Wilson's interval.
    """

    kind: HeadKind
    trials: tuple[Trial, ...]
    best: int
    proba: Floats
    accuracy: Estimate

    @property
    def chosen(self) -> Trial:
        """The setting with the smallest log loss."""
        return self.trials[self.best]


def cross_validate(
    x: Features, y: Ints, *, kind: HeadKind, classes: Sequence[str], fold: Ints, seed: int, class_weight: ClassWeight
) -> CrossValidation:
    """Return the cross-validation of every setting of a kind's grid on the given folds; see `fit_head`.

    `x` (N, D), `y` (N,) positions in `classes`, `fold` (N,); each image is predicted by a head fitted on other folds.

    Raises:
        ModelError: `class_weight` names an unknown class.
    """
    weights = image_weights(y, classes, class_weight)
    grid = FACTS[kind].grid
    scores = out_of_fold_scores(kind, x, y, grid, fold, classes=len(classes), weights=weights, seed=seed)
    best, trials = _score_trials(scores, y, grid, weights)
    proba = probabilities(scores[best], trials[best].temperature)
    hits = int((proba.argmax(axis=1) == y).sum())
    return CrossValidation(kind, trials, best, proba, wilson(hits, len(y)))


def fit_best_setting(
    x: Features, y: Ints, validation: CrossValidation, *, classes: Sequence[str], seed: int, class_weight: ClassWeight
) -> Head:
    """Return a head with the best setting and temperature of a cross-validation, fitted on all images.

    `x` (N, D), `y` (N,) positions in `classes`; `validation` comes from the same images.

    Raises:
        ModelError: `class_weight` names an unknown class.
        DataError: the features are no finite matrix.
    """
    chosen = validation.chosen
    head = fit_setting(
        x,
        y,
        kind=validation.kind,
        classes=classes,
        settings=chosen.settings,
        temperature=chosen.temperature,
        seed=seed,
        class_weight=class_weight,
    )
    return replace(
        head, trials=validation.trials, out_of_fold=validation.proba, out_of_fold_accuracy=validation.accuracy
    )


def fit_setting(
    x: Features,
    y: npt.ArrayLike,
    *,
    kind: HeadKind,
    classes: Sequence[str],
    settings: Settings,
    temperature: float = 1.0,
    seed: int = SEED,
    class_weight: ClassWeight = None,
) -> Head:
    """Return a head of given settings, fitted on all images without cross-validation.

    Arguments as in `fit_head`; `settings` are those of the kind's grid, and `temperature` divides the scores.

    Raises:
        ModelError: the kind is unknown, takes no class weights, or takes fewer images.
        DataError: the features are no finite matrix, or all images are of one class.
    """
    validate_kind(kind, class_weight)
    x, codes = validate_features(x, y, classes)
    validate_number(kind, len(x))
    weights = image_weights(codes, classes, class_weight)
    present, relabelled = np.unique(codes, return_inverse=True)
    standardized = Standardized.by_itself(x)
    mean, scale = standardized.mean_and_scale
    parameters: LinearWeights | ScaledEstimator
    facts = FACTS[kind]
    if facts.linear is not None:
        (fitted,) = facts.linear(standardized, relabelled, [settings], weights, FINE_TOLERANCE)
        parameters = fold_standardization(
            fitted, mean, scale, temperature=temperature, present=present, classes=len(classes)
        )
    else:
        assert facts.nonlinear is not None, "a head is linear or not"
        estimator = facts.nonlinear.fit(
            cast(Floats, standardized.dense(np.float64)), relabelled, settings, weights, seed
        )
        parameters = ScaledEstimator(mean, scale, estimator, present)
    return Head(kind, tuple(classes), dict(settings), temperature, parameters, x.shape[1], len(x))


def out_of_fold_scores(
    kind: HeadKind,
    x: Features,
    y: Ints,
    grid: Sequence[Settings],
    fold: Ints,
    *,
    classes: int,
    weights: Floats,
    seed: int,
) -> Floats:
    """Return the out-of-fold scores of every setting, shape (G, N, C); -inf = class absent from the training part.

    `x` (N, D), `y` (N,) class codes, G settings in `grid`, `fold` (N,), C `classes`, `weights` of the images (N,).
    """
    scores = np.full((len(grid), len(y), classes), -np.inf)
    for number in np.unique(fold):
        test, train = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        known = Standardized.by_itself(x, train)
        fitted = fit_and_score(
            kind, known, y[train], weights[train], known.like(x, test), grid=grid, classes=classes, seed=seed
        )
        for place, found in enumerate(fitted):
            scores[place, test] = found
    return scores


def fit_and_score(
    kind: HeadKind,
    x: Standardized,
    y: Ints,
    weights: Floats,
    x_new: Standardized,
    *,
    grid: Sequence[Settings],
    classes: int,
    seed: int,
) -> Iterator[Floats]:
    """Fit one head for each setting and yield its scores (M, C) of other images.

    A class that is absent from `y` has the score -inf; where `y` holds one class only, that class has the score 0.

    `x` (N, D) and `y` (N,) are fitted with `weights` (N,); `x_new` (M, D), on the scale of `x`, is scored.
    """
    present, relabelled = np.unique(y, return_inverse=True)
    if len(present) == 1:
        constant = np.full((x_new.shape[0], classes), -np.inf)
        constant[:, present] = 0.0
        yield from [constant] * len(grid)
        return
    facts = FACTS[kind]
    found: Iterator[Floats]
    if facts.linear is not None:
        found = (one.scores(x_new) for one in facts.linear(x, relabelled, grid, weights, TOLERANCE))
    else:
        assert facts.nonlinear is not None, "a head is linear or not"
        known, new = (cast(Floats, part.dense(np.float64)) for part in (x, x_new))
        found = facts.nonlinear.fit_and_score(known, relabelled, new, grid, weights=weights, seed=seed)
    for values in found:
        scores = np.full((x_new.shape[0], classes), -np.inf)
        scores[:, present] = values
        yield scores


def _score_trials(scores: Floats, y: Ints, grid: Sequence[Settings], weights: Floats) -> tuple[int, tuple[Trial, ...]]:
    """Return the position of the setting with the smallest log loss, and the trials of all settings."""
    trials = []
    for setting, found in zip(grid, scores, strict=True):
        temperature = fit_temperature(found, y, weights=weights)
        proba = probabilities(found, temperature)
        right = proba.argmax(axis=1) == y
        trials.append(
            Trial(dict(setting), mean_log_loss(proba, y, weights), float(weights @ right / weights.sum()), temperature)
        )
    return min(range(len(trials)), key=lambda place: trials[place].log_loss), tuple(trials)


def fold_standardization(
    found: LinearWeights, mean: Floats, scale: Floats, *, temperature: float, present: Ints, classes: int
) -> LinearWeights:
    """Return weight (C, D) and bias (C,) for unscaled features, with standardization and temperature folded in.

    The mean weight and bias over the classes are subtracted, which changes no softmax and keeps the numbers small. An
    absent class gets a weight of 0 and a bias of -1e4, so its probability is 0.
    """
    coef = found.weight / scale
    intercept = found.bias - coef @ mean
    weight = np.zeros((classes, coef.shape[1]))
    bias = np.full(classes, ABSENT_BIAS)
    weight[present] = (coef - coef.mean(axis=0)) / temperature
    bias[present] = (intercept - intercept.mean()) / temperature
    return LinearWeights(weight.astype(np.float32), bias.astype(np.float32))


def image_weights(y: Ints, classes: Sequence[str], class_weight: ClassWeight) -> Floats:
    """Return the weight of each image, shape (N,), mean about 1 where balanced.

    Balanced is N / (classes present · images of the class): scikit-learn's `compute_class_weight`, after King & Zeng
    (2001), Political Analysis 9:137.

    Raises:
        ModelError: a mapping names an unknown class.
    """
    from sklearn.utils.class_weight import compute_sample_weight

    if class_weight is None:
        return np.ones(len(y))
    if isinstance(class_weight, str):
        return np.asarray(compute_sample_weight(class_weight, y), dtype=np.float64)
    unknown = [name for name in class_weight if name not in classes]
    if unknown:
        raise ModelError(f"class_weight names {first_few(unknown)}; the classes are {first_few(list(classes))}.")
    return np.array([float(class_weight.get(classes[code], 1.0)) for code in y])


def validate_kind(kind: str, class_weight: ClassWeight) -> None:
    """Check the kind of a head, and that it takes class weights where some are given.

    Raises:
        ModelError: the kind is unknown, or takes no class weights.
    """
    if kind not in KINDS:
        raise ModelError(f"There is no head {kind!r}.{did_you_mean(kind, KINDS)} There are {', '.join(KINDS)}.")
    if class_weight is not None and kind in HEADS_WITHOUT_CLASS_WEIGHTS:
        able = [name for name in KINDS if name not in HEADS_WITHOUT_CLASS_WEIGHTS]
        raise ModelError(f"A head of kind {kind} takes no class weights. Leave them out, or use {', '.join(able)}.")


def validate_number(kind: HeadKind, images: int) -> None:
    """Check that a kind of head takes so many training images.

    Raises:
        ModelError: it takes fewer.
    """
    if not takes_images(kind, images):
        able = [name for name in KINDS if takes_images(name, images)]
        raise ModelError(
            f"A head of kind {kind} takes at most {MOST_HEAD_IMAGES[kind]:,} training images, since its memory grows "
            f"by the square of their number. There are {images:,}. Use {', '.join(able)}."
        )


def takes_images(kind: HeadKind, images: int) -> bool:
    """Return whether so many training images can be fitted by a kind of head."""
    return images <= MOST_HEAD_IMAGES.get(kind, images)


def validate_features(x: Features, y: npt.ArrayLike, classes: Sequence[str]) -> tuple[Features, Ints]:
    """Return features as an array (N, D) and class codes as int64 (N,), after checking both.

    Raises:
        DataError: a head cannot be fitted on them; all problems at once.
    """
    values, codes = np.asarray(x), np.asarray(y)
    problems = []
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.floating):
        problems.append(
            f"Features must be a matrix of floats, shape (N, D). Got {values.dtype} {values.shape} instead."
        )
    elif bad := _rows_not_finite(values):
        problems.append(f"Features are NaN or infinite in {len(bad)} of {len(values)} rows ({first_few(bad)}).")
    if codes.shape != values.shape[:1] or not np.issubdtype(codes.dtype, np.integer):
        problems.append(
            f"y must hold one position in classes per row of features. Got {codes.dtype} {codes.shape} instead."
        )
    elif len(codes) and (codes.min() < 0 or codes.max() >= len(classes)):
        problems.append(f"y must lie in 0…{len(classes) - 1}. Got {codes.min()}…{codes.max()} instead.")
    elif len(np.unique(codes)) < 2:
        problems.append("All images are of one class, so there is nothing to tell apart. Give images of two or more.")
    if problems:
        raise DataError(*problems)
    return values, codes.astype(np.int64)


def _rows_not_finite(values: Features) -> list[int]:
    """Return the rows that hold NaN or infinity."""
    blocks = row_blocks(*values.shape)
    return [
        rows.start + row for rows in blocks for row in np.flatnonzero(~np.isfinite(values[rows]).all(axis=1)).tolist()
    ]


def resolve_folds(
    x: Features,
    y: Ints,
    classes: Sequence[str],
    *,
    folds: int | Ints,
    groups: Sequence[Hashable | None] | None,
    seed: int,
) -> Ints:
    """Return the fold of each image, shape (N,): the given one, or from `assign_folds` with hashes of rows as keys.

    Raises:
        DataError: the given folds do not fit, or the images are too few.
    """
    if isinstance(folds, int):
        keys = hash_rows(x)
        assigned = assign_folds(keys, y, folds=folds, seed=seed, groups=groups, digests=keys)
        warn_rare_classes(assigned, classes)
        own: Ints = assigned.assignments[0]
        return own
    given = np.asarray(folds, dtype=np.int64)
    if given.shape != y.shape or len(np.unique(given)) < 2:
        raise DataError(
            f"folds must name two or more folds, one per image. Got shape {given.shape} for {len(y)} images."
        )
    return given
