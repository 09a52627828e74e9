"""Linear heads on standardized features: logistic regression, linear SVM, ridge and LDA, each for a grid of settings.

Ridge regression and LDA differ between settings by a diagonal only, once the features are rotated to their principal
axes: one decomposition serves all settings. Logistic regression and the linear SVM are solved by L-BFGS with warm
starts, and hold a copy of the features; the others go through them block by block.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from tlkit.arrays import Floats, Ints, Matrix
from tlkit.features.heads.standardized import Standardized, row_blocks

Settings = Mapping[str, float | int]

NO_VARIANCE = 1e-12  # of standardized features


@dataclass(frozen=True, eq=False)
class LinearWeights:
    """Weight and bias as of `torch.nn.Linear`.

    Attributes:
        weight: shape (C, D).
        bias: shape (C,).
    """

    weight: npt.NDArray[np.floating]
    bias: npt.NDArray[np.floating]

    def scores(self, x: Matrix | Standardized) -> Floats:
        """Return x @ weight.T + bias, shape (N, C), for features (N, D); float64 whatever the arrays are."""
        weight = self.weight.astype(np.float64, copy=False)
        found = np.empty((x.shape[0], len(weight)))
        if isinstance(x, Standardized):
            blocks = x.blocks(np.float64)
        else:
            blocks = ((rows, x[rows].astype(np.float64, copy=False)) for rows in row_blocks(*x.shape))
        for rows, block in blocks:
            found[rows] = block @ weight.T + self.bias
        return found


LinearFit = Callable[[Standardized, Ints, Sequence[Settings], Floats, float], Iterator[LinearWeights]]
"""Yields the fitted linear head of each setting of a grid, in its order.

It takes standardized features (N, D), the codes 0…P-1 (N,), each of which occurs, P at least 2, the settings, the
weights of the images (N,), which lda does not use, and the tolerance of an iterative solver.
"""
TOLERANCE, FINE_TOLERANCE = 1e-4, 1e-7
"""About four digits, which comparing settings needs, and about six."""


def _dense(x: Standardized, tolerance: float) -> Matrix:
    """Return standardized features (N, D) for an iterative solver: four digits need single precision only."""
    return x.dense(np.float32 if tolerance >= TOLERANCE else np.float64)


def fit_logistic(
    x: Standardized, y: Ints, grid: Sequence[Settings], weights: Floats, tolerance: float
) -> Iterator[LinearWeights]:
    """scikit-learn's multinomial logistic regression; two classes get scores ±z/2, whose softmax is z's sigmoid."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    features = _dense(x, tolerance)
    model = LogisticRegression(solver="lbfgs", tol=tolerance, max_iter=2000, warm_start=True)
    for setting in grid:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 2000 steps from a warm start suffice
            model.set_params(C=setting["C"]).fit(features, y, sample_weight=weights.astype(features.dtype))
        yield symmetric_scores(model.coef_, model.intercept_)


def fit_linear_svm(
    given: Standardized, y: Ints, grid: Sequence[Settings], weights: Floats, tolerance: float
) -> Iterator[LinearWeights]:
    """Solve scikit-learn's LinearSVC, all classes at once: ½‖w‖² + C Σ wᵢ max(0, 1 − tᵢ(wᵀxᵢ + b))², t = ±1.

    As in liblinear (Fan et al. 2008, JMLR 9:1871, section 2) the intercept is the weight of a feature that is always 1,
    and is penalized as such. Weights count for every image, as LinearSVC's sample_weight; its class_weight leaves the
    images of the other classes alone. liblinear takes one class after the other and 5 to 30 s where 1,600 images of
    1,280 features meet C of 0.01 and more; L-BFGS from a warm start takes a fraction of a second.
    """
    x = _dense(given, tolerance)
    weights = weights.astype(x.dtype)
    ones = np.hstack([x, np.ones((len(x), 1), dtype=x.dtype)])
    classes = int(y.max()) + 1
    target = _signed_targets(y, classes).astype(x.dtype)
    weight = np.zeros((target.shape[1], ones.shape[1]))

    def loss(flat: Floats, c: float) -> tuple[float, Floats]:
        w = flat.reshape(weight.shape)
        gap = np.maximum(0.0, 1.0 - target * (ones @ w.T.astype(x.dtype)))  # (N, P)
        weighed = gap * weights[:, None]
        slope = w - 2.0 * c * (target * weighed).T @ ones
        return 0.5 * float(flat @ flat) + c * float((weighed * gap).sum()), np.asarray(slope, dtype=np.float64).ravel()

    for setting in grid:
        found = minimize(
            loss,
            weight.ravel(),
            args=(float(setting["C"]),),
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": 2000,
                "maxfun": 4000,
                "gtol": 0.01 * tolerance * setting["C"] * len(x),
                "ftol": 1e-4 * tolerance,
            },
        )
        weight = found.x.reshape(weight.shape)
        yield symmetric_scores(weight[:, :-1], weight[:, -1])


