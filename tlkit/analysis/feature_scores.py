"""How well features suit a set of labels, without training a network: LogME, nearest neighbors, a probe."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlkit.analysis.nearest_neighbors import nearest
from tlkit.features.heads.fit_head import ClassWeight, checked, cross_validate, deal
from tlkit.features.heads.head import Features
from tlkit.features.heads.head_kinds import HeadKind
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MOST_STEPS = 100
LEAST_ERROR = 1e-12
"""Smallest ‖Fm − t‖² as a share of ‖t‖²: features are float32, so nothing follows labels more exactly than that."""
LEAST_LEFT = 1e-9
"""Share of the labels left to noise below which the evidence is at its limit: few images in many dimensions, where the
features can follow every label, and β would grow without end."""


@dataclass(frozen=True, eq=False)
class Score:
    """A share of images that features get right.

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
    LogME is the mean of max L / N over the classes that occur. It can be negative, and says nothing about a single
    data set; it ranks features on the same images.

    Where there are no more images than dimensions, the features can follow every label, and copies of an image (equal
    features, equal label) would make the evidence infinite: there they count once.

    Args:
        x: features, shape (N, D), as they are.
        y: positions in `classes`, shape (N,).
        classes: class names.

    Raises:
        DataError: the features are no finite matrix, or all images are of one class.
    """
    x, codes = checked(x, y, classes)
    seen = {(row.tobytes(), code): place for place, (row, code) in enumerate(zip(x, codes, strict=True))}
    if len(seen) <= x.shape[1]:
        distinct = sorted(seen.values())
        x, codes = x[distinct], codes[distinct]
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
    rest = max(float(target @ target) - float(along.sum()), 0.0)
    least = LEAST_ERROR * float(target @ target)
    alpha = beta = 1.0
    for _ in range(MOST_STEPS):
        kept = beta * squares / (alpha + beta * squares)  # share of t that Fm follows along each vector
        left = n - len(squares) + float((alpha / (alpha + beta * squares)).sum())  # N − γ, without cancellation
        if left <= LEAST_LEFT * n:
            break
        length = float((along * squares * (beta / (alpha + beta * squares)) ** 2).sum())  # mᵀm
        error = rest + float((along * (1.0 - kept) ** 2).sum())  # ‖Fm − t‖²
        before = alpha / beta
        alpha = (n - left) / max(length, 1e-300)
        beta = left / max(error, least)
        if abs(alpha / beta - before) <= 1e-3 * before:
            break
    kept = beta * squares / (alpha + beta * squares)
    length = float((along * squares * (beta / (alpha + beta * squares)) ** 2).sum())
    error = rest + float((along * (1.0 - kept) ** 2).sum())
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
    """Return how many images have the class that most of their k nearest others have.

    Nearest is by the cosine of the features; of classes with equally many votes, the one whose votes are nearer in sum
    counts. Copies of an image (equal digests) do not vote on each other.

    Args:
        x: features, shape (N, D).
        y: positions in `classes`, shape (N,).
        classes: class names.
        k: neighbors that vote; at most as many as there are others.
        digests: sha256 of each file; "" = unknown; None = no copies are known.

    Raises:
        DataError: the features are no finite matrix, or all images are of one class.
    """
    x, codes = checked(x, y, classes)
    k = min(k, len(x) - 1)
    correct = np.zeros(len(x), dtype=bool)
    for rows, others, likeness in nearest(x, apart=_pictures(digests, len(x)), k=k):
        votes = np.zeros((len(rows), len(classes)))
        place = np.broadcast_to(np.arange(len(rows))[:, None], others.shape)
        valid = np.isfinite(likeness)
        closeness = likeness.astype(np.float64)[valid]
        np.add.at(votes, (place[valid], codes[others[valid]]), 1.0 + (closeness + 1.0) * 1e-3 / k)
        correct[rows] = votes.argmax(axis=1) == codes[rows]
    return Score(wilson(int(correct.sum()), len(x)), correct)


def probe(
    x: Features,
    y: npt.ArrayLike,
    *,
    classes: Sequence[str],
    kind: HeadKind = "ridge",
    seed: int = 0,
    class_weight: ClassWeight = None,
    groups: Sequence[Hashable | None] | None = None,
    folds: int | Ints = 5,
) -> Score:
    """Return the out-of-fold accuracy of a head, its settings chosen as in `fit_head`.

    Args:
        x: features, shape (N, D).
        y: positions in `classes`, shape (N,).
        classes: class names.
        kind: which head; ridge is the fastest.
        seed: of the folds.
        class_weight: as in `fit_head`.
        groups: what must not be torn apart by folds, one per image.
        folds: how many, or the fold of each image; give the same to compare features.

    Raises:
        DataError: the features are no finite matrix, or the images are too few.
    """
    x, codes = checked(x, y, classes)
    fold = deal(x, codes, classes, folds=folds, groups=groups, seed=seed)
    found = cross_validate(x, codes, kind=kind, classes=classes, fold=fold, seed=seed, class_weight=class_weight)
    return Score(found.accuracy, found.proba.argmax(axis=1) == codes)


def _pictures(digests: Sequence[str] | None, n: int) -> Ints:
    """Return a number for each image, shape (N,), that equal files share; unknown files are of their own."""
    names = list(digests) if digests is not None else [""] * n
    assert len(names) == n, "one digest per image"
    named = [name or f"row {row}" for row, name in enumerate(names)]
    return np.unique(np.asarray(named), return_inverse=True)[1].astype(np.int64)
