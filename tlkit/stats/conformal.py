"""Split-conformal prediction sets: scores (LAC, APS, RAPS), their quantiles, and the sets.

Vovk, Gammerman & Shafer (2005), Algorithmic Learning in a Random World; Papadopoulos et al. (2002), ECML. A set holds
the true class with a probability of at least the wanted coverage, over the draw of calibration images and of the new
image, if both are exchangeable and the model was fitted on other images.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tlkit.arrays import Floats, Ints, Mask
from tlkit.choices import SetMethod

SET_METHODS: tuple[SetMethod, ...] = ("lac", "aps", "raps")
PENALTY = 0.05
"""λ of RAPS for every class beyond the first `FREE_CLASSES`. Fixed, so that no image of val is spent on tuning it."""
FREE_CLASSES = 2
"""Classes of a set that RAPS does not penalise, k of its paper."""


def nonconformity(
    proba: npt.ArrayLike,
    method: SetMethod,
    *,
    share: npt.ArrayLike = 0.0,
    penalty: float = PENALTY,
    free_classes: int = FREE_CLASSES,
) -> Floats:
    """Return the nonconformity score of each class for each image, shape (N, C); larger = less plausible.

    lac: 1 − p. Sadinle, Lei & Wasserman (2019), J. Am. Stat. Assoc. 114:223. The smallest sets on average; a set may
    be empty. aps: the probability of all classes that are more probable, plus `share` times the own. Romano, Sesia &
    Candès (2020), Classification with valid and adaptive coverage, NeurIPS, eq. 5. raps: that of aps, plus λ for every
    rank beyond k. Angelopoulos, Bates, Malik & Jordan (2021), Uncertainty sets for image classifiers, ICLR, eq. 4.

    Args:
        proba: class probabilities, shape (N, C).
        method: lac, aps or raps.
        share: u of aps and raps, in [0, 1], one number or one for each image (N,). The papers draw it at random, which
            makes the sets random. 0, the default, gives the same set every time and none that is empty.
        penalty: λ of raps, at least 0.
        free_classes: k of raps, at least 0.
    """
    table = np.asarray(proba, dtype=np.float64)
    if method == "lac":
        return np.asarray(1.0 - table)
    order = np.argsort(-table, axis=1, kind="stable")
    ordered = np.take_along_axis(table, order, axis=1)
    before = np.concatenate([np.zeros((len(table), 1)), np.cumsum(ordered, axis=1)[:, :-1]], axis=1)
    own = np.asarray(share, dtype=np.float64).reshape(-1, 1)
    scores = before + own * ordered
    if method == "raps":
        scores = scores + penalty * np.maximum(0, np.arange(1, table.shape[1] + 1) - free_classes)
    found = np.empty_like(scores)
    np.put_along_axis(found, order, scores, axis=1)
    return found


def conformal_quantile(scores: npt.ArrayLike, coverage: float) -> float:
    """Return the ⌈(n + 1) · coverage⌉-th smallest score; infinite where n is too small, so that sets hold everything.

    Args:
        scores: of the true classes of n calibration images.
        coverage: wanted coverage, in (0, 1).
    """
    values = np.sort(np.asarray(scores, dtype=np.float64))
    rank = math.ceil((len(values) + 1) * coverage - 1e-9)
    return math.inf if rank > len(values) else float(values[rank - 1])


def fewest_images(coverage: float) -> int:
    """Return the number of calibration images from which sets can leave a class out: 19 for a coverage of 0.95.

    Example:
        >>> fewest_images(0.95), fewest_images(0.9)
        (19, 9)
    """
    return math.ceil(coverage / (1 - coverage) - 1e-9)


def conditional_quantiles(scores: npt.ArrayLike, codes: Ints, count: int, coverage: float) -> Floats:
    """Return one quantile for each class or group (Mondrian conformal prediction), shape (count,).

    Vovk (2013), Conditional validity of inductive conformal predictors, Machine Learning 92:349. The coverage then
    holds within each of them.

    Args:
        scores: of the true classes, shape (N,).
        codes: class or group of each image, shape (N,), in 0…count-1; others are left out.
        count: number of classes or groups.
        coverage: wanted coverage, in (0, 1).
    """
    values = np.asarray(scores, dtype=np.float64)
    return np.array([conformal_quantile(values[codes == one], coverage) for one in range(count)])


def sets_of(scores: Floats, limit: npt.ArrayLike) -> Mask:
    """Return which classes each set holds, shape (N, C): those whose score is at most the limit.

    Args:
        scores: as `nonconformity` returns them, shape (N, C).
        limit: a number; one for each class, shape (C,); or one for each image, shape (N, 1).
    """
    return np.asarray(scores <= np.asarray(limit, dtype=np.float64))
