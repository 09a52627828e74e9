"""The tables of an `Evaluation`: figures, classes, confusions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tlkit.choices import MetricSet
from tlkit.evaluation.score_names import BRIER_PARTS, SAME_AS, SCORES
from tlkit.tables import Cell, Column, Table, counted

if TYPE_CHECKING:
    from tlkit.evaluation.evaluation_result import ClassResult, Evaluation, WithoutLeaks

MOST_PAIRS_SHOWN = 5
TRAINED_ON = (
    "WARNING: The model was trained on these images, so the figures say nothing about new ones. Hold out images for a "
    "test split (data.test), or give it more of them, and fit again."
)


EQUAL_METRICS = (
    "Micro precision, recall and F1 and weighted recall equal the accuracy; macro recall equals the balanced accuracy."
)
MEANINGS = {
    "macro_precision": "mean over the classes that have images and are predicted",
    "weighted_precision": "weighted by the images of each class",
    "weighted_f1": "weighted by the images of each class",
    "mcc": "correlation of true and predicted classes; 0 = by chance",
    "cohen_kappa": "agreement beyond chance; 0 = by chance",
    "cohen_kappa_quadratic": "for ordered classes only, in class order",
    "auroc": "a class's image ranks above another's; 0.5 = by chance",
    "average_precision": "area under precision and recall; by chance the share of the class",
    "brier": "mean squared error of the probabilities; 0 is best",
    "brier_reliability": "miscalibration, in ten bins; 0 is best",
    "brier_resolution": "how well the bins separate the classes; the more the better",
    "brier_uncertainty": "of the classes' shares; no property of the model",
    "brier_within_bins": "variation within bins",
}


def evaluation_tables(
    evaluation: Evaluation, *, most_classes: int | None = None, metrics: MetricSet = "headline"
) -> tuple[Table, ...]:
    """Return the figures, the classes, and, where there are errors, the most frequent confusions.

    Args:
        evaluation: the figures.
        most_classes: of more classes, only so many, those with the lowest recall; None = all.
        metrics: all = also the table of all other metrics, and AUROC and average precision in that of the classes.
    """
    confused = confused_table(evaluation, most=MOST_PAIRS_SHOWN)
    full = metrics == "all" and bool(evaluation.scores)
    classes = class_table(evaluation, most=most_classes, with_areas=full)
    return (
        summary_table(evaluation),
        *([score_table(evaluation)] if full else []),
        classes,
        *([confused] if confused.rows else []),
    )


def score_table(evaluation: Evaluation) -> Table:
    """Return all metrics that are not in the summary: metric, value with its interval, what it is."""
    rows: list[tuple[Cell, ...]] = []
    for name, estimate in evaluation.scores.items():
        if name in SAME_AS:
            continue
        title = BRIER_PARTS.get(name) or SCORES[name].title
        of_classes = f"; {estimate.note}" if estimate.note and estimate.low is not None else ""
        rows.append(
            (title, replace(estimate, note="") if of_classes else estimate, MEANINGS.get(name, "") + of_classes)
        )
    level, notes = f"{evaluation.confidence:.0%}", [EQUAL_METRICS]
    if evaluation.log_loss is None:
        notes.append("AUROC, average precision and the Brier score need probabilities, which the predictions lack.")
    else:
        notes.append("Brier score = reliability − resolution + uncertainty + within bins.")
    return Table(
        name="scores",
        title=f"All other metrics; intervals at {level}",
        columns=(Column("metric", "metric"), Column("value", "value", "estimate"), Column("meaning", "what it is")),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def summary_table(evaluation: Evaluation) -> Table:
    """Return the figures over all images: metric, value with its interval, basis.

    Where a predicted class is not the most probable one, the basis says which of them a figure is about; else top-1
    accuracy is the accuracy and has no row.
    """
    rows = _main_rows(evaluation)
    if evaluation.without_leaks is not None:
        rows += _clean_rows(evaluation, evaluation.without_leaks)
    images, off = counted(evaluation.n, "image"), evaluation.n_not_most_probable
    of_proba = f"{images}, by the most probable classes" if off else images
    for k, estimate in sorted(evaluation.top_k.items()):
        if k > 1 or off:
            rows.append((f"top-{k} accuracy", estimate, of_proba))
    if evaluation.log_loss is not None:
        rows.append(("log loss", evaluation.log_loss, f"{images}, by the probabilities" if off else images))
    notes = [TRAINED_ON] * evaluation.trained_on
    notes += [f"Left out: {counted(evaluation.n_unlabelled, 'image')} without a label."] * (evaluation.n_unlabelled > 0)
    if off:
        notes.append(
            f"y_pred is not the most probable class for {off:,} of {images}, as where a threshold chose it: accuracy, "
            "balanced accuracy, macro F1, classes and confusions are about y_pred."
        )
    if evaluation.clusters is not None:
        notes.append(f"Intervals allow for {evaluation.clusters:,} clusters of {evaluation.cluster_by}.")
    if evaluation.weights is not None:
        notes.append(f"Figures and intervals are weighted by {evaluation.weights}; confusions count images.")
    return Table(
        name="summary",
        title=f"{images}, {len(evaluation.classes)} classes; intervals at {evaluation.confidence:.0%}",
        columns=(Column("metric", "metric"), Column("value", "value", "estimate"), Column("basis", "based on")),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def accuracy_table(evaluation: Evaluation, *, title: str) -> Table:
    """Return the accuracy, and, where there are leaks, the accuracy without them."""
    rows = _main_rows(evaluation)[:1]
    if evaluation.without_leaks is not None:
        rows += _clean_rows(evaluation, evaluation.without_leaks)[:1]
    columns = (Column("metric", "metric"), Column("value", "value", "estimate"), Column("basis", "based on"))
    return Table("accuracy", title, columns, tuple(rows))


def class_table(evaluation: Evaluation, *, most: int | None = None, with_areas: bool = False) -> Table:
    """Return the classes: images, recall, precision and F1, each with its interval.

    With `most`, only that many classes, those with the lowest recall; else all in their own order. With areas, also
    AUROC and average precision of each class against all others, where there are probabilities.
    """
    with_areas = with_areas and evaluation.log_loss is not None
    areas = (("auroc", "AUROC"), ("average_precision", "average precision")) if with_areas else ()
    level = f"{evaluation.confidence:.0%}"
    shown, notes = evaluation.per_class, tuple[str, ...]()
    if most is not None and len(shown) > most:
        shown = lowest_recall(evaluation)[:most]
        notes = (_most_note(evaluation, len(shown)),)
    return Table(
        name="classes",
        title="Classes",
        columns=(
            Column("class", "class"),
            Column("support", "images", "count"),
            Column("recall", f"recall [{level}]", "estimate"),
            Column("precision", f"precision [{level}]", "estimate"),
            Column("f1", f"F1 [{level}]", "estimate"),
            *(Column(name, f"{title} [{level}]", "estimate") for name, title in areas),
        ),
        rows=tuple(
            (one.name, one.support, one.recall, one.precision, one.f1, *(getattr(one, name) for name, _ in areas))
            for one in shown
        ),
        notes=notes,
    )


def lowest_recall(evaluation: Evaluation) -> tuple[ClassResult, ...]:
    """Return the classes that have images, lowest recall first, ties in class order."""
    defined = (result for result in evaluation.per_class if result.recall.value is not None)
    return tuple(sorted(defined, key=lambda result: result.recall.value or 0.0))


def confused_table(evaluation: Evaluation, *, most: int) -> Table:
    """Return the pairs of classes that are confused most often, most images first."""
    pairs = evaluation.most_confused(most)
    return Table(
        name="confused",
        title="Most frequent confusions",
        columns=(
            Column("true", "true class"),
            Column("predicted", "predicted class"),
            Column("images", "images", "count"),
            Column("support", "of", "count"),
            Column("share", "share", "number"),
        ),
        rows=tuple(
            (str(true), str(predicted), int(images), int(support), float(share))
            for true, predicted, images, support, share in pairs.itertuples(index=False)
        ),
    )


def confusion_matrix_table(evaluation: Evaluation) -> Table:
    """Return the number of images by true class (rows) and predicted class (columns), with the sum of each row."""
    return Table(
        name="confusion",
        title="Images by true class (rows) and predicted class (columns)",
        columns=(
            Column("true", "true class"),
            *(Column(f"predicted {place}", name, "count") for place, name in enumerate(evaluation.classes)),
            Column("all", "all", "count"),
        ),
        rows=tuple(
            (name, *counts, sum(counts))
            for name, counts in zip(evaluation.classes, evaluation.confusion.tolist(), strict=True)
        ),
    )


def _main_rows(evaluation: Evaluation) -> list[tuple[Cell, ...]]:
    images = counted(evaluation.n, "image") + (", by y_pred" if evaluation.n_not_most_probable else "")
    present = images
    if evaluation.n_present < len(evaluation.classes):
        present += f", {evaluation.n_present} of {len(evaluation.classes)} classes present"
    return [
        ("accuracy", evaluation.accuracy, images),
        ("balanced accuracy", evaluation.balanced_accuracy, present),
        ("macro F1", evaluation.macro_f1, present),
    ]


def _clean_rows(evaluation: Evaluation, clean: WithoutLeaks) -> list[tuple[Cell, ...]]:
    remaining, leaked = counted(evaluation.n - clean.n_leaked, "image"), counted(clean.n_leaked, "image")
    basis = f"{remaining}; {leaked} of an earlier split left out"
    return [
        ("accuracy without leaks", clean.accuracy, basis),
        ("balanced accuracy without leaks", clean.balanced_accuracy, basis),
        ("macro F1 without leaks", clean.macro_f1, basis),
    ]


def _most_note(evaluation: Evaluation, shown: int) -> str:
    return (
        f"The {shown} classes with the lowest recall, of {len(evaluation.per_class)}. All are in the JSON (--json, "
        "evaluation.json) and in `per_class` in Python."
    )
