"""Report sections of the evaluation: headline tiles, classes, confusions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlkit.evaluation.evaluation_tables import class_table, confused_table, confusion_matrix_table, lowest_recall
from tlkit.render.plots import plot_confusion, plot_per_class
from tlkit.render.report.report_page import Figure, Illustrated, Tile
from tlkit.tables import counted

if TYPE_CHECKING:
    from tlkit.evaluation import Evaluation
    from tlkit.stats.estimate import Estimate

MOST_CLASSES = 200  # rows of the table of classes
MOST_AS_MATRIX = 10  # classes whose confusion matrix fits the page as a table
MOST_PAIRS = 25


def headline(evaluation: Evaluation) -> tuple[Tile, ...]:
    """Return the headline tiles: accuracy with the majority-class baseline, balanced accuracy, errors."""
    level = f"{evaluation.confidence:.0%}"
    support = evaluation.confusion.sum(axis=1)
    blind = (
        f"always predicting “{evaluation.classes[int(support.argmax())]}” would give {support.max() / evaluation.n:.3f}"
    )
    seen = " on training images" if evaluation.trained_on else ""
    by = " by y_pred" if evaluation.n_not_most_probable else ""
    tiles = [
        _tile(f"Accuracy{seen}{by}", evaluation.accuracy, level, f"n = {evaluation.n:,} images; {blind}"),
        _tile("Balanced accuracy", evaluation.balanced_accuracy, level, "every class counts the same"),
    ]
    if evaluation.without_leaks is not None:
        clean = evaluation.without_leaks
        leaked = counted(clean.n_leaked, "image")
        basis = f"n = {evaluation.n - clean.n_leaked:,}; {leaked} also in an earlier split left out"
        tiles.insert(1, _tile("Accuracy without leaks", clean.accuracy, level, basis))
    errors = int(evaluation.confusion.sum() - np.trace(evaluation.confusion))
    tiles.append(Tile("Errors", f"{errors:,}", f"of {evaluation.n:,} images, in {evaluation.n_present} classes"))
    return tuple(tiles)


def classes(evaluation: Evaluation) -> Illustrated:
    """Return the classes: recall as a figure, everything as a table."""
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
    return Illustrated(figure, class_table(evaluation, most=MOST_CLASSES))


def confusions(evaluation: Evaluation) -> Illustrated:
    """Return the confusions of classes."""
    pairs = evaluation.most_confused(MOST_PAIRS)
    names = evaluation.classes
    if len(pairs):
        first = pairs.iloc[0]
        most = f"The most frequent confusion is {first['true']} → {first['predicted']}:"
        most = f"{most} {first['images']} of {first['support']} images."
    else:
        most = "No image is misclassified."
    figure = Figure.draw(
        lambda: plot_confusion(evaluation),
        alt=f"Confusions among {len(names)} classes. {most} The numbers are in the table below.",
        caption=f"Rows are the true classes, columns the predicted ones. {most}"
        if len(names) <= 40
        else f"The most frequent confusions: true class → predicted class. {most}",
    )
    as_matrix = len(names) <= MOST_AS_MATRIX
    table = confusion_matrix_table(evaluation) if as_matrix else confused_table(evaluation, most=MOST_PAIRS)
    return Illustrated(figure, table)


def _tile(name: str, estimate: Estimate, level: str, basis: str) -> Tile:
    if estimate.value is None:
        return Tile(name, "undefined", f"{estimate.note}; {basis}")
    if estimate.low is None or estimate.high is None:
        return Tile(name, f"{estimate.value:z.3f}", basis)
    interval = f"{level} interval {estimate.low:z.3f} to {estimate.high:z.3f}"
    return Tile(name, f"{estimate.value:z.3f}", f"{interval}; {basis}")
