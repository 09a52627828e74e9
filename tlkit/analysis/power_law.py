"""The inverse power law of learning curves, accuracy(n) = a − b·n^(−c), fitted to many curves at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats

EXPONENTS = np.geomspace(0.05, 2.0, 150)  # below 0.05 the curve is practically a straight line


def fit_power_law(images: npt.ArrayLike, accuracy: npt.ArrayLike, *, weights: npt.ArrayLike | None = None) -> Floats:
    """Return the weighted least-squares fit of accuracy(n) = a − b·n^(−c), with a ≤ 1, b ≥ 0 and c in [0.05, 2].

    The law, and weights that grow with n because small samples deviate most, are those of Figueroa, Zeng-Treitler,
    Kandula & Ngo (2012), Predicting sample size required for classification performance, BMC Medical Informatics and
    Decision Making 12:8. For each c on a fixed grid a and b have a closed form, so there is no starting point, no local
    minimum and no failure to converge.

    `images` (S,) holds n, above 0; `accuracy` is (S,), or (B, S) for B curves; `weights` (S,) default to 1, 2 … S by n.

    Returns:
        a, b and c, shape (3,) or (B, 3).
    """
    n = np.asarray(images, dtype=np.float64)
    curves = np.atleast_2d(np.asarray(accuracy, dtype=np.float64))
    ranks = np.argsort(np.argsort(n, kind="stable")) + 1.0
    weight = ranks if weights is None else np.asarray(weights, dtype=np.float64)
    weight = weight / weight.sum()
    level = curves @ weight  # (B,), weighted means
    best = np.full(len(curves), np.inf)
    found = np.zeros((len(curves), 3))
    for c in EXPONENTS:
        fall = (n / n.max()) ** -c  # (S,), scaled so that it is 1 at the largest n
        center = fall @ weight
        spread = weight @ (fall - center) ** 2
        rise = -((curves - level[:, None]) @ (weight * (fall - center)))
        slope = np.maximum(0.0, rise / spread if spread > 0 else 0.0 * rise)
        top = level + slope * center
        over = top > 1.0
        slope = np.where(over, np.maximum(0.0, ((1.0 - curves) @ (weight * fall)) / (weight @ fall**2)), slope)
        top = np.where(over, 1.0, top)
        error = ((curves - top[:, None] + slope[:, None] * fall) ** 2) @ weight
        better = error < best - 1e-15
        best = np.where(better, error, best)
        found[better] = np.stack([top, slope * n.max() ** c, np.full(len(curves), c)], axis=1)[better]
    return found[0] if np.ndim(accuracy) == 1 else found


def power_law(parameters: Floats, images: npt.ArrayLike) -> Floats:
    """Return a − b·n^(−c), shape (..., M), for parameters (..., 3) and n of shape (M,)."""
    a, b, c = (parameters[..., place, None] for place in range(3))
    return np.asarray(a - b * np.asarray(images, dtype=np.float64) ** -c, dtype=np.float64)
