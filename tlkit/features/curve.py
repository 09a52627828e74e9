"""The learning curve: what accuracy fewer images would have given, and what more of them may give."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from tlkit.errors import DataError
from tlkit.features.curve_result import CurvePoint, LearningCurve
from tlkit.features.folds import assign_folds, row_keys
from tlkit.features.heads.fit import ClassWeight, checked, cross_validate, image_weights, require_kind, scores_of
from tlkit.features.heads.head import Features
from tlkit.features.heads.kinds import HeadKind, Settings
from tlkit.features.power_law import fit_power_law
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson_bounds

__all__ = ["CurvePoint", "LearningCurve", "fit_curve", "learning_curve"]

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SIZES = 8
REPLICATES = 500


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
    dealt = assign_folds(names, codes, folds=folds, repeats=repeats, seed=seed, groups=groups, digests=copies)
    wanted = _sizes(sizes, codes, folds)
    right = np.zeros((len(wanted), len(codes)))
    used: list[list[int]] = [[] for _ in wanted]
    chosen: list[Settings] = []
    for repeat, fold in enumerate(dealt.of):
        for number in range(folds):
            test = np.flatnonzero(fold == number)
            order = _ranked(np.flatnonzero(fold != number), codes, names, f"{seed}:{repeat}:{number}")
            for place, size in enumerate(wanted):
                train = order[_position(codes[order]) < size]
                if len(chosen) == place:
                    chosen.append(
                        _settings(
                            x[train], codes[train], kind=kind, classes=classes, class_weight=class_weight, seed=seed
                        )
                    )
                weights = image_weights(codes[train], classes, class_weight)
                (scores,) = scores_of(
                    kind,
                    x[train],
                    codes[train],
                    weights,
                    x[test],
                    grid=[chosen[place]],
                    classes=len(classes),
                    seed=seed,
                )
                right[place, test] += (scores.argmax(axis=1) == codes[test]) / repeats
                used[place].append(len(train))
    images = [float(np.mean(counts)) for counts in used]
    points = []
    for place, size in enumerate(wanted):
        hits = float(right[place].sum())
        low, high = wilson_bounds(min(hits, float(len(codes))), len(codes), confidence)
        accuracy = Estimate(hits / len(codes), float(low), float(high), n=len(codes))
        points.append(CurvePoint(size, images[place], accuracy, chosen[place]))
    law, resampled = fit_curve(images, right, seed=seed)
    return LearningCurve(kind, len(codes), len(classes), tuple(points), law, resampled, folds, repeats, confidence)


def fit_curve(images: Sequence[float], right: Floats, *, seed: int = 0) -> tuple[Floats, Floats]:
    """Fit the law to a curve and to bootstrap resamples of the images it was measured on.

    Args:
        images: shape (S,), images learnt from.
        right: shape (S, N), the share of right answers to each image at each size.
        seed: of the bootstrap.

    Returns:
        The parameters, shapes (3,) and (500, 3).
    """
    n = right.shape[1]
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=REPLICATES) / n  # (B, N)
    return fit_power_law(images, right.mean(axis=1)), fit_power_law(images, weights @ right.T)


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


def _settings(
    x: Features, y: Ints, *, kind: HeadKind, classes: Sequence[str], class_weight: ClassWeight, seed: int
) -> Settings:
    keys = row_keys(x)
    most = min(5, len(set(keys)), int(np.bincount(y).max()))
    fold = assign_folds(keys, y, folds=max(2, most), seed=seed, digests=keys).of[0]
    tried = cross_validate(x, y, kind=kind, classes=classes, fold=fold, seed=seed, class_weight=class_weight)
    return tried.chosen.settings
