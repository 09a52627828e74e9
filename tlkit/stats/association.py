"""Association of two attributes (Cramér's V), and a gap adjusted for other attributes by logistic regression."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, expit, fdtrc

from tlkit.arrays import Floats, Ints, Mask
from tlkit.choices import CONFIDENCE
from tlkit.stats.bootstrap import CHUNK_CELLS
from tlkit.stats.cluster_sampling import Units, combined_df, difference_df, student_estimate
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import normal_quantile

MOST_STEPS = 50
SEPARATED = 15.0  # log odds beyond which a fit diverges: a rate of 3 in 10 million


@dataclass(frozen=True)
class Association:
    """Strength of the association of two attributes.

    Attributes:
        v: Cramér's V, corrected for bias, in [0, 1]: 0 = independent, 1 = one attribute determines the other.
        raw: Cramér's V without the correction, in [0, 1]; above 0 by chance even for independent attributes.
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
        table: counts, shape (R, C); empty rows and columns are ignored.

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
    if rows < 2 or columns < 2:
        return None
    n, chi_square = float(counts.sum()), _chi_square(counts)
    phi = max(0.0, chi_square / n - (rows - 1) * (columns - 1) / (n - 1))
    rows_left, columns_left = rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)
    least = min(rows_left, columns_left) - 1
    return Association(
        v=min(1.0, math.sqrt(phi / least)) if least > 0 else 0.0,
        raw=min(1.0, math.sqrt(chi_square / n / (min(rows, columns) - 1))),
        p=float(chdtrc((rows - 1) * (columns - 1), chi_square)),
        n=int(n),
    )


def clustered_v(one: Ints, two: Ints, units: Units) -> Association | None:
    """Return `cramers_v` of two attributes of weighted or clustered images.

    The first-order correction of Rao & Scott (1981), J. Am. Stat. Assoc. 76:221: Pearson's χ² is divided by its mean
    under independence over its degrees of freedom. That mean is the trace of the covariance of the cells' residuals
    (1{r} − pᵣ)(1{c} − p_c)/√(pᵣ p_c), summed by cluster, over √n. The p-value is that of F with the degrees of freedom
    of χ² and as many times clusters − 1. V is that of the counts divided by the same design effect, which is at least
    1.

    `one` and `two` are the attributes' values of each image, shape (N,), at least 0; `units` has the images' weights
    and clusters. None also with a single cluster.
    """
    weighted = units.weight > 0
    units = units.take(weighted)
    row, column = (np.unique(codes[weighted], return_inverse=True)[1].ravel() for codes in (one, two))
    n, clusters = len(row), units.clusters
    if n == 0 or clusters < 2:
        return None
    weight = units.weight / units.weight.mean()
    rows, columns = int(row.max()) + 1, int(column.max()) + 1
    df = (rows - 1) * (columns - 1)
    if df == 0:
        return None
    cell = row * columns + column
    table = np.asarray(np.bincount(cell, weights=weight, minlength=rows * columns).reshape(rows, columns), np.float64)
    chi_square = _chi_square(table)
    effect = max(1.0, _mean_chi_square(table, cell, Units(weight, units.unit).numbered()) / df)
    unclustered = cramers_v(table / effect) if n / effect > 1 else None  # n - 1 is above 0
    cluster_df = combined_df(units.summed(np.zeros(n, dtype=np.int64), 1), [1.0])
    return Association(
        v=0.0 if unclustered is None else unclustered.v,
        raw=min(1.0, math.sqrt(chi_square / n / (min(rows, columns) - 1))),
        p=float(fdtrc(df, df * cluster_df, chi_square / effect / df)),
        n=n,
    )


def _chi_square(table: Floats) -> float:
    """Return Pearson's χ² of independence of a table of counts, shape (R, C)."""
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return float(((table - expected) ** 2 / expected).sum())


