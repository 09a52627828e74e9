"""`TaskComparison`: the paired difference of two models of any task but one class for each image, by group, too."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtr

from tlkit.arrays import Mask
from tlkit.audit.group_tables import ALL, MISSING
from tlkit.audit.groups.intersections import membership_of, usable_columns, validate_columns
from tlkit.audit.options import AuditOptions
from tlkit.audit.redaction import refuse_redacted
from tlkit.audit.sampling_design import design_of, design_problems
from tlkit.audit.task_comparison_tables import task_comparison_tables
from tlkit.choices import OBJECT_SIZE, ChangeDirection, Counted, Task
from tlkit.errors import PredictionsError, first_few, refuse_newer
from tlkit.plain_values import from_plain, to_plain
from tlkit.predictions import MultilabelPredictions
from tlkit.predictions.common_task_images import common_task_images
from tlkit.predictions.task_predictions import TaskPredictions
from tlkit.stats.cluster_sampling import Units, student_estimate
from tlkit.stats.corrections import holm
from tlkit.stats.estimate import Estimate
from tlkit.stats.influence import NO_VARIANCE, Spread
from tlkit.stats.measured import paired_spread
from tlkit.stats.power import detectable_difference, images_to_resolve
from tlkit.stats.task_measures import counted_by, figures_of, measure_task, parts_of, task_facts, with_matches
from tlkit.tables import Table, to_html

FORMAT_VERSION = 1
LABEL, CLASS = "(label)", "(class)"
"""What rows of one label, or of one class of masks or boxes, are by."""
WHOLE = (ALL, LABEL, CLASS)
"""What rows of all images are by."""
UNDECIDED: ChangeDirection = "not distinguishable"


@dataclass(frozen=True)
class TaskChange:
    """The change of one figure from the first to the second model on some of the images.

    Attributes:
        by: "(all)", "(label)", "(class)" of masks or boxes, or a group column.
        name: the label, class or group; "all images" for all.
        figure: name of the figure, such as "macro_f1".
        n: images.
        first: the figure of the first model; None where it is undefined.
        second: that of the second.
        difference: second minus first, with its interval.
        p: p-value of no difference by Student's t; None where there is no test.
        p_holm: corrected over all rows but the first, whose p-value is its own.
        change: better or worse where p_holm is below alpha; "not distinguishable" does not mean equal.
        detectable: the smallest difference that so many images could have shown (80 % power); None without a test.
        needed: about how many images a difference as large as the one seen would need; None where it is 0 or shown.
        small: whether tables show only its size: a group of fewer images than `min_group_size`, or no difference is
            defined.
        counted: what the figure is about: images, or of boxes the true objects in them.
        count: how many of them: of boxes without crowds, of one class; of the IoU of a class the images that show it.
            None in files of earlier versions.
    """

    by: str
    name: str
    figure: str
    n: int
    first: float | None
    second: float | None
    difference: Estimate
    p: float | None
    p_holm: float | None
    change: ChangeDirection
    detectable: float | None
    needed: int | None
    small: bool
    counted: Counted = "image"
    count: int | None = None


@dataclass(frozen=True)
class TaskComparison:
    """The paired difference of two models of labels, grades, numbers, masks or boxes. `compare_task_models` makes it.

    Attributes:
        task: multilabel, ordinal, regression, segmentation or detection.
        first: name of the first model.
        second: name of the second model.
        images: images of known truth that both predicted.
        left_out: images that only one predicted.
        unlabelled: images of both of which nothing is known; left out.
        settings: the options that it was made with.
        tests: tests that Holm's correction counts: those of all rows but the first.
        rows: figures of all images, the main one first, then each label, then the groups of each column.
        leaked: how many of the images were in a model's training data; they are in all rows.
        without_leaks: the main figure of the other images, with a test of its own; None where none leaked, or all did.
    """

    task: Task
    first: str
    second: str
    images: int
    left_out: int
    unlabelled: int
    settings: AuditOptions
    tests: int
    rows: tuple[TaskChange, ...]
    leaked: int = 0
    without_leaks: TaskChange | None = None

    @property
    def main(self) -> TaskChange:
        """The row of the main figure of all images."""
        return self.rows[0]

    def table(self) -> pd.DataFrame:
        """Return one row per figure, label and group as a DataFrame."""
        named = ("by", "name", "figure", "n", "first", "second", "p", "p_holm", "change")
        ends = ("value", "low", "high")
        return pd.DataFrame(
            [
                {name: getattr(row, name) for name in named}
                | {f"difference_{end}": getattr(row.difference, end) for end in ends}
                for row in self.rows
            ]
        )

    def tables(self) -> tuple[Table, ...]:
        """Return the table of changes for readers; its notes say what changed, and what is not distinguishable."""
        return task_comparison_tables(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values with every number, also those of small groups; `from_dict` reads them back."""
        return {"version": FORMAT_VERSION, "complete": True, **to_plain(self)}

    def to_redacted(self) -> dict[str, Any]:
        """Return plain JSON values without the figures of small groups, as `tlkit compare --json` prints them."""
        hidden = [
            replace(row, first=None, second=None, difference=Estimate(None, None, None, n=row.n), p=None, p_holm=None)
            if row.small
            else row
            for row in self.rows
        ]
        return {**replace(self, rows=tuple(hidden)).to_dict(), "complete": False}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TaskComparison:
        """Read what `to_dict` wrote.

        Raises:
            TlkitError: it was written by a newer tlkit, or is redacted.
        """
        refuse_redacted("This comparison", values, "what `TaskComparison.to_dict` returns")
        refuse_newer("This comparison was", values["version"], known=FORMAT_VERSION)
        return from_plain(cls, values)

    def __repr__(self) -> str:
        one = self.main
        change = f"{one.figure} {one.difference.format(signed=True)}, {one.change}"
        return f"TaskComparison({self.first} with {self.second}: {self.images} images, {change})"

    def _repr_html_(self) -> str:
        return to_html(self.tables())


