"""Figures of other tasks than classes with the influence of every image on them, for comparisons of models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tlkit.arrays import Floats
from tlkit.choices import Counted, Task
from tlkit.errors import PredictionsError, did_you_mean, first_few
from tlkit.predictions import DetectionPredictions, MaskPredictions, MultilabelPredictions, NumberPredictions
from tlkit.predictions.task_predictions import TaskPredictions
from tlkit.stats.area_intervals import mean_area
from tlkit.stats.box_measures import BOX_FIGURES, OF_ONE_CATEGORY, MatchedBoxes, measure_boxes
from tlkit.stats.cluster_sampling import Units
from tlkit.stats.confusion_scores import (
    CONFUSION_SCORES,
    margins_of_rows,
    score_influences,
    scores_of_margins,
    why_undefined,
)
from tlkit.stats.mask_measures import MASK_FIGURES, OF_ONE_CLASS, measure_masks
from tlkit.stats.measured import Measured, ScoreFacts, mean_of, over_domain, ratio_of, undefined
from tlkit.stats.one_vs_rest import AREA_KINDS, areas

MEAN_AP = "mean_average_precision"

LABEL_FIGURES: Mapping[str, ScoreFacts] = {
    MEAN_AP: ScoreFacts("mAP", needs_proba=True),
    "macro_f1": ScoreFacts("macro F1"),
    "micro_f1": ScoreFacts("micro F1"),
    "samples_f1": ScoreFacts("samples F1"),
    "micro_average_precision": ScoreFacts("micro average precision", needs_proba=True),
    "subset_accuracy": ScoreFacts("subset accuracy"),
    "hamming_loss": ScoreFacts("Hamming loss", higher_is_better=False),
}
"""Figures of several labels, the one that models are compared by first."""
OF_ONE_LABEL: Mapping[str, ScoreFacts] = {
    "f1": ScoreFacts("F1"),
    "recall": ScoreFacts("recall"),
    "precision": ScoreFacts("precision"),
    "average_precision": ScoreFacts("average precision", needs_proba=True),
    "auroc": ScoreFacts("AUROC", needs_proba=True),
}
NUMBER_FIGURES: Mapping[str, ScoreFacts] = {
    "mean_absolute_error": ScoreFacts("mean absolute error", highest=np.inf, higher_is_better=False),
    "root_mean_squared_error": ScoreFacts("root mean squared error", highest=np.inf, higher_is_better=False),
    "r_squared": ScoreFacts("R²", lowest=-np.inf),
}
GRADE_FIGURES: Mapping[str, ScoreFacts] = {
    "mean_absolute_error": NUMBER_FIGURES["mean_absolute_error"],
    "quadratic_kappa": ScoreFacts("quadratic kappa", lowest=-1.0),
    "accuracy": ScoreFacts("accuracy"),
    "within_one": ScoreFacts("share within one grade"),
    "root_mean_squared_error": NUMBER_FIGURES["root_mean_squared_error"],
    "r_squared": NUMBER_FIGURES["r_squared"],
}


TASK_FIGURES: Mapping[Task, Mapping[str, ScoreFacts]] = {
    "multilabel": LABEL_FIGURES,
    "ordinal": GRADE_FIGURES,
    "regression": NUMBER_FIGURES,
    "segmentation": MASK_FIGURES,
    "detection": BOX_FIGURES,
}
"""Figures that models are compared by, by task, the main one first."""
_OF_ONE: Mapping[Task, Mapping[str, ScoreFacts]] = {
    "multilabel": OF_ONE_LABEL,
    "segmentation": OF_ONE_CLASS,
    "detection": OF_ONE_CATEGORY,
}


def figures_of(table: TaskPredictions) -> dict[str, ScoreFacts]:
    """Return the figures that models of the task of a table are compared by, the main one first.

    Of several labels those that need probabilities are left out where the table has none.
    """
    if isinstance(table, MultilabelPredictions):
        return {name: one for name, one in LABEL_FIGURES.items() if table.proba is not None or not one.needs_proba}
    if isinstance(table, MaskPredictions):
        return dict(MASK_FIGURES)
    if isinstance(table, DetectionPredictions):
        return dict(BOX_FIGURES)
    return dict(GRADE_FIGURES if table.grades else NUMBER_FIGURES)


def parts_of(table: TaskPredictions) -> list[str]:
    """Return the figures of each label or class that models are compared by: F1, or of masks IoU, of boxes AP."""
    if isinstance(table, MultilabelPredictions):
        return [f"f1:{label}" for label in table.labels]
    if isinstance(table, DetectionPredictions):
        return [f"average_precision:{name}" for name in table.categories]
    return [f"iou:{name}" for name in table.classes] if isinstance(table, MaskPredictions) else []


def task_facts(table: TaskPredictions, name: str) -> ScoreFacts:
    """Return what a figure is, by name; `figure_facts` of the task of a table and its labels.

    Raises:
        PredictionsError: there is no such figure or label.
    """
    return figure_facts(table.task, name, labels=names_of(table))


def names_of(table: TaskPredictions) -> tuple[str, ...]:
    """Return the labels, the classes of masks or the categories of boxes; none of numbers and grades."""
    if isinstance(table, NumberPredictions):
        return ()
    if isinstance(table, MaskPredictions):
        return table.classes
    return table.categories if isinstance(table, DetectionPredictions) else table.labels


def with_matches(table: TaskPredictions) -> TaskPredictions:
    """Return a table with what all its figures share: boxes with their matches."""
    return MatchedBoxes.of(table) if isinstance(table, DetectionPredictions) else table


def figure_facts(task: Task, name: str, *, labels: Sequence[str] | None = None) -> ScoreFacts:
    """Return what a figure of a task is, by name.

    Args:
        task: the task.
        name: one of the task's figures, or of one label `f1:LABEL`, `recall:LABEL`, `precision:LABEL`,
            `average_precision:LABEL` or `auroc:LABEL`, of one class of masks `iou:CLASS` or `dice:CLASS`, or of one
            class of boxes `average_precision:CLASS` or `recall:CLASS`.
        labels: the labels or classes that there are; None = not known yet.

    Raises:
        PredictionsError: there is no such figure or label.
    """
    known, of_one, word = TASK_FIGURES.get(task, {}), "", "label" if task == "multilabel" else "class"
    if kinds := _OF_ONE.get(task):
        of_one = f"; {', '.join(f'{kind}:{word.upper()}' for kind in kinds)} for one {word}"
        kind, colon, label = name.partition(":")
        if colon and kind in kinds:
            if labels is not None and label not in labels:
                raise PredictionsError(
                    f"metric {name}: there is no {word} {label!r}.{did_you_mean(label, labels)} There are: "
                    f"{first_few(labels, most=20)}."
                )
            facts = kinds[kind]
            return ScoreFacts(f"{facts.title} of {label}", facts.needs_proba)
    if name in known:
        return known[name]
    raise PredictionsError(
        f"There is no metric {name!r} of the task {task}.{did_you_mean(name, list(known))} Use one of "
        f"{', '.join(known)}{of_one}."
    )


def figure_title(name: str) -> str:
    """Return the title of a figure of any task, by name.

    Example:
        >>> figure_title("mean_average_precision"), figure_title("f1:cat")
        ('mAP', 'F1 of cat')
    """
    kind, colon, label = name.partition(":")
    if colon:
        return f"{({**OF_ONE_LABEL, **OF_ONE_CLASS}[kind]).title} of {label}"
    return ({**LABEL_FIGURES, **GRADE_FIGURES, **MASK_FIGURES, **BOX_FIGURES}[name]).title


def counted_by(first: TaskPredictions, second: TaskPredictions, name: str) -> tuple[Counted, int]:
    """Return what a figure of two models is about, and how many of them there are.

    A figure of boxes is about the true objects that are no crowds, one of a class about its own; the IoU or Dice of a
    class of masks about the images in which a mask shows it; every other figure about all images.

    Args:
        first: predictions of one model.
        second: those of another one on the same images.
        name: of the figure, as `task_facts` takes it.
    """
    label = name.partition(":")[2]
    if isinstance(first, DetectionPredictions):
        own = ~first.truth.crowd
        if label:
            own &= first.truth.category == first.categories.index(label)
        return "object", int(own.sum())
    if label and isinstance(first, MaskPredictions) and isinstance(second, MaskPredictions):
        place = first.classes.index(label)
        shown = [np.isfinite(table.image_iou[:, place]) for table in (first, second)]
        return "image", int((shown[0] | shown[1]).sum())
    return "image", len(first)


def measure_task(table: TaskPredictions, name: str, units: Units | None = None) -> Measured:
    """Return a figure of predictions with the influence of every image on it.

    Values are those of `evaluate_multilabel`, `evaluate_numbers`, `evaluate_masks` and `evaluate_detection`; the
    influence of a ratio Σa/Σb is W(a − R b)/Σb, that of a function of means its derivative (Woodruff 1971, J. Am. Stat.
    Assoc. 66:411).

    Args:
        table: images of known truth (any label, or any pixel, is known); boxes by `with_matches`.
        name: of a figure, as `task_facts` takes it.
        units: weights, above 0, and clusters; None = independent images of equal weight.

    Raises:
        PredictionsError: there is no such figure.
    """
    task_facts(table, name)
    w = np.ones(len(table)) if units is None else units.weight
    if isinstance(table, NumberPredictions):
        return _of_numbers(table, name, w)
    if isinstance(table, MaskPredictions):
        return measure_masks(table, name, units)
    if isinstance(table, DetectionPredictions):
        return measure_boxes(table, name, units)
    kind, colon, label = name.partition(":")
    if colon:
        column = table.labels.index(label)
        return _areas(table, kind, [column], units) if kind in AREA_KINDS else _of_label(table, kind, column, units)
    if name == "macro_f1":
        return _macro_f1(table, units)
    return _areas(table, "average_precision", None, units) if name == MEAN_AP else _LABELS[name](table, w)


def _of_numbers(table: NumberPredictions, name: str, weight: Floats) -> Measured:
    every, errors = np.ones(len(table)), table.errors
    if name == "quadratic_kappa":
        true, called = table.y_true.astype(np.int64), table.y_pred.astype(np.int64)
        margins, place = (
            margins_of_rows(true, called, len(table.grades), weight),
            CONFUSION_SCORES.index("cohen_kappa_quadratic"),
        )
        value = float(scores_of_margins(margins)[0, place])
        if np.isnan(value):
            return undefined(len(table), why_undefined("cohen_kappa_quadratic", margins))
        return Measured(value, score_influences(true, called, margins)[:, place])
    if name == "r_squared":
        away = (table.y_true - np.average(table.y_true, weights=weight)) ** 2
        if np.ptp(table.y_true) == 0:
            return undefined(len(table), "all true numbers are equal")
        ratio = ratio_of(errors**2, away, weight, nothing="")
        assert ratio.value is not None, "the true numbers differ"
        return Measured(1.0 - ratio.value, -ratio.influence)
    if name == "root_mean_squared_error":
        square = ratio_of(errors**2, every, weight, nothing="")
        assert square.value is not None, "there are images"
        root = float(np.sqrt(square.value))
        return Measured(root, square.influence / (2.0 * root) if root > 0 else square.influence)
    of_each = {"mean_absolute_error": np.abs(errors), "accuracy": errors == 0, "within_one": np.abs(errors) <= 1}
    return ratio_of(of_each[name].astype(np.float64), every, weight, nothing="")


def _areas(table: MultilabelPredictions, kind: str, columns: Sequence[int] | None, units: Units | None) -> Measured:
    """Return the mean AUROC or average precision of some labels, None = of all for which it is defined."""
    assert table.proba is not None, "the figure needs probabilities"
    proba, known, some = table.proba, table.known, range(len(table.labels)) if columns is None else columns
    truly = table.y_true == 1
    found = mean_area(
        AREA_KINDS.index(kind),
        (
            (np.ascontiguousarray(proba[:, one]), truly[:, one], None if known[:, one].all() else known[:, one])
            for one in some
        ),
        len(table),
        units,
    )
    if found is not None:
        return found
    if columns is None:
        return undefined(len(table), "no label has images with it and without it")
    return undefined(len(table), f"no images {'with' if not truly[:, some].any() else 'without'} this label")


def _of_label(table: MultilabelPredictions, kind: str, column: int, units: Units | None) -> Measured:
    known, truly = table.known[:, column], table.y_true[:, column] == 1
    called, n = table.y_pred[:, column] & known, len(table)
    if kind != "precision" and not truly.any():
        return undefined(n, "no images with this label")
    hit, own, guess = ((one).astype(np.float64) for one in (truly & called, truly, called))
    parts = {"f1": (2 * hit, own + guess), "recall": (hit, own), "precision": (hit, guess)}
    top, below = parts[kind]
    weight = np.ones(n) if units is None else units.weight
    return over_domain(ratio_of(top, below, weight, nothing="never predicted"), below > 0, units)


def _macro_f1(table: MultilabelPredictions, units: Units | None) -> Measured:
    """Return the mean F1 of the labels that images have.

    The fewest degrees of freedom of a label would make rare labels decide the test: with equal models, 20 to 80 images
    and labels of about 2 to 6 images, 3 to 7 % are called different without that limit, 1 to 3 % with it.
    """
    parts = [_of_label(table, "f1", column, units) for column in range(len(table.labels))]
    every = [replace(one, df=np.inf) for one in parts]
    return mean_of(every, len(table), nothing="no label has images with it")


def _parts(table: MultilabelPredictions) -> tuple[Floats, Floats]:
    """Return twice the labels found, and the labels of the truth and of the predictions, of each image, shape (N,)."""
    truly, called = table.y_true == 1, table.y_pred & table.known
    both = truly.astype(np.float64) + called
    return np.asarray(2.0 * (truly & called).sum(axis=1)), np.asarray(both.sum(axis=1))


def _samples_f1(table: MultilabelPredictions, weight: Floats) -> Measured:
    top, both = _parts(table)
    some = both > 0
    own = np.divide(top, both, out=np.zeros(len(table)), where=some)
    return ratio_of(own, some.astype(np.float64), weight, nothing="no image has or is given a label")


def _wrong(table: MultilabelPredictions) -> Floats:
    """Return the number of labels that are wrong, by image, shape (N,)."""
    wrong: Floats = np.asarray(((table.y_true == 1) != table.y_pred) & table.known).astype(np.float64)
    return np.asarray(wrong.sum(axis=1))


def _subset_accuracy(table: MultilabelPredictions, weight: Floats) -> Measured:
    complete = np.asarray(table.known.all(axis=1))
    right = complete & (_wrong(table) == 0)
    return ratio_of(
        right.astype(np.float64), complete.astype(np.float64), weight, nothing="no image of which all are known"
    )


def _micro_average_precision(table: MultilabelPredictions, weight: Floats) -> Measured:
    """Return average precision over all pairs of image and label; an image's influence is that of all its pairs."""
    assert table.proba is not None, "the figure needs probabilities"
    known, n = table.known, len(table)
    image = np.broadcast_to(np.arange(n)[:, None], known.shape)[known]
    truly = table.y_true[known] == 1
    found = areas(table.proba[known], truly, None if np.ptp(weight) == 0 else weight[image])
    if found is None:
        return undefined(n, "no image has a label" if not truly.any() else "no negatives")
    share = float(weight.sum() / weight[image].sum())
    influence: Floats = np.bincount(image, weights=found[1].influence, minlength=n).astype(np.float64) * share
    return Measured(found[1].value, influence, float(max(len(np.unique(image[truly])) - 1, 1)))


_LABELS: Mapping[str, Callable[[MultilabelPredictions, Floats], Measured]] = {
    "micro_f1": lambda table, w: ratio_of(*_parts(table), w, nothing="no image has or is given a label"),
    "samples_f1": _samples_f1,
    "micro_average_precision": _micro_average_precision,
    "subset_accuracy": _subset_accuracy,
    "hamming_loss": lambda table, w: ratio_of(_wrong(table), table.known.sum(axis=1, dtype=np.float64), w, nothing=""),
}
