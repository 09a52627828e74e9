"""The evaluation on the page: headline, results, classes, confusions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlkit.audit.words import image_count
from tlkit.plots import plot_confusion, plot_per_class
from tlkit.report.page import Column, Figure, Illustrated, Row, Table, Tile

if TYPE_CHECKING:
    from tlkit.evaluation import ClassResult, Evaluation
    from tlkit.stats.estimate import Estimate

MOST_CLASSES = 200  # rows of the table of classes
MOST_AS_MATRIX = 10  # classes whose confusion matrix fits the page as a table
MOST_PAIRS = 25


def headline(evaluation: Evaluation) -> tuple[Tile, ...]:
    """Return the headline numbers: accuracy, beside what answering blindly would get, and the mean over classes."""
    level = f"{evaluation.confidence:.0%}"
    support = evaluation.confusion.sum(axis=1)
    blind = (
        f"always answering “{evaluation.classes[int(support.argmax())]}” would give {support.max() / evaluation.n:.3f}"
    )
    tiles = [
        _tile("Accuracy", evaluation.accuracy, level, f"n = {evaluation.n:,} images; {blind}"),
        _tile("Balanced accuracy", evaluation.balanced_accuracy, level, "every class counts the same"),
    ]
    if evaluation.without_leaks is not None:
        clean = evaluation.without_leaks
        basis = f"n = {evaluation.n - clean.n_leaked:,}; {image_count(clean.n_leaked)} met in training left out"
        tiles.insert(1, _tile("Accuracy without leaks", clean.accuracy, level, basis))
    errors = int(evaluation.confusion.sum() - np.trace(evaluation.confusion))
    tiles.append(Tile("Errors", f"{errors:,}", f"of {evaluation.n:,} images, in {evaluation.n_present} classes"))
    return tuple(tiles)


def results(evaluation: Evaluation) -> Table:
    """Return the table of results."""
    left_out = ""
    if evaluation.n_unlabelled:
        left_out = f"Left out: {image_count(evaluation.n_unlabelled)} without a label."
    return Table(
        caption=f"Results with {evaluation.confidence:.0%} intervals",
        columns=(Column("metric", "text"), Column("value"), Column("based on", "text")),
        rows=tuple(Row((metric, value, basis)) for metric, value, basis in evaluation.summary_rows()),
        note=left_out,
    )


def classes(evaluation: Evaluation) -> Illustrated:
    """Return the classes: recall as a figure, everything as a table."""
    level = f"{evaluation.confidence:.0%}"
    results = evaluation.per_class
    defined = sorted((r for r in results if r.recall.value is not None), key=lambda r: r.recall.value or 0.0)
    lowest, highest = defined[0], defined[-1]
    figure = Figure.draw(
        lambda: plot_per_class(evaluation),
        alt=(
            f"Recall of {len(results)} classes with {level} intervals, from {lowest.recall.format()} ({lowest.name}) to"
            f" {highest.recall.format()} ({highest.name}). The numbers are in the table below."
        ),
        caption="A point is the share of the class's images that were recognised; the line through it is its interval."
        " Classes whose interval lies left of the dashed line are recognised less often than the average class.",
    )
    shown, note = results, ""
    if len(results) > MOST_CLASSES:
        shown = tuple(defined[:MOST_CLASSES])
        note = f"The {MOST_CLASSES} classes with the lowest recall, of {len(results)}. All are in evaluation.json."
    columns = ("class", "images", f"recall [{level}]", f"precision [{level}]", f"F1 [{level}]")
    return Illustrated(
        figure,
        Table(
            caption="Classes",
            columns=(Column(columns[0], "text"), *map(Column, columns[1:])),
            rows=tuple(_class_row(result) for result in shown),
            note=note,
        ),
    )


def confusions(evaluation: Evaluation) -> Illustrated:
    """Return what is mistaken for what."""
    pairs = evaluation.most_confused(MOST_PAIRS)
    names, matrix = evaluation.classes, evaluation.confusion
    if len(pairs):
        first = pairs.iloc[0]
        most = f"The most frequent confusion is {first['true']} → {first['predicted']}:"
        most = f"{most} {first['images']} of {first['support']} images."
    else:
        most = "No image is mistaken."
    figure = Figure.draw(
        lambda: plot_confusion(evaluation),
        alt=f"Confusions among {len(names)} classes. {most} The numbers are in the table below.",
        caption=f"Rows are the true classes, columns what the model answered. {most}"
        if len(names) <= 40
        else f"The most frequent confusions: true class → what the model answered. {most}",
    )
    if len(names) <= MOST_AS_MATRIX:
        table = Table(
            caption="Images by true class (rows) and predicted class (columns)",
            columns=(Column("true class", "text"), *map(Column, names), Column("all")),
            rows=tuple(
                Row((name, *(f"{count:,}" for count in counts), f"{counts.sum():,}"))
                for name, counts in zip(names, matrix, strict=True)
            ),
        )
    else:
        table = Table(
            caption=f"The {len(pairs)} most frequent confusions",
            columns=(
                Column("true class", "text"),
                Column("predicted class", "text"),
                Column("images"),
                Column("of"),
                Column("share"),
            ),
            rows=tuple(
                Row((str(true), str(predicted), f"{images:,}", f"{support:,}", f"{share:.3f}"))
                for true, predicted, images, support, share in pairs.itertuples(index=False)
            ),
        )
    return Illustrated(figure, table)


def _tile(name: str, estimate: Estimate, level: str, basis: str) -> Tile:
    if estimate.value is None:
        return Tile(name, "undefined", f"{estimate.note}; {basis}")
    if estimate.low is None or estimate.high is None:
        return Tile(name, f"{estimate.value:z.3f}", basis)
    interval = f"{level} interval {estimate.low:z.3f} to {estimate.high:z.3f}"
    return Tile(name, f"{estimate.value:z.3f}", f"{interval}; {basis}")


def _class_row(result: ClassResult) -> Row:
    values = (result.recall, result.precision, result.f1)
    return Row((result.name, f"{result.support:,}", *(value.format() for value in values)))
