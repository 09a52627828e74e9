"""Evaluates and audits a file of predictions of several labels, grades, numbers, masks or boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from tlkit.choices import CONFIDENCE, OBJECT_SIZE
from tlkit.cli.output import print_json, print_lines, print_tables
from tlkit.cli.task_file import TaskFile
from tlkit.errors import PredictionsError

if TYPE_CHECKING:
    from tlkit.audit.gates.gate_report import GateReport
    from tlkit.audit.task_audit_result import TaskAudit
    from tlkit.predictions import DetectionPredictions, MaskPredictions, MultilabelPredictions, NumberPredictions
    from tlkit.predictions.task_predictions import TaskPredictions
    from tlkit.recipe.gates_file import GatesFile
    from tlkit.tables import Table


class Judgement(Protocol):
    """A result with tables and plain values."""

    def tables(self) -> tuple[Table, ...]: ...  # noqa: D102
    def to_dict(self) -> dict[str, Any]: ...  # noqa: D102


def evaluate_task(file: TaskFile, *, cluster_by: str | None, weights: str | None, details: bool, json: bool) -> None:
    """Print the figures of a file: with the thresholds that were chosen, or the margin that was calibrated, on val."""
    found: Judgement
    more: dict[str, Any] = {}
    before: tuple[Table, ...] = ()
    if file.task == "multilabel":
        from tlkit.evaluation.label_thresholds import thresholds_for
        from tlkit.evaluation.multilabel import evaluate_multilabel

        labels = file.open_labels()
        if file.val is not None:
            val = file.open_val_labels(file.val, cluster_by=cluster_by)
            chosen = thresholds_for(labels, val, cluster_by=cluster_by)
            labels, more, before = chosen.apply(labels), {"thresholds": chosen.to_dict()}, chosen.tables()
        found = evaluate_multilabel(labels, cluster_by=cluster_by, weights=weights)
    elif file.task == "detection":
        from tlkit.evaluation.detection import evaluate_detection
        from tlkit.stats.box_matching import MIN_SCORE

        score = MIN_SCORE if file.min_score is None else file.min_score
        found = evaluate_detection(file.open_boxes(), min_score=score, cluster_by=cluster_by, weights=weights)
    elif file.task == "segmentation":
        from tlkit.evaluation.evaluate_masks import evaluate_masks

        found = evaluate_masks(file.open_masks(), cluster_by=cluster_by, weights=weights)
    else:
        from tlkit.evaluation.evaluate_numbers import evaluate_numbers

        numbers, margin = _with_intervals(file)
        more = {} if margin is None else {"intervals_of_val": margin}
        found = evaluate_numbers(numbers, cluster_by=cluster_by, weights=weights)
    if json:
        print_json(found.to_dict() | more)
        return
    tables = found.tables()
    print_tables([*before, *tables] if details else tables[:1])
    if not details and len(tables) > 1:
        print_lines(["", "Each label, class or category, and what is taken for what: --details"])


def audit_task(file: TaskFile, stated: Mapping[str, Any], *, gates: GatesFile | None, json: bool) -> GateReport | None:
    """Print the audit of a file; return the verdicts on the gates, None without any."""
    from tlkit.audit.options import AuditOptions
    from tlkit.runs.run_options import with_all_columns

    def options_of(
        given: Mapping[str, Any], predictions: MultilabelPredictions | NumberPredictions | MaskPredictions
    ) -> AuditOptions:
        if not predictions.groups.shape[1]:
            raise PredictionsError(
                f"{file.path} has no group columns to audit by. Join a CSV of them, keyed by path: --groups FILE."
            )
        return with_all_columns(AuditOptions().with_overrides(**given), predictions.groups)

    found: TaskAudit
    table: TaskPredictions | None = None
    if file.task == "multilabel":
        from tlkit.audit.multilabel_audit import audit_multilabel
        from tlkit.evaluation.label_thresholds import thresholds_for

        labels = file.open_labels()
        if file.val is not None:
            clusters = stated["cluster_by"]
            val = file.open_val_labels(file.val, cluster_by=clusters)
            labels = thresholds_for(labels, val, cluster_by=clusters).apply(labels)
        found, table = audit_multilabel(labels, options_of(stated, labels)), labels
    elif file.task == "detection":
        if gates is not None and file.min_score is not None:
            raise PredictionsError(
                "--min-score does not apply with --gate: gates count boxes of a score of 0.5 or more. Leave it out."
            )
        from tlkit.stats.box_measures import MatchedBoxes

        table = MatchedBoxes.of(file.open_boxes())
        found = _audit_boxes(file, table, stated)
    elif file.task == "segmentation":
        from tlkit.audit.mask_audit import audit_masks

        masks = file.open_masks()
        found, table = audit_masks(masks, options_of(stated, masks)), masks
    else:
        from tlkit.audit.number_audit import audit_numbers

        numbers, _ = _with_intervals(file)
        options = options_of({**stated, "tolerance": None}, numbers)
        found, table = audit_numbers(numbers, options, mean_tolerance=stated["tolerance"]), numbers
    report = None
    if gates is not None and table is not None:
        from tlkit.runs.gate_run import gate

        report = gate(table, gates, options=found.settings, truth=file.truth if file.task == "detection" else None)
    if json:
        print_json(found.to_redacted() | ({"gate": report.to_dict()} if report else {}))
    else:
        print_tables(found.tables())
    return report


def _audit_boxes(file: TaskFile, boxes: DetectionPredictions, stated: Mapping[str, Any]) -> TaskAudit:
    """Return the audit of the objects found; by their size, where no column is named."""
    from tlkit.audit.detection_audit import audit_detection
    from tlkit.audit.options import AuditOptions
    from tlkit.stats.box_matching import MIN_SCORE

    score = MIN_SCORE if file.min_score is None else file.min_score
    options = AuditOptions().with_overrides(**{**stated, "by": stated["by"] or [OBJECT_SIZE]})
    return audit_detection(boxes, options, min_score=score)


def _with_intervals(file: TaskFile) -> tuple[NumberPredictions, dict[str, Any] | None]:
    """Return the numbers of a file, with the intervals that val calibrates, where it is given, and their rule."""
    numbers = file.open_numbers(file.path)
    if file.val is None:
        return numbers, None
    from tlkit.uncertainty.number_intervals import intervals_for

    coverage = CONFIDENCE if file.coverage is None else file.coverage
    rule = intervals_for(numbers, file.open_numbers(file.val), coverage=coverage)
    return rule.apply(numbers), rule.to_dict()
