"""`evaluate_multilabel`: the figures of predictions of several labels for each image."""

from __future__ import annotations

import numpy as np

from tlkit.choices import CONFIDENCE
from tlkit.errors import PredictionsError
from tlkit.evaluation.clustered_figures import with_weight
from tlkit.evaluation.design_columns import column_problems
from tlkit.evaluation.full_scores import one_vs_rest_ranking
from tlkit.evaluation.label_pairs import label_pairs, labels_called
from tlkit.evaluation.label_scores import label_rates, macro_f1, micro_average_precision, rate_of, ratio_score
from tlkit.evaluation.multilabel_result import LabelResult, MultilabelEvaluation
from tlkit.predictions import MultilabelPredictions
from tlkit.predictions.validation import no_truth


def evaluate_multilabel(
    predictions: MultilabelPredictions,
    *,
    confidence: float = CONFIDENCE,
    cluster_by: str | None = None,
    weights: str | None = None,
) -> MultilabelEvaluation:
    """Return the figures of multi-label predictions, each with its interval.

    Values are scikit-learn's, over the labels that have images; what is undefined stays undefined, with the reason. An
    image is the sampling unit of every figure, however many labels it has.

    Args:
        predictions: with true labels.
        confidence: level of every interval, in (0, 1).
        cluster_by: group column of the clusters, such as the subject.
        weights: group column of the images' weights.

    Raises:
        PredictionsError: no label is known, a column is missing, or the level is out of its range.

    Example:
        >>> result = evaluate_multilabel(MultilabelPredictions.build(
        ...     labels=["cat", "dog"], path=["a", "b", "c"], y_true=[[1, 1], [0, 1], [1, 0]],
        ...     proba=[[0.9, 0.4], [0.1, 0.8], [0.7, 0.3]]))
        >>> result.micro_f1.value, result.subset_accuracy.format()
        (0.8571428571428571, '0.667 [0.208, 0.939]')
    """
    columns = {"cluster_by": cluster_by, "weights": weights}
    problems = column_problems(predictions.groups, columns, confidence=confidence)
    if not predictions.known.any():
        problems.append(no_truth(len(predictions), "label", consequence="there is nothing to evaluate"))
    if problems:
        raise PredictionsError(*problems)
    found, units = with_weight(predictions.labelled, cluster_by, weights)
    known, truly = found.known, found.y_true == 1
    called = found.y_pred & known
    hits, both = (truly & called).sum(axis=1), truly.sum(axis=1) + called.sum(axis=1)
    wrong, complete = ((truly != called) & known).sum(axis=1), np.asarray(known.all(axis=1))
    some = both > 0
    rates = label_rates(found, units, confidence)
    empty = int((~some).sum())
    ranking = micro = None
    if found.proba is not None:
        ranking = one_vs_rest_ranking(
            found.proba,
            lambda column: truly[:, column],
            units,
            confidence=confidence,
            known=known,
            of="with this label",
        )
        micro = micro_average_precision(found, units, confidence)
    pairs, confusions = label_pairs(found, units, confidence=confidence)
    areas = [None] * len(rates) if ranking is None else ranking.per_class
    return MultilabelEvaluation(
        labels=found.labels,
        n=len(found),
        n_unlabelled=len(predictions) - len(predictions.labelled),
        unknown_cells=int((~known).sum()),
        confidence=confidence,
        micro_f1=ratio_score(
            2.0 * hits,
            both.astype(np.float64),
            units,
            confidence=confidence,
            nothing="no image has or is given a label",
        ),
        macro_f1=macro_f1(found, rates, units, confidence),
        samples_f1=ratio_score(
            np.divide(2.0 * hits, both, out=np.zeros(len(found)), where=some),
            some.astype(np.float64),
            units,
            confidence=confidence,
            nothing="no image has or is given a label",
            note=f"without {empty:,} that have and are given none" if empty else "",
        ),
        subset_accuracy=rate_of(wrong == 0, complete, units, confidence, nothing="no image of which all are known"),
        hamming_loss=ratio_score(
            wrong.astype(np.float64), known.sum(axis=1).astype(np.float64), units, confidence=confidence, nothing=""
        ),
        mean_average_precision=None if ranking is None else ranking.macro[1],
        micro_average_precision=micro,
        per_label=tuple(
            LabelResult(
                name=name,
                support=one.support,
                known=one.known,
                precision=one.precision,
                recall=one.recall,
                f1=one.f1,
                auroc=None if area is None else area[0],
                average_precision=None if area is None else area[1],
                threshold=None if found.thresholds is None else found.thresholds[place],
            )
            for place, (name, one, area) in enumerate(zip(found.labels, rates, areas, strict=True))
        ),
        pairs=pairs,
        confusions=confusions,
        called=labels_called(found, units, confidence=confidence),
        cluster_by=cluster_by,
        clusters=None if units is None or cluster_by is None else units.clusters,
        weights=weights,
    )
