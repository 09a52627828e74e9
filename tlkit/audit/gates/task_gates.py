"""`judge_task_gates`: the verdicts of a file of gates on predictions of labels, grades, numbers, masks or boxes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from tlkit.arrays import Mask
from tlkit.audit.detection_audit import objects_of
from tlkit.audit.gates.gate_cases import GateCase, with_verdicts
from tlkit.audit.gates.gate_report import GateReport, GateRow
from tlkit.audit.gates.gate_tables import counts_text
from tlkit.audit.gates.gate_verdicts import gate_options, gate_problems, limit_rows, tested_rates, tolerance_rows
from tlkit.audit.group_tables import ALL, GroupTable
from tlkit.audit.groups.group_columns import GroupColumn, discretize
from tlkit.audit.groups.intersections import cross_columns
from tlkit.audit.mask_audit import outcomes_of_masks
from tlkit.audit.memberships import count_groups
from tlkit.audit.multilabel_audit import outcomes_of_label
from tlkit.audit.number_audit import outcomes_of_numbers
from tlkit.audit.options import AuditOptions
from tlkit.audit.outcomes import Outcomes
from tlkit.audit.rates import MEANS, AnyMetric, Rate
from tlkit.audit.sampling_design import design_of
from tlkit.audit.task_comparison import WHOLE, compare_task_models
from tlkit.audit.verdicts import assign_verdicts
from tlkit.choices import Counted
from tlkit.errors import PredictionsError
from tlkit.predictions import DetectionPredictions, MaskPredictions, MultilabelPredictions, NumberPredictions
from tlkit.predictions.common_task_images import known_images
from tlkit.predictions.task_predictions import TaskPredictions
from tlkit.stats.estimate import Estimate
from tlkit.stats.task_measures import figure_title, names_of, task_facts

if TYPE_CHECKING:
    from tlkit.recipe.gates_file import Gates, GatesFile, Limit, Tolerance

logger = logging.getLogger(__name__)


def judge_task_gates(
    predictions: TaskPredictions,
    file: GatesFile,
    *,
    baseline: TaskPredictions | None = None,
    options: AuditOptions | None = None,
) -> GateReport:
    """Return the verdict on every gate of a file for a model of another task than classes; see `judge_gates`.

    Tolerances and limits are about rates of labels, about mean errors in their unit and the coverage of intervals,
    about the mean IoU of images and the IoU of a class in the images that show it, as in `audit_masks`, or about the
    recall of objects, as in `audit_detection`. A limit of a mean fails where the whole interval lies on its wrong side
    and its one-sided t test, corrected over all limits, agrees. "No worse" is about one figure of
    `compare_task_models`, by default the main one.

    Args:
        predictions: with the group columns.
        file: the gates.
        baseline: predictions of the model to compare with; needed where the gates name one.
        options: of the audit behind the gates; the file overrides them. Default: `AuditOptions()`.

    Raises:
        PredictionsError: a column or label is not there, an option does not apply, or the baseline has no image in
            common.
    """
    gates = file.gates
    options = gate_options(file, options or AuditOptions())
    judged = _judged_rows(predictions, options)
    problems = list(gate_problems(judged.groups, judged.names, judged.known, file, judged.options))
    problems += _number_problems(predictions, file, options)
    if problems:
        raise PredictionsError(*problems)
    rows: list[GateRow] = []
    counted = judged.counted
    rows += tolerance_rows(_tables(judged, gates, gates.tolerances), file, judged.options, counted=counted)
    rows += limit_rows(_tables(judged, gates, gates.limits), file, judged.options, counted=counted)
    if gates.no_worse_than is not None:
        assert baseline is not None, "the caller reads the baseline of the file"
        rows += _no_worse(baseline, predictions, file, options)
    objects = len(judged.groups) if counted == "object" else None
    report = GateReport(file.source, len(predictions.labelled), judged.options, tuple(rows), objects)
    logger.info("Gates of %s: %s.", file.source, counts_text(report))
    return report


@dataclass(frozen=True, eq=False)
class _JudgedRows:
    """What the rates of gates count: images, or of boxes the objects in them.

    Attributes:
        groups: group columns, N rows.
        known: rows of known truth, shape (N,).
        names: labels, classes or categories; none of numbers and grades.
        options: of the audit behind the gates.
        outcomes: a call with a rate returns its outcomes in the K rows of known truth.
        counted: what the rows are.
    """

    groups: pd.DataFrame
    known: Mask
    names: Sequence[str]
    options: AuditOptions
    outcomes: Callable[[Rate], Outcomes]
    counted: Counted = "image"


def _judged_rows(table: TaskPredictions, options: AuditOptions) -> _JudgedRows:
    if isinstance(table, DetectionPredictions):
        objects = objects_of(table, options)
        every = np.ones(len(objects.groups), dtype=np.bool_)
        return _JudgedRows(objects.groups, every, table.categories, objects.options, objects.outcomes, "object")
    known = table.labelled
    return _JudgedRows(table.groups, known_images(table), names_of(table), options, partial(_outcomes, known))


def _number_problems(predictions: TaskPredictions, file: GatesFile, options: AuditOptions) -> list[str]:
    """Return what gates of numbers and masks cannot be about, with the place in the file."""
    if isinstance(predictions, MultilabelPredictions):
        return []
    found = []
    if options.pair_by is not None:
        what = "IoU" if isinstance(predictions, MaskPredictions) else "mean errors"
        found.append(
            f"{file.source}  pair_by compares rates within matched sets. For {what}, name the sets in cluster_by."
        )
    if isinstance(predictions, NumberPredictions) and predictions.lower is None:
        kinds = (("tolerances", file.gates.tolerances), ("limits", file.gates.limits))
        for kind, gates in kinds:
            for index, gate in enumerate(cast("Sequence[Tolerance | Limit]", gates)):
                if gate.metric == "coverage":
                    where = file.where(kind, index, "metric")
                    found.append(f"{where}  The predictions have no intervals, so there is no coverage. Give --val.")
    return found


def _tables(judged: _JudgedRows, gates: Gates, of: Sequence[Tolerance | Limit]) -> tuple[GroupTable, ...]:
    """Return the tables of the gates of one kind, after Holm's correction over all of them."""
    options, groups = judged.options, judged.groups.loc[judged.known].reset_index(drop=True)
    design = design_of(groups, options, level=logging.DEBUG)
    every = np.ones(len(groups), dtype=np.bool_)
    untested = []
    for columns, rate in dict.fromkeys(_pairs(judged.names, gates, of, options)):
        levels = [discretize(groups[spec.column], spec, max_values=options.max_values) for spec in columns]
        if len(levels) > 1 and any(count_groups(cross_columns([level]), every) < 2 for level in levels):
            continue
        untested.append(judged.outcomes(rate).compare(cross_columns(levels), design, options))
    return assign_verdicts(untested, options)[0]


