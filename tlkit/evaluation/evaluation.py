"""`evaluate`: accuracy, averages over classes, per-class rates and confusions of predictions."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tlkit.arrays import Floats, Ints, Mask
from tlkit.choices import CONFIDENCE, SEED, MetricSet
from tlkit.errors import PredictionsError, first_few
from tlkit.evaluation.class_intervals import f1_bounds, macro_estimates
from tlkit.evaluation.clustered_figures import clustered_classes, clustered_macro, clustered_rate, with_weight
from tlkit.evaluation.design_columns import column_problems
from tlkit.evaluation.evaluation_result import ClassResult, Evaluation, WithoutLeaks
from tlkit.evaluation.full_scores import brier_estimates, confusion_estimates, ranking_estimates
from tlkit.evaluation.loss_figures import mean_loss, opposite
from tlkit.evaluation.score_names import SAME_AS, SCORE_ORDER
from tlkit.predictions import Predictions
from tlkit.predictions.validation import no_label
from tlkit.stats.bootstrap import REPLICATES
from tlkit.stats.calibration import log_losses
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.confusion_scores import score_replicates
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson
from tlkit.stats.one_vs_rest import AREA_KINDS

__all__ = ["Evaluation", "evaluate"]

logger = logging.getLogger(__name__)

DEFAULT_TOP_K = (1, 5)
"""The default; a k that is not below the number of classes is then left out without a log line."""
NO_IMAGES = "no images of this class"


def evaluate(
    predictions: Predictions,
    *,
    top_k: Sequence[int] = DEFAULT_TOP_K,
    confidence: float = CONFIDENCE,
    seed: int = SEED,
    leaked: Collection[str] = (),
    cluster_by: str | None = None,
    weights: str | None = None,
    metrics: MetricSet = "all",
    replicates: int = REPLICATES,
) -> Evaluation:
    """Return the evaluation of predictions: accuracy, averages over classes, per-class rates and confusions.

    Rates have Wilson's interval; for the others see `tlkit.evaluation.class_intervals` and
    `tlkit.evaluation.full_scores`. Values are scikit-learn's. Images without a label are left out and counted.
    Averages over classes are over those that have images.

    Args:
        predictions: of a model, with labels.
        top_k: for which k to give the share of images whose class is among the k most probable. Classes of equal
            probability are taken in class order, as argmax does. A k that is not below the number of classes is left
            out, and without probabilities every k but 1 is.
        confidence: level of every interval, in (0, 1).
        seed: seed of the bootstrap, for the averages over classes.
        leaked: paths of images that were also in the training set; the main figures are also given without them.
        cluster_by: group column of the clusters, such as the subject or the burst: every interval allows for the
            correlation of images within a cluster, as the audit's do.
        weights: group column of numbers of at least 0 that weight the images in every figure; images of weight 0 are
            left out. The confusion matrix counts images.
        metrics: all = also the scores in `Evaluation.scores`, and AUROC and average precision of each class; headline =
            without them.
        replicates: number of bootstrap resamples.

    Raises:
        PredictionsError: no image has a label; a k is below 1; `confidence` is not in (0, 1); there is no such column;
            a weight is negative or no number.

    Example:
        >>> predictions = Predictions.build(
        ...     classes=["cat", "dog"], path=["a.jpg", "b.jpg", "c.jpg"],
        ...     y_true=["cat", "dog", "dog"], y_pred=["cat", "dog", "cat"])
        >>> evaluation = evaluate(predictions, top_k=[1])
        >>> evaluation.accuracy.format()
        '0.667 [0.208, 0.939]'
        >>> evaluation.confusion.tolist()
        [[1, 0], [1, 1]]
    """
    _check(predictions, top_k=top_k, confidence=confidence, columns={"cluster_by": cluster_by, "weights": weights})
    labelled = predictions.labelled
    unlabelled = len(predictions) - len(labelled)
    if unlabelled:
        logger.info("%d of %d images have no label and are left out.", unlabelled, len(predictions))
    labelled, units = with_weight(labelled, cluster_by, weights)
    confusion = _confusion(labelled)
    drawn = (
        None
        if units is not None
        else score_replicates(confusion, rng=np.random.default_rng(seed), replicates=replicates)
    )
    accuracy, balanced_accuracy, macro_f1 = _main_figures(
        labelled, confusion, units, confidence=confidence, seed=seed, drawn=drawn
    )
    off = 0 if labelled.proba is None else int((labelled.proba.argmax(axis=1) != labelled.y_pred).sum())
    found = Evaluation(
        classes=labelled.classes,
        n=len(labelled),
        n_unlabelled=unlabelled,
        confidence=confidence,
        accuracy=accuracy,
        balanced_accuracy=balanced_accuracy,
        macro_f1=macro_f1,
        top_k=_top_k(labelled, top_k, units, confidence),
        log_loss=_log_loss(labelled, units, confidence),
        per_class=_per_class(labelled, confusion, units, confidence),
        confusion=confusion,
        without_leaks=_without_leaks(labelled, leaked, units, confidence=confidence, seed=seed),
        n_not_most_probable=off,
        cluster_by=cluster_by,
        clusters=None if units is None or cluster_by is None else units.clusters,
        weights=weights,
    )
    return (
        found
        if metrics == "headline"
        else _with_scores(found, labelled, units, drawn=drawn, replicates=replicates, seed=seed)
    )


def _with_scores(
    found: Evaluation, labelled: Predictions, units: Units | None, *, drawn: Floats | None, replicates: int, seed: int
) -> Evaluation:
    """Return the evaluation with the full set of scores, and with the areas of each class."""
    confidence, per_class = found.confidence, found.per_class
    scores = confusion_estimates(labelled, found.confusion, units, drawn=drawn, confidence=confidence)
    scores |= {name: getattr(found, same) for name, same in SAME_AS.items()}
    if labelled.proba is not None:
        ranking = ranking_estimates(labelled, units, confidence)
        scores |= dict(zip(AREA_KINDS, ranking.macro, strict=True))
        scores |= brier_estimates(labelled, units, confidence=confidence, replicates=replicates, seed=seed)
        per_class = tuple(
            replace(one, auroc=auroc, average_precision=precision)
            for one, (auroc, precision) in zip(per_class, ranking.per_class, strict=True)
        )
    return replace(found, scores={name: scores[name] for name in SCORE_ORDER if name in scores}, per_class=per_class)


def _without_leaks(
    labelled: Predictions, leaked: Collection[str], units: Units | None, *, confidence: float, seed: int
) -> WithoutLeaks | None:
    """Return the main figures over the images that did not leak; None where none did."""
    in_training = np.isin(labelled.path.astype(str), list(leaked))
    count = int(in_training.sum())
    if not count:
        return None
    if count == len(labelled):
        undefined = Estimate(None, None, None, n=0, note="every image leaked")
        return WithoutLeaks(count, undefined, undefined, undefined)
    kept, units = labelled.take(~in_training), None if units is None else units.take(~in_training)
    return WithoutLeaks(count, *_main_figures(kept, _confusion(kept), units, confidence=confidence, seed=seed))


def _confusion(labelled: Predictions) -> Ints:
    """Return the number of images by true and predicted class, shape (C, C)."""
    from sklearn.metrics import confusion_matrix

    size = len(labelled.classes)
    codes = np.arange(max(size, 2))  # scikit-learn 1.9 warns of a single label even where it is given
    found = confusion_matrix(labelled.y_true, labelled.y_pred, labels=codes)[:size, :size]
    return np.asarray(found, dtype=np.int64)


def _main_figures(
    labelled: Predictions,
    confusion: Ints,
    units: Units | None,
    *,
    confidence: float,
    seed: int,
    drawn: Floats | None = None,
) -> tuple[Estimate, Estimate, Estimate]:
    """Return accuracy, balanced accuracy and macro F1."""
    if units is None:
        rng = np.random.default_rng(seed)
        balanced_accuracy, macro_f1 = macro_estimates(confusion, rng=rng, confidence=confidence, drawn=drawn)
    else:
        balanced_accuracy, macro_f1 = clustered_macro(labelled, confusion, units, confidence)
    return _rate(labelled.correct, units, confidence), balanced_accuracy, macro_f1


def _rate(right: Mask, units: Units | None, confidence: float) -> Estimate:
    """Return the share of images that are right."""
    if units is None:
        return wilson(int(right.sum()), len(right), confidence)
    return clustered_rate(right, units, confidence)


def true_class_rank(predictions: Predictions) -> Ints:
    """Return the rank of the true class, shape (N,), 0 = it is the most probable.

    Classes of equal probability rank in class order, as argmax takes them. (scikit-learn's `top_k_accuracy_score` takes
    them in reverse order.)

    Args:
        predictions: all labelled, with probabilities.
    """
    assert predictions.proba is not None, "a rank needs probabilities"
    truth = predictions.y_true[:, None]
    own = np.take_along_axis(predictions.proba, truth, axis=1)
    earlier = np.arange(len(predictions.classes)) < truth
    before = (predictions.proba > own) | ((predictions.proba == own) & earlier)
    return np.asarray(before.sum(axis=1), dtype=np.int64)


def _check(
    predictions: Predictions, *, top_k: Sequence[int], confidence: float, columns: Mapping[str, str | None]
) -> None:
    problems, there_are = [], predictions.group_columns
    if not (predictions.y_true >= 0).any():
        problems.append(no_label(len(predictions), consequence="there is nothing to evaluate", group_columns=there_are))
    if wrong := [k for k in top_k if k < 1]:
        problems.append(f"top_k holds {first_few(wrong)}, but k must be at least 1.")
    problems += column_problems(predictions.groups, columns, confidence=confidence)
    if problems:
        raise PredictionsError(*problems)


def _top_k(labelled: Predictions, top_k: Sequence[int], units: Units | None, confidence: float) -> dict[int, Estimate]:
    """Return the top-k accuracies by k, for every k below the number of classes."""
    size, ks = len(labelled.classes), sorted(set(top_k))
    if (too_large := [k for k in ks if k >= size]) and tuple(ks) != DEFAULT_TOP_K:
        logger.info("top-%s accuracy is left out: it is 1 with %d classes.", first_few(too_large), size)
    ks = [k for k in ks if k < size]
    if labelled.proba is None:
        if no_proba := [k for k in ks if k > 1]:
            logger.info("top-%s accuracy is left out: the predictions hold no probabilities.", first_few(no_proba))
        return {k: _rate(labelled.correct, units, confidence) for k in ks if k == 1}
    rank = true_class_rank(labelled)
    return {k: _rate(rank < k, units, confidence) for k in ks}


def _log_loss(labelled: Predictions, units: Units | None, confidence: float) -> Estimate | None:
    """Return the mean log loss; None without probabilities."""
    if labelled.proba is None:
        return None
    losses = log_losses(labelled.proba, labelled.y_true)
    return mean_loss(labelled, losses, log_losses(labelled.proba, opposite(labelled)), units, confidence)


def _per_class(
    labelled: Predictions, confusion: Ints, units: Units | None, confidence: float
) -> tuple[ClassResult, ...]:
    """Return precision, recall and F1 of every class."""
    right, support, predicted = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    low, high = f1_bounds(confusion, confidence)
    results = []
    for code, (name, hits, images, guesses) in enumerate(
        zip(labelled.classes, right.tolist(), support.tolist(), predicted.tolist(), strict=True)
    ):
        either = images + guesses - hits
        f1 = Estimate(None, None, None, n=either, note=NO_IMAGES)
        if images:
            f1 = Estimate(2 * hits / (images + guesses), float(low[code]), float(high[code]), n=either)
        precision = wilson(hits, guesses, confidence, nothing="never predicted")
        recall = wilson(hits, images, confidence, nothing=NO_IMAGES)
        results.append(ClassResult(name=name, support=images, precision=precision, recall=recall, f1=f1))
    if units is None:
        return tuple(results)
    return tuple(
        replace(
            one, precision=clustered[0] or one.precision, recall=clustered[1] or one.recall, f1=clustered[2] or one.f1
        )
        for one, clustered in zip(results, clustered_classes(labelled, units, confidence), strict=True)
    )
