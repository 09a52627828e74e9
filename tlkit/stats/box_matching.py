"""Matching of predicted and true boxes, and average precision of weighted images, as COCO's evaluation does them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tlkit.arrays import Floats, Ints, Mask
from tlkit.predictions.detection_predictions import DetectionPredictions
from tlkit.stats.box_overlap import overlaps

THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)
RECALLS: Floats = np.linspace(0.0, 1.0, 101)
MOST_BOXES = 100
"""Predictions of a category that count in an image, the best scores first."""
MIN_SCORE = 0.5
"""Smallest score of a prediction that counts in recall and in the kinds of errors; average precision counts all."""


@dataclass(frozen=True, eq=False)
class Matches:
    """Which predictions match which true boxes.

    Attributes:
        kept: positions of the predictions that count, shape (D,), by category, image and falling score.
        match: position of the true box that each matches, shape (T, D) for the T overlaps of `THRESHOLDS`; -1 = none.
    """

    kept: Ints
    match: Ints


def match_boxes(boxes: DetectionPredictions) -> Matches:
    """Return the matches of all images and categories.

    Predictions take true boxes in the order of their scores: of those that no other prediction has, the one with the
    largest overlap, of crowds only where no other is left (Lin et al. 2014, Microsoft COCO, ECCV, and the code of its
    evaluation).
    """
    kept: list[Ints] = []
    matches: list[Ints] = []
    for found, truth in _cells(boxes):
        order = found[np.argsort(-boxes.found.value[found], kind="stable")][:MOST_BOXES]
        crowd = boxes.truth.crowd[truth]
        overlap = overlaps(boxes.found.box[order], boxes.truth.box[truth], crowd)
        kept.append(order)
        matches.append(_greedy(overlap, crowd, truth))
    if not kept:
        return Matches(np.zeros(0, dtype=np.int64), np.zeros((len(THRESHOLDS), 0), dtype=np.int64))
    return Matches(np.concatenate(kept), np.concatenate(matches, axis=1))


def found_objects(boxes: DetectionPredictions, matches: Matches, *, min_score: float) -> Mask:
    """Return which true boxes are found at an overlap of 0.5 by a prediction of a score, shape (M,)."""
    hit = np.zeros(len(boxes.truth), dtype=np.bool_)
    match = matches.match[0][boxes.found.value[matches.kept] >= min_score]
    hit[match[match >= 0]] = True
    return hit


def average_precisions(
    boxes: DetectionPredictions,
    matches: Matches,
    weights: Floats,
    *,
    categories: Sequence[int] | None = None,
    overlaps: Sequence[int] | None = None,
) -> Floats:
    """Return average precision by row of weights, category and overlap, shape (B, K, T); NaN without true boxes.

    The mean over 101 recalls of the largest precision at that recall or above, as in COCO's evaluation.

    Args:
        boxes: true and predicted boxes.
        matches: from `match_boxes`.
        weights: how often each image counts, shape (B, N).
        categories: positions of those that are wanted; others are NaN. None = all.
        overlaps: positions of those of `THRESHOLDS` that are wanted; others are NaN. None = all.
    """
    counted = ~boxes.truth.crowd
    category, image = boxes.found.category[matches.kept], boxes.found.image[matches.kept]
    result = np.full((len(weights), len(boxes.categories), len(THRESHOLDS)), np.nan)
    for place in range(len(boxes.categories)) if categories is None else categories:
        own = boxes.truth.image[counted & (boxes.truth.category == place)]
        total = weights[:, own].sum(axis=1)
        rows = np.flatnonzero(category == place)
        rows = rows[np.argsort(-boxes.found.value[matches.kept[rows]], kind="stable")]
        weight = weights[:, image[rows]]
        for t in range(len(THRESHOLDS)) if overlaps is None else overlaps:
            match = matches.match[t, rows]
            ignored = np.append(boxes.truth.crowd, False)[match]  # position -1 finds False
            right = np.cumsum(weight * ((match >= 0) & ~ignored), axis=1)
            false = np.cumsum(weight * (match < 0), axis=1)
            for b in np.flatnonzero(total > 0):
                result[b, place, t] = _area(right[b], false[b], total[b])
    return result


def _area(right: Floats, false: Floats, total: float) -> float:
    if not len(right):
        return 0.0
    precision = right / (false + right + np.spacing(1))
    highest = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(highest[np.searchsorted(right / total, RECALLS, side="left")].mean())


def _greedy(overlap: Floats, crowd: Mask, truth: Ints) -> Ints:
    """Return the true box of each prediction, shape (T, D), -1 = none."""
    match = np.full((len(THRESHOLDS), len(overlap)), -1, dtype=np.int64)
    if not len(truth):
        return match
    for t, least in enumerate(THRESHOLDS):
        free = np.ones(len(truth), dtype=np.bool_)
        for d, row in enumerate(overlap):
            enough = row >= min(least, 1 - 1e-10)
            for allowed in (enough & free & ~crowd, enough & crowd):
                if allowed.any():
                    best = np.flatnonzero(allowed & (row == row[allowed].max()))[-1]
                    match[t, d] = truth[best]
                    free[best] = False
                    break
    return match


def _cells(boxes: DetectionPredictions) -> Iterator[tuple[Ints, Ints]]:
    """Yield positions of predicted and of true boxes for each category and image that has a prediction."""
    size = len(boxes.images)
    keys = [one.category * size + one.image for one in (boxes.found, boxes.truth)]
    orders = [np.argsort(key, kind="stable") for key in keys]
    ordered = [key[order] for key, order in zip(keys, orders, strict=True)]
    for key in np.unique(keys[0]):
        ends = [np.searchsorted(one, [key, key + 1]) for one in ordered]
        yield orders[0][slice(*ends[0])], orders[1][slice(*ends[1])]
