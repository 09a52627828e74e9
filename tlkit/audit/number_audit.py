"""`audit_numbers`: mean errors, and the coverage of intervals, across groups, with a verdict for each group."""

from __future__ import annotations

import logging

import numpy as np

from tlkit.audit.options import AuditOptions
from tlkit.audit.outcomes import Outcomes
from tlkit.audit.rates import NUMBER_MEANS, AnyMetric, Rate
from tlkit.audit.task_audit import audit_outcomes, require_columns
from tlkit.audit.task_audit_result import TaskAudit
from tlkit.errors import PredictionsError
from tlkit.predictions import NumberPredictions
from tlkit.predictions.validation import no_truth

MEAN_TOLERANCE = 0.1
"""Default tolerance of mean errors, in standard deviations of the truth. That of rates, 0.05, is a tenth of the largest
standard deviation of an outcome that is 0 or 1."""


def audit_numbers(
    predictions: NumberPredictions,
    options: AuditOptions,
    *,
    mean_tolerance: float | None = None,
    level: int = logging.INFO,
) -> TaskAudit:
    """Compare mean absolute error, mean error and, where there are intervals, their coverage across groups.

    Args:
        predictions: with true numbers and group columns.
        options: columns, sizes, levels and design; its tolerance is about the coverage.
        mean_tolerance: the largest difference of mean errors tolerated, in the unit of the numbers, or in grades;
            default: a tenth of the standard deviation of the true numbers.
        level: of the log lines; those of a second split of one run would repeat the first's.

    Raises:
        PredictionsError: a column is missing, looks like an identifier or cannot be discretized as specified, no true
            number is known, or an option is out of its range.
    """
    require_columns(predictions.groups, options)
    problems = []
    if not predictions.known.any():
        problems.append(no_truth(len(predictions), "number", consequence="there is nothing to compare"))
    if options.pair_by is not None:
        problems.append("pair_by compares rates within matched sets. For mean errors, name the sets in cluster_by.")
    if options.criteria or options.positive is not None:
        problems.append("Criteria and a positive class are about classes, not about numbers. Leave them out.")
    if mean_tolerance is not None and not (np.isfinite(mean_tolerance) and mean_tolerance >= 0):
        problems.append(f"The tolerance must be a number of at least 0, in the unit of y_true. Got {mean_tolerance}.")
    if problems:
        raise PredictionsError(*problems)
    found = predictions.labelled
    tolerance = MEAN_TOLERANCE * float(found.y_true.std()) if mean_tolerance is None else mean_tolerance
    metrics: list[AnyMetric] = [*NUMBER_MEANS, *(["coverage"] if found.lower is not None else [])]  # type: ignore[list-item]
    outcomes = [outcomes_of_numbers(found, metric, tolerance) for metric in metrics]
    return audit_outcomes(
        found.task,
        found.groups,
        outcomes,
        options,
        images=len(found),
        unlabelled=len(predictions) - len(found),
        level=level,
    )


def outcomes_of_numbers(found: NumberPredictions, metric: AnyMetric, tolerance: float | None) -> Outcomes:
    """Return the errors of known numbers, absolute or not, or whether each lies in its interval.

    Args:
        found: images of known truth; with intervals for their coverage.
        metric: mean_absolute_error, mean_error or coverage.
        tolerance: the largest difference of mean errors tolerated, in their unit; of coverage it is the options'.
    """
    every = np.ones(len(found), dtype=np.bool_)
    if metric == "coverage":
        return Outcomes(Rate(metric), found.covered, every)
    errors = np.abs(found.errors) if metric == "mean_absolute_error" else found.errors
    return Outcomes(Rate(metric), errors, every, tolerance)
