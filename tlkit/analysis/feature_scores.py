"""Scores of features for a set of labels: LogME, k-nearest-neighbor accuracy, accuracy of a linear probe."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats, Ints, Mask
from tlkit.choices import FOLDS, SEED
from tlkit.features.heads.fit_head import ClassWeight, cross_validate, resolve_folds, validate_features
from tlkit.features.heads.head import Features
from tlkit.features.heads.head_kinds import HeadKind
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson
from tlkit.stats.nearest_neighbors import iter_nearest_neighbors

MAX_STEPS = 100
MIN_ERROR = 1e-12
"""Smallest ‖Fm − t‖² as a share of ‖t‖²: features are float32, so no fit is more exact."""
MIN_RESIDUAL_SHARE = 1e-9
"""(N − γ) / N below which the iteration ends: few images in many dimensions can be fitted exactly, and β would grow
without limit."""


@dataclass(frozen=True, eq=False)
class Score:
    """The accuracy of predictions from features.

    Attributes:
        accuracy: with Wilson's interval.
        correct: whether each image is right, shape (N,); compare two sets of features by `tlkit.stats.paired`.
    """

    accuracy: Estimate
    correct: Mask


def log_me(x: Features, y: npt.ArrayLike, *, classes: Sequence[str]) -> float:
    """Return LogME: the log of the maximum evidence of the labels given the features, per image; the higher the better.

    You, Liu, Wang & Long (2021), LogME: Practical Assessment of Pre-trained Models for Transfer Learning, ICML,
    section 4. For each class, its 0/1 labels t are a linear model of the features F (N, D) with a Gaussian prior of
    precision α on the weights and Gaussian noise of precision β. With A = αI + βFᵀF and m = βA⁻¹Fᵀt the evidence is
    (eq. 2)

        L(α, β) = N/2 log β + D/2 log α − N/2 log 2π − β/2 ‖Fm − t‖² − α/2 mᵀm − 1/2 log |A|,

    and it is greatest where (algorithm 1; MacKay 1992) α = γ / mᵀm and β = (N − γ) / ‖Fm − t‖², with
    γ = Σ βσ² / (α + βσ²) over the singular values σ of F. These are iterated until α/β changes by less than 0.1 %.
    LogME is the mean of max L / N over the classes that occur. It can be negative; it is only comparable between
    features of the same images.

    Where there are no more images than dimensions, the features can fit every label exactly, and copies of an image
    (equal features, equal label) would make the evidence infinite: there they count once.

    `x` (N, D) is not standardized; `y` (N,) holds positions in `classes`.

    Raises:
        DataError: the features are no finite matrix, or all images are of one class.
    """
    x, codes = validate_features(x, y, classes)
    distinct = {(row.tobytes(), code): place for place, (row, code) in enumerate(zip(x, codes, strict=True))}
    if len(distinct) <= x.shape[1]:
        rows = sorted(distinct.values())
        x, codes = x[rows], codes[rows]
    features = x.astype(np.float64)
    n, width = features.shape
    if width <= n:
        squares, axes = np.linalg.eigh(features.T @ features)
        squares = np.maximum(squares, 0.0)
        root = np.sqrt(np.where(squares > squares[-1] * 1e-12, squares, np.inf))
        basis = features @ axes / root  # (N, R), the left singular vectors
    else:
        squares, basis = np.linalg.eigh(features @ features.T)
        squares = np.maximum(squares, 0.0)
    evidence = [
        _max_evidence((codes == code).astype(np.float64), basis, squares, width=width) for code in np.unique(codes)
    ]
    return float(np.mean(evidence) / n)


def _max_evidence(target: Floats, basis: Floats, squares: Floats, *, width: int) -> float:
    """Return max L(α, β) of one class, by the fixed point of α and β, from the singular vectors (N, R) and values²."""
    n = len(target)
    along = (basis.T @ target) ** 2  # (R,), squared length of t along each singular vector
    outside = max(float(target @ target) - float(along.sum()), 0.0)
    smallest = MIN_ERROR * float(target @ target)
    alpha = beta = 1.0

    def length_and_error() -> tuple[float, float]:
        """Return mᵀm and ‖Fm − t‖²."""
        kept = beta * squares / (alpha + beta * squares)  # share of t that Fm follows along each vector
        length = float((along * squares * (beta / (alpha + beta * squares)) ** 2).sum())
        return length, outside + float((along * (1.0 - kept) ** 2).sum())

    for _ in range(MAX_STEPS):
        left = n - len(squares) + float((alpha / (alpha + beta * squares)).sum())  # N − γ, without cancellation
        if left <= MIN_RESIDUAL_SHARE * n:
            break
        length, error = length_and_error()
        before = alpha / beta
        alpha = (n - left) / max(length, 1e-300)
        beta = left / max(error, smallest)
        if abs(alpha / beta - before) <= 1e-3 * before:
            break
    length, error = length_and_error()
    log_determinant = float(np.log(alpha + beta * squares).sum()) + (width - len(squares)) * np.log(alpha)
    return float(
        n / 2 * np.log(beta)
        + width / 2 * np.log(alpha)
        - n / 2 * np.log(2 * np.pi)
        - beta / 2 * error
        - alpha / 2 * length
        - log_determinant / 2
    )


def knn_leave_one_out(
    x: Features, y: npt.ArrayLike, *, classes: Sequence[str], k: int = 5, digests: Sequence[str] | None = None
) -> Score:
    """Return the leave-one-out accuracy of a k-nearest-neighbor vote by cosine similarity.

    Ties go to the class with the larger sum of similarities. Copies of an image (equal digests) are no neighbors of
    each other.

    `x` (N, D), `y` (N,) positions in `classes`, `digests` (N,) the sha256 of each file, "" = unknown. At most N - 1
    neighbors vote.

    Raises:
        DataError: the features are no finite matrix, or all images are of one class.
    """
    x, codes = validate_features(x, y, classes)
    k = min(k, len(x) - 1)
    correct = np.zeros(len(x), dtype=bool)
    for rows, others, similarity in iter_nearest_neighbors(x, apart=_file_codes(digests, len(x)), k=k):
        votes = np.zeros((len(rows), len(classes)))
        place = np.broadcast_to(np.arange(len(rows))[:, None], others.shape)
        valid = np.isfinite(similarity)
        closeness = similarity.astype(np.float64)[valid]
        np.add.at(votes, (place[valid], codes[others[valid]]), 1.0 + (closeness + 1.0) * 1e-3 / k)
        correct[rows] = votes.argmax(axis=1) == codes[rows]
    return Score(wilson(int(correct.sum()), len(x)), correct)


def probe(
    x: Features,
    y: npt.ArrayLike,
    *,
    classes: Sequence[str],
    kind: HeadKind = "ridge",
    seed: int = SEED,
    class_weight: ClassWeight = None,
    groups: Sequence[Hashable | None] | None = None,
    folds: int | Ints = FOLDS,
) -> Score:
    """Return the out-of-fold accuracy of a head, its settings chosen as in `fit_head`.

    Arguments as in `fit_head`; use the same folds to compare features. ridge is the fastest kind.

    Raises:
        DataError: the features are no finite matrix, or the images are too few.
    """
    x, codes = validate_features(x, y, classes)
    fold = resolve_folds(x, codes, classes, folds=folds, groups=groups, seed=seed)
    found = cross_validate(x, codes, kind=kind, classes=classes, fold=fold, seed=seed, class_weight=class_weight)
    return Score(found.accuracy, found.proba.argmax(axis=1) == codes)


def _file_codes(digests: Sequence[str] | None, n: int) -> Ints:
    """Return a code for each image, shape (N,), equal for equal files; each unknown file has its own."""
    names = list(digests) if digests is not None else [""] * n
    assert len(names) == n, "one digest per image"
    named = [name or f"row {row}" for row, name in enumerate(names)]
    return np.unique(np.asarray(named), return_inverse=True)[1].astype(np.int64)
