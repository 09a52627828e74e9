"""L-BFGS for linear heads: preconditioned by the features' second moments, in passes over blocks of features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, qr, solve_triangular
from scipy.optimize import minimize
from scipy.special import expit, softmax

from tlkit.arrays import Floats, Matrix
from tlkit.features.heads.standardized import Standardized

SINGLE_TOLERANCE = 3e-4
"""The finest tolerance that products in single precision reach."""
LEAST_CURVATURE = 1e-6
JITTER = 1e-6
"""Share of the largest second moment that is added to all: the moments are summed in single precision."""


class ScoreLoss(ABC):
    """A loss of scores (N, P), summed over images.

    Attributes:
        outputs: P, the columns of the scores.
        image_weights: what each image counts in the second moments, shape (N,), 0 or more, not all 0.
    """

    outputs: int
    image_weights: Floats

    @abstractmethod
    def loss_and_slope(self, rows: slice, scores: Matrix) -> tuple[float, Matrix]:
        """Return the summed loss of some images, and its derivatives by their scores (B, P), which may be reused."""

    @abstractmethod
    def curvature(self, rows: slice, scores: Matrix) -> float:
        """Return the second derivatives by the scores, summed over images and outputs. It changes the speed only."""


def fit_linear_scores(
    x: Standardized, loss: ScoreLoss, strengths: Sequence[float], *, tolerance: float, intercept_penalty: float = 0.0
) -> Iterator[Floats]:
    """Yield, for each strength C, the weights and intercepts that minimize ½ ‖W‖² + C · loss(x Wᵀ + b).

    L-BFGS (scipy's L-BFGS-B), each strength from the solution of the one before, in coordinates in which the second
    derivative is close to the identity: θ = u L⁻¹, where L Lᵀ = C · a · Σ sᵢ xᵢ xᵢᵀ + I, and a is the mean second
    derivative of an image's loss by a score where the search starts. For softmax regression that matrix, with an a of
    ½, is the bound of Böhning (1992), Annals of the Institute of Statistical Mathematics 44:197.

    With fewer images than features the problem is solved in the span of the images, by a QR decomposition.

    Args:
        x: features, shape (N, D).
        loss: of the scores of these images.
        strengths: every C, above 0, the smallest first.
        tolerance: the mean loss of an image is within about the square of it from the smallest. Below
            `SINGLE_TOLERANCE` products in double precision follow those in single precision.
        intercept_penalty: 1 = the intercept is penalized like a weight.

    Yields:
        Arrays (P, D + 1); the last column holds the intercepts.
    """
    back: Floats | None = None
    if x.shape[0] < x.shape[1]:
        back, triangle = qr(x.dense(np.float64).T, mode="economic")  # x = (back @ triangle).T
        x = Standardized.as_given(np.ascontiguousarray(triangle.T))
    moments, total = _second_moments(x, loss.image_weights)
    stages: list[tuple[type[np.floating[Any]], float]] = [(np.float32, max(tolerance, SINGLE_TOLERANCE))]
    if tolerance < SINGLE_TOLERANCE:
        stages.append((np.float64, tolerance))
    penalty = np.append(np.ones(x.shape[1]), intercept_penalty)
    found = np.zeros((loss.outputs, x.shape[1] + 1))
    for strength in strengths:
        pull = penalty / (strength * total)  # of the mean loss of an image
        for dtype, goal in stages:
            root = cholesky(_curvature(x, loss, found, total) * moments + np.diag(pull), lower=True)
            found = _minimize(x, loss, found, root, pull, total=total, tolerance=goal, dtype=dtype)
        yield found if back is None else np.column_stack([found[:, :-1] @ back.T, found[:, -1]])


def _minimize(
    x: Standardized,
    loss: ScoreLoss,
    start: Floats,
    root: Floats,
    pull: Floats,
    *,
    total: float,
    tolerance: float,
    dtype: type[np.floating[Any]],
) -> Floats:
    """Return the minimum (P, D + 1) of the mean loss, with the penalty's share `pull` (D + 1,), from `start`."""

    def parameters(flat: Floats) -> Floats:
        return np.asarray(solve_triangular(root, flat.reshape(start.shape).T, lower=True, trans="T").T)

    def objective(flat: Floats) -> tuple[float, Floats]:
        theta = parameters(flat)
        weight, intercept = theta[:, :-1].T.astype(dtype), theta[:, -1].astype(dtype)
        value, slope = 0.0, np.zeros_like(theta)
        for rows, block in x.blocks(dtype):
            part, gap = loss.loss_and_slope(rows, block @ weight + intercept)
            value += part
            slope[:, :-1] += gap.T @ block
            slope[:, -1] += gap.sum(axis=0, dtype=np.float64)
        value = value / total + 0.5 * float(((theta**2) @ pull).sum())
        slope = slope / total + theta * pull
        return value, np.asarray(solve_triangular(root, slope.T, lower=True).T).ravel()

    options = {
        "maxiter": 2000,
        "maxfun": 4000,
        "gtol": tolerance * float(np.sqrt(2.0 / start.size)),
        "ftol": 0.1 * tolerance**2,
    }
    begin = (start @ root).ravel()
    return parameters(minimize(objective, begin, jac=True, method="L-BFGS-B", options=options).x)


def _curvature(x: Standardized, loss: ScoreLoss, found: Floats, total: float) -> float:
    """Return the mean second derivative of an image's loss by a score, for parameters (P, D + 1)."""
    weight, intercept = found[:, :-1].T.astype(np.float32), found[:, -1].astype(np.float32)
    summed = sum(loss.curvature(rows, block @ weight + intercept) for rows, block in x.blocks(np.float32))
    return max(summed / (total * loss.outputs), LEAST_CURVATURE)


def _second_moments(x: Standardized, weights: Floats) -> tuple[Floats, float]:
    """Return the weighted mean of xᵢ xᵢᵀ (D + 1, D + 1), the last feature always 1, and the sum of the weights."""
    width, total = x.shape[1], float(weights.sum())
    found = np.zeros((width + 1, width + 1))
    for rows, block in x.blocks(np.float32):
        weighed = block * weights[rows, None].astype(np.float32)
        found[:-1, :-1] += weighed.T @ block
        found[-1, :-1] += weighed.sum(axis=0, dtype=np.float64)
    found[:-1, -1], found[-1, -1] = found[-1, :-1], total
    found /= total
    found += JITTER * found.diagonal().max() * np.eye(width + 1)
    return found, total


class SoftmaxLoss(ScoreLoss):
    """Σ sᵢ times the cross-entropy of a softmax of P scores, for codes (N,) below P and weights s (N,)."""

    def __init__(self, codes: npt.NDArray[np.int64], weights: Floats) -> None:
        self.codes, self.image_weights = codes, weights
        self.outputs = int(codes.max()) + 1

    def loss_and_slope(self, rows: slice, scores: Matrix) -> tuple[float, Matrix]:
        """Return the summed loss of some images, and its derivatives by their scores (B, P)."""
        places, codes, weights = np.arange(len(scores)), self.codes[rows], self.image_weights[rows]
        scores -= scores.max(axis=1, keepdims=True)
        right = scores[places, codes].astype(np.float64)
        np.exp(scores, out=scores)
        sums = scores.sum(axis=1)
        value = float(weights @ (np.log(sums.astype(np.float64)) - right))
        scores *= (weights / sums).astype(scores.dtype)[:, None]
        scores[places, codes] -= weights.astype(scores.dtype)
        return value, scores

    def curvature(self, rows: slice, scores: Matrix) -> float:
        """Return Σ sᵢ p (1 − p)."""
        p = softmax(scores, axis=1)
        return float(self.image_weights[rows] @ (1.0 - (p * p).sum(axis=1, dtype=np.float64)))


class SquaredHingeLoss(ScoreLoss):
    """Σ sᵢ max(0, 1 − t z)² over images and outputs, for targets t of ±1 (N, P) and weights s (N,)."""

    def __init__(self, targets: Floats, weights: Floats) -> None:
        self.targets, self.image_weights, self.outputs = targets, weights, targets.shape[1]

    def loss_and_slope(self, rows: slice, scores: Matrix) -> tuple[float, Matrix]:
        """Return the summed loss of some images, and its derivatives by their scores (B, P)."""
        target = self.targets[rows].astype(scores.dtype)
        weights = self.image_weights[rows].astype(scores.dtype)[:, None]
        gap = np.maximum(0.0, 1.0 - target * scores)
        value = float((weights * gap * gap).sum(dtype=np.float64))
        return value, np.asarray(-2.0 * weights * target * gap)

    def curvature(self, rows: slice, scores: Matrix) -> float:
        """Return Σ 2 sᵢ over the outputs with t z < 1."""
        return 2.0 * float(self.image_weights[rows] @ (self.targets[rows] * scores < 1.0).sum(axis=1))


class LabelLoss(ScoreLoss):
    """Σ s (log(1 + exp(z)) − y z) over images and labels, for y of 0 and 1 and weights s, both (N, L)."""

    def __init__(self, y: Floats, weights: Floats) -> None:
        self.y, self.weights, self.outputs = y, weights, y.shape[1]
        self.image_weights = weights.mean(axis=1)

    def loss_and_slope(self, rows: slice, scores: Matrix) -> tuple[float, Matrix]:
        """Return the summed loss of some images, and its derivatives by their scores (B, P)."""
        y, weights = self.y[rows].astype(scores.dtype), self.weights[rows].astype(scores.dtype)
        value = float((weights * (np.logaddexp(0, scores) - y * scores)).sum(dtype=np.float64))
        return value, np.asarray(weights * (expit(scores) - y))

    def curvature(self, rows: slice, scores: Matrix) -> float:
        """Return Σ s p (1 − p)."""
        p = expit(scores)
        return float((self.weights[rows] * p * (1.0 - p)).sum())
