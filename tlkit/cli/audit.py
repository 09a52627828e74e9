"""`tlkit audit`: the audit of a run, or of any file of predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tlkit.audit import Audit
from tlkit.audit.audit import audit_predictions
from tlkit.audit.error_examples import failing_group_images
from tlkit.audit.explain import explain_predictions
from tlkit.audit.options import AuditOptions
from tlkit.cli.output import find_run, print_lines, print_tables, read_file
from tlkit.errors import PredictionsError
from tlkit.predictions import Predictions
from tlkit.runs.run_options import with_all_columns

if TYPE_CHECKING:
    from tlkit.audit.explanation import Explanation
    from tlkit.runs.run import Run


def run_audit(
    what: Path,
    *,
    by: list[str] | None,
    split: str | None,
    groups: Path | None,
    max_intersection_order: int | None,
    min_group_size: int | None,
    criteria: list[str] | None,
    positive: str | None,
    tolerance: float | None,
    cluster_by: str | None,
    pair_by: str | None,
    weights: str | None,
    y_true: str,
    y_pred: str,
) -> tuple[Run | Predictions, Audit, Explanation]:
    """Audit a run as its recipe says where nothing else is asked, or a file of predictions.

    Returns:
        The run, or the table of the file with the joined columns; the audit; and what lies behind its gaps.

    Raises:
        PredictionsError: a file has no group columns at all.
    """
    chosen = cast(Any, criteria or None)  # `AuditOptions` checks the words
    run = find_run(what, split=split)
    if run is not None:
        audit = run.audit(
            by or None,
            split=split,
            groups=groups,
            max_intersection_order=max_intersection_order,
            min_group_size=min_group_size,
            criteria=chosen,
            positive=positive,
            tolerance=tolerance,
            cluster_by=cluster_by,
            pair_by=pair_by,
            weights=weights,
        )
        behind = run.explain(
            by or None,
            split=split,
            groups=groups,
            min_group_size=min_group_size,
            cluster_by=cluster_by,
            pair_by=pair_by,
            weights=weights,
        )
        return run, audit, behind
    table = read_file(what, y_true=y_true, y_pred=y_pred)
    table = table.with_groups(groups) if groups else table
    if not table.group_columns:
        raise PredictionsError(
            f"{what} has no group columns to audit by. Join a CSV of them, keyed by path: --groups FILE."
        )
    options = AuditOptions().with_overrides(
        by=by or None,
        criteria=chosen,
        positive=positive,
        min_group_size=min_group_size,
        max_intersection_order=max_intersection_order,
        tolerance=tolerance,
        cluster_by=cluster_by,
        pair_by=pair_by,
        weights=weights,
    )
    options = with_all_columns(options, table.groups)
    return table, audit_predictions(table, options), explain_predictions(table, options)


def print_evidence(judged: Run | Predictions, audit: Audit, *, split: str | None, groups: Path | None) -> None:
    """Print a few of the images behind every row that fails for being worse than the rest."""
    if isinstance(judged, Predictions):
        found = failing_group_images(judged, audit)
    else:
        found = judged.audit_images(split=split, groups=groups, audit=audit)
    for one in found:
        print_lines([""])
        print_tables(one.tables())


def open_judged(what: Path, *, split: str | None, groups: Path | None, y_true: str, y_pred: str) -> Run | Predictions:
    """Open a run, or read a file of predictions and join columns to it.

    Raises:
        PredictionsError: columns are to be joined to a run.
    """
    run = find_run(what, split=split)
    if run is None:
        table = read_file(what, y_true=y_true, y_pred=y_pred)
        return table.with_groups(groups) if groups else table
    if groups:
        raise PredictionsError("--groups is for a file of predictions; a run's columns come from its data.groups.")
    return run
