"""How attributes go together, and a gap adjusted for other attributes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, expit

from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import normal_quantile

Floats = npt.NDArray[np.float64]

MOST_STEPS = 50
SEPARATED = 15.0  # log odds beyond which a fit has run away: a share of 3 in 10 million


@dataclass(frozen=True)
class Association:
    """How strongly two attributes go together.

    Attributes:
        v: Cramér's V, corrected for bias, in [0, 1]: 0 = independent, 1 = one follows from the other.
        raw: Cramér's V without the correction, which is above 0 by chance alone.
        p: p-value of Pearson's χ² test of independence.
        n: images.
    """

    v: float
    raw: float
    p: float
    n: int


def cramers_v(table: npt.ArrayLike) -> Association | None:
    """Return Cramér's V of a table of counts, corrected for bias.

    Bergsma (2013), J. Korean Stat. Soc. 42:323: φ̃² = max(0, χ²/n − (r − 1)(c − 1)/(n − 1)), r̃ = r − (r − 1)²/(n − 1),
    c̃ alike, V = √(φ̃² / min(r̃ − 1, c̃ − 1)).

    Args:
        table: counts, shape (R, C); empty rows and columns take no part.

    Returns:
        The association, or None where an attribute has fewer than two values.

    Example:
        >>> association = cramers_v([[40, 10], [10, 40]])
        >>> round(association.v, 4), round(association.raw, 4)
        (0.5945, 0.6)
    """
    counts = np.asarray(table, dtype=np.float64)
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    rows, columns = counts.shape
    n = float(counts.sum())
    if rows < 2 or columns < 2:
        return None
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / n
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    phi = max(0.0, chi_square / n - (rows - 1) * (columns - 1) / (n - 1))
    rows_left, columns_left = rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)
    least = min(rows_left, columns_left) - 1
    return Association(
        v=min(1.0, math.sqrt(phi / least)) if least > 0 else 0.0,
        raw=min(1.0, math.sqrt(chi_square / n / (min(rows, columns) - 1))),
        p=float(chdtrc((rows - 1) * (columns - 1), chi_square)),
        n=int(n),
    )


def adjusted_gap(
    right: npt.ArrayLike, n: npt.ArrayLike, *, member: npt.ArrayLike, others: npt.ArrayLike, confidence: float = 0.95
) -> Estimate:
    """Return the gap between a group and the rest, adjusted for other attributes by logistic regression.

    A model of being right by membership and the other attributes, without interactions, predicts every image once as
    a member and once not; the gap is the mean difference (Lane & Nelder 1982, Biometrics 38:613), its interval by the
    delta method, the attributes taken as given.

    Args:
        right: images recognised in each pattern of attributes, shape (P,).
        n: images of each pattern, shape (P,), above 0.
        member: whether the pattern belongs to the group, shape (P,), 0 or 1.
        others: indicators of the other attributes' values, one reference value each left out, shape (P, K).
        confidence: two-sided level, in (0, 1).

    Returns:
        The gap in [-1, 1]. Undefined where the model has no finite fit: an attribute tells members apart entirely, or
        some value is always right or always wrong.

    Example:
        >>> right, images = [81, 192, 234, 55], [87, 263, 270, 80]
        >>> adjusted_gap(right, images, member=[1, 1, 0, 0], others=[[0], [1], [0], [1]]).format()
        '0.054 [-0.014, 0.122]'
    """
    k, size = np.asarray(right, dtype=np.float64), np.asarray(n, dtype=np.float64)
    inside = np.asarray(member, dtype=np.float64)
    design = np.column_stack([np.ones(len(k)), inside, np.asarray(others, dtype=np.float64).reshape(len(k), -1)])
    images = int(size.sum())
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return Estimate(None, None, None, n=images, note="membership follows from the other attributes")
    fit = _fit(design, k, size)
    if fit is None:
        return Estimate(None, None, None, n=images, note="some value is always right or always wrong")
    beta, covariance = fit
    sides = []
    for value in (1.0, 0.0):
        asked = design.copy()
        asked[:, 1] = value
        predicted = expit(asked @ beta)
        slope = (size * predicted * (1 - predicted)) @ asked / images
        sides.append((float(size @ predicted) / images, slope))
    gap, slope = sides[0][0] - sides[1][0], sides[0][1] - sides[1][1]
    half = normal_quantile(confidence) * math.sqrt(float(slope @ covariance @ slope))
    return Estimate(gap, max(-1.0, gap - half), min(1.0, gap + half), n=images)


def _fit(design: Floats, k: Floats, n: Floats) -> tuple[Floats, Floats] | None:
    """Fit a binomial logistic regression by Newton's method: coefficients and covariance, None where it runs away."""
    beta = np.zeros(design.shape[1])
    for _ in range(MOST_STEPS):
        predicted = expit(design @ beta)
        information = design.T @ (design * (n * predicted * (1 - predicted))[:, None])
        if np.linalg.cond(information) > 1e12:
            return None
        step = np.linalg.solve(information, design.T @ (k - n * predicted))
        beta = beta + step
        if np.abs(design @ beta).max() > SEPARATED:
            return None
        if np.abs(step).max() < 1e-10:
            return beta, np.asarray(np.linalg.inv(information))
    return None
