"""Audit options of a run: those of its recipe, with overrides."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

import pandas as pd

from tlkit.audit.groups.group_columns import GroupColumn, columns_of
from tlkit.audit.groups.intersections import auditable_columns, log_excluded_columns
from tlkit.audit.options import AuditOptions, AuditOverrides
from tlkit.errors import RunError
from tlkit.recipe import Recipe
from tlkit.samples import Samples

if TYPE_CHECKING:
    from tlkit.runs.run import Run


def options_of_recipe(recipe: Recipe) -> AuditOptions:
    """Return the audit options of a recipe: `audit`, `evaluate.confidence` and `seed`."""
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
    """Return the audit options of a run's recipe with the given values; None leaves an option as it is.

    Raises:
        PredictionsError: a column to audit by cannot be read.
    """
    return options_of_recipe(run.recipe).with_overrides(**overrides)


def split_groups(run: Run, samples: Samples) -> list[str] | None:
    """Return the value of `data.group_by` for each of a run's images, "" for a missing one; None without that key.

    Raises:
        RunError: the run's split.csv lacks the column.
    """
    column = run.recipe.data.group_by
    if column is None:
        return None
    if column not in samples.group_columns:
        raise RunError(
            f"{run.directory.split} has no column {column!r}, by which the images were split (data.group_by). Restore "
            "the file, or fit again."
        )
    return samples.table[column].fillna("").tolist()


def with_all_columns(options: AuditOptions, groups: pd.DataFrame, *, level: int = logging.INFO) -> AuditOptions:
    """Return the options; if they name no column, with all columns that do not look like identifiers.

    Args:
        options: options with or without columns.
        groups: group columns of the predictions, shape (N, G).
        level: log level of the line that names columns left out because they look like identifiers.
    """
    if options.columns:
        return options
    columns, identifiers = auditable_columns(groups, used=options.design_columns)
    log_excluded_columns(identifiers, level=level)
    return replace(options, columns=tuple(GroupColumn(column) for column in columns))


def options_with_columns(run: Run, options: AuditOptions, groups: pd.DataFrame, *, level: int) -> AuditOptions:
    """Return what `with_all_columns` returns for the predictions of a run.

    Raises:
        RunError: the predictions have no group column.
    """
    options = with_all_columns(options, groups, level=level)
    if not options.columns:
        raise RunError(
            f"{run.path} has no group columns to audit by. Name a CSV of them, keyed by path (--groups FILE; in "
            "Python, run.audit(groups=FILE)). Or name it in data.metadata, its columns in data.groups, and fit again."
        )
    return options
