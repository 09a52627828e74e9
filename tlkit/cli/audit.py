"""`tlkit audit`: the audit of a run, or of any file of predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tlkit.audit import Audit, audit_groups
from tlkit.audit.cells import columns_to_audit, say_left_out
from tlkit.audit.cut import explain_columns
from tlkit.audit.evidence import audit_evidence
from tlkit.cli.output import find_run, print_lines, read_file
from tlkit.errors import PredictionsError
from tlkit.predictions import Predictions

if TYPE_CHECKING:
    from tlkit.audit.explanation import Explanation
    from tlkit.pipeline.judging.judge import Run


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
        What was judged, the audit, and what lies behind its gaps.

    Raises:
        PredictionsError: a file has no group columns at all.
    """
    chosen = cast(Any, criteria or None)  # `audit_groups` checks the words
    design: dict[str, Any] = {"cluster_by": cluster_by, "pair_by": pair_by, "weights": weights}
    asked: dict[str, Any] = {"positive": positive, **design}
    run = find_run(what, split=split)
    if run and not groups:
        audit = run.audit(
            by or None, split=split, max_intersection_order=max_intersection_order, min_group_size=min_group_size,
            criteria=chosen,
            tolerance=tolerance, **asked,
        )  # fmt: skip
        return run, audit, run.explain(by or None, split=split, min_group_size=min_group_size, **design)
    table = run.predictions(split) if run else read_file(what, y_true=y_true, y_pred=y_pred)
    table = table.with_groups(groups) if groups else table
    if not table.group_columns:
        raise PredictionsError(
            f"{what} has no group columns to audit by. Join a CSV of them, keyed by path: --groups FILE."
        )
    columns, identifiers = (by, []) if by else columns_to_audit(table.groups, used=tuple(design.values()))
    say_left_out(identifiers)
    audit = audit_groups(
        table,
        by=columns,
        criteria=chosen or (),
        max_intersection_order=2 if max_intersection_order is None else max_intersection_order,
        min_group_size=20 if min_group_size is None else min_group_size,
        tolerance=0.05 if tolerance is None else tolerance,
        **asked,
    )
    behind = explain_columns(table, by=columns, min_group_size=audit.settings.min_group_size, **design)
    return table, audit, behind


def print_evidence(judged: Run | Predictions, audit: Audit, *, by: list[str] | None, split: str | None) -> None:
    """Print a few of the images behind every row that fails for being worse than the rest."""
    if isinstance(judged, Predictions):
        found = audit_evidence(judged, audit, by=by or None)
    else:
        found = judged.audit_images(by or None, split=split, audit=audit)
    for one in found:
        print_lines(["", *one.sentences()])


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
