"""The learning curve: what accuracy fewer images would have given, and what more of them may give."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlkit.analysis.learning_curve_result import CurvePoint, LearningCurve
from tlkit.analysis.power_law import fit_power_law, power_law
from tlkit.errors import DataError
from tlkit.features.folds import assign_folds, row_keys
from tlkit.features.heads.fit_head import ClassWeight, checked, cross_validate, image_weights, require_kind, scores_of
from tlkit.features.heads.head import Features
from tlkit.features.heads.head_kinds import HeadKind, Settings
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson_bounds

__all__ = ["CurvePoint", "LearningCurve", "fit_curve", "learning_curve"]

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SIZES = 8
REPLICATES = 500
FEWEST_FITTED = 4  # points of a refit: one more than the law has parameters


def learning_curve(
    x: Features,
    y: npt.ArrayLike,
    *,
    classes: Sequence[str],
    kind: HeadKind = "logistic",
    sizes: Sequence[int] | None = None,
    folds: int = 5,
    repeats: int = 3,
    seed: int = 0,
    keys: Sequence[str] | None = None,
    digests: Sequence[str] | None = None,
    groups: Sequence[Hashable | None] | None = None,
    class_weight: ClassWeight = None,
    confidence: float = 0.95,
) -> LearningCurve:
    """Measure accuracy at growing numbers of images per class, each on images that were not learnt from.

    In every fold of every repeat the images outside of it are ranked by a hash of their key, and the first m of each
    class are learnt from: so the subsets are nested, and the same on every machine. Each image is predicted once per
    repeat and size; its shares of right answers give the point and, with Wilson's interval on the number of images,
    its error bar, which is on the wide side. A size's head settings are chosen by cross-validation in the first fold's
    subset and kept in the others.

    Args:
        x: features, shape (N, D).
        y: positions in `classes`, shape (N,).
        classes: class names.
        kind: of the head.
        sizes: images per class, at least 2 each; a class that has fewer gives all it has. Default: 8 sizes, evenly
            spaced on a logarithmic scale up to what the largest class has outside a fold.
        folds: K.
        repeats: how many times to deal folds and subsets anew.
        seed: of folds and subsets.
        keys: what names each image, such as its path; default: a hash of its features.
        digests: sha256 of each file, so that copies stay together; default: those with equal features.
        groups: what must not be torn apart by folds, one per image.
        class_weight: as in `fit_head`.
        confidence: level of the intervals, in (0, 1).

    Raises:
        DataError: the features are no finite matrix, a size is below 2, or the images are too few.
        ModelError: the kind is unknown, or takes no class weights.
    """
    require_kind(kind, class_weight)
    x, codes = checked(x, y, classes)
    names = list(keys) if keys is not None else row_keys(x)
    copies = digests if digests is not None else row_keys(x)
    _require_images(codes, folds)
    dealt = assign_folds(names, codes, folds=folds, repeats=repeats, seed=seed, groups=groups, digests=copies)
    learner = _Learner(kind, tuple(classes), class_weight, seed)
    wanted = _sizes(sizes, codes, folds)
    right = np.zeros((len(wanted), len(codes)))  # the share of right answers to each image at each size
    used = np.zeros((len(wanted), repeats, folds))  # images learnt from
    chosen: dict[int, Settings] = {}
    for repeat, fold in enumerate(dealt.of):
        for number in range(folds):
            test = np.flatnonzero(fold == number)
            order = _ranked(np.flatnonzero(fold != number), codes, names, f"{seed}:{repeat}:{number}")
            for place, size in enumerate(wanted):
                train = order[_position(codes[order]) < size]
                if size not in chosen:
                    chosen[size] = learner.settings(x[train], codes[train])
                predicted = learner.predict(x[train], codes[train], x[test], settings=chosen[size])
                right[place, test] += (predicted == codes[test]) / repeats
                used[place, repeat, number] = len(train)
    images = used.mean(axis=(1, 2)).tolist()
    points = tuple(
        CurvePoint(size, images[place], _accuracy(right[place], confidence), chosen[size])
        for place, size in enumerate(wanted)
    )
    law, resampled = fit_curve(images, right, seed=seed)
    return LearningCurve(kind, len(codes), len(classes), points, law, resampled, folds, repeats, confidence)


def fit_curve(images: Sequence[float], right: Floats, *, seed: int = 0) -> tuple[Floats, Floats]:
    """Fit the law to a curve, and to what the curve might as well have been.

    Three things make a forecast uncertain. Which images it was measured on: each refit is to a bootstrap resample of
    them. How far the points scatter about any law, since each was learnt from other images: to each resampled point
    noise is added, with the standard deviation of the residuals, √(Σ r² / (S − 3)), and of no less than one image in N:
    where all points are alike, a resample of images is, too, and a change that none of N shows may still have a rate of
    that size (its posterior under a uniform prior, Beta(1, N + 1), has a standard deviation of about 1/N). And that no
    curve follows one law from its first images to its last: a fifth of the refits each take the last 4, 5, 6, 7 and 8
    points of eight. The first alone would hold the truth in a little more than half of the cases
    (`benchmarks/curve_coverage.py`).

    Args:
        images: shape (S,), images learnt from, growing.
        right: shape (S, N), the share of right answers to each image at each size.
        seed: of bootstrap and noise.

    Returns:
        The parameters, shapes (3,) and (B, 3), B about 500.
    """
    rng, (sizes, n), at = np.random.default_rng(seed), right.shape, np.asarray(images, dtype=np.float64)
    accuracy = right.mean(axis=1)
    law = fit_power_law(at, accuracy)
    starts = range(max(1, sizes - FEWEST_FITTED + 1))
    residuals = float(np.sqrt(((accuracy - power_law(law, at)) ** 2).sum() / max(1, sizes - len(law))))
    scatter = max(residuals, 1.0 / n)
    refits = []
    for start in starts:
        count = REPLICATES // len(starts)
        weights = rng.multinomial(n, np.full(n, 1.0 / n), size=count) / n  # (B, N)
        curves = weights @ right.T + rng.normal(scale=scatter, size=(count, sizes))
        curves = 1.0 - np.abs(1.0 - curves)  # no accuracy lies above 1: noise that leads there is turned back
        refits.append(fit_power_law(at[start:], curves[:, start:]))
    return law, np.concatenate(refits)


@dataclass(frozen=True)
class _Learner:
    """The head whose curve is measured."""

    kind: HeadKind
    classes: tuple[str, ...]
    class_weight: ClassWeight
    seed: int

    def settings(self, x: Features, y: Ints) -> Settings:
        """Choose the head's settings for so many images by cross-validation among them."""
        keys = row_keys(x)
        most = min(5, len(set(keys)), int(np.bincount(y).max()))
        fold = assign_folds(keys, y, folds=max(2, most), seed=self.seed, digests=keys).of[0]
        tried = cross_validate(
            x, y, kind=self.kind, classes=self.classes, fold=fold, seed=self.seed, class_weight=self.class_weight
        )
        return tried.chosen.settings

    def predict(self, x: Features, y: Ints, x_new: Features, *, settings: Settings) -> Ints:
        """Learn from some images and return the codes of others, shape (M,)."""
        weights = image_weights(y, self.classes, self.class_weight)
        (scores,) = scores_of(
            self.kind, x, y, weights, x_new, grid=[settings], classes=len(self.classes), seed=self.seed
        )
        return np.asarray(scores.argmax(axis=1), dtype=np.int64)


