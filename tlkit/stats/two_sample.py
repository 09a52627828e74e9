"""Two-sample tests on feature vectors by permutation: maximum mean discrepancy, and a classifier's accuracy.

Both take clusters (a burst, a patient, copies of a picture): whole clusters change sides, so that the level holds where
clusters, not images, are drawn independently. A p-value is (1 + as extreme) / (1 + draws): Phipson & Smyth (2010),
Stat. Appl. Genet. Mol. Biol. 9:39. It is at most α with a probability of at most α, whatever the features are.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtri

from tlkit.arrays import Floats, Ints, Mask
from tlkit.choices import ALPHA, CONFIDENCE, FOLDS, SEED
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import newcombe_bounds
from tlkit.stats.power import POWER

PERMUTATIONS = 999
MOST_SHRINKAGE = 0.999


@dataclass(frozen=True)
class MmdTest:
    """Test of equal distributions by the maximum mean discrepancy.

    Attributes:
        mmd2: unbiased estimate of the squared discrepancy; around 0 without a difference.
        bandwidth: of the Gaussian kernel: the median distance of two images.
        p: p-value.
        permutations: random permutations behind it.
    """

    mmd2: float
    bandwidth: float
    p: float
    permutations: int


@dataclass(frozen=True)
class ClassifierTest:
    """Test of equal distributions by how well a classifier tells the two samples apart.

    Attributes:
        accuracy: out-of-fold balanced accuracy, with an interval; 0.5 = cannot tell.
        p: p-value.
        detectable: balanced accuracy that a test of this size finds with a power of 80 %, approximately.
        permutations: random permutations behind it.
        score: out-of-fold score of each image, higher = more like the second sample, shape (N,).
    """

    accuracy: Estimate
    p: float
    detectable: float
    permutations: int
    score: Floats


def mmd_test(
    x: npt.NDArray[np.floating],
    second: Mask,
    *,
    unit: Ints | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = SEED,
) -> MmdTest:
    """Return the test of Gretton, Borgwardt, Rasch, Schölkopf & Smola (2012), JMLR 13:723.

    The statistic is the unbiased MMD² of Lemma 6, with a Gaussian kernel whose bandwidth σ is the median distance in
    the pooled sample (section 8); the null distribution is that of permutations. Time and memory grow with N².

    Args:
        x: features of both samples, shape (N, D).
        second: which rows are of the second sample, shape (N,).
        unit: cluster of each row, shape (N,); a cluster lies within one sample. None = independent rows.
        permutations: how many.
        seed: of the permutations.
    """
    rows = np.asarray(x, dtype=np.float64)
    rows = rows - rows.mean(axis=0)  # for the precision of the distances
    norms = (rows**2).sum(axis=1)
    distances = np.maximum(norms[:, None] + norms - 2 * rows @ rows.T, 0.0)
    bandwidth = math.sqrt(float(np.median(distances[np.triu_indices(len(rows), 1)]))) or 1.0
    kernel = np.exp(-distances / (2 * bandwidth**2))
    np.fill_diagonal(kernel, 0.0)
    side = permuted_sides(second, unit, permutations, np.random.default_rng(seed))  # (N, 1 + B), the first is observed
    total, row_sums = float(kernel.sum()), kernel.sum(axis=1)
    own = np.einsum("ib,ib->b", side, kernel @ side)
    with_all = row_sums @ side
    cross, other = with_all - own, total - 2 * with_all + own
    m = side.sum(axis=0)
    n = len(rows) - m
    with np.errstate(divide="ignore", invalid="ignore"):
        found = own / (m * (m - 1)) + other / (n * (n - 1)) - 2 * cross / (n * m)
    return MmdTest(float(found[0]), bandwidth, _p_value(found), permutations)


def classifier_test(
    x: npt.NDArray[np.floating],
    second: Mask,
    *,
    keys: Sequence[str],
    unit: Ints | None = None,
    folds: int = FOLDS,
    permutations: int = PERMUTATIONS,
    confidence: float = CONFIDENCE,
    alpha: float = ALPHA,
    seed: int = SEED,
) -> ClassifierTest:
    """Return the classifier two-sample test of Lopez-Paz & Oquab (2017), ICLR, section 3, with out-of-fold predictions.

    The classifier is Fisher's linear discriminant with the pooled covariance shrunk as by Ledoit & Wolf (2004), J.
    Multivariate Analysis 88:365, and the threshold midway between the means. Out-of-fold predictions depend on each
    other, so that the binomial distribution of a single held-out half does not hold for them: the p-value is that of
    permutations, each of which trains the classifier anew. It costs two matrix products, since its scores are linear in
    the labels (least squares on labels gives Fisher's direction: Hastie, Tibshirani & Friedman 2009, The Elements of
    Statistical Learning, exercise 4.2).

    Args:
        x: features of both samples, shape (N, D).
        second: which rows are of the second sample, shape (N,).
        keys: texts by which rows are dealt to folds; they must not tell the sample, such as digests of the files.
        unit: cluster of each row, shape (N,); clusters share a fold. None = independent rows.
        folds: how many.
        permutations: how many.
        confidence: two-sided level of the interval, in (0, 1).
        alpha: level of the test that `detectable` is for.
        seed: of folds and permutations.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    rows = _standardized(x)
    rng = np.random.default_rng(seed)
    side = permuted_sides(second, unit, permutations, rng)
    fold = _dealt(keys, unit, folds, seed)
    shrinkage = min(float(ledoit_wolf_shrinkage(rows, assume_centered=True)), MOST_SHRINKAGE)
    scores, called = np.empty_like(side), np.empty(side.shape, dtype=np.bool_)
    for number in range(folds):
        test, train = fold == number, fold != number
        scored = _discriminant(rows[train], np.concatenate([rows[train], rows[test]]), shrinkage) @ side[train]
        n = int(train.sum())
        labels = side[train]
        m = labels.sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            of_second = (scored[:n] * labels).sum(axis=0) / m
            of_first = (scored[:n] * (1 - labels)).sum(axis=0) / (n - m)
        middle = (of_second + of_first) / 2  # NaN where a sample is missing from the training part: called the first
        scores[test], called[test] = scored[n:] - middle, scored[n:] > middle
    second_n = side.sum(axis=0)
    first_n = len(rows) - second_n
    right_second, right_first = (called * side).sum(axis=0), (~called * (1 - side)).sum(axis=0)
    accuracy = (right_second / second_n + right_first / first_n) / 2
    share = 1.0 if unit is None else len(np.unique(unit)) / len(rows)  # clusters count as one image each
    low, high = newcombe_bounds(
        right_second[0] * share, second_n[0] * share, (first_n - right_first)[0] * share, first_n[0] * share, confidence
    )
    spread = math.sqrt((1 / (second_n[0] * share) + 1 / (first_n[0] * share)) / 16)
    return ClassifierTest(
        accuracy=Estimate(float(accuracy[0]), float((1 + low) / 2), float((1 + high) / 2), n=len(rows)),
        p=_p_value(accuracy),
        detectable=min(1.0, 0.5 + float(ndtri(1 - alpha) + ndtri(POWER)) * spread),
        permutations=permutations,
        score=np.nan_to_num(scores[:, 0]),
    )


