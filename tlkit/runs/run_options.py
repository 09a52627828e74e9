"""The audit options of a run: those of its recipe, unless something overrides them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

import pandas as pd

from tlkit.audit.groups.group_columns import GroupColumn, columns_of
from tlkit.audit.groups.intersections import auditable_columns, log_excluded_columns
from tlkit.audit.options import AuditOptions, AuditOverrides
from tlkit.recipe import Recipe

if TYPE_CHECKING:
    from tlkit.runs.run import Run


def options_of_recipe(recipe: Recipe) -> AuditOptions:
    """Return the audit options that a recipe states: `audit`, `evaluate.confidence` and `seed`."""
    section = recipe.audit
    return AuditOptions(
        columns=columns_of(section.plain),
        criteria=section.criteria,
        positive=section.positive,
        min_group_size=section.min_group_size,
        max_intersection_order=section.max_intersection_order,
        confidence=recipe.evaluate.confidence,
        tolerance=section.tolerance,
        weights=section.weights,
        cluster_by=section.cluster_by,
        pair_by=section.pair_by,
        seed=recipe.seed,
    )


def options_of_run(run: Run, **overrides: Unpack[AuditOverrides]) -> AuditOptions:
    """Return the audit options of a run's recipe, with those replaced that are stated, that is, not None.

    Raises:
        PredictionsError: a column to audit by cannot be read.
    """
    return options_of_recipe(run.recipe).with_overrides(**overrides)


def with_all_columns(options: AuditOptions, groups: pd.DataFrame, *, level: int = logging.INFO) -> AuditOptions:
    """Return the options with all columns that serve nothing else, where they name none.

    Args:
        options: what is asked for.
        groups: group columns of the predictions, shape (N, G).
        level: of the line in the log that names columns left out because they look like identifiers.

    Returns:
        The options; without any column where the predictions have none.
    """
    if options.columns:
        return options
    columns, identifiers = auditable_columns(groups, used=options.design_columns)
    log_excluded_columns(identifiers, level=level)
    return replace(options, columns=tuple(GroupColumn(column) for column in columns))
