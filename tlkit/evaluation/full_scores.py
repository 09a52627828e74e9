"""The full set of scores with their intervals: of the confusion matrix, of rankings, of probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tlkit.arrays import Floats, Ints, Mask
from tlkit.evaluation.class_intervals import f1_bounds
from tlkit.evaluation.loss_figures import mean_loss, opposite
from tlkit.evaluation.score_names import SCORES
from tlkit.predictions import Predictions
from tlkit.stats.area_intervals import AreaMean, area_counts, area_estimate, moderated
from tlkit.stats.bootstrap import percentile_estimate
from tlkit.stats.brier import brier_losses, brier_parts
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.confusion_scores import CONFUSION_SCORES, margins_of_rows, score_influences, scores_of_margins
from tlkit.stats.confusion_scores import why_undefined as why_no_score
from tlkit.stats.estimate import Estimate
from tlkit.stats.influence import bounded_estimate, spread_of
from tlkit.stats.intervals import wilson_bounds
from tlkit.stats.one_vs_rest import AREA_KINDS, areas_among

ONLY_ONE_CLASS = "all images are of one class"


@dataclass(frozen=True)
class RankingScores:
    """AUROC and average precision, of each class against all others and their means.

    Attributes:
        per_class: for each class, its AUROC and average precision.
        macro: their means over the classes for which they are defined.
    """

    per_class: tuple[tuple[Estimate, Estimate], ...]
    macro: tuple[Estimate, Estimate]


def confusion_estimates(
    labelled: Predictions, confusion: Ints, units: Units | None, *, drawn: Floats | None, confidence: float
) -> dict[str, Estimate]:
    """Return the scores of the confusion matrix, except the main figures.

    Independent images: percentiles of the bootstrap of the matrix, each end at least as far from the value as the
    combined intervals of its parts, for a percentile interval collapses where no image is wrong. The parts: precisions
    of the classes, which are independent given the predictions; F1s, as in `macro_estimates`; for Matthews' correlation
    and kappa the accuracy, since 1 − kappa is the error rate over the error rate by chance. Weighted or clustered
    images: `bounded_estimate` of their influences.

    Args:
        labelled: images with labels.
        confusion: number of images, shape (C, C).
        units: weights and clusters; None = independent images.
        drawn: bootstrap replicates of the scores; None where `units` are given.
        confidence: two-sided level, in (0, 1).
    """
    weight = None if units is None else units.weight
    margins = margins_of_rows(labelled.y_true, labelled.y_pred, len(labelled.classes), weight)
    values = dict(zip(CONFUSION_SCORES, scores_of_margins(margins)[0].tolist(), strict=True))
    found, n = {}, len(labelled)
    influences = None if units is None else score_influences(labelled.y_true, labelled.y_pred, margins)
    for place, name in enumerate(CONFUSION_SCORES):
        if name in ("balanced_accuracy", "macro_f1"):
            continue
        value, lowest = min(values[name], 1.0), SCORES[name].lowest
        note = _classes_note(confusion, predicted=name == "macro_precision")
        if math.isnan(values[name]):
            found[name] = Estimate(None, None, None, n=n, note=why_no_score(name, margins))
        elif units is not None and (why := units.why_unknown):
            found[name] = Estimate(value, None, None, n=n, note=f"no interval: {why}")
        elif units is not None and influences is not None:
            spread = spread_of(influences[:, place], units)
            found[name] = bounded_estimate(
                value, spread, n=n, least=units.clusters, lowest=lowest, confidence=confidence, note=note
            )
        else:
            assert drawn is not None, "independent images have replicates"
            plain = percentile_estimate(value, drawn[:, place], n=n, confidence=confidence)
            if plain.low is None:
                plain = Estimate(value, value, value, n=n)
            found[name] = _widened(plain, _distances(name, confusion, confidence), lowest=lowest, note=note)
    return found


def _classes_note(confusion: Ints, *, predicted: bool) -> str:
    """Return over how many classes an average is, where some are left out."""
    present = confusion.sum(axis=1) > 0
    if predicted:
        present = present & (confusion.sum(axis=0) > 0)
    return "" if present.all() else f"{present.sum()} of {len(present)} classes"


def _distances(name: str, confusion: Ints, confidence: float) -> tuple[float, float]:
    """Return how far the ends of a score's interval are from its value at least; 0 = as far as the bootstrap says."""
    support, predicted, right = confusion.sum(axis=1), confusion.sum(axis=0), np.diagonal(confusion)
    n, present = int(confusion.sum()), support > 0
    if name in ("macro_precision", "weighted_precision"):
        kept = present & (predicted > 0)
        low, high = wilson_bounds(right[kept], predicted[kept], confidence)
        rate = right[kept] / predicted[kept]
        share = (
            support[kept] / support[kept].sum() if name.startswith("weighted") else np.full(len(rate), 1 / len(rate))
        )
        return _combined(share * (rate - low)), _combined(share * (high - rate))
    if name == "weighted_f1":
        low, high = (ends[present] for ends in f1_bounds(confusion, confidence))
        rate, share = 2 * right[present] / (support + predicted)[present], support[present] / n
        return math.sqrt(2) * _combined(share * (rate - low)), math.sqrt(2) * _combined(share * (high - rate))
    assert name in ("mcc", "cohen_kappa", "cohen_kappa_quadratic"), f"{name} needs a least width of its interval"
    constant = 1 in (np.count_nonzero(support), np.count_nonzero(predicted))  # kappa is 0 in every sample
    if name == "cohen_kappa_quadratic" and right.sum() < n and not constant:
        return 0.0, 0.0
    hits, chance = int(right.sum()), float(support @ predicted) / n**2
    low, high = wilson_bounds(hits, n, confidence)
    return (hits / n - float(low)) / (1 - chance), (float(high) - hits / n) / (1 - chance)