def permuted_sides(second: Mask, unit: Ints | None, permutations: int, rng: np.random.Generator) -> Floats:
    """Return which rows are of the second sample, observed and permuted, shape (N, 1 + B), as 0 and 1.

    Clusters are permuted: the number of clusters on each side is kept.
    """
    number = np.arange(len(second)) if unit is None else np.unique(unit, return_inverse=True)[1]
    of_unit = np.zeros(int(number.max()) + 1, dtype=np.bool_)
    of_unit[number] = second
    assert (of_unit[number] == second).all(), "a cluster lies within one sample"
    drawn = rng.permuted(np.tile(of_unit, (permutations, 1)), axis=1)
    return np.asarray(np.vstack([of_unit, drawn]).T[number], dtype=np.float64)


def _p_value(statistics: Floats) -> float:
    """Return the p-value of the first of the statistics among all of them; large = extreme; NaN counts as extreme."""
    others = statistics[1:]
    at_least = ~(others < statistics[0] - 1e-12 * max(1.0, abs(float(statistics[0]))))
    return float((1 + at_least.sum()) / (1 + len(others)))


def _standardized(x: npt.NDArray[np.floating]) -> Floats:
    rows = np.asarray(x, dtype=np.float64)
    scale = rows.std(axis=0)
    return np.asarray((rows - rows.mean(axis=0)) / np.where(scale > 1e-12, scale, 1.0))


def _dealt(keys: Sequence[str], unit: Ints | None, folds: int, seed: int) -> Ints:
    """Return the fold of each row: units in the order of a hash of their first key, dealt in turn."""
    number = np.arange(len(keys)) if unit is None else np.unique(unit, return_inverse=True)[1]
    first: dict[int, str] = {}
    for row, key in enumerate(keys):
        name = hashlib.sha256(f"{seed}:{key}".encode()).hexdigest()
        first[int(number[row])] = min(first.get(int(number[row]), name), name)
    place = np.empty(len(first), dtype=np.int64)
    place[sorted(first, key=lambda one: (first[one], one))] = np.arange(len(first)) % folds
    return np.asarray(place[number])


def _discriminant(train: Floats, rows: Floats, shrinkage: float) -> Floats:
    """Return the matrix (N, n) that maps training labels (n,) to the discriminant scores of the rows (N, D)."""
    n, width = train.shape
    centre = train.mean(axis=0)
    own, every = train - centre, rows - centre
    ridge = shrinkage / (1 - shrinkage) * float((own**2).sum()) / width + 1e-9 * n
    if width < n:
        factor = cho_factor(own.T @ own + ridge * np.eye(width))
        return np.asarray(every @ cho_solve(factor, own.T))
    gram = own @ own.T
    factor = cho_factor(gram + ridge * np.eye(n))
    weights = cho_solve(factor, np.eye(n))
    return np.asarray((every @ own.T) @ weights)