def _pairs(
    labels: Sequence[str], gates: Gates, of: Sequence[Tolerance | Limit], options: AuditOptions
) -> list[tuple[tuple[GroupColumn, ...], Rate]]:
    """Return the columns and rates of gates; a gate of labels that names none is about every label."""
    if labels:
        return tested_rates(labels, gates, of, options)
    found = []
    for gate in of:
        columns = options.cut([column for column in gates.columns if column in gate.by])
        found.append((columns, Rate(cast("AnyMetric", gate.metric))))
    return found


def _outcomes(known: MultilabelPredictions | NumberPredictions | MaskPredictions, rate: Rate) -> Outcomes:
    """Return the outcomes of a rate or mean; each gate has its own tolerance."""
    if isinstance(known, MultilabelPredictions):
        return outcomes_of_label(known, rate)
    if isinstance(known, MaskPredictions):
        return outcomes_of_masks(known, rate, 0.0)
    return outcomes_of_numbers(known, rate.metric, 0.0 if rate.metric in MEANS else None)


def _no_worse(
    baseline: TaskPredictions, predictions: TaskPredictions, file: GatesFile, options: AuditOptions
) -> list[GateRow]:
    """Return the verdicts on "the second model loses no more of a figure than the margin", overall and by group."""
    worse = file.gates.no_worse_than
    assert worse is not None, "the caller has looked"
    where, margin = file.where("no_worse_than"), worse.margin
    clusters = (
        options.cluster_by if options.cluster_by in predictions.groups.columns else None
    )  # that of objects: the image
    found = compare_task_models(
        baseline,
        predictions,
        replace(options, columns=options.cut(worse.by), cluster_by=clusters),
        metric=worse.metric,
        names=(worse.baseline, "these predictions"),
    )
    sign = 1 if task_facts(predictions, found.main.figure).higher_is_better else -1
    cases = []
    for row in (found.main, *(row for row in found.rows[1:] if row.by not in WHOLE)):
        value = row.difference
        n = row.n if row.count is None else row.count
        large = value.low is not None and (row.by == ALL or n >= options.min_group_size)
        low, high = (sign * end if end is not None else 0.0 for end in (value.low, value.high))
        low, high = min(low, high), max(low, high)
        same = row.p is None and value.value == 0
        unit = "" if row.counted == "image" else f" {row.counted}s"
        few = "" if large or same else value.note or f"n = {n}{unit}, fewer than {options.min_group_size}"
        made = GateRow(
            "no worse",
            where,
            "all images" if row.by == ALL else row.by,
            row.name,
            figure_title(row.figure),
            margin,
            n,
            value if large else Estimate(None, None, None, n=n, note=few),
            reason="same figure" if same else "" if large else "no estimate",
            counted=row.counted,
        )
        cases.append(GateCase(made, row.p, beyond=large and high < -margin, within=same or (large and low >= -margin)))
    return with_verdicts(cases, options.alpha)
