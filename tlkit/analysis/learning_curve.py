"""The learning curve: out-of-fold accuracy against the number of training images, with a fitted power law."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlkit.analysis.learning_curve_result import CurvePoint, LearningCurve
from tlkit.analysis.power_law import fit_power_law, power_law
from tlkit.arrays import Floats, Ints
from tlkit.choices import CONFIDENCE, CURVE_REPEATS, FOLDS, HEAD, SEED
from tlkit.errors import DataError
from tlkit.features.folds import assign_folds, bound_images, hash_rows, max_folds
from tlkit.features.heads.fit_head import (
    ClassWeight,
    cross_validate,
    fit_and_score,
    image_weights,
    validate_features,
    validate_kind,
    validate_number,
)
from tlkit.features.heads.head import Features
from tlkit.features.heads.head_kinds import HeadKind, Settings
from tlkit.features.heads.standardized import Standardized
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson_bounds

__all__ = ["CurvePoint", "LearningCurve", "fit_curve", "learning_curve"]

logger = logging.getLogger(__name__)


SIZES = 8
REPLICATES = 500
MIN_FITTED = 4  # points of a refit: one more than the law has parameters


def learning_curve(
    x: Features,
    y: npt.ArrayLike,
    *,
    classes: Sequence[str],
    kind: HeadKind = HEAD,
    sizes: Sequence[int] | None = None,
    folds: int = FOLDS,
    repeats: int = CURVE_REPEATS,
    seed: int = SEED,
    keys: Sequence[str] | None = None,
    digests: Sequence[str] | None = None,
    groups: Sequence[Hashable | None] | None = None,
    class_weight: ClassWeight = None,
    confidence: float = CONFIDENCE,
    measured: Estimate | None = None,
) -> LearningCurve:
    """Return out-of-fold accuracy at increasing numbers of training images per class.

    In every fold of every repeat the images outside of it are ranked by a hash of their key, and the first m of each
    class form the training subset: the subsets are nested, and the same on every machine. Each image is predicted once
    per repeat and size; a point is the mean share of right predictions, with Wilson's interval on the number of images,
    which is conservative. A size's head settings are chosen by cross-validation in the first fold's subset.

    Arguments as in `fit_head`. `sizes` are images per class, at least 2 each; of a smaller class all are used; default:
    8 sizes, evenly spaced on a logarithmic scale up to the images of the largest class outside a fold. `repeats` are
    repeats of the cross-validation, each with other folds and subsets. `keys` identify the images, such as paths, and
    `digests` (sha256 of each file) keep copies in one fold; default for both: hashes of the features. `measured` is
    the accuracy on held-out images, with which the curve's last point is compared.

    Raises:
        DataError: the features are no finite matrix, a size is below 2, or the images are too few.
        ModelError: the kind is unknown, takes no class weights, or takes fewer images.
    """
    validate_kind(kind, class_weight)
    x, codes = validate_features(x, y, classes)
    validate_number(kind, len(x))
    hashes = hash_rows(x) if keys is None or digests is None else []
    names = hashes if keys is None else list(keys)
    bound = np.asarray(bound_images(names, groups=groups, digests=hashes if digests is None else digests))
    _require_images(codes, folds)
    assigned = assign_folds(names, codes, folds=folds, repeats=repeats, seed=seed, groups=bound.tolist())
    model = _HeadModel(kind, tuple(classes), class_weight, seed)
    per_class = _sizes(sizes, codes, folds)
    right = np.zeros((len(per_class), len(codes)))  # share of right predictions of each image at each size
    used = np.zeros((len(per_class), repeats, folds))  # number of training images
    chosen: dict[int, Settings] = {}
    for repeat, fold in enumerate(assigned.assignments):
        for number in range(folds):
            test = np.flatnonzero(fold == number)
            order = _ranked(np.flatnonzero(fold != number), codes, names, f"{seed}:{repeat}:{number}")
            for place, size in enumerate(per_class):
                train = order[_position(codes[order]) < size]
                if size not in chosen:
                    chosen[size] = model.settings(x[train], codes[train], bound[train])
                predicted = model.predict(x[train], codes[train], x[test], settings=chosen[size])
                right[place, test] += (predicted == codes[test]) / repeats
                used[place, repeat, number] = len(train)
    images = used.mean(axis=(1, 2)).tolist()
    points = tuple(
        CurvePoint(size, images[place], _accuracy(right[place], confidence), chosen[size])
        for place, size in enumerate(per_class)
    )
    law, resampled = fit_curve(images, right, seed=seed)
    return LearningCurve(kind, len(codes), len(classes), points, law, resampled, folds, repeats, confidence, measured)


def fit_curve(images: Sequence[float], right: Floats, *, seed: int = SEED) -> tuple[Floats, Floats]:
    """Return the parameters of the power law fitted to a curve, and to resampled curves.

    The resampling covers three sources of uncertainty. 1. The images: each refit is to a bootstrap resample of them.
    2. The scatter of the points about the law: each resampled point gets noise with the standard deviation of the
    residuals, √(Σ r² / (S − 3)), and at least 1/N: where all points are equal, so are those of a resample, and an event
    that none of N images shows may still have a rate of that size (its posterior under a uniform prior, Beta(1, N + 1),
    has a standard deviation of about 1/N). 3. The deviation of curves from one law over all sizes: a fifth of the
    refits each use the last 4, 5, 6, 7 and 8 points of eight. The first alone would cover the truth in a little more
    than half of the cases (`benchmarks/curve_coverage.py`).

    Args:
        images: number of training images, increasing, shape (S,).
        right: share of right predictions of each image at each size, shape (S, N).
        seed: of bootstrap and noise.

    Returns:
        The parameters, shapes (3,) and (B, 3), B about 500.
    """
    rng, (sizes, n), at = np.random.default_rng(seed), right.shape, np.asarray(images, dtype=np.float64)
    accuracy = right.mean(axis=1)
    law = fit_power_law(at, accuracy)
    starts = range(max(1, sizes - MIN_FITTED + 1))
    residuals = float(np.sqrt(((accuracy - power_law(law, at)) ** 2).sum() / max(1, sizes - len(law))))
    scatter = max(residuals, 1.0 / n)
    refits = []
    for start in starts:
        count = REPLICATES // len(starts)
        weights = rng.multinomial(n, np.full(n, 1.0 / n), size=count) / n  # (B, N)
        curves = weights @ right.T + rng.normal(scale=scatter, size=(count, sizes))
        curves = 1.0 - np.abs(1.0 - curves)  # accuracies above 1 are reflected
        refits.append(fit_power_law(at[start:], curves[:, start:]))
    return law, np.concatenate(refits)


@dataclass(frozen=True)
class _HeadModel:
    """The kind of head whose curve is measured."""

    kind: HeadKind
    classes: tuple[str, ...]
    class_weight: ClassWeight
    seed: int

    def settings(self, x: Features, y: Ints, bound: Ints) -> Settings:
        """Return the settings chosen by cross-validation on these images; those of one number (N,) share a fold."""
        keys = hash_rows(x)
        units = bound.tolist() if len(np.unique(bound)) > 1 else None
        folds = min(5, max_folds(len(y), groups=units, digests=keys), int(np.bincount(y).max()))
        assigned = assign_folds(keys, y, folds=max(2, folds), seed=self.seed, groups=units, digests=keys)
        fold = assigned.assignments[0]
        found = cross_validate(
            x, y, kind=self.kind, classes=self.classes, fold=fold, seed=self.seed, class_weight=self.class_weight
        )
        return found.chosen.settings

    def predict(self, x: Features, y: Ints, x_new: Features, *, settings: Settings) -> Ints:
        """Return the predicted codes of other images, shape (M,), by a head fitted on (x, y)."""
        weights = image_weights(y, self.classes, self.class_weight)
        known = Standardized.by_itself(x)
        (scores,) = fit_and_score(
            self.kind, known, y, weights, known.like(x_new), grid=[settings], classes=len(self.classes), seed=self.seed
        )
        return np.asarray(scores.argmax(axis=1), dtype=np.int64)


def _accuracy(right: Floats, confidence: float) -> Estimate:
    """Return the mean of shares of right predictions (N,), with Wilson's interval on the number of images."""
    n = len(right)
    low, high = wilson_bounds(min(float(right.sum()), float(n)), n, confidence)
    return Estimate(float(right.mean()), float(low), float(high), n=n)