def fit_ridge(
    x: Standardized, y: Ints, grid: Sequence[Settings], weights: Floats, _tolerance: float
) -> Iterator[LinearWeights]:
    """scikit-learn's RidgeClassifier: least squares on ±1 targets, min Σ wᵢ(tᵢ − wᵀxᵢ − b)² + alpha ‖w‖²."""
    targets = _signed_targets(y, int(y.max()) + 1)
    for found in fit_least_squares(x, targets, [float(setting["alpha"]) for setting in grid], weights):
        yield symmetric_scores(found.weight, found.bias)


def fit_least_squares(
    x: Standardized, targets: Floats, alphas: Sequence[float], weights: Floats
) -> Iterator[LinearWeights]:
    """Yield the ridge regression of targets (N, P) for each alpha: min Σ wᵢ(tᵢ − wᵀxᵢ − b)² + alpha ‖w‖²."""
    share = weights / weights.sum()
    x_mean, t_mean = np.zeros(x.shape[1]), share @ targets
    for rows, block in x.blocks(np.float64):
        x_mean += share[rows] @ block
    products = np.zeros((x.shape[1], targets.shape[1]))
    for rows, block in x.blocks(np.float64):
        products += (block - x_mean).T @ (weights[rows, None] * (targets[rows] - t_mean))
    root = np.sqrt(weights)
    axes, squares = principal_axes(x, lambda rows, block: root[rows, None] * (block - x_mean))
    along = axes.T @ products  # (R, P)
    for alpha in alphas:
        coef = (axes @ (along / (squares + alpha)[:, None])).T
        yield LinearWeights(coef, t_mean - coef @ x_mean)


def fit_lda(
    x: Standardized, y: Ints, grid: Sequence[Settings], _weights: Floats, _tolerance: float
) -> Iterator[LinearWeights]:
    """scikit-learn's LinearDiscriminantAnalysis(solver="lsqr", shrinkage=s): Gaussian classes of one covariance.

    The covariance is (1 − s) S + s (tr S / D) I, with S that within classes; the scores are
    μᵀ Σ⁻¹ x − ½ μᵀ Σ⁻¹ μ + log prior (Hastie, Tibshirani & Friedman 2009, The Elements of Statistical Learning, eq.
    4.10).
    """
    n, width = x.shape
    counts = np.bincount(y)
    sums = np.zeros((len(counts), width))
    for rows, block in x.blocks(np.float64):
        np.add.at(sums, y[rows], block)
    means = sums / counts[:, None]
    axes, squares = principal_axes(x, lambda rows, block: block - means[y[rows]])
    variances = squares / n
    common = variances.sum() / width
    if common < NO_VARIANCE:  # one image per class, or copies of it: no direction varies
        common = 1.0
    inside = means @ axes  # (P, R); outside all axes the only variance is the shrinkage
    for setting in grid:
        s = setting["shrinkage"]
        floor = s * common
        shrunk = (1 - s) * variances + floor
        coef = (inside / shrunk) @ axes.T + (means - inside @ axes.T) / floor
        intercept = -0.5 * np.einsum("pd,pd->p", means, coef) + np.log(counts / n)
        yield LinearWeights(coef, intercept)


def symmetric_scores(coef: Matrix, intercept: Matrix) -> LinearWeights:
    """Return scores for each class; the single row z of two classes becomes ±z/2."""
    if len(coef) == 1:
        coef, intercept = np.vstack([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
    return LinearWeights(np.asarray(coef, dtype=np.float64), np.asarray(intercept, dtype=np.float64))


def _signed_targets(y: Ints, classes: int) -> Floats:
    """Return ±1 targets: (N, P), or (N, 1) for two classes."""
    if classes == 2:
        return np.where(y == 1, 1.0, -1.0)[:, None]
    return np.where(y[:, None] == np.arange(classes), 1.0, -1.0)


def principal_axes(x: Standardized, center: Callable[[slice, Matrix], Matrix]) -> tuple[Floats, Floats]:
    """Return the principal axes (D, R) and the sums of squares along them (R,), by the smaller Gram matrix.

    `center` maps rows and their features (B, D) to centered ones.
    """
    n, width = x.shape
    if width <= n:
        gram = np.zeros((width, width))
        for rows, block in x.blocks(np.float64):
            centered = center(rows, block)
            gram += centered.T @ centered
        squares, axes = np.linalg.eigh(gram)
        return axes, np.maximum(squares, 0.0)
    centered = center(slice(0, n), x.dense(np.float64))
    squares, left = np.linalg.eigh(centered @ centered.T)
    kept = squares > squares[-1] * 1e-10 if len(squares) else np.zeros(0, dtype=bool)
    squares, left = squares[kept], left[:, kept]
    return centered.T @ left / np.sqrt(squares), squares
