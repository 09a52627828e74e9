"""Selective prediction: risk against coverage, its area, and thresholds whose risk is bounded with a guarantee.

A model that may abstain answers the images whose confidence is above a threshold. Coverage is the share that it
answers; selective risk is the share of wrong answers among them (El-Yaniv & Wiener 2010, JMLR 11:1605).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, stdtrit

from tlkit.arrays import Floats, Ints
from tlkit.choices import ALPHA, CONFIDENCE
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import tail_of, wilson_bounds

STARTS = ((0.0, 1 / 2), (1 / 4, 1 / 6), (1 / 2, 1 / 6), (3 / 4, 1 / 6))
"""Where a long sequence of answer sets is entered, as shares of the images, each with its share of delta."""
LONG_SEQUENCE = 40
"""Number of sizes from which a sequence is entered at several places; a shorter one has a single start."""
MOST_SIZES = 500
NEIGHBORS = 0.5
"""Exponent of n: the error rate around a threshold is estimated from about n ** 0.5 images."""


@dataclass(frozen=True)
class RiskThreshold:
    """A threshold of confidence for a wanted risk.

    Attributes:
        risk: the wanted selective risk, in (0, 1).
        delta: chance that the guarantee fails, over the draw of the validation images.
        threshold: answer where the confidence is above it; below 0 = answer everything; None = no threshold can be
            guaranteed with these images.
        n: labelled validation images.
        answered: of them above the threshold.
        errors: wrong ones among these.
        needed: answered images without any error that the guarantee needs.
    """

    risk: float
    delta: float
    threshold: float | None
    n: int
    answered: int
    errors: int
    needed: int


@dataclass(frozen=True)
class Ranking:
    """Images by falling confidence, in blocks of equal confidence.

    Attributes:
        confidence: of each block, falling, shape (M,).
        images: number of images in each block and those before, shape (M,).
        errors: number of wrong ones among these, shape (M,).
    """

    confidence: Floats
    images: Ints
    errors: Ints

    @property
    def n(self) -> int:
        """Number of images."""
        return int(self.images[-1]) if len(self.images) else 0

    def expected_errors(self) -> Floats:
        """Return the mean number of errors among the k most confident, k = 1…n, over all orders of equal ones."""
        ends = np.concatenate([[0], self.images])
        return np.asarray(np.interp(np.arange(1, self.n + 1), ends, np.concatenate([[0], self.errors])))


def rank_by_confidence(confidence: npt.ArrayLike, correct: npt.ArrayLike) -> Ranking:
    """Return images by falling confidence.

    Args:
        confidence: of the predicted class, or any score that is higher where the model is surer, shape (N,).
        correct: whether the prediction is right, shape (N,).
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
    values, place = np.unique(-sure, return_inverse=True)
    images = np.cumsum(np.bincount(place, minlength=len(values)))
    errors = np.cumsum(np.bincount(place[~right], minlength=len(values)))
    return Ranking(-values, np.asarray(images, dtype=np.int64), np.asarray(errors, dtype=np.int64))


