"""Classes and confusions: recall as a plot, the most confused pairs, everything else in folds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.evaluation.evaluation_tables import class_table, confused_table, confusion_matrix_table, lowest_recall
from tlkit.render.plots import plot_confusion, plot_per_class
from tlkit.render.report.page_section import Figure, Fold, Grid, PageSection
from tlkit.tables.shares import percent

if TYPE_CHECKING:
    from tlkit.evaluation import Evaluation
    from tlkit.render.report.page_section import Block
    from tlkit.render.report.run_contents import RunContents

MOST_CLASSES = 200  # rows of the table of classes
MOST_AS_MATRIX = 40  # classes whose confusion matrix is a table
MOST_PAIRS = 25
MOST_OPEN = 5  # pairs that are shown without opening a fold


def classes_section(run: RunContents) -> PageSection:
    """Return the classes: recall as a figure, everything as a table."""
    evaluation = run.evaluation
    level = f"{evaluation.confidence:.0%}"
    results = evaluation.per_class
    defined = lowest_recall(evaluation)
    lowest, highest = defined[0], defined[-1]
    figure = Figure.draw(
        lambda: plot_per_class(evaluation),
        alt=(
            f"Recall of {len(results)} classes with {level} intervals, from {lowest.recall.format()} ({lowest.name}) to"
            f" {highest.recall.format()} ({highest.name}). The numbers are in the table below."
        ),
        caption="A point is the share of the class's images that were recognized; the line through it is its interval."
        " Classes whose interval lies left of the dashed line are recognized less often than the average class.",
    )
    table = class_table(evaluation, most=MOST_CLASSES)
    return PageSection(
        "classes", "Classes", weakest_sentence(evaluation), (figure, Fold("All classes in numbers", (table,)))
    )


def confusions_section(run: RunContents) -> PageSection:
    """Return the confusions of classes."""
    evaluation = run.evaluation
    names = evaluation.classes
    claim = confusion_sentence(evaluation)
    figure = Figure.draw(
        lambda: plot_confusion(evaluation),
        alt=f"Confusions among {len(names)} classes. {claim} The numbers are in the table below.",
        caption="Rows are the true classes, columns the predicted ones; the diagonal holds what is right. With many"
        " classes a narrow page shows the most frequent confusions instead."
        if len(names) <= MOST_AS_MATRIX
        else "The most frequent confusions: true class → predicted class.",
    )
    pairs = confused_table(evaluation, most=MOST_PAIRS)
    blocks: list[Block] = [figure, *([Grid(confused_table(evaluation, most=MOST_OPEN))] if pairs.rows else [])]
    if len(pairs.rows) > MOST_OPEN:
        blocks.append(Fold(f"The {len(pairs.rows)} most frequent confusions", (pairs,)))
    if len(names) <= MOST_AS_MATRIX:
        blocks.append(Fold("Confusion matrix in numbers", (confusion_matrix_table(evaluation),)))
    return PageSection("confusions", "Confusions", claim, tuple(blocks))


def weakest_sentence(evaluation: Evaluation) -> str:
    """Return which class is recognized least often, as a sentence."""
    lowest, *others = lowest_recall(evaluation)
    value, n = lowest.recall.value or 0.0, lowest.support
    if not others:
        return f"{percent(value, n=n)} of the images of “{lowest.name}”, the only class present, are recognized."
    if value == others[-1].recall.value:
        return f"All {1 + len(others)} classes are recognized equally often: {percent(value, n=n)} of their images."
    alike = [one.name for one in others if one.recall.value == value]
    also = f", and {len(alike)} other{'' if len(alike) == 1 else 's'} as seldom" if alike else ""
    return f"The class recognized least often is “{lowest.name}”: {round(value * n):,} of its {n:,} images{also}."


def confusion_sentence(evaluation: Evaluation) -> str:
    """Return the most frequent confusion as a sentence."""
    pairs = evaluation.most_confused(1)
    if not len(pairs):
        return "No image is misclassified."
    first = pairs.iloc[0]
    return (
        f"The most frequent confusion is {first['true']} → {first['predicted']}:"
        f" {first['images']} of {first['support']} images."
    )
