"""Weighted softmax regression (multinomial logistic regression) with an L2 or an L1 penalty, and group DRO."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax

from tlkit.arrays import Floats, Ints, Matrix
from tlkit.features.heads.head import ABSENT_BIAS
from tlkit.features.heads.linear import LinearWeights

LASSO_STEPS = 300
DRO_ROUNDS = 20
DRO_STEP = 0.5


def fit_l2_softmax(
    x: Matrix, y: Ints, weights: Floats, *, classes: int, c: float, start: LinearWeights | None = None, steps: int = 300
) -> LinearWeights:
    """Return the head that minimizes ½ ‖W‖² + C Σ wᵢ lossᵢ, as scikit-learn's LogisticRegression with sample weights.

    For two classes scikit-learn has one row of weights z instead of ±z/2, which makes its penalty ‖W‖²; so has this.

    `x` (N, D) is standardized; `y` (N,) holds codes below `classes`; a class without images gets a bias of -1e4.
    `start` is a warm start, `steps` the most iterations of L-BFGS.
    """
    present, codes = np.unique(y, return_inverse=True)
    ridge = 2.0 if len(present) == 2 else 1.0
    shape = (len(present), x.shape[1] + 1)
    begin = np.zeros(shape) if start is None else np.column_stack([start.weight, start.bias])[present]

    def loss(flat: Floats) -> tuple[float, Floats]:
        params = flat.reshape(shape)
        value, slope = _loss(params, x, codes, weights)
        weight = params[:, :-1]
        slope = c * slope
        slope[:, :-1] += ridge * weight
        return c * value + 0.5 * ridge * float((weight**2).sum()), slope.ravel()

    options = {"maxiter": steps, "gtol": 1e-5 * c * float(weights.sum()), "ftol": 1e-10}
    found = minimize(loss, begin.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(shape)
    return _with_absent_classes(found, present, classes)


def fit_l1_softmax(x: Matrix, y: Ints, weights: Floats, *, classes: int, c: float) -> LinearWeights:
    """Return the head that minimizes ‖W‖₁ + C Σ wᵢ lossᵢ, biases not penalized, by accelerated proximal gradient.

    FISTA with restarts: Beck & Teboulle (2009), SIAM J. Imaging Sciences 2:183, section 4; O'Donoghue & Candès (2015),
    Foundations of Computational Mathematics 15:715, section 3.2 (gradient scheme). The step is one over
    C/2 · λmax(XᵀWX): Böhning (1992), Annals of the Institute of Statistical Mathematics 44:197.

    Arguments as in `fit_l2_softmax`.
    """
    present, codes = np.unique(y, return_inverse=True)
    params = np.zeros((len(present), x.shape[1] + 1))
    ahead, momentum = params, 1.0
    step = 1.0 / (0.5 * c * _largest_square(x, weights))
    for _ in range(LASSO_STEPS):
        _, slope = _loss(ahead, x, codes, weights)
        moved = ahead - step * c * slope
        moved[:, :-1] = np.sign(moved[:, :-1]) * np.maximum(np.abs(moved[:, :-1]) - step, 0.0)
        if float(((ahead - moved) * (moved - params)).sum()) > 0:
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / following * (moved - params)
        small = np.abs(moved - params).max() <= 1e-5 * max(1e-3, np.abs(moved).max())
        params, momentum = moved, following
        if small:
            break
    return _with_absent_classes(params, present, classes)


def fit_group_dro(
    x: Matrix, y: Ints, group: Ints, *, classes: int, c: float, rounds: int = DRO_ROUNDS, step: float = DRO_STEP
) -> LinearWeights:
    """Return the head with the smallest mean loss of the worst group: group DRO by exponentiated gradient.

    Sagawa, Koh, Hashimoto & Liang (2020), Distributionally robust neural networks for group shifts, ICLR, algorithm 1:
    q_g grows by exp(η · loss_g). A head is small enough to be fitted to the weights of each round, instead of one
    stochastic step a round; the mean over the rounds' heads then approaches the minimax (Freund & Schapire 1999, Games
    and Economic Behavior 29:79, section 2). With one group it is the head without weights.

    Arguments as in `fit_l2_softmax`; `group` (N,) holds group codes. `step` is η, for losses relative to the largest of
    the first round.
    """
    _, codes = np.unique(group, return_inverse=True)
    counts = np.bincount(codes)
    if len(counts) == 1:
        return fit_l2_softmax(x, y, np.ones(len(y)), classes=classes, c=c)
    share = np.full(len(counts), 1.0 / len(counts))
    found: list[LinearWeights] = []
    largest = 0.0
    for _ in range(rounds):
        weights = len(y) * share[codes] / counts[codes]
        found.append(fit_l2_softmax(x, y, weights, classes=classes, c=c, start=found[-1] if found else None, steps=60))
        losses = np.bincount(codes, _image_losses(found[-1], x, y)) / counts
        largest = largest or max(float(losses.max()), 1e-12)
        share = share * np.exp(step * losses / largest)
        share = share / share.sum()
    return average_heads(found[len(found) // 2 :])  # the first rounds have not converged


def average_heads(heads: list[LinearWeights]) -> LinearWeights:
    """Return the mean of weights and of biases."""
    return LinearWeights(np.mean([one.weight for one in heads], axis=0), np.mean([one.bias for one in heads], axis=0))


def _loss(params: Floats, x: Matrix, codes: Ints, weights: Floats) -> tuple[float, Floats]:
    """Return Σ wᵢ lossᵢ and its gradient, shape (P, D + 1), of weights and biases (P, D + 1)."""
    weight = params[:, :-1].astype(x.dtype)
    logs = log_softmax((x @ weight.T).astype(np.float64) + params[:, -1], axis=1)
    rows = np.arange(len(codes))
    value = -float(weights @ logs[rows, codes])
    gap = np.exp(logs)
    gap[rows, codes] -= 1.0
    gap *= weights[:, None]
    return value, np.column_stack([(gap.astype(x.dtype).T @ x).astype(np.float64), gap.sum(axis=0)])


def _image_losses(head: LinearWeights, x: Matrix, y: Ints) -> Floats:
    logs = log_softmax(head.scores(x), axis=1)
    return np.asarray(-logs[np.arange(len(y)), y], dtype=np.float64)


def _largest_square(x: Matrix, weights: Floats) -> float:
    """Return an upper estimate of λmax(XᵀWX) with a column of ones, by power iteration."""
    root = np.sqrt(weights)[:, None]
    scaled = root * np.column_stack([x, np.ones(len(x))])
    vector = np.ones(scaled.shape[1])
    length = 1.0
    for _ in range(30):
        vector = scaled.T @ (scaled @ vector)
        length = float(np.linalg.norm(vector)) or 1.0
        vector /= length
    return 1.1 * length


def _with_absent_classes(params: Floats, present: Ints, classes: int) -> LinearWeights:
    coef, intercept = np.zeros((classes, params.shape[1] - 1)), np.full(classes, ABSENT_BIAS)
    coef[present] = params[:, :-1] - params[:, :-1].mean(axis=0)
    intercept[present] = params[:, -1] - params[:, -1].mean()
    return LinearWeights(coef, intercept)