def compare_task_models(
    first: TaskPredictions,
    second: TaskPredictions,
    options: AuditOptions,
    *,
    metric: str | None = None,
    names: tuple[str, str] = ("first", "second"),
    leaked: Collection[str] = (),
    all_columns: bool = False,
) -> TaskComparison:
    """Compare two models of labels, grades, numbers, masks or boxes on the images that both predicted.

    Every figure of the task is compared over all images; the main one (mAP, or macro F1 without probabilities; the mean
    absolute error; mIoU; AP of boxes) also in every group, and the F1 of every label, IoU or AP of every class. Each
    comparison is paired, image by image: the variance of a difference is that of the difference of the images'
    influences on the two values, or of the clusters' (`spread_of`), and the test Student's t; for a mean, such as the
    mean absolute error, the paired t test. Holm's correction is over all rows but the main figure of all images, which
    has its own test.

    Args:
        first: predictions of one model.
        second: predictions of another one, matched by path; labels and classes by name.
        options: group columns, sizes, levels and design; matched sets count as clusters.
        metric: the one figure to compare, also by group; see `task_facts`. None = all.
        names: what to call the two.
        leaked: paths of images in the training data of either model.
        all_columns: compare by all columns that do not look like identifiers, instead of those of the options.

    Raises:
        PredictionsError: no image is common to both, they disagree about the truth, a column or figure is not there,
            or an option is out of its range.

    Example:
        >>> from tlkit.predictions import NumberPredictions
        >>> images = {"path": [str(i) for i in range(40)], "y_true": [float(i % 7) for i in range(40)]}
        >>> old = NumberPredictions.build(**images, y_pred=[y + (-1) ** i for i, y in enumerate(images["y_true"])])
        >>> new = NumberPredictions.build(**images, y_pred=[y + 0.5 * (i % 2) for i, y in enumerate(images["y_true"])])
        >>> found = compare_task_models(old, new, AuditOptions())
        >>> found.main.difference.format(), found.main.change
        ('-0.750 [-0.831, -0.669]', 'better')
    """
    common = common_task_images({names[0]: first, names[1]: second})
    one, two = map(with_matches, common.predictions.values())
    if all_columns:
        usable = usable_columns(one.groups, used=options.design_columns, max_values=options.max_values)
        options = replace(options, columns=usable)
    problems = options.problems(()) + design_problems(one.groups, options)
    if one.task == "detection" and any(spec.column == OBJECT_SIZE for spec in options.columns):
        problems.append(f"{OBJECT_SIZE} groups objects, and models are compared image by image. Leave it out.")
    elif options.columns:
        problems += validate_columns(one.groups, options.columns, max_values=options.max_values)
    if problems:
        raise PredictionsError(*problems)
    figures = _figures(one, two, metric, names)
    design = design_of(one.groups, options, level=logging.DEBUG)
    pair = _Pair(one, two, None if design is None else design.units(len(one)), options)
    everything = np.ones(len(one), dtype=np.bool_)
    rows = [pair.change(ALL, "all images", figure, everything) for figure in figures]
    if metric is None:
        by = LABEL if isinstance(one, MultilabelPredictions) else CLASS
        rows += [pair.change(by, part.partition(":")[2], part, everything) for part in parts_of(one)]
    for spec in options.columns:
        membership = membership_of(one.groups, (spec,), max_values=options.max_values)
        parts = [(values[0], membership.inside(place)) for place, values in enumerate(membership.values)]
        parts.append((MISSING, membership.inside(None)))
        rows += [pair.change(spec.column, name, figures[0], inside) for name, inside in parts if inside.any()]
    adjusted = [rows[0].p, *holm([row.p for row in rows[1:]])]
    seen = np.isin(one.path.astype(str), list(leaked)) if leaked else ~everything
    clean = pair.change(ALL, "without leaks", figures[0], ~seen) if seen.any() and not seen.all() else None
    return TaskComparison(
        task=one.task,
        first=names[0],
        second=names[1],
        images=len(one),
        left_out=common.left_out,
        unlabelled=common.unlabelled,
        settings=options,
        tests=sum(row.p is not None for row in rows[1:]),
        rows=tuple(pair.judged(row, p) for row, p in zip(rows, adjusted, strict=True)),
        leaked=int(seen.sum()),
        without_leaks=None if clean is None else pair.judged(clean, clean.p),
    )


