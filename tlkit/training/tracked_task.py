"""What a tracker gets of a run of several labels, grades or numbers. No torch; an image's groups are never sent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from tlkit.audit.task_audit_result import TaskAudit
from tlkit.choices import TRACKED_ROWS
from tlkit.evaluation.detection import DetectionEvaluation
from tlkit.evaluation.mask_result import MaskEvaluation
from tlkit.evaluation.multilabel_result import MultilabelEvaluation
from tlkit.evaluation.task_figures import TaskEvaluation, task_figures
from tlkit.predictions.task_predictions import TaskPredictions
from tlkit.render.report.task_page import TaskContents, write_task_report
from tlkit.tracking import NullTracker, Tracker
from tlkit.training.tracked_results import plain_table


def track_task(
    tracker: Tracker,
    split: str,
    predictions: TaskPredictions,
    evaluation: TaskEvaluation,
    audit: TaskAudit | None,
    *,
    log_audit: bool,
) -> None:
    """Record figures, labels and predictions of a split; an image's groups are never sent.

    Args:
        tracker: what records.
        split: its name.
        predictions: the predictions for it.
        evaluation: their evaluation.
        audit: their audit, None where the recipe has no `audit.by`.
        log_audit: whether the audit's tables, which name groups, are recorded.
    """
    if isinstance(tracker, NullTracker):
        return
    values: dict[str, Any] = {f"{split}/images": evaluation.n}
    for name, one in task_figures(evaluation).items():
        values |= {f"{split}/{name}": one.value, f"{split}/{name}_low": one.low, f"{split}/{name}_high": one.high}
    tracker.log_summary(values)
    if isinstance(evaluation, MultilabelEvaluation | MaskEvaluation | DetectionEvaluation):
        name = "per_label" if isinstance(evaluation, MultilabelEvaluation) else "per_class"
        tracker.log_table(plain_table(evaluation.tables()[1]), name=f"{split}/{name}")
    tracker.log_table(_without_groups(predictions).head(TRACKED_ROWS), name=f"{split}/predictions")
    if audit is None:
        return
    tracker.log_summary({f"{split}/audit": audit.verdict})
    if log_audit:
        for table in audit.tables():
            tracker.log_table(plain_table(table), name=f"{split}/audit/{table.name}")
    if audit.verdict == "FAIL":
        what = f"Rows beyond the tolerance: {len(audit.failures)}. `tlkit audit` shows which."
        tracker.alert(f"The audit of {split} fails", what)


def _without_groups(predictions: TaskPredictions) -> pd.DataFrame:
    table = predictions.table()
    return table.drop(columns=[name for name in predictions.groups.columns if name in table.columns])


def track_task_report(tracker: Tracker, folder: Path, contents: TaskContents) -> None:
    """Record the report, which shows no images; the page is written to the tracker's folder of the run directory."""
    if not isinstance(tracker, NullTracker):
        tracker.log_report(write_task_report(folder / "wandb" / "report.html", replace(contents, worst=())))
