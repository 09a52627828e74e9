"""Scores of a confusion matrix: averages of precision, recall and F1, Matthews' correlation, Cohen's kappa.

All are functions of the margins of the matrix, for many matrices at once, and have derivatives: those give the
influence of an image, and with it the variance of a score for weighted and clustered images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats, Ints
from tlkit.stats.bootstrap import REPLICATES, bootstrap_replicates

CONFUSION_SCORES = (
    "balanced_accuracy",
    "macro_precision",
    "macro_f1",
    "weighted_precision",
    "weighted_f1",
    "mcc",
    "cohen_kappa",
    "cohen_kappa_quadratic",
)
"""Names of the scores, in the order of the columns of `scores_of_margins`."""
STEP = 1e-20  # of the complex step: its square is lost in rounding
CHUNK_ROWS = 256  # perturbed matrices in memory at a time


@dataclass(frozen=True)
class Margins:
    """What the scores need of confusion matrices.

    Attributes:
        right: images on the diagonal, or their weight, shape (B, C).
        support: images of each class, shape (B, C).
        predicted: images predicted as each class, shape (B, C).
        squared: sum of the squared distances of the true and the predicted position, shape (B,).
    """

    right: npt.NDArray[np.number]
    support: npt.NDArray[np.number]
    predicted: npt.NDArray[np.number]
    squared: npt.NDArray[np.number]


def margins_of_rows(y_true: Ints, y_pred: Ints, classes: int, weight: Floats | None = None) -> Margins:
    """Return the margins of one matrix, B = 1, from the classes of N images and their weights.

    Args:
        y_true: shape (N,), in 0…classes-1.
        y_pred: shape (N,), in 0…classes-1.
        classes: number of classes.
        weight: shape (N,), at least 0; None = 1 each.
    """
    each = np.ones(len(y_true)) if weight is None else weight
    hit = y_true == y_pred
    return Margins(
        right=np.bincount(y_true[hit], weights=each[hit], minlength=classes)[None],
        support=np.bincount(y_true, weights=each, minlength=classes)[None],
        predicted=np.bincount(y_pred, weights=each, minlength=classes)[None],
        squared=np.array([each @ (y_true - y_pred).astype(np.float64) ** 2]),
    )


def scores_of_margins(margins: Margins) -> npt.NDArray[np.number]:
    """Return the scores of confusion matrices, shape (B, scores), in the order of `CONFUSION_SCORES`; NaN = undefined.

    Averages are over the classes that have images; a class that is never predicted has no precision and is left out of
    the averages of precision: scikit-learn's values with `labels` = the classes that have images and `zero_division` =
    NaN. "weighted" = by the images of each class.

    Matthews' correlation: Gorodkin (2004), Computational Biology and Chemistry 28:367, eq. 8; undefined where all
    images are of one class, or predicted as one. Kappa: Cohen (1960), Educational and Psychological Measurement 20:37;
    with the weights (i − j)²: Cohen (1968), Psychological Bulletin 70:213. Undefined where all images are of one class
    and predicted as it.
    """
    right, support, predicted = margins.right, margins.support, margins.predicted
    present, guessed = support.real > 0, predicted.real > 0
    n = support.sum(axis=1)
    both = present & guessed
    recall = np.where(present, right / np.where(present, support, 1), 0)
    precision = np.where(both, right / np.where(guessed, predicted, 1), 0)
    f1 = np.where(present, 2 * right / np.where(present, support + predicted, 1), 0)
    true_cells, guess_cells = present.sum(axis=1), guessed.sum(axis=1)
    hits, chance = right.sum(axis=1) / n, (support * predicted).sum(axis=1) / n**2
    # Shares first: sums of squared counts would lose digits.
    share, guess = support / n[:, None], predicted / n[:, None]
    spread = (1 - (share * share).sum(axis=1)) * (1 - (guess * guess).sum(axis=1))
    place = np.arange(support.shape[1]) - (support.shape[1] - 1) / 2
    mean, guess_mean = share @ place, guess @ place
    expected = share @ place**2 - 2 * mean * guess_mean + guess @ place**2
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = (support * both).sum(axis=1)
        one_class = (present | guessed).sum(axis=1) < 2
        return np.stack(
            [
                recall.sum(axis=1) / true_cells,
                np.where(both.any(axis=1), precision.sum(axis=1) / both.sum(axis=1), np.nan),
                f1.sum(axis=1) / true_cells,
                np.where(both.any(axis=1), (support * precision).sum(axis=1) / kept, np.nan),
                (support * f1).sum(axis=1) / n,
                np.where((true_cells > 1) & (guess_cells > 1), (hits - chance) / np.sqrt(spread), np.nan),
                np.where(one_class, np.nan, (hits - chance) / (1 - chance)),
                np.where(one_class, np.nan, 1 - margins.squared / n / expected),
            ],
            axis=1,
        )


def why_undefined(name: str, margins: Margins) -> str:
    """Return why a score of one matrix is undefined."""
    if name in ("macro_precision", "weighted_precision"):
        return "no class that has images is predicted"
    if np.count_nonzero(margins.support[0]) < 2 and np.count_nonzero(margins.predicted[0]) < 2:
        return "all images are of one class and predicted as one"
    if np.count_nonzero(margins.support[0]) < 2:
        return "all images are of one class"
    return "all images are predicted as one class"


def score_influences(y_true: Ints, y_pred: Ints, margins: Margins) -> Floats:
    """Return the influence of each image on each score, shape (N, scores); NaN where a score is undefined.

    The influence is the derivative of a score with respect to the image's weight, times the sum of the weights W: the
    error of a score is about Σ w·influence / W, whose mean is 0 (Hampel 1974, J. Am. Stat. Assoc. 69:383). The
    derivatives with respect to the margins are exact to rounding: complex steps (Squire & Trapp 1998, SIAM Review
    40:110).

    Args:
        y_true: true classes, shape (N,).
        y_pred: predicted classes, shape (N,).
        margins: those of the same images, B = 1.
    """
    classes, total = margins.support.shape[1], float(margins.support.sum())
    by_kind = [_derivatives(margins, kind, classes) for kind in ("right", "support", "predicted")]
    squared = scores_of_margins(
        Margins(margins.right, margins.support, margins.predicted, margins.squared + 1j * STEP * total)
    ).imag[0] / (STEP * total)
    right, support, predicted = by_kind
    influence = support[y_true] + predicted[y_pred] + np.where((y_true == y_pred)[:, None], right[y_true], 0.0)
    influence += ((y_true - y_pred).astype(np.float64) ** 2)[:, None] * squared
    undefined = np.isnan(scores_of_margins(margins)[0])
    influence[:, undefined] = np.nan
    return np.asarray(influence * total)


def _derivatives(margins: Margins, kind: str, classes: int) -> Floats:
    """Return the derivatives of the scores with respect to one kind of margin, shape (C, scores)."""
    total = float(margins.support.sum())
    base = {name: getattr(margins, name).astype(np.complex128) for name in ("right", "support", "predicted")}
    parts = []
    for start in range(0, classes, CHUNK_ROWS):
        rows = np.arange(start, min(start + CHUNK_ROWS, classes))
        step = np.zeros((len(rows), classes), dtype=np.complex128)
        step[np.arange(len(rows)), rows] = 1j * STEP * total
        given = {name: value + step if name == kind else value for name, value in base.items()}
        full = {name: np.broadcast_to(value, step.shape) for name, value in given.items()}
        found = scores_of_margins(Margins(**full, squared=np.repeat(margins.squared, len(rows))))
        parts.append(found.imag / (STEP * total))
    return np.concatenate(parts)


def score_replicates(confusion: Ints, *, rng: np.random.Generator, replicates: int = REPLICATES) -> Floats:
    """Return the scores of bootstrap resamples of a confusion matrix, shape (replicates, scores).

    In a resample, too, averages are over the classes that it has images of.

    Args:
        confusion: number of images, shape (C, C); row = true class, column = predicted class; not all 0.
        rng: source of randomness.
        replicates: number of resamples.
    """
    from scipy.sparse import csr_array

    classes = len(confusion)
    true, predicted = np.nonzero(confusion)
    cells = np.arange(len(true))
    ones = np.ones(len(true), dtype=np.int64)
    by_true = csr_array((ones, (cells, true)), shape=(len(true), classes))
    by_predicted = csr_array((ones, (cells, predicted)), shape=(len(true), classes))
    right = true == predicted
    by_right = csr_array((ones[right], (cells[right], true[right])), shape=(len(true), classes))
    squared = (true - predicted) ** 2

    def scores(counts: Ints) -> Floats:
        margins = Margins(counts @ by_right, counts @ by_true, counts @ by_predicted, counts @ squared)
        return np.asarray(scores_of_margins(margins))

    return bootstrap_replicates(confusion[true, predicted], scores, rng=rng, replicates=replicates)