def _figures(one: TaskPredictions, two: TaskPredictions, metric: str | None, names: tuple[str, str]) -> list[str]:
    """Return the figures to compare, the main one first.

    Raises:
        PredictionsError: the figure is not there, or a model lacks the probabilities that it needs.
    """
    if metric is None:
        return [name for name in figures_of(one) if name in figures_of(two)]
    facts = task_facts(one, metric)
    tables = zip(names, (one, two), strict=True)
    if facts.needs_proba and (lacking := [name for name, table in tables if getattr(table, "proba", None) is None]):
        raise PredictionsError(f"{facts.title} needs probabilities, which {first_few(lacking)} lacks.")
    return [metric]


@dataclass(frozen=True)
class _Pair:
    """Two aligned tables, with the units and the options of their comparison."""

    first: TaskPredictions
    second: TaskPredictions
    units: Units | None
    options: AuditOptions

    def change(self, by: str, name: str, figure: str, inside: Mask) -> TaskChange:
        """Return the difference of a figure on some images, before Holm's correction."""
        options, n = self.options, int(inside.sum())
        units = None if self.units is None else self.units.take(inside)
        if units is not None and not (held := units.weight > 0).all():
            inside = inside.copy()
            inside[inside] = held
            units = units.take(held)
        small = by not in WHOLE and n < options.min_group_size
        tables = (self.first.take(inside), self.second.take(inside))
        if not len(tables[0]):
            nothing = Estimate(None, None, None, n=n, note="no image has a weight")
            return TaskChange(by, name, figure, n, None, None, nothing, None, None, UNDECIDED, None, None, True)
        one, two = (measure_task(table, figure, units) for table in tables)
        counted, count = counted_by(*tables, figure)
        why = one.why or two.why or ("" if units is None else units.why_unknown)
        difference, p, detectable, needed = Estimate(None, None, None, n=n, note=why), None, None, None
        if one.value is not None and two.value is not None and not why:
            facts = task_facts(self.first, figure)
            unit = 1.0 if np.isfinite(facts.highest) else max(abs(one.value), abs(two.value)) or 1.0
            value, spread = (two.value - one.value) / unit, paired_spread(one.over(unit), two.over(unit), units)
            width = (facts.highest - facts.lowest) / unit
            difference = _in_unit(_interval(value, spread, width, n=n, confidence=options.confidence), unit)
            p = _test(value, spread)
            if p is not None:
                detectable = unit * detectable_difference(spread.variance, alpha=options.alpha)
                if value != 0 and p >= options.alpha:
                    needed = images_to_resolve(spread.variance * n, value, alpha=options.alpha)
        small = small or difference.value is None
        return TaskChange(
            by=by,
            name=name,
            figure=figure,
            n=n,
            first=one.value,
            second=two.value,
            difference=difference,
            p=p,
            p_holm=None,
            change=UNDECIDED,
            detectable=detectable,
            needed=needed,
            small=small,
            counted=counted,
            count=count,
        )

    def judged(self, row: TaskChange, p_holm: float | None) -> TaskChange:
        """Return a row with its corrected p-value and what it says."""
        value = row.difference.value
        if p_holm is None or p_holm >= self.options.alpha or value is None:
            return replace(row, p_holm=p_holm)
        better = (value > 0) is task_facts(self.first, row.figure).higher_is_better
        return replace(row, p_holm=p_holm, change="better" if better else "worse", needed=None)


def _interval(value: float, spread: Spread, width: float, *, n: int, confidence: float) -> Estimate:
    df = max(spread.df, 1.0) if spread.df > 0 else 0.0
    return student_estimate(value, spread.variance, df, n=n, confidence=confidence, lowest=-width, highest=width)


def _in_unit(estimate: Estimate, unit: float) -> Estimate:
    """Return an estimate of a scaled figure in the unit of the figure."""
    value, low, high = (None if one is None else one * unit for one in (estimate.value, estimate.low, estimate.high))
    return replace(estimate, value=value, low=low, high=high)


def _test(value: float, spread: Spread) -> float | None:
    """Return the two-sided p-value of Student's t test; None where nothing varies or is known of the variance."""
    if not (spread.df > 0 and np.isfinite(spread.variance) and spread.variance > NO_VARIANCE):
        return None
    return float(2 * stdtr(max(spread.df, 1.0), -abs(value) / np.sqrt(spread.variance)))