def _mean_chi_square(table: Floats, cell: Ints, units: Units) -> float:
    """Return the mean of χ² under independence, from weights (R, C) and each image's flat cell in them, (N,)."""
    n, clusters = float(table.sum()), int(units.unit.max()) + 1
    by_row, by_column = table.sum(axis=1) / n, table.sum(axis=0) / n
    scale = np.sqrt(np.outer(by_row, by_column))
    mean = (table / n - np.outer(by_row, by_column)) / scale  # mean residual of an image
    order = np.argsort(units.unit, kind="stable")
    chunk, square = max(1, CHUNK_CELLS // table.size), 0.0
    for start in range(0, clusters, chunk):
        count = min(chunk, clusters - start)
        low, high = np.searchsorted(units.unit, [start, start + count], sorter=order)
        chosen = order[low:high]
        flat = (units.unit[chosen] - start) * table.size + cell[chosen]
        own = np.bincount(flat, weights=units.weight[chosen], minlength=count * table.size)
        own = own.reshape(count, *table.shape)
        size = own.sum(axis=(1, 2))[:, None, None]
        residual = own - by_row[:, None] * own.sum(axis=1)[:, None, :] - own.sum(axis=2)[:, :, None] * by_column
        residual = (residual + size * scale**2) / scale - size * mean
        square += float((residual**2 / (1 - size / n)).sum())
    return square / n


def adjusted_gap(
    right: npt.ArrayLike,
    n: npt.ArrayLike,
    *,
    member: npt.ArrayLike,
    others: npt.ArrayLike,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return the gap between a group and its complement, adjusted for other attributes by logistic regression.

    A model of being right given membership and the other attributes, without interactions, predicts every image as a
    member and as a non-member. The gap is the mean difference: marginal standardisation (Lane & Nelder 1982, Biometrics
    38:613). Its interval is by the delta method, with the attributes held fixed.

    Args:
        right: images classified correctly in each pattern of attributes, shape (P,).
        n: images of each pattern, shape (P,), above 0.
        member: whether the pattern belongs to the group, shape (P,), 0 or 1.
        others: indicators of the other attributes' values without one reference value each, shape (P, K).
        confidence: two-sided level, in (0, 1).

    Returns:
        The gap in [-1, 1]. Undefined where the model has no finite fit: the other attributes determine membership, or
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
    fit = _fit(design, k, size)
    if isinstance(fit, str):
        return Estimate(None, None, None, n=images, note=fit)
    beta, covariance = fit
    gap, slope = _gap_of(design, size, beta)
    half = normal_quantile(confidence) * math.sqrt(float(slope @ covariance @ slope))
    return Estimate(gap, max(-1.0, gap - half), min(1.0, gap + half), n=images)


def _gap_of(design: Floats, size: Floats, beta: Floats) -> tuple[float, Floats]:
    """Return the mean difference between membership and non-membership, and its gradient in the coefficients."""
    images = round(float(size.sum()))
    sides = []
    for value in (1.0, 0.0):
        standardised = design.copy()
        standardised[:, 1] = value
        predicted = expit(standardised @ beta)
        slope = (size * predicted * (1 - predicted)) @ standardised / images
        sides.append((float(size @ predicted) / images, slope))
    return sides[0][0] - sides[1][0], sides[0][1] - sides[1][1]


def clustered_gap(
    right: Mask, units: Units, *, member: Mask, others: Floats, pattern: Ints, confidence: float = CONFIDENCE
) -> Estimate:
    """Return `adjusted_gap` of weighted or clustered images.

    The model is fitted to the weighted images. The covariance of its coefficients is that of their changes when each
    cluster c is left out, to first order (I − I_c)⁻¹ u_c with the information I and the score u: the bias-corrected
    sandwich of Mancl & DeRouen (2001), Biometrics 57:126, times (M − 1)/M. The interval is Student's t.

    `right` and `member` are masks of the images, shape (N,), and `units` has their weights and clusters; `pattern`,
    shape (N,), is the row of `others` of each image. Also undefined with fewer clusters than coefficients.
    """
    kept = units.weight > 0
    right, member, pattern, units = right[kept], member[kept], pattern[kept], units.take(kept)
    images, clusters = len(right), units.clusters

    def undefined(note: str) -> Estimate:
        return Estimate(None, None, None, n=images, note=note)

    if clusters < 2:
        return undefined("all images are of one cluster")
    weight = units.weight / units.weight.mean()
    flat, at = np.unique(pattern * 2 + member, return_inverse=True)
    at = at.ravel()
    design = np.column_stack([np.ones(len(flat)), flat % 2, np.asarray(others, dtype=np.float64)[flat // 2]])
    size, good = (np.asarray(np.bincount(at, weights=weight * each), dtype=np.float64) for each in (1.0, right))
    fit = _fit(design, good, size, clusters=clusters)
    if isinstance(fit, str):
        return undefined(fit)
    gap, slope = _gap_of(design, size, fit[0])
    moved = _deletions(design, at, right, Units(weight, units.unit), fit) @ slope
    variance = float((moved**2).sum()) * (clusters - 1) / clusters
    df = difference_df(right, (~member).astype(np.int64), units)
    return student_estimate(gap, variance, df, n=images, confidence=confidence, lowest=-1.0, highest=1.0)


def _deletions(design: Floats, at: Ints, right: Mask, units: Units, fit: tuple[Floats, Floats]) -> Floats:
    """Return the change of the coefficients when each cluster is left out, to first order, shape (M, columns)."""
    beta, covariance = fit
    units, values = units.numbered(), design.shape[1]
    predicted = expit(design @ beta)
    cell, place = np.unique(units.unit * len(design) + at, return_inverse=True)
    n, k = (np.bincount(place.ravel(), weights=units.weight * each) for each in (1.0, right))
    cluster, pattern = cell // len(design), cell % len(design)
    first = np.flatnonzero(np.diff(cluster, prepend=-1))
    x = design[pattern]
    score = np.add.reduceat((k - n * predicted[pattern])[:, None] * x, first)
    known = n * (predicted * (1 - predicted))[pattern]
    information = np.linalg.inv(covariance)
    moved = np.empty_like(score)
    chunk = max(1, CHUNK_CELLS // values**2)
    edges = np.append(first, len(cell))
    for start in range(0, len(first), chunk):
        stop = min(start + chunk, len(first))
        inside = slice(edges[start], edges[stop])
        own = np.add.reduceat(
            known[inside, None, None] * x[inside, :, None] * x[inside, None, :], first[start:stop] - edges[start]
        )
        # Without the only cluster of a value its coefficient is unidentified: the pseudo-inverse leaves it unchanged.
        dominant = np.einsum("mij,ji->m", own, covariance) > _MOST_LEVERAGE
        left = information - own
        moved[start:stop][~dominant] = np.linalg.solve(left[~dominant], score[start:stop][~dominant, :, None])[..., 0]
        if dominant.any():
            inverse = np.linalg.pinv(left[dominant], rcond=1e-9, hermitian=True)
            moved[start:stop][dominant] = (inverse @ score[start:stop][dominant, :, None])[..., 0]
    return moved


_MOST_LEVERAGE = 0.99  # of a cluster, summed over the coefficients; below, I − I_c is invertible


def _fit(design: Floats, k: Floats, n: Floats, *, clusters: int | None = None) -> tuple[Floats, Floats] | str:
    """Return coefficients and covariance of a logistic regression by Newton's method, or why there are none."""
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return "membership follows from the other attributes"
    if clusters is not None and design.shape[1] > clusters:
        return "too many values to hold fixed for so few clusters"
    beta = np.zeros(design.shape[1])
    for _ in range(MOST_STEPS):
        predicted = expit(design @ beta)
        information = design.T @ (design * (n * predicted * (1 - predicted))[:, None])
        if np.linalg.cond(information) > 1e12:
            break
        step = np.linalg.solve(information, design.T @ (k - n * predicted))
        beta = beta + step
        if np.abs(design @ beta).max() > SEPARATED:
            break
        if np.abs(step).max() < 1e-10:
            return beta, np.asarray(np.linalg.inv(information))
    return "some value is always right or always wrong"
