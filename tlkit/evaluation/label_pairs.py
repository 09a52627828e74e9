"""Labels that go together, and labels that are missed where another one is predicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlkit.evaluation.label_scores import rate_of
from tlkit.predictions import MultilabelPredictions
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.estimate import Estimate

MOST_PAIRS = 20
MOST_CALLED = 30


@dataclass(frozen=True)
class LabelPair:
    """Two labels that are on the same images.

    Attributes:
        first: the label of the two that fewer images have.
        second: the other one.
        images: images with both.
        share: share of the images with `first` that also have `second`.
        expected: share of all images that have `second`: what `share` would be by chance.
        both_found: share of the images with both for which both are predicted.
    """

    first: str
    second: str
    images: int
    share: Estimate
    expected: float
    both_found: Estimate


@dataclass(frozen=True)
class LabelConfusion:
    """A label that is missed where another one is predicted wrongly.

    Attributes:
        missed: a label that the images have and that is not predicted.
        called: a label that they do not have and that is predicted.
        images: images of which both hold.
        share: their share of the images with `missed` and without `called`.
    """

    missed: str
    called: str
    images: int
    share: Estimate


@dataclass(frozen=True)
class LabelCalled:
    """How often a label is predicted on images that have another one and not it.

    Attributes:
        there: a label that the images have.
        called: a label that they do not have.
        share: share of these images on which `called` is predicted.
    """

    there: str
    called: str
    share: Estimate


def labels_called(found: MultilabelPredictions, units: Units | None, *, confidence: float) -> tuple[LabelCalled, ...]:
    """Return for each pair of labels how often the second is predicted where only the first of the two is true.

    Wilson's intervals, or those of clusters. Images of which one of the two labels is unknown are left out; so are
    pairs without images. Of more than 30 labels the 30 that most images have are taken.
    """
    truly, known = found.y_true == 1, found.known
    order = sorted(np.argsort(-truly.sum(axis=0), kind="stable")[:MOST_CALLED].tolist())
    rows = []
    for a in order:
        for b in order:
            base = truly[:, a] & known[:, b] & ~truly[:, b]
            if a == b or not base.any():
                continue
            share = rate_of(found.y_pred[:, b] & base, base, units, confidence, nothing="no images")
            rows.append(LabelCalled(found.labels[a], found.labels[b], share))
    return tuple(rows)


def label_pairs(
    found: MultilabelPredictions, units: Units | None, *, confidence: float
) -> tuple[tuple[LabelPair, ...], tuple[LabelConfusion, ...]]:
    """Return the pairs of labels on most images, and the pairs that are most often confused, each at most 20.

    Images of which one of the two labels is unknown are left out of a pair.
    """
    truly, known, called = found.y_true == 1, found.known, found.y_pred
    missing, missed, false = known & ~truly, truly & ~called, known & ~truly & called
    together = truly.astype(np.int64).T @ truly
    support = np.diagonal(together)
    pairs = []
    upper = np.triu(together, 1)
    for place in np.argsort(-upper, axis=None, kind="stable")[:MOST_PAIRS]:
        a, b = (int(one) for one in np.unravel_index(place, upper.shape))
        if upper[a, b] == 0:
            break
        first, second = (a, b) if support[a] <= support[b] else (b, a)
        both = truly[:, a] & truly[:, b]
        base = truly[:, first] & known[:, second]
        pairs.append(
            LabelPair(
                found.labels[first],
                found.labels[second],
                int(upper[a, b]),
                rate_of(both, base, units, confidence, nothing="no images"),
                float(truly[:, second].sum() / max(int(known[:, second].sum()), 1)),
                rate_of(called[:, a] & called[:, b], both, units, confidence, nothing="no images"),
            )
        )
    taken = missed.astype(np.int64).T @ false
    confusions = []
    for place in np.argsort(-taken, axis=None, kind="stable")[:MOST_PAIRS]:
        a, b = (int(one) for one in np.unravel_index(place, taken.shape))
        if taken[a, b] == 0:
            break
        counts, base = missed[:, a] & false[:, b], truly[:, a] & missing[:, b]
        share = rate_of(counts, base, units, confidence, nothing="no images")
        confusions.append(LabelConfusion(found.labels[a], found.labels[b], int(taken[a, b]), share))
    return tuple(pairs), tuple(confusions)