def _accuracy(right: Floats, confidence: float) -> Estimate:
    """Return the mean of shares of right answers (N,), with Wilson's interval on the number of images."""
    n = len(right)
    low, high = wilson_bounds(min(float(right.sum()), float(n)), n, confidence)
    return Estimate(float(right.mean()), float(low), float(high), n=n)


def _require_images(codes: Ints, folds: int) -> None:
    """Check that some class has the 2 images outside of a fold that a curve begins with."""
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
    wanted = sorted(set(given))
    if not wanted or wanted[0] < 2:
        raise DataError(f"Sizes must be 2 or more images per class. Got {list(given)} instead.")
    if wanted[-1] > largest:
        logger.info("No class has more than %d images outside of a fold; larger sizes are left out.", largest)
    kept = [size for size in wanted if size <= largest]
    if not kept:
        raise DataError(f"No class has {wanted[0]} images outside of a fold; the largest has {largest}.")
    return kept


def _ranked(rows: Ints, codes: Ints, names: Sequence[str], prefix: str) -> Ints:
    """Return rows by class, and within a class by the hash of their names."""
    rank = np.array([hashlib.sha256(f"{prefix}:{names[row]}".encode()).hexdigest() for row in rows])
    ordered: Ints = rows[np.lexsort((rank, codes[rows]))]
    return ordered


def _position(ordered: Ints) -> Ints:
    """Return the position of each entry among its equals: 0, 1, 2 …, in an array where equals stand together."""
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    return np.arange(len(ordered)) - np.repeat(starts, np.diff(np.r_[starts, len(ordered)]))
