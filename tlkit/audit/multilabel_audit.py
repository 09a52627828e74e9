"""`audit_multilabel`: each label's rates across groups, with a verdict for each label and group."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from tlkit.audit.criteria import metrics_of
from tlkit.audit.options import AuditOptions
from tlkit.audit.outcomes import Outcomes
from tlkit.audit.rates import Metric, Rate
from tlkit.audit.task_audit import audit_outcomes, require_columns
from tlkit.audit.task_audit_result import TaskAudit
from tlkit.errors import PredictionsError
from tlkit.predictions import MultilabelPredictions
from tlkit.predictions.validation import no_truth

LABEL_METRICS: tuple[Metric, ...] = ("recall", "false_positive_rate")
"""What is compared by default: images with a label that are found, and images without it that are given it. The
accuracy of a label is mostly that of the images without it."""


def audit_multilabel(
    predictions: MultilabelPredictions,
    options: AuditOptions,
    *,
    metrics: Sequence[Metric] | None = None,
    level: int = logging.INFO,
) -> TaskAudit:
    """Compare rates of every label across groups; Holm's correction is over all labels, rates and groups.

    Args:
        predictions: with true labels and group columns.
        options: columns, criteria, sizes, levels and design; of its metrics those that differ from the default, the
            accuracy, are compared. `positive` is one label that everything is about; None = every label.
        metrics: the rates to compare; default: those of the options' criteria, else recall and false positive rate.
        level: of the log lines; those of a second split of one run would repeat the first's.

    Raises:
        PredictionsError: a column is missing, looks like an identifier or cannot be discretized as specified, no label
            is known, or an option is out of its range.
    """
    options = options.for_classes(predictions.labels)
    require_columns(predictions.groups, options, classes=predictions.labels)
    if not predictions.known.any():
        raise PredictionsError(no_truth(len(predictions), "label", consequence="there is nothing to compare"))
    chosen = tuple(metrics or metrics_of(options.criteria) or LABEL_METRICS)
    found = predictions.labelled
    labels = found.labels if options.positive is None else (options.positive,)
    return audit_outcomes(
        "multilabel",
        found.groups,
        [outcomes_of_label(found, Rate(metric, label)) for metric in chosen for label in labels],
        options,
        images=len(found),
        unlabelled=len(predictions) - len(found),
        level=level,
    )


def outcomes_of_label(predictions: MultilabelPredictions, rate: Rate) -> Outcomes:
    """Return numerator and denominator of each image in a rate of one label; unknown ones are in neither."""
    assert rate.class_name is not None, "a rate of one label"
    column = predictions.labels.index(rate.class_name)
    counts, base = rate.counted(predictions.y_true[:, column] == 1, predictions.y_pred[:, column])
    known = predictions.known[:, column]
    return Outcomes(rate, np.asarray(counts & known), np.asarray(base & known))
