"""Logit offsets by class, or by class and group, and temperatures by group, for a head that is not refitted."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from tlkit.arrays import Floats, Ints
from tlkit.stats.temperature import fit_temperature


def class_offsets(scores: Floats, y: Ints, weights: Floats) -> Floats:
    """Return logit offsets by class, shape (C,), mean 0, which act as thresholds by class.

    The offsets b minimize the weighted mean log loss of softmax(s + b) with a penalty of ½ ‖b‖² / N, a normal prior of
    variance 1, without which the offset of a class that is always right has no limit. With weights by group they shift
    the decision towards rare classes and groups: logit adjustment, fitted instead of computed from class frequencies
    (Menon et al. 2021, ICLR, section 4.1).

    `scores` (N, C) are of images that the head was not fitted on; `y` (N,) holds class codes; `weights` (N,).
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
    """Return logit offsets by value of the attribute and class, shape (values, C); prediction needs the attribute.

    Thresholds by group: Hardt, Price & Srebro (2016), Equality of opportunity in supervised learning, NeurIPS, section
    4.2, by `class_offsets` within each value, with classes balanced.

    `attribute` (N,) holds codes below `values`; the offsets of a value without images are 0.
    """
    found = np.zeros((values, scores.shape[1]))
    for code in np.unique(attribute):
        inside = attribute == code
        counts = np.bincount(y[inside])
        found[code] = class_offsets(scores[inside], y[inside], 1.0 / counts[y[inside]])
    return found


def group_temperatures(scores: Floats, y: Ints, attribute: Ints, values: int) -> Floats:
    """Return a temperature for each value of the attribute, shape (values,); no decision changes.

    Above 1 = the head was overconfident there. Prediction needs the attribute.

    `attribute` (N,) holds codes below `values`; the temperature of a value without images is 1.
    """
    found = np.ones(values)
    for code in np.unique(attribute):
        inside = attribute == code
        found[code] = fit_temperature(scores[inside], y[inside])
    return found
