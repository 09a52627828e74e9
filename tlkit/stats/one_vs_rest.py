"""AUROC and average precision of each class against all others, with the influence of every image on them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tlkit.arrays import Floats, Mask

FEW_POSITIVES = 15
"""Positives below which the influences on average precision are those on scikit-learn's value."""
AreaKind = Literal["auroc", "average_precision"]
AREA_KINDS: tuple[AreaKind, AreaKind] = ("auroc", "average_precision")


@dataclass(frozen=True)
class Area:
    """An area of one class, and what its interval needs.

    Attributes:
        kind: AUROC or average precision.
        value: in [0, 1].
        influence: of each image, shape (N,); their weighted sum is 0, and the error of `value` is about the weighted
            mean of the influences over a sample.
        variance_df: degrees of freedom of its variance for independent images: positives − 1, or those of the
            variances of positives and negatives.
        positives: their number; of weighted images the effective one, (Σw)²/Σw².
        negatives: likewise.
        bias: about by how much the value is too large on average; 0 for AUROC.
    """

    kind: AreaKind
    value: float
    influence: Floats
    variance_df: float
    positives: float
    negatives: float
    bias: float = 0.0


def areas(score: Floats, positive: Mask, weight: Floats | None = None) -> tuple[Area, Area] | None:
    """Return AUROC and average precision of a score; None without positives or without negatives.

    AUROC is the probability that a positive scores above a negative, ties counted half. Its influences are the
    placements of DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44:837, with their factor m/(m − 1), so that the
    sum of the squares over N² is their variance.

    Average precision is the mean over the positives of the precision at their score, TP/(TP + FP) among the images
    that score at least as high (scikit-learn's; Boyd, Eng & Page 2013, ECML PKDD, LNCS 8190:451, section 2). With
    S(t) the share of images at or above t, G(t) that of positives, π = G(−∞) and P = G/S, it is ∫ P dG / π. A sample's
    average precision is too large, since a positive is among the images at its own score: by chance with 20 positives
    of 200 by 0.028.

    Images of equal weight: the bias is the jackknife's, (n − 1)(AP − AP without the image) on average, for which every
    image is left out in turn (Efron & Tibshirani 1993, An Introduction to the Bootstrap, eq. 10.12 and 11.5); an only
    positive changes nothing, and its bias is taken as 0: nearly all of its precision would be bias by the jackknife,
    and if it were not counted. The influences are those of leaving out an image, too, but on the mean of two values:
    average precision, and the one in which no positive counts among the images at its own score, (TP − 1)/(TP + FP −
    1), and 1 at the highest score. In simulation the variance of the value less its bias is between those of the two
    (decision 238). With fewer than 15 positives, of which the precision of the others says little, they are those on
    average precision alone.

    Weighted images: the influence is the derivative in the direction of an image (s, y), y (P(s) − AP)/π +
    ∫_{t ≤ s} (y − P(t))/S(t) dG(t) / π: the first term is the image as a positive, the second what it does to the
    precision at the scores below (Hampel 1974, J. Am. Stat. Assoc. 69:383, for the definition). The bias is the mean
    difference of the precision at a positive with and without it.

    Args:
        score: higher = more likely positive, shape (N,).
        positive: whether an image is of the class, shape (N,).
        weight: shape (N,), at least 0; None = 1 each.
    """
    order = np.argsort(score)
    ranked, y = score[order], positive[order]
    w = np.ones(len(score)) if weight is None else weight[order]
    new = np.empty(len(ranked), dtype=np.bool_)
    new[:1] = True
    np.not_equal(ranked[1:], ranked[:-1], out=new[1:])
    tie = None if new.all() else np.cumsum(new) - 1
    own = w * y
    other = w - own
    pos, neg = own, other
    if tie is not None:
        pos, neg = (np.asarray(np.bincount(tie, weights=one), dtype=np.float64) for one in (own, other))
    upto_pos, upto_neg = (np.asarray(np.cumsum(one), dtype=np.float64) for one in (pos, neg))
    total_pos, total_neg = float(upto_pos[-1]), float(upto_neg[-1])
    if not (total_pos > 0 and total_neg > 0):
        return None
    held_pos, held_neg = int(np.count_nonzero(own)), int(np.count_nonzero(other))
    parts = [_auroc(pos, neg, upto_pos, upto_neg)]
    if weight is None:
        parts += [
            _left_out(pos, neg, upto_pos, upto_neg, own=own_image)
            for own_image in ((True,) if held_pos < FEW_POSITIVES else (True, False))
        ]
    else:
        parts.append(_average_precision(pos, neg, upto_pos, upto_neg))
    found = []
    for value, *influences in parts:
        as_positive, as_negative = influences if tie is None else (one[tie] for one in influences)
        found.append((value, as_positive[y], as_negative[~y]))
    where_pos, where_neg = order[y], order[~y]

    def by_image(as_positive: Floats, as_negative: Floats) -> Floats:
        influence = np.empty(len(w))
        influence[where_pos], influence[where_neg] = as_positive, as_negative
        return influence

    auroc, above, below = found[0]
    spread = [float(one @ one) for one in (above * own[y], below * other[~y])]
    first = by_image(
        above * math.sqrt(held_pos / max(held_pos - 1, 1)), below * math.sqrt(held_neg / max(held_neg - 1, 1))
    )
    second = by_image(*found[1][1:])
    if weight is None:
        bias = -float(second.mean())
        second = (second + by_image(*found[2][1:])) / 2 if held_pos >= FEW_POSITIVES else second
        second = second - second.mean()
    else:
        reached = upto_pos[-1] + upto_neg[-1] - upto_pos - upto_neg + pos + neg
        at_positives = ((one if tie is None else one[tie])[y] for one in (upto_pos[-1] - upto_pos + pos, reached))
        bias = _self_inclusion(own[y], *at_positives)
    if held_pos == 1:
        bias = 0.0
    counts = total_pos**2 / float(own @ own), total_neg**2 / float(other @ other)
    return (
        Area("auroc", auroc, first, _welch(spread, (held_pos - 1, held_neg - 1)), *counts),
        Area("average_precision", found[1][0], second, float(held_pos - 1), *counts, bias),
    )


