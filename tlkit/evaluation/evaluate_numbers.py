"""`evaluate_numbers`: the figures of predicted numbers or grades."""

from __future__ import annotations

import numpy as np

from tlkit.choices import CONFIDENCE, SEED
from tlkit.errors import PredictionsError
from tlkit.evaluation.clustered_figures import with_weight
from tlkit.evaluation.design_columns import column_problems
from tlkit.evaluation.evaluation import evaluate
from tlkit.evaluation.label_scores import rate_of
from tlkit.evaluation.number_result import GradeFigures, IntervalFigures, NumberEvaluation
from tlkit.predictions import NumberPredictions
from tlkit.predictions.validation import no_truth
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.estimate import Estimate
from tlkit.stats.number_scores import mean_loss, r_squared, root, signed_mean


def evaluate_numbers(
    predictions: NumberPredictions,
    *,
    confidence: float = CONFIDENCE,
    cluster_by: str | None = None,
    weights: str | None = None,
    seed: int = SEED,
) -> NumberEvaluation:
    """Return the figures of predicted numbers or grades, each with its interval; values are scikit-learn's.

    Grades count as their positions, so that errors are in grades. Their kappa and accuracy are those of `evaluate`.

    Args:
        predictions: with true numbers.
        confidence: level of every interval, in (0, 1).
        cluster_by: group column of the clusters, such as the subject.
        weights: group column of the images' weights.
        seed: seed of the bootstrap, for kappa.

    Raises:
        PredictionsError: no true number is known, a column is missing, or the level is out of its range.

    Example:
        >>> result = evaluate_numbers(NumberPredictions.build(
        ...     path=["a", "b", "c", "d"], y_true=[3, -0.5, 2, 7], y_pred=[2.5, 0.0, 2, 8]))
        >>> result.mean_absolute_error.value, round(result.r_squared.value, 3)
        (0.5, 0.949)
    """
    columns = {"cluster_by": cluster_by, "weights": weights}
    problems = column_problems(predictions.groups, columns, confidence=confidence)
    if not predictions.known.any():
        problems.append(no_truth(len(predictions), "number", consequence="there is nothing to evaluate"))
    if problems:
        raise PredictionsError(*problems)
    found, units = with_weight(predictions.labelled, cluster_by, weights)
    return NumberEvaluation(
        task=found.task,
        n=len(found),
        n_unlabelled=len(predictions) - len(predictions.labelled),
        confidence=confidence,
        mean_absolute_error=mean_loss(np.abs(found.errors), units, confidence),
        root_mean_squared_error=root(mean_loss(found.errors**2, units, confidence)),
        mean_error=signed_mean(found.errors, units, confidence),
        r_squared=r_squared(found.y_true, found.y_pred, units, confidence),
        grades=found.grades,
        of_grades=_of_grades(found, units, confidence=confidence, columns=columns, seed=seed) if found.grades else None,
        intervals=None if found.lower is None else _of_intervals(found, units, confidence),
        cluster_by=cluster_by,
        clusters=None if units is None or cluster_by is None else units.clusters,
        weights=weights,
    )


def _of_grades(
    found: NumberPredictions, units: Units | None, *, confidence: float, columns: dict[str, str | None], seed: int
) -> GradeFigures:
    as_classes = evaluate(
        found.as_classes(),
        top_k=(),
        confidence=confidence,
        seed=seed,
        cluster_by=columns["cluster_by"],
        weights=columns["weights"],
    )
    near, every = np.abs(found.errors) <= 1, np.ones(len(found), dtype=np.bool_)
    return GradeFigures(
        accuracy=as_classes.accuracy,
        within_one=rate_of(near, every, units, confidence, nothing="no images"),
        quadratic_kappa=as_classes.scores["cohen_kappa_quadratic"],
    )


def _of_intervals(found: NumberPredictions, units: Units | None, confidence: float) -> IntervalFigures:
    assert found.lower is not None and found.upper is not None, "there are intervals"
    width, every = found.upper - found.lower, np.ones(len(found), dtype=np.bool_)
    finite = np.isfinite(width)
    mean = Estimate(None, None, None, n=0, note="no interval is finite")
    if finite.any() and np.ptp(width[finite]) < 1e-9 * max(float(width[finite].max()), 1e-300):
        mean = Estimate(float(width[finite].mean()), None, None, n=int(finite.sum()), note="the same for every image")
    elif finite.any():
        mean = mean_loss(width[finite], None if units is None else units.take(finite), confidence)
    coverage = rate_of(found.covered, every, units, confidence, nothing="no images")
    return IntervalFigures(coverage, mean, int((~finite).sum()))