def _combined(distances: Floats) -> float:
    return math.sqrt(float(distances @ distances))


def _widened(estimate: Estimate, distances: tuple[float, float], *, lowest: float, note: str) -> Estimate:
    assert estimate.value is not None and estimate.low is not None and estimate.high is not None, "it has an interval"
    low = max(lowest, min(estimate.low, estimate.value - distances[0]))
    high = min(1.0, max(estimate.high, estimate.value + distances[1]))
    return Estimate(estimate.value, low, high, n=estimate.n, note=note)


def ranking_estimates(labelled: Predictions, units: Units | None, confidence: float) -> RankingScores:
    """Return AUROC and average precision of each class against all others, and their means.

    See `tlkit.stats.one_vs_rest` and `tlkit.stats.area_intervals`. A class without images, or of which all images are,
    has none and is left out of the means.

    Args:
        labelled: images with labels and probabilities.
        units: weights and clusters; None = independent images of equal weight.
        confidence: two-sided level, in (0, 1).
    """
    assert labelled.proba is not None, "a ranking needs probabilities"
    return one_vs_rest_ranking(labelled.proba, lambda code: labelled.y_true == code, units, confidence=confidence)


def one_vs_rest_ranking(
    proba: Floats,
    positive_of: Callable[[int], Mask],
    units: Units | None,
    *,
    confidence: float,
    known: Mask | None = None,
    of: str = "of this class",
) -> RankingScores:
    """Return AUROC and average precision of each column of scores, and their means.

    Args:
        proba: scores, shape (N, C); higher = more likely.
        positive_of: a call with a column returns which images are positive, shape (N,).
        units: weights and clusters; None = independent images of equal weight.
        confidence: two-sided level, in (0, 1).
        known: whether it is known if an image is positive, shape (N, C); None = always. Others are left out.
        of: what positives are, for the reasons why a value is undefined.
    """
    n, size = proba.shape
    weight = None if units is None or np.ptp(units.weight) == 0 else units.weight
    of_labels = of != "of this class"
    none_other = f"no images but those {of}" if of_labels else "no images of other classes"
    kinds, only_one = ("labels", "no label has positives and negatives") if of_labels else ("classes", ONLY_ONE_CLASS)
    unknown = "" if units is None else units.why_unknown
    means = [AreaMean(kind, n) for kind in AREA_KINDS]
    per_class: list[tuple[Estimate, Estimate]] = []
    for code in range(size):
        positive, held = positive_of(code), None if known is None or known[:, code].all() else known[:, code]
        positive, n_own = (positive, n) if held is None else (positive & held, int(held.sum()))
        found = areas_among(np.ascontiguousarray(proba[:, code]), positive, held, weight)
        if found is None:
            missing = f"no images {of}" if not positive.any() else none_other
            per_class.append((Estimate(None, None, None, n=n_own, note=missing),) * 2)
            continue
        if unknown:
            for mean, area in zip(means, found, strict=True):
                mean.values.append(area.value)
            why = f"no interval: {unknown}"
            first, second = (Estimate(area.value, None, None, n=n_own, note=why) for area in found)
            per_class.append((first, second))
            continue
        both = []
        counts = area_counts(found[0], units, positive, ~positive if held is None else held & ~positive)
        for mean, area in zip(means, found, strict=True):
            part = moderated(area, units, positives=counts[0], negatives=counts[1])
            mean.add(area, part)
            both.append(
                area_estimate(
                    area.kind, area.value, [part], part.spread, n=n_own, size=sum(counts), confidence=confidence
                )
            )
        per_class.append((both[0], both[1]))
    note = "" if len(means[0].values) == size else f"{len(means[0].values)} of {size} {kinds}"
    macro = []
    for mean in means:
        if not mean.values:
            macro.append(Estimate(None, None, None, n=n, note=only_one))
        elif unknown:
            macro.append(Estimate(mean.value, None, None, n=n, note=f"no interval: {unknown}"))
        else:
            images = n if units is None else units.clusters
            macro.append(
                area_estimate(
                    mean.kind,
                    mean.value,
                    mean.parts,
                    mean.spread(units),
                    n=n,
                    size=images,
                    confidence=confidence,
                    note=note,
                )
            )
    return RankingScores(tuple(per_class), (macro[0], macro[1]))


def brier_estimates(
    labelled: Predictions, units: Units | None, *, confidence: float, replicates: int, seed: int
) -> dict[str, Estimate]:
    """Return the Brier score and its decomposition.

    The interval of the score is that of `tlkit.stats.means.mean_by_outcome`.

    Args:
        labelled: images with labels and probabilities.
        units: weights and clusters; None = independent images of equal weight.
        confidence: two-sided level, in (0, 1).
        replicates: number of resamples for the decomposition.
        seed: seed of the resamples.
    """
    assert labelled.proba is not None, "a Brier score needs probabilities"
    losses = brier_losses(labelled.proba, labelled.y_true)
    highest = 1.0 if len(labelled.classes) == 2 else 2.0
    otherwise = brier_losses(labelled.proba, opposite(labelled))
    score = mean_loss(labelled, losses, otherwise, units, confidence, highest=highest)
    parts = brier_parts(labelled.proba, labelled.y_true, units, confidence=confidence, replicates=replicates, seed=seed)
    return {
        "brier": score,
        "brier_reliability": parts.reliability,
        "brier_resolution": parts.resolution,
        "brier_uncertainty": parts.uncertainty,
        "brier_within_bins": parts.within_bins,
    }