def aurc(confidence: npt.ArrayLike, correct: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float | None:
    """Return the area under the risk–coverage curve: the mean selective risk over the coverages 1/n…n/n.

    Geifman, Uziel & El-Yaniv (2019), Bias-reduced uncertainty estimation, ICLR, eq. 3. Errors and weights of images of
    equal confidence are averaged, as over all their orders, so the order of the rows does not matter. 0 is best; a
    ranking that says nothing gives the error rate.

    Args:
        confidence: of the predicted class, or any score that is higher where the model is surer, shape (N,).
        correct: whether the prediction is right, shape (N,).
        weights: shape (N,), not all 0; None = equal weights.

    Returns:
        The area in [0, 1], or None without images.

    Example:
        >>> round(aurc([.95, .95, .85, .85, .65, .65, .55, .55], [1, 1, 1, 0, 1, 0, 0, 1]), 6)
        0.222768
    """
    sure, wrong = np.asarray(confidence, dtype=np.float64), 1.0 - np.asarray(correct, dtype=np.float64)
    if len(sure) == 0:
        return None
    _, tie, size = np.unique(-sure, return_inverse=True, return_counts=True)
    weight = np.ones(len(sure)) if weights is None else np.asarray(weights, dtype=np.float64)
    covered, errors = (np.repeat(np.bincount(tie, weights=each) / size, size) for each in (weight, weight * wrong))
    coverage = np.cumsum(covered)
    return float((np.cumsum(errors) / np.where(coverage > 0, coverage, 1.0)) @ covered / coverage[-1])


def smallest_aurc(errors: int, n: int) -> float:
    """Return the area of the ranking that puts all errors last, for n ≥ 1 images."""
    ranks = np.arange(1, n + 1)
    return float((np.maximum(ranks - (n - errors), 0) / ranks).mean())


def aurc_estimate(confidence: npt.ArrayLike, correct: npt.ArrayLike, level: float = CONFIDENCE) -> Estimate:
    """Return the area under the risk–coverage curve with its interval.

    The area is the mean over images of the risk R(t) at their own confidence t. Its influence function at an image is
    R(t) − AURC + Σ over thresholds t' ≤ t of (wrong − R(t')) / (n · coverage(t')) (von Mises expansion, as in van der
    Vaart 1998, Asymptotic Statistics, section 20.2), and its variance is the sum of squares over n². The interval is
    on the log scale, since the area is positive and skewed, with Student's t of as many degrees of freedom as there are
    errors: the area rests on them.

    Arguments as in `rank_by_confidence`, and the two-sided `level`.
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
    n = len(sure)
    value = aurc(sure, right)
    if value is None:
        return Estimate(None, None, None, n=0, note="no images")
    if value == 0.0:
        return Estimate(0.0, None, None, n=n, note="not enough data for an interval: no image is wrong")
    ranking = rank_by_confidence(sure, right)
    _, place = np.unique(-sure, return_inverse=True)
    block = np.diff(ranking.images, prepend=0)
    risk = ranking.errors / ranking.images
    # sums over the blocks from a confidence downwards: later blocks have lower thresholds
    down_a = np.cumsum((block / ranking.images)[::-1])[::-1]
    down_b = np.cumsum((block * risk / ranking.images)[::-1])[::-1]
    influence = risk[place] - float((block @ risk) / n) + (~right) * down_a[place] - down_b[place]
    t = float(stdtrit(int((~right).sum()), 1 - tail_of(level)))
    half = t * math.sqrt(float((influence**2).sum())) / n / value
    return Estimate(value, value * math.exp(-half), min(1.0, value * math.exp(half)), n=n)


def risk_at_coverage(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, coverage: float, level: float = CONFIDENCE
) -> Estimate:
    """Return the selective risk when the most confident share of the images is answered, with its interval.

    The threshold is a quantile of the same sample, so it varies too. To first order the variance of the risk R at
    coverage c is [R(1 − R) + (1 − c)(r − R)²] / (nc), where r is the error rate of images at the threshold (delta
    method; the two terms are uncorrelated). The interval is Wilson's at the effective size that this variance means.
    r is the error rate of about 2√n images on both sides of the threshold, and is at least R.

    Args:
        confidence: as in `rank_by_confidence`.
        correct: as there.
        coverage: share to answer, in (0, 1]; at least one image is answered.
        level: two-sided level, in (0, 1).

    Returns:
        The risk in [0, 1]; its `n` is the number of answered images.
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
    n = len(sure)
    if not n:
        return Estimate(None, None, None, n=0, note="no images")
    k = min(n, max(1, math.ceil(coverage * n - 1e-9)))
    expected = rank_by_confidence(sure, right).expected_errors()
    risk = float(expected[k - 1]) / k
    reach = max(5, round(n**NEIGHBORS))
    first, last = max(0, k - reach), min(n, k + reach)
    local = (expected[last - 1] - (expected[first - 1] if first else 0.0)) / (last - first)
    inside = min(max(risk, 0.5 / k), 1 - 0.5 / k)  # no errors do not mean no variance
    extra = (1 - k / n) * max(0.0, local - risk) ** 2
    size = k * inside * (1 - inside) / (inside * (1 - inside) + extra)
    low, high = wilson_bounds(risk * size, size, level)
    return Estimate(risk, float(low), float(high), n=k)


def threshold_for_risk(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, risk: float, *, delta: float = ALPHA
) -> RiskThreshold:
    """Return the lowest threshold of confidence whose selective risk is at most `risk` with confidence 1 − delta.

    The guarantee: over the draw of the validation images, with a chance of at least 1 − `delta`, images of the same
    distribution that are answered are wrong with a probability of at most `risk`. It takes for granted that images are
    independent and that the local error rate does not fall as confidence falls. It says nothing of other
    distributions, nor of groups.

    Method: Learn then Test (Angelopoulos, Bates, Candès, Jordan & Lei 2025, Annals of Applied Statistics 19:1641) with
    the exact binomial tail of selective classification (Geifman & El-Yaniv 2017, Selective classification for deep
    neural networks, NeurIPS, lemma 3.1). Answer sets of growing size k are tested in a fixed sequence; the first that
    cannot be rejected ends it. The sizes depend on n, `risk` and `delta` alone: each is the smallest at which one more
    error may be allowed. A long sequence is also entered at a quarter, half and three quarters of the images, with a
    share of `delta` each (Bonferroni), so that a few confident errors do not end everything. Below the threshold at
    which the risk is exceeded every further image errs with a probability of at least `risk`. So the first wrong
    hypothesis is rejected with a chance of at most `delta`.

    Args:
        confidence: of validation images, shape (N,), which did not train the model.
        correct: whether the prediction is right, shape (N,).
        risk: wanted risk, in (0, 1).
        delta: chance of failure, in (0, 1).

    Raises:
        ValueError: `risk` or `delta` is not in (0, 1).
    """
    for name, value in (("risk", risk), ("delta", delta)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must be above 0 and below 1, for example 0.05. Got {value} instead.")
    ranking = rank_by_confidence(confidence, correct)
    n, sequence = ranking.n, _sizes(ranking.n, risk, delta)
    needed = math.ceil(math.log(delta) / math.log1p(-risk) - 1e-9)
    best = -1  # block up to which images are answered
    for begin, share in STARTS if len(sequence) >= LONG_SEQUENCE else ((0.0, 1.0),):
        level = delta * share
        for k in _sizes(n, risk, level) if share < 1 else sequence:
            block = len(ranking.images) - 1 if k == n else _block_above(ranking, k)
            if k < begin * n or block < 0:
                continue  # before the start; or all images down to this size are equally confident: nothing to reject
            if binomial_tail(ranking.errors[block], ranking.images[block], risk) > level:
                break
            best = max(best, block)
    if best < 0:
        return RiskThreshold(risk, delta, None, n, 0, 0, needed)
    everything = best == len(ranking.images) - 1
    return RiskThreshold(
        risk=risk,
        delta=delta,
        threshold=-1.0 if everything else float(ranking.confidence[best + 1]),
        n=n,
        answered=int(ranking.images[best]),
        errors=int(ranking.errors[best]),
        needed=needed,
    )


def binomial_tail(k: npt.ArrayLike, n: npt.ArrayLike, p: float) -> Floats:
    """Return P(X ≤ k) of a binomial X with n trials of probability p in (0, 1), as an incomplete beta function."""
    successes, trials = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    below = successes < trials
    failures = np.where(below, trials - successes, 1.0)
    return np.asarray(np.where(below, betainc(failures, successes + 1, 1 - p), 1.0))


def _block_above(ranking: Ranking, k: int) -> int:
    """Return the last block whose images are strictly more confident than the (k+1)-th; -1 where there is none."""
    return int(np.searchsorted(ranking.images, k, side="right")) - 1


def _sizes(n: int, risk: float, level: float) -> Sequence[int]:
    """Return the sizes of answer sets to test: for a = 0, 1, … errors the smallest k with P(Bin(k, risk) ≤ a) ≤ level.

    The last one is n. Of more than 500 numbers of errors, 500 that are evenly spaced.
    """
    most = int(n * risk)  # with more errors among n the tail is above one half
    allowed = np.unique(np.linspace(0, most, min(most + 1, MOST_SIZES)).astype(np.int64)).astype(np.float64)
    low, high = allowed.copy(), np.full(len(allowed), n + 1.0)  # the tail is above the level at `low`, not so at `high`
    while (high - low > 1).any():
        middle = np.floor((low + high) / 2)
        fits = binomial_tail(allowed, np.maximum(middle, allowed + 1), risk) <= level
        low, high = np.where(fits, low, middle), np.where(fits, middle, high)
    found = [int(size) for size in high[high <= n]]
    return found + [n] * (bool(found) and found[-1] != n)