def _require_images(codes: Ints, folds: int) -> None:
    """Check that some class has 2 images outside of a fold, which the smallest size takes."""
    most = int(np.bincount(codes).max())
    if folds > 1 and int(most * (folds - 1) / folds) < 2:
        raise DataError(
            f"A learning curve begins with 2 images of a class outside of each of {folds} folds, so it takes a class "
            f"of {-(-2 * folds // (folds - 1))}. The largest has {most}. Add training images, or hold out fewer."
        )


def _sizes(given: Sequence[int] | None, codes: Ints, folds: int) -> list[int]:
    largest = int(np.bincount(codes).max() * (folds - 1) / folds)
    if given is None:
        first = max(2.0, largest / 32)
        return sorted({round(size) for size in np.geomspace(min(first, largest), largest, SIZES) if size >= 1.5})
    sizes = sorted(set(given))
    if not sizes or sizes[0] < 2:
        raise DataError(f"Sizes must be 2 or more images per class. Got {list(given)} instead.")
    if sizes[-1] > largest:
        logger.info("No class has more than %d images outside of a fold; larger sizes are left out.", largest)
    kept = [size for size in sizes if size <= largest]
    if not kept:
        raise DataError(f"No class has {sizes[0]} images outside of a fold; the largest has {largest}.")
    return kept


def _ranked(rows: Ints, codes: Ints, names: Sequence[str], prefix: str) -> Ints:
    """Return rows by class, and within a class by the hash of their names."""
    rank = np.array([hashlib.sha256(f"{prefix}:{names[row]}".encode()).hexdigest() for row in rows])
    ordered: Ints = rows[np.lexsort((rank, codes[rows]))]
    return ordered


def _position(ordered: Ints) -> Ints:
    """Return the position of each entry among equal ones, 0, 1, 2 …, in an array where equal entries are adjacent."""
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    return np.arange(len(ordered)) - np.repeat(starts, np.diff(np.r_[starts, len(ordered)]))
