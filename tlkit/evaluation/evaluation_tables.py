"""The tables of an `Evaluation`: figures, classes, confusions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.tables import Cell, Column, Table, counted

if TYPE_CHECKING:
    from tlkit.evaluation.evaluation_result import ClassResult, Evaluation, WithoutLeaks

MOST_PAIRS_SHOWN = 5
TRAINED_ON = (
    "WARNING: The model was trained on these images, so the figures say nothing about new ones. Hold out images for a "
    "test split (data.test), or give it more of them, and fit again."
)


def evaluation_tables(evaluation: Evaluation, *, most_classes: int | None = None) -> tuple[Table, ...]:
    """Return the figures, the classes, and, where there are errors, the most frequent confusions.

    Args:
        evaluation: the figures.
        most_classes: of more classes, only so many, those with the lowest recall; None = all.
    """
    confused = confused_table(evaluation, most=MOST_PAIRS_SHOWN)
    classes = class_table(evaluation, most=most_classes)
    return (summary_table(evaluation), classes, *([confused] if confused.rows else []))


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


def class_table(evaluation: Evaluation, *, most: int | None = None) -> Table:
    """Return the classes: images, recall, precision and F1, each with its interval.

    With `most`, only that many classes, those with the lowest recall; else all in their own order.
    """
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
        ),
        rows=tuple((one.name, one.support, one.recall, one.precision, one.f1) for one in shown),
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
