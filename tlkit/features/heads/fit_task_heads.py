"""Linear heads of several labels and of numbers, fitted to features: one-vs-rest logistic and ridge regression."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from tlkit.arrays import Floats, Ints
from tlkit.errors import DataError
from tlkit.features.heads.head import Features
from tlkit.features.heads.head_kinds import FACTS, HeadKind, Settings, format_settings
from tlkit.features.heads.linear import FINE_TOLERANCE, TOLERANCE, LinearWeights, fit_least_squares
from tlkit.features.heads.standardized import Standardized

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskTrial:
    """One setting in a cross-validation.

    Attributes:
        settings: hyper-parameters.
        loss: out of fold: the mean binary cross-entropy over images and labels, in nats, or the mean squared error in
            variances of the numbers.
    """

    settings: Settings
    loss: float


@dataclass(frozen=True, eq=False)
class LabelHead:
    """A linear head on features (N, D): logits of labels, or numbers in deviations from their mean.

    Attributes:
        kind: logistic or ridge.
        settings: the hyper-parameters chosen.
        parameters: weight (L, D) and bias (L,) for unscaled features.
        n: images it was fitted on.
        trials: every setting of the cross-validation, in the order of the grid.
    """

    kind: HeadKind
    settings: Settings
    parameters: LinearWeights
    n: int
    trials: tuple[TaskTrial, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return kind, settings and trials as plain JSON values."""
        trials = [{**trial.settings, "loss": trial.loss} for trial in self.trials]
        return {"kind": self.kind, "settings": dict(self.settings), "images": self.n, "trials": trials}

    @property
    def sentence(self) -> str:
        """What was fitted, as text."""
        what = "one-vs-rest logistic regression, L2" if self.kind == "logistic" else "ridge regression"
        loss = min(trial.loss for trial in self.trials)
        chosen = f"{format_settings(self.settings)}, the best of {len(self.trials)} settings by cross-validation"
        return f"{self.kind} head ({what}): {chosen}; out-of-fold loss {loss:.4f}."


def fit_label_head(
    x: Features, y: Ints, *, fold: Ints, label_weight: Floats | None = None, positive_weight: Floats | None = None
) -> LabelHead:
    """Return one-vs-rest logistic regressions of L labels, with one C that cross-validation chooses for all.

    Each is scikit-learn's LogisticRegression of one label, ½‖w‖² + C Σ sᵢ log(1 + exp(−tᵢ zᵢ)) with an unpenalized
    intercept; all are solved at once by L-BFGS, with warm starts along the grid of `FACTS["logistic"]`. Features are
    standardized inside, by the training part of each fold.

    Args:
        x: features, shape (N, D).
        y: 1 and 0, shape (N, L).
        fold: of each image, shape (N,), two or more.
        label_weight: of each label in the loss by which C is chosen, shape (L,); None = 1.
        positive_weight: s of the images with each label, shape (L,); None = 1.

    Raises:
        DataError: the features are no finite matrix, or a label is on no training image or on all.
    """
    targets = np.asarray(y, dtype=np.float64)
    x = _checked(x, len(targets))
    if constant := np.flatnonzero(targets.min(axis=0) == targets.max(axis=0)).tolist():
        raise DataError(f"{len(constant)} labels are on none or on all of the training images. Leave them out.")
    weights = np.where(targets == 1, 1.0 if positive_weight is None else positive_weight, 1.0)
    share = np.ones(targets.shape[1]) if label_weight is None else label_weight / label_weight.mean()
    grid = FACTS["logistic"].grid
    losses = np.zeros(len(grid))
    for number in np.unique(fold):
        test, train = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        known = Standardized.by_itself(x, train)
        new = known.like(x, test)
        for place, found in enumerate(_logistic(known, targets[train], grid, weights[train], TOLERANCE)):
            z = found.scores(new)
            each = weights[test] * (np.logaddexp(0, z) - targets[test] * z)
            losses[place] += float((each * share).sum())
    losses /= float((weights * share).sum())
    best = int(losses.argmin())
    known = Standardized.by_itself(x)
    (found,) = _logistic(known, targets, [grid[best]], weights, FINE_TOLERANCE)
    return _head("logistic", found, known.mean_and_scale, grid, losses, n=len(x))


