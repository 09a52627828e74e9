"""The jackknife of macro-F1: its bias and its variance, from a confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlkit.arrays import Floats, Ints


@dataclass(frozen=True)
class MacroF1:
    """The macro-F1 of a sample with the jackknife's figures.

    Attributes:
        value: mean F1 over the classes that have images, in [0, 1].
        bias: by how much the value is too large on average.
        variance: of the value, at least 0; 0 where no single image changes it.
    """

    value: float
    bias: float
    variance: float


def macro_f1_jackknife(confusion: Ints) -> MacroF1:
    """Return macro-F1 with its jackknife bias and variance: (n − 1)·mean(δ) and (n − 1)/n · Σ (δ − mean(δ))².

    δ is the change when one image is left out: Efron & Tibshirani (1993), An Introduction to the Bootstrap, eq. 10.12
    and 11.5. All images of a cell (i, j) have the same δ, which changes F1 = 2·TP/b of the classes i and j alone, with
    b = 2·TP + FP + FN: by 2·TP/(b − 1) − F1 for an error, by 2(TP − 1)/(b − 2) − F1 for a hit. A class does not vanish
    with its only image: then δ is minus the influence, to first order.

    Args:
        confusion: number of images, shape (C, C), not all 0; row = true class, column = predicted class.
    """
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    right, present, n = np.diagonal(confusion), support > 0, int(confusion.sum())
    classes = int(np.count_nonzero(present))
    both = np.maximum(support + predicted, 1)
    f1 = np.where(present, 2 * right / both, 0.0)
    value = float(f1.sum() / classes)
    true, guess = np.nonzero(confusion)
    count = confusion[true, guess]
    only = support[true] == 1
    error = np.where(present, 2 * right / np.maximum(both - 1, 1) - f1, 0.0)
    hit = np.where(present, 2 * (right - 1) / np.maximum(both - 2, 1) - f1, 0.0)
    cost = f1 / both
    change = np.where(only, cost[true] + cost[guess], error[true] + error[guess])
    same = true == guess
    change[same] = np.where(only, 2 * cost[true] - 2 / both[true], hit[true])[same]
    change /= classes
    mean = float(count @ change) / n
    variance = (n - 1) / n * float(count @ (change - mean) ** 2)
    return MacroF1(value, (n - 1) * mean, variance)


def class_f1(confusion: Ints) -> Floats:
    """Return the F1 of each class that has images, in class order."""
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    present = support > 0
    return np.asarray(2 * np.diagonal(confusion)[present] / (support + predicted)[present])
