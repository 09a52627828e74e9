"""The figures of several labels, grades, numbers, masks or boxes by name, and as plain sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlkit.evaluation.detection import DetectionEvaluation
from tlkit.evaluation.mask_result import MaskEvaluation
from tlkit.evaluation.multilabel_result import MultilabelEvaluation
from tlkit.evaluation.number_result import NumberEvaluation
from tlkit.stats.estimate import Estimate
from tlkit.stats.task_measures import figure_facts

TaskEvaluation = MultilabelEvaluation | NumberEvaluation | MaskEvaluation | DetectionEvaluation


def evaluation_from_dict(values: Mapping[str, Any]) -> TaskEvaluation:
    """Read what `to_dict` of an evaluation wrote."""
    if values.get("task") == "multilabel":
        return MultilabelEvaluation.from_dict({name: value for name, value in values.items() if name != "task"})
    if values.get("task") == "segmentation":
        return MaskEvaluation.from_dict(values)
    if values.get("task") == "detection":
        return DetectionEvaluation.from_dict({name: value for name, value in values.items() if name != "task"})
    return NumberEvaluation.from_dict(values)


def task_figures(evaluation: TaskEvaluation) -> dict[str, Estimate]:
    """Return the main figures by name, the most important first; undefined ones are left out."""
    if isinstance(evaluation, MultilabelEvaluation):
        named: dict[str, Estimate | None] = {
            "mean_average_precision": evaluation.mean_average_precision,
            "micro_average_precision": evaluation.micro_average_precision,
            "macro_f1": evaluation.macro_f1,
            "micro_f1": evaluation.micro_f1,
            "samples_f1": evaluation.samples_f1,
            "subset_accuracy": evaluation.subset_accuracy,
            "hamming_loss": evaluation.hamming_loss,
        }
    elif isinstance(evaluation, MaskEvaluation):
        named = {name: getattr(evaluation, name) for name in ("mean_iou", "mean_dice", "image_iou", "pixel_accuracy")}
    elif isinstance(evaluation, DetectionEvaluation):
        boxes = ("average_precision", "average_precision_50", "average_precision_75", "recall")
        named = {name: getattr(evaluation, name) for name in boxes}
    else:
        names = ("mean_absolute_error", "root_mean_squared_error", "mean_error", "r_squared")
        named = {name: getattr(evaluation, name) for name in names}
        if evaluation.of_grades is not None:
            named |= {name: getattr(evaluation.of_grades, name) for name in ("quadratic_kappa", "accuracy")}
            named["within_one"] = evaluation.of_grades.within_one
        if evaluation.intervals is not None:
            named["coverage"] = evaluation.intervals.coverage
    return {name: one for name, one in named.items() if one is not None and one.value is not None}


def figure_of(evaluation: TaskEvaluation, name: str) -> Estimate:
    """Return a figure by the name that `compare --metric` takes, such as "macro_f1" or "f1:cat".

    Raises:
        PredictionsError: there is no such figure or label.
    """
    found: Estimate | None
    if isinstance(evaluation, MultilabelEvaluation):
        figure_facts("multilabel", name, labels=evaluation.labels)
        kind, colon, label = name.partition(":")
        of_one = evaluation.per_label[evaluation.labels.index(label)] if colon else None
        found = task_figures(evaluation).get(name) if of_one is None else getattr(of_one, kind)
    elif isinstance(evaluation, MaskEvaluation):
        figure_facts("segmentation", name, labels=evaluation.classes)
        kind, colon, label = name.partition(":")
        of_class = evaluation.per_class[evaluation.classes.index(label)] if colon else None
        found = task_figures(evaluation).get(name) if of_class is None else getattr(of_class, kind)
    elif isinstance(evaluation, DetectionEvaluation):
        figure_facts("detection", name, labels=evaluation.categories)
        kind, colon, label = name.partition(":")
        of_category = evaluation.per_category[evaluation.categories.index(label)] if colon else None
        found = task_figures(evaluation).get(name) if of_category is None else getattr(of_category, kind)
    else:
        figure_facts(evaluation.task, name)
        found = task_figures(evaluation).get(name)
    return found or Estimate(None, None, None, n=evaluation.n, note="undefined")


FIGURE_WORDS: Mapping[str, str] = {
    "mean_average_precision": "mAP",
    "micro_average_precision": "micro average precision",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "samples_f1": "samples F1",
    "subset_accuracy": "subset accuracy",
    "hamming_loss": "Hamming loss",
    "mean_absolute_error": "mean absolute error",
    "root_mean_squared_error": "root mean squared error",
    "mean_error": "mean error",
    "r_squared": "R²",
    "quadratic_kappa": "quadratic kappa",
    "accuracy": "accuracy",
    "within_one": "share within one grade",
    "coverage": "coverage of the intervals",
    "mean_iou": "mIoU",
    "mean_dice": "mean Dice",
    "image_iou": "IoU per image",
    "pixel_accuracy": "pixel accuracy",
    "average_precision": "AP",
    "average_precision_50": "AP50",
    "average_precision_75": "AP75",
    "recall": "recall",
}
"""The words for each figure."""


def task_sentences(evaluation: TaskEvaluation, *, split: str) -> tuple[str, ...]:
    """Return the main figures as sentences, each with its interval.

    Args:
        evaluation: of a split.
        split: its name.
    """
    found = task_figures(evaluation)
    if isinstance(evaluation, MultilabelEvaluation):
        what, chosen = f"{len(evaluation.labels)} labels", ("mean_average_precision", "macro_f1", "micro_f1")
    elif isinstance(evaluation, MaskEvaluation):
        what, chosen = f"masks of {len(evaluation.classes)} classes", ("mean_iou", "mean_dice", "pixel_accuracy")
    elif isinstance(evaluation, DetectionEvaluation):
        what = f"{evaluation.boxes:,} objects of {len(evaluation.categories)} classes"
        chosen = ("average_precision", "average_precision_50", "recall")
    elif evaluation.grades:
        what = f"{len(evaluation.grades)} grades"
        chosen = ("mean_absolute_error", "quadratic_kappa", "accuracy")
    else:
        what, chosen = "a number each", ("mean_absolute_error", "root_mean_squared_error", "r_squared")
    figures = ", ".join(f"{FIGURE_WORDS[name]} {found[name].format()}" for name in chosen if name in found)
    sentences = [f"On {evaluation.n:,} images of {split}, {what}: {figures}."]
    if isinstance(evaluation, MultilabelEvaluation):
        known = [one for one in evaluation.per_label if one.f1.value is not None]
        if known:
            worst = min(known, key=lambda one: one.f1.value or 0.0)
            sentences.append(f"The weakest label is {worst.name}: F1 {worst.f1.format()}, {worst.support:,} images.")
    elif isinstance(evaluation, MaskEvaluation):
        shown = [one for one in evaluation.per_class if one.iou.value is not None]
        lowest = min(shown, key=lambda one: one.iou.value or 0.0)
        sentences.append(f"The weakest class is {lowest.name}: IoU {lowest.iou.format()}, {lowest.images:,} images.")
    elif isinstance(evaluation, DetectionEvaluation):
        category = min(
            (one for one in evaluation.per_category if one.average_precision.value is not None),
            key=lambda one: one.average_precision.value or 0.0,
        )
        ap, boxes = category.average_precision.format(), category.boxes
        sentences.append(f"The weakest class is {category.name}: AP {ap}, {boxes:,} objects.")
    elif "coverage" in found and evaluation.intervals is not None:
        width = evaluation.intervals.mean_width
        wide = f", {width.value:.3g} wide," if width.value is not None else ""
        sentences.append(f"Its intervals{wide} hold the truth for {found['coverage'].format()} of the images.")
    return tuple(sentences)