def fit_number_head(x: Features, y: Floats, *, fold: Ints) -> LabelHead:
    """Return a ridge regression of numbers, with the alpha that cross-validation chooses: scikit-learn's Ridge.

    Args:
        x: features, shape (N, D).
        y: numbers in deviations from their mean, shape (N,).
        fold: of each image, shape (N,), two or more.

    Raises:
        DataError: the features are no finite matrix.
    """
    x, target = _checked(x, len(y)), np.asarray(y, dtype=np.float64)
    grid = FACTS["ridge"].grid
    losses = np.zeros(len(grid))
    for number in np.unique(fold):
        test, train = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        known = Standardized.by_itself(x, train)
        new = known.like(x, test)
        for place, found in enumerate(_ridge(known, target[train], grid)):
            losses[place] += float(((found.scores(new)[:, 0] - target[test]) ** 2).sum())
    losses /= len(target)
    known = Standardized.by_itself(x)
    (found,) = _ridge(known, target, [grid[int(losses.argmin())]])
    return _head("ridge", found, known.mean_and_scale, grid, losses, n=len(x))


def _head(
    kind: HeadKind,
    found: LinearWeights,
    standardization: tuple[Floats, Floats],
    grid: Sequence[Settings],
    losses: Floats,
    *,
    n: int,
) -> LabelHead:
    """Return a head for unscaled features."""
    mean, scale = standardization
    coef = found.weight / scale
    bias = found.bias - coef @ mean
    parameters = LinearWeights(coef.astype(np.float32), bias.astype(np.float32))
    trials = tuple(TaskTrial(dict(setting), float(loss)) for setting, loss in zip(grid, losses, strict=True))
    return LabelHead(kind, dict(grid[int(losses.argmin())]), parameters, n, trials)


def _checked(x: Features, rows: int) -> Features:
    values = np.asarray(x)
    if values.ndim != 2 or len(values) != rows or not np.isfinite(values).all():
        raise DataError(f"Features must be a matrix of finite numbers with {rows} rows. Got {values.shape} instead.")
    return values


def _logistic(
    given: Standardized, y: Floats, grid: Sequence[Settings], weights: Floats, tolerance: float
) -> Iterator[LinearWeights]:
    """Yield the regressions of all labels for each C; `x` (N, D) standardized, `y` and `weights` (N, L)."""
    x = given.dense(np.float64)
    labels, width = y.shape[1], x.shape[1]
    flat = np.zeros((labels, width + 1))
    sign = 2.0 * y - 1.0

    def loss(given: Floats, c: float) -> tuple[float, Floats]:
        w = given.reshape(labels, width + 1)
        z = x @ w[:, :-1].T + w[:, -1]
        value = 0.5 * float((w[:, :-1] ** 2).sum()) + c * float((weights * np.logaddexp(0, -sign * z)).sum())
        slope = -c * weights * sign * expit(-sign * z)  # (N, L)
        gradient = np.hstack([w[:, :-1] + slope.T @ x, slope.sum(axis=0)[:, None]])
        return value, gradient.ravel()

    for setting in grid:
        c = float(setting["C"])
        options = {"maxiter": 2000, "maxfun": 4000, "gtol": tolerance * c * len(x) * 0.01, "ftol": 1e-4 * tolerance}
        flat = minimize(loss, flat.ravel(), args=(c,), jac=True, method="L-BFGS-B", options=options).x
        flat = flat.reshape(labels, width + 1)
        yield LinearWeights(flat[:, :-1].copy(), flat[:, -1].copy())


def _ridge(x: Standardized, y: Floats, grid: Sequence[Settings]) -> Iterator[LinearWeights]:
    """Yield the regression for each alpha, by one decomposition; `x` (N, D) standardized, `y` (N,)."""
    return fit_least_squares(x, y[:, None], [float(setting["alpha"]) for setting in grid], np.ones(len(y)))
