"""`audit_outcomes`: the audit of any task, from numerator and denominator of each image."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from tlkit.audit.groups.group_columns import discretize
from tlkit.audit.groups.intersections import validate_columns
from tlkit.audit.memberships import all_memberships, log_levels
from tlkit.audit.options import AuditOptions
from tlkit.audit.outcomes import Outcomes
from tlkit.audit.sampling_design import design_of, design_problems
from tlkit.audit.task_audit_result import OverallFigure, TaskAudit
from tlkit.audit.verdicts import assign_verdicts
from tlkit.choices import Task
from tlkit.errors import PredictionsError


def require_columns(groups: pd.DataFrame, options: AuditOptions, *, classes: Sequence[str] = ()) -> None:
    """Check options and group columns; all problems at once.

    Raises:
        PredictionsError: a column is missing, looks like an identifier or cannot be discretized as specified, or an
            option is out of its range.
    """
    problems = options.problems(classes)
    problems += validate_columns(groups, options.columns, max_values=options.max_values)
    problems += design_problems(groups, options)
    if problems:
        raise PredictionsError(*problems)


def audit_outcomes(
    task: Task,
    groups: pd.DataFrame,
    outcomes: Sequence[Outcomes],
    options: AuditOptions,
    *,
    images: int,
    unlabelled: int = 0,
    counted: str = "image",
    level: int = logging.INFO,
) -> TaskAudit:
    """Return rates and means across groups, each group against its complement, with a verdict for each row.

    Estimates, tests and verdicts are those of the audit of classifiers; Holm's correction is over all rows of all
    outcomes and columns.

    Args:
        task: the task, for the words.
        groups: group columns of the N rows, which `require_columns` has checked.
        outcomes: what is compared.
        options: columns, sizes, levels and design.
        images: number of images.
        unlabelled: number of images that were left out.
        counted: what a row is: an image, or an object in an image.
        level: of the log lines; those of a second split of one run would repeat the first's.
    """
    levels = [discretize(groups[spec.column], spec, max_values=options.max_values) for spec in options.columns]
    log_levels(levels, options, level)
    design = design_of(groups, options, level=level)
    everyone = np.ones(len(groups), dtype=np.bool_)
    untested = [
        one.compare(membership, design, options)
        for membership in all_memberships(levels, everyone, options, level)
        for one in outcomes
    ]
    tables, tests = assign_verdicts(untested, options)
    return TaskAudit(
        task=task,
        settings=options,
        images=images,
        unlabelled=unlabelled,
        overall=tuple(
            OverallFigure(one.rate.metric, one.rate.class_name, one.overall(design, options), one.tolerance)
            for one in outcomes
        ),
        tests=tests,
        group_tables=tables,
        counted=counted,
    )
