"""How attributes go together, and a gap adjusted for other attributes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, expit, fdtrc

from tlkit.stats.bootstrap import CHUNK_CELLS
from tlkit.stats.cluster_sampling import Units, combined_df, difference_df, student_estimate
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import normal_quantile

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

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


def clustered_v(one: Ints, two: Ints, units: Units) -> Association | None:
    """Return Cramér's V of two attributes whose images are weighted or in clusters, corrected for bias.

    The first-order correction of Rao & Scott (1981), J. Am. Stat. Assoc. 76:221: Pearson's χ² over its mean where the
    attributes have nothing to do with each other, which is the trace of the covariance of the cells' residuals
    (1{r} − pᵣ)(1{c} − p_c)/√(pᵣ p_c), summed cluster by cluster, over √n; for independent images it is the degrees of
    freedom. The p-value is that of F with as many, and so many times the clusters − 1. V is that of counts divided by
    the same design effect, which is never taken below 1.

    Args:
        one: value of the first attribute of each image, shape (N,), at least 0.
        two: of the second.
        units: weights and clusters of the images.

    Returns:
        The association, or None where an attribute has fewer than two values, or all images are of one cluster.
    """
    heavy = units.weight > 0
    units = units.take(heavy)
    row, column = (np.unique(codes[heavy], return_inverse=True)[1].ravel() for codes in (one, two))
    n, clusters = len(row), units.clusters
    if n == 0 or clusters < 2:
        return None
    weight = units.weight / units.weight.mean()
    rows, columns = int(row.max()) + 1, int(column.max()) + 1
    df = (rows - 1) * (columns - 1)
    if df == 0:
        return None
    cell = row * columns + column
    table = np.asarray(np.bincount(cell, weights=weight, minlength=rows * columns), dtype=np.float64)
    table = table.reshape(rows, columns)
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    chi_square = float(((table - expected) ** 2 / expected).sum())
    effect = max(1.0, _mean_chi_square(table, cell, Units(weight, units.unit).numbered()) / df)
    found = cramers_v(table / effect) if n / effect > 1 else None  # less than one image says nothing
    return Association(
        v=0.0 if found is None else found.v,
        raw=min(1.0, math.sqrt(chi_square / n / (min(rows, columns) - 1))),
        p=float(
            fdtrc(df, df * combined_df(units.summed(np.zeros(n, dtype=np.int64), 1), [1.0]), chi_square / effect / df)
        ),
        n=n,
    )


def _mean_chi_square(table: Floats, cell: Ints, units: Units) -> float:
    """Return the mean of Pearson's χ² if two attributes had nothing to do with each other, given their clusters.

    Args:
        table: weight of the images by the attributes' values, shape (R, C), of as many images in sum.
        cell: place of each image in the table, shape (N,).
        units: weights and clusters, numbered from 0.
    """
    n, clusters = float(table.sum()), int(units.unit.max()) + 1
    by_row, by_column = table.sum(axis=1) / n, table.sum(axis=0) / n
    scale = np.sqrt(np.outer(by_row, by_column))
    mean = (table / n - np.outer(by_row, by_column)) / scale  # residual of an image on average
    order = np.argsort(units.unit, kind="stable")
    chunk, square = max(1, CHUNK_CELLS // table.size), 0.0
    for start in range(0, clusters, chunk):
        count = min(chunk, clusters - start)
        low, high = np.searchsorted(units.unit, [start, start + count], sorter=order)
        here = order[low:high]
        flat = (units.unit[here] - start) * table.size + cell[here]
        own = np.bincount(flat, weights=units.weight[here], minlength=count * table.size).reshape(count, *table.shape)
        size = own.sum(axis=(1, 2))[:, None, None]
        residual = own - by_row[:, None] * own.sum(axis=1)[:, None, :] - own.sum(axis=2)[:, :, None] * by_column
        residual = (residual + size * scale**2) / scale - size * mean
        square += float((residual**2 / (1 - size / n)).sum())
    return square / n


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
    gap, slope = _gap_of(design, size, beta)
    half = normal_quantile(confidence) * math.sqrt(float(slope @ covariance @ slope))
    return Estimate(gap, max(-1.0, gap - half), min(1.0, gap + half), n=images)


def _gap_of(design: Floats, size: Floats, beta: Floats) -> tuple[float, Floats]:
    """Return the mean difference that membership makes, and how it moves with the coefficients."""
    images = round(float(size.sum()))
    sides = []
    for value in (1.0, 0.0):
        asked = design.copy()
        asked[:, 1] = value
        predicted = expit(asked @ beta)
        slope = (size * predicted * (1 - predicted)) @ asked / images
        sides.append((float(size @ predicted) / images, slope))
    return sides[0][0] - sides[1][0], sides[0][1] - sides[1][1]


def clustered_gap(
    right: Mask, units: Units, *, member: Mask, others: Floats, pattern: Ints, confidence: float = 0.95
) -> Estimate:
    """Return the adjusted gap as `adjusted_gap` does, where images are weighted or in clusters.

    The model is fitted to the weighted images. Its coefficients vary as they move when each cluster is left out, to
    first order: (I − I_c)⁻¹ u_c with the information I and the score u of cluster c, the sandwich of Mancl & DeRouen
    (2001), Biometrics 57:126, times (M − 1)/M. The interval is Student's t.

    Args:
        right: whether each image is recognised, shape (N,).
        units: weights and clusters of the images.
        member: whether it belongs to the group, shape (N,).
        others: indicators of the other attributes' values in each pattern, one reference value each left out, shape
            (P, K).
        pattern: of each image, shape (N,), in 0…P-1.
        confidence: two-sided level, in (0, 1).

    Returns:
        The gap in [-1, 1]; undefined where `adjusted_gap` is, and with fewer clusters than values held fixed.
    """
    heavy = units.weight > 0
    right, member, pattern, units = right[heavy], member[heavy], pattern[heavy], units.take(heavy)
    images, clusters = len(right), units.clusters

    def undefined(note: str) -> Estimate:
        return Estimate(None, None, None, n=images, note=note)

    if clusters < 2:
        return undefined("all images are of one cluster")
    weight = units.weight / units.weight.mean()
    flat, at = np.unique(pattern * 2 + member, return_inverse=True)
    at = at.ravel()
    design = np.column_stack([np.ones(len(flat)), flat % 2, np.asarray(others, dtype=np.float64)[flat // 2]])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return undefined("membership follows from the other attributes")
    if design.shape[1] > clusters:
        return undefined("too many values to hold fixed for so few clusters")
    size, good = (np.asarray(np.bincount(at, weights=weight * each), dtype=np.float64) for each in (1.0, right))
    fit = _fit(design, good, size)
    if fit is None:
        return undefined("some value is always right or always wrong")
    gap, slope = _gap_of(design, size, fit[0])
    moved = _deletions(design, at, right, Units(weight, units.unit), fit) @ slope
    variance = float((moved**2).sum()) * (clusters - 1) / clusters
    df = difference_df(right, (~member).astype(np.int64), units)
    return student_estimate(gap, variance, df, n=images, confidence=confidence, lowest=-1.0, highest=1.0)


def _deletions(design: Floats, at: Ints, right: Mask, units: Units, fit: tuple[Floats, Floats]) -> Floats:
    """Return how the coefficients move when each cluster is left out, to first order, shape (M, columns)."""
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
        # A cluster that alone has some value leaves nothing to tell that value's coefficient by: it stays.
        alone = np.einsum("mij,ji->m", own, covariance) > _MOST_LEVERAGE
        left = information - own
        moved[start:stop][~alone] = np.linalg.solve(left[~alone], score[start:stop][~alone, :, None])[..., 0]
        if alone.any():
            inverse = np.linalg.pinv(left[alone], rcond=1e-9, hermitian=True)
            moved[start:stop][alone] = (inverse @ score[start:stop][alone, :, None])[..., 0]
    return moved


_MOST_LEVERAGE = 0.99  # of a cluster, summed over all coefficients; below, what is left can be inverted


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
