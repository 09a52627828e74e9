"""What can be had without another head: a bias a class, a bias a class and group, a temperature a group."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax

from tlkit.features.heads.temperature import fit_temperature

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def class_offsets(scores: Floats, y: Ints, weights: Floats) -> Floats:
    """Return what to add to the scores of each class: thresholds by class, the same for every image.

    The offsets b minimise the weighted mean log loss of softmax(s + b) with a penalty of ½ ‖b‖² / N, a normal prior of
    variance 1, without which a class that is always right would drift. With weights by group they shift the decision
    towards the classes and groups that are outvoted: logit adjustment, fitted in place of assumed (Menon et al. 2021,
    ICLR, section 4.1).

    Args:
        scores: shape (N, C), on images that the head did not learn from.
        y: class codes, shape (N,).
        weights: of the images, shape (N,).

    Returns:
        Shape (C,), mean 0.
    """
    share, rows = weights / weights.sum(), np.arange(len(y))

    def loss(offset: Floats) -> tuple[float, Floats]:
        logs = log_softmax(scores + offset, axis=1)
        slope = share @ np.exp(logs) - np.bincount(y, share, minlength=scores.shape[1])
        value = -float(share @ logs[rows, y]) + 0.5 * float(offset @ offset) / len(y)
        return value, slope + offset / len(y)

    found = minimize(loss, np.zeros(scores.shape[1]), jac=True, method="L-BFGS-B").x
    return np.asarray(found - found.mean(), dtype=np.float64)


def group_offsets(scores: Floats, y: Ints, attribute: Ints, values: int) -> Floats:
    """Return what to add to the scores of each class for each value of the attribute, which prediction then needs.

    Thresholds by group: Hardt, Price & Srebro (2016), Equality of opportunity in supervised learning, NeurIPS, section
    4.2, by `class_offsets` within each value, classes counting the same.

    Args:
        scores: shape (N, C).
        y: class codes, shape (N,).
        attribute: codes of the attribute's values, shape (N,).
        values: how many values there are; one without images gets no offsets.

    Returns:
        Shape (values, C).
    """
    found = np.zeros((values, scores.shape[1]))
    for code in np.unique(attribute):
        inside = attribute == code
        counts = np.bincount(y[inside])
        found[code] = class_offsets(scores[inside], y[inside], 1.0 / counts[y[inside]])
    return found


def group_temperatures(scores: Floats, y: Ints, attribute: Ints, values: int) -> Floats:
    """Return a temperature for each value of the attribute, which prediction then needs; no decision changes.

    Args:
        scores: shape (N, C).
        y: class codes, shape (N,).
        attribute: codes of the attribute's values, shape (N,).
        values: how many values there are; one without images has temperature 1.

    Returns:
        Shape (values,); above 1 = the head was too sure there.
    """
    found = np.ones(values)
    for code in np.unique(attribute):
        inside = attribute == code
        found[code] = fit_temperature(scores[inside], y[inside])
    return found