def areas_among(score: Floats, positive: Mask, held: Mask | None, weight: Floats | None) -> tuple[Area, Area] | None:
    """Return `areas` of the images that are held, None = all, with the influences of all images, shape (N,)."""
    if held is None:
        return areas(score, positive, weight)
    own = None if weight is None else weight[held]
    found = areas(score[held], positive[held], own) if held.any() else None
    return None if found is None else (_among_all(found[0], held, weight), _among_all(found[1], held, weight))


def _among_all(area: Area, held: Mask, weight: Floats | None) -> Area:
    """Return an area of some images with influences of all: 0 for the others, larger by W/w for those it rests on."""
    whole, own = (len(held), int(held.sum())) if weight is None else (weight.sum(), weight[held].sum())
    influence = np.zeros(len(held))
    influence[held] = area.influence * (whole / own)
    return replace(area, influence=influence)


def _auroc(pos: Floats, neg: Floats, upto_pos: Floats, upto_neg: Floats) -> tuple[float, Floats, Floats]:
    """Return AUROC, and the influences of a positive and of a negative at each score.

    Args:
        pos: weight of the positives at each different score, ascending, shape (T,).
        neg: weight of the negatives.
        upto_pos: its cumulated sum.
        upto_neg: that of the negatives.
    """
    total_pos, total_neg = upto_pos[-1], upto_neg[-1]
    total = total_pos + total_neg
    below = (upto_neg - neg / 2) / total_neg  # share of the negatives below a score, ties counted half
    above = 1.0 - (upto_pos - pos / 2) / total_pos
    value = float(pos @ below) / float(total_pos)
    return value, (below - value) * (total / total_pos), (above - value) * (total / total_neg)


def _average_precision(pos: Floats, neg: Floats, upto_pos: Floats, upto_neg: Floats) -> tuple[float, Floats, Floats]:
    """Return average precision, and the influences of a positive and of a negative at each score; see `_auroc`."""
    total_pos = upto_pos[-1]
    total = total_pos + upto_neg[-1]
    true = total_pos - upto_pos + pos  # positives at or above a score
    reached = true + (upto_neg[-1] - upto_neg + neg)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(pos > 0, np.clip(true / reached, 0.0, 1.0), 0.0)
        density = np.where(pos > 0, pos / reached, 0.0) * (total / total_pos)
    value = float(pos @ precision) / float(total_pos)
    gained, lost = np.cumsum(density), np.cumsum(density * precision)
    return value, (precision - value) * (total / total_pos) + gained - lost, -lost


def _left_out(
    pos: Floats, neg: Floats, upto_pos: Floats, upto_neg: Floats, *, own: bool
) -> tuple[float, Floats, Floats]:
    """Return average precision, and (n − 1) times its fall where a positive or a negative of each score is left out.

    An image that is left out changes the precision at its own score and at those below. With TP positives among R
    images at or above a score it becomes (TP − 1)/(R − 1) or TP/(R − 1).

    Args:
        pos: number of positives at each different score, ascending, shape (T,).
        neg: number of negatives.
        upto_pos: its cumulated sum.
        upto_neg: that of the negatives.
        own: whether a positive counts among the images at its own score, as in scikit-learn's average precision.
    """
    positives, n = float(upto_pos[-1]), float(upto_pos[-1] + upto_neg[-1])
    others = 0.0 if own else 1.0
    true = positives - upto_pos + pos - others
    reached = true + (upto_neg[-1] - upto_neg + neg)
    whole = pos * np.where(reached > 0, true / np.maximum(reached, 1.0), 1.0)
    left = np.maximum(reached - 1.0, 1.0)
    fewer_pos = np.where(reached > 1, (true - 1.0) / left, 1.0)
    fewer_neg = pos * np.where(reached > 1, true / left, 1.0)
    total = float(whole.sum())
    higher = total - np.cumsum(whole)  # the sum over the scores above
    no_negative = (higher + np.cumsum(fewer_neg)) / positives
    value = total / positives
    if positives > 1:
        below = pos * fewer_pos
        no_positive = (higher + np.cumsum(below) - fewer_pos) / (positives - 1.0)
    else:
        no_positive = np.full(len(pos), value)
    return value, (value - no_positive) * (n - 1.0), (value - no_negative) * (n - 1.0)


def _self_inclusion(own: Floats, true: Floats, reached: Floats) -> float:
    """Return the mean difference of the precision at each positive with and without it.

    Args:
        own: weights of the positives, shape (P,).
        true: weight of the positives at or above the score of each, shape (P,).
        reached: weight of all images at or above, shape (P,).
    """
    others = reached - own
    alone = others <= 1e-9 * reached  # nothing is known of the precision above all others
    with np.errstate(divide="ignore", invalid="ignore"):
        more = np.where(alone, 0.0, true / reached - (true - own) / np.where(alone, 1.0, others))
    return float(own @ more / own.sum())


def _welch(variance: list[float], df: tuple[int, int]) -> float:
    """Return the degrees of freedom of a sum of two variances: Welch (1947), Biometrika 34:28."""
    parts = [v * v / max(d, 1) for v, d in zip(variance, df, strict=True) if v > 0]
    return sum(variance) ** 2 / sum(parts) if parts else float(min(df))
