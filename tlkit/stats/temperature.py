"""Temperature scaling: calibrated probabilities from out-of-fold scores."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from tlkit.arrays import Floats, Ints

COLDEST, HOTTEST = 1e-4, 1e4
SMALLEST_PROBABILITY = 1e-15


def fit_temperature(scores: Floats, y: Ints, *, weights: Floats | None = None) -> float:
    """Return the temperature T for which softmax(scores / T) fits the labels best.

    Temperature scaling: Guo, Pleiss, Sun & Weinberger (2017), On Calibration of Modern Neural Networks, ICML, section
    4.2. It never changes which class is the most probable. The log loss is convex in 1/T. Where all images are right it
    has no minimum, so the targets are smoothed as if one of n + 2 images were doubtful: (n + 1)/(n + 2) for the label
    and the remainder spread over the other classes (Platt 1999, Probabilistic Outputs for Support Vector
    Machines, section 2.2, for all images together).

    `scores` (N, C) are out of fold; -inf = the class was absent from the training part, and images of such a class are
    left out. `y` (N,) holds codes, `weights` (N,) default to 1.

    Returns:
        T in [1e-4, 1e4]; 1 where no image is left.
    """
    own = scores[np.arange(len(y)), y]
    kept = np.isfinite(own)
    if not kept.any():
        return 1.0
    scores, y = scores[kept], y[kept]
    share = np.ones(len(y)) if weights is None else np.asarray(weights, dtype=np.float64)[kept]
    share = share / share.sum()
    present = np.isfinite(scores)
    doubt = 1.0 / (len(y) + 2)
    targets = np.where(present, doubt / np.maximum(present.sum(axis=1) - 1, 1)[:, None], 0.0)
    targets[np.arange(len(y)), y] = np.where(present.sum(axis=1) > 1, 1.0 - doubt, 1.0)
    safe = np.where(present, scores, 0.0)

    def loss(log_temperature: float) -> float:
        logs = log_softmax(np.where(present, safe / math.exp(log_temperature), -np.inf), axis=1)
        return -float(share @ (targets * np.where(present, logs, 0.0)).sum(axis=1))

    bounds = math.log(COLDEST), math.log(HOTTEST)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return float(math.exp(found.x))


def probabilities(scores: Floats, temperature: float) -> Floats:
    """Return softmax(scores / T), shape (N, C), rows that sum to one; a score of -inf gives exactly 0."""
    logs = log_softmax(np.asarray(scores, dtype=np.float64) / temperature, axis=1)
    return np.asarray(np.exp(logs), dtype=np.float64)


def mean_log_loss(proba: Floats, y: Ints, weights: Floats) -> float:
    """Return the weighted mean log loss in nats; a probability of 0 counts as 1e-15."""
    own = np.maximum(proba[np.arange(len(y)), y], SMALLEST_PROBABILITY)
    return float(-(weights @ np.log(own)) / weights.sum())
