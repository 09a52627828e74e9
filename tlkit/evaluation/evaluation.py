"""`evaluate`: accuracy, averages over classes, per-class rates and confusions of predictions."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import numpy as np

from tlkit.choices import CONFIDENCE, SEED
from tlkit.errors import PredictionsError, first_few
from tlkit.evaluation.class_intervals import f1_bounds, macro_estimates
from tlkit.evaluation.evaluation_result import ClassResult, Evaluation, WithoutLeaks
from tlkit.predictions import Predictions
from tlkit.predictions.validation import no_label
from tlkit.stats.arrays import Ints
from tlkit.stats.estimate import Estimate
from tlkit.stats.intervals import wilson
from tlkit.stats.means import mean_estimate

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
) -> Evaluation:
    """Return the evaluation of predictions: accuracy, averages over classes, per-class rates and confusions.

    Rates have Wilson's interval; for the others see `tlkit.evaluation.class_intervals`. Values are scikit-learn's.
    Images without a label are left out and counted. Averages over classes are over those that have images.

    Args:
        predictions: of a model, with labels.
        top_k: for which k to give the share of images whose class is among the k most probable. Classes of equal
            probability are taken in class order, as argmax does. A k that is not below the number of classes is left
            out, and without probabilities every k but 1 is.
        confidence: level of every interval, in (0, 1).
        seed: seed of the bootstrap, for the averages over classes.
        leaked: paths of images that were also in the training set; the main figures are also given without them.

    Raises:
        PredictionsError: no image has a label; a k is below 1; `confidence` is not in (0, 1).

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
    _check(predictions, top_k=top_k, confidence=confidence)
    labelled = predictions.labelled
    unlabelled = len(predictions) - len(labelled)
    if unlabelled:
        logger.info("%d of %d images have no label and are left out.", unlabelled, len(predictions))
    confusion = _confusion(labelled)
    return Evaluation(
        classes=labelled.classes,
        n=len(labelled),
        n_unlabelled=unlabelled,
        confidence=confidence,
        **_main_figures(confusion, confidence=confidence, seed=seed),
        top_k=_top_k(labelled, top_k, confidence),
        log_loss=_log_loss(labelled, confidence),
        per_class=_per_class(labelled.classes, confusion, confidence),
        confusion=confusion,
        without_leaks=_without_leaks(labelled, leaked, confidence=confidence, seed=seed),
    )


def _without_leaks(
    labelled: Predictions, leaked: Collection[str], *, confidence: float, seed: int
) -> WithoutLeaks | None:
    """Return the main figures over the images that did not leak; None where none did."""
    in_training = np.isin(labelled.path.astype(str), list(leaked))
    count = int(in_training.sum())
    if not count:
        return None
    if count == len(labelled):
        undefined = Estimate(None, None, None, n=0, note="every image leaked")
        return WithoutLeaks(count, undefined, undefined, undefined)
    figures = _main_figures(_confusion(labelled.take(~in_training)), confidence=confidence, seed=seed)
    return WithoutLeaks(count, **figures)


def _confusion(labelled: Predictions) -> Ints:
    """Return the number of images by true and predicted class, shape (C, C)."""
    from sklearn.metrics import confusion_matrix

    size = len(labelled.classes)
    codes = np.arange(max(size, 2))  # scikit-learn 1.9 warns of a single label even where it is given
    found = confusion_matrix(labelled.y_true, labelled.y_pred, labels=codes)[:size, :size]
    return np.asarray(found, dtype=np.int64)


def _main_figures(confusion: Ints, *, confidence: float, seed: int) -> dict[str, Estimate]:
    """Return accuracy, balanced accuracy and macro F1 of a confusion matrix."""
    balanced_accuracy, macro_f1 = macro_estimates(confusion, rng=np.random.default_rng(seed), confidence=confidence)
    accuracy = wilson(int(np.trace(confusion)), int(confusion.sum()), confidence)
    return {"accuracy": accuracy, "balanced_accuracy": balanced_accuracy, "macro_f1": macro_f1}


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


def _check(predictions: Predictions, *, top_k: Sequence[int], confidence: float) -> None:
    problems = []
    if not (predictions.y_true >= 0).any():
        columns = predictions.group_columns
        problems.append(no_label(len(predictions), consequence="there is nothing to evaluate", group_columns=columns))
    if wrong := [k for k in top_k if k < 1]:
        problems.append(f"top_k holds {first_few(wrong)}, but k must be at least 1.")
    if not 0.0 < confidence < 1.0:
        problems.append(f"confidence must be above 0 and below 1, for example 0.95. Got {confidence} instead.")
    if problems:
        raise PredictionsError(*problems)


def _top_k(labelled: Predictions, top_k: Sequence[int], confidence: float) -> dict[int, Estimate]:
    """Return the top-k accuracies by k, for every k below the number of classes."""
    size, ks = len(labelled.classes), sorted(set(top_k))
    if (too_large := [k for k in ks if k >= size]) and tuple(ks) != DEFAULT_TOP_K:
        logger.info("top-%s accuracy is left out: it is 1 with %d classes.", first_few(too_large), size)
    ks = [k for k in ks if k < size]
    if labelled.proba is None:
        if no_proba := [k for k in ks if k > 1]:
            logger.info("top-%s accuracy is left out: the predictions hold no probabilities.", first_few(no_proba))
        hits = int(labelled.correct.sum())
        return {k: wilson(hits, len(labelled), confidence) for k in ks if k == 1}
    rank = true_class_rank(labelled)
    return {k: wilson(int((rank < k).sum()), len(labelled), confidence) for k in ks}


def _log_loss(labelled: Predictions, confidence: float) -> Estimate | None:
    """Return the mean of scikit-learn's `log_loss`, which gives no loss by image; None without probabilities."""
    if labelled.proba is None:
        return None
    own = labelled.proba[np.arange(len(labelled)), labelled.y_true] / labelled.proba.sum(axis=1)
    smallest = np.finfo(np.float64).eps  # as scikit-learn clips: a probability of 0 costs 36 nats
    return mean_estimate(-np.log(np.clip(own, smallest, 1 - smallest)), confidence)


def _per_class(classes: Sequence[str], confusion: Ints, confidence: float) -> tuple[ClassResult, ...]:
    """Return precision, recall and F1 of every class."""
    right, support, predicted = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    low, high = f1_bounds(confusion, confidence)
    results = []
    for code, (name, hits, images, guesses) in enumerate(
        zip(classes, right.tolist(), support.tolist(), predicted.tolist(), strict=True)
    ):
        either = images + guesses - hits
        f1 = Estimate(None, None, None, n=either, note=NO_IMAGES)
        if images:
            f1 = Estimate(2 * hits / (images + guesses), float(low[code]), float(high[code]), n=either)
        precision = wilson(hits, guesses, confidence, nothing="never predicted")
        recall = wilson(hits, images, confidence, nothing=NO_IMAGES)
        results.append(ClassResult(name=name, support=images, precision=precision, recall=recall, f1=f1))
    return tuple(results)
