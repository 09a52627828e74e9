"""Confusion matrix; a bar chart of the most frequent confusions for many classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlkit.render.plots.canvas import (
    BLUE,
    axes_of_size,
    draw_matrix,
    drawable,
    is_narrow,
    label_axis,
    shortened,
    write_in_cell,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.evaluation import Evaluation

MOST_AS_MATRIX = 40  # classes up to which cells and names are readable
MOST_NARROW = 8  # the same on a narrow page
MOST_WITH_COUNTS = 20  # classes up to which a cell has room for a number
MOST_PAIRS = 25


def plot_confusion(evaluation: Evaluation, ax: Axes | None = None) -> Axes:
    """Plot the confusion matrix: true classes as rows, predicted classes as columns, in the order of the classes.

    The shade of a cell is the share of its true class (its row), its number the images. Above 40 classes, on
    a narrow page above 8, the most frequent confusions are shown as bars instead.

    Args:
        evaluation: with C classes.
        ax: where to draw; default: a new figure.
    """
    if len(evaluation.classes) > (MOST_NARROW if is_narrow() else MOST_AS_MATRIX):
        return _plot_pairs(evaluation, ax)
    return _plot_matrix(evaluation, ax)


def _plot_matrix(evaluation: Evaluation, ax: Axes | None) -> Axes:
    matrix = evaluation.confusion
    size = len(evaluation.classes)
    side = min(2.8 + 0.34 * size, 8.6)  # inches
    ax = axes_of_size(ax, width=side + 1.2, height=0.9 * side)
    support = matrix.sum(axis=1, keepdims=True)
    share = matrix / np.maximum(support, 1)  # (C, C), rows sum to one; a class without images has an empty row
    drawn = np.where(matrix > 0, share, np.nan)
    draw_matrix(ax, drawn, label="share of the true class", aspect="equal", bar_size=0.7)
    label_size = 10 if size <= 12 else max(5.5, 11 - 0.14 * size)
    names = [shortened(name, 24) for name in evaluation.classes]
    fits = size * max(map(len, names)) <= 24  # letters side by side
    label_axis(ax, names, axis="x", size=label_size, rotation=0 if fits else 45)
    rows = [f"{name} (n = {count})" for name, count in zip(names, support[:, 0], strict=True)]
    label_axis(ax, rows, axis="y", size=label_size)
    ax.set(xlabel="predicted class", ylabel="true class (n = images)")
    if size <= MOST_WITH_COUNTS:
        for row, column in np.argwhere(matrix > 0):
            number = str(matrix[row, column])
            letters = label_size - (len(number) > 3)
            write_in_cell(ax, number, row=row, column=column, share=share[row, column], size=letters)
    return ax


def _plot_pairs(evaluation: Evaluation, ax: Axes | None) -> Axes:
    from matplotlib.ticker import MaxNLocator

    pairs = evaluation.most_confused(MOST_PAIRS)
    matrix = evaluation.confusion
    errors = int(matrix.sum() - np.trace(matrix))
    between, row = ("\n→ ", 0.42) if is_narrow() else (" → ", 0.26)  # inches
    ax = axes_of_size(ax, width=8, height=1.4 + row * max(len(pairs), 4))
    ax.barh(range(len(pairs)), pairs["images"], color=BLUE, height=0.7)
    labels = [
        f"{shortened(true)}{between}{shortened(predicted)}"
        for true, predicted in zip(pairs["true"], pairs["predicted"], strict=True)
    ]
    label_axis(ax, labels, axis="y", size=9)
    ax.set_ylim(max(len(pairs), 1) - 0.4, -0.6)
    for position, (images, support) in enumerate(zip(pairs["images"], pairs["support"], strict=True)):
        note = f"{images} of {support}"
        drawable(ax.annotate(note, (images, position), (3, 0), textcoords="offset points", va="center", size=8.5))
    if not len(pairs):
        ax.text(0.02, 0, "no errors", va="center", transform=ax.get_yaxis_transform())
    ax.margins(x=0.12)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    among = f"n = {evaluation.n} images in {len(evaluation.classes)} classes"
    ax.set_xlabel(f"images mistaken, of {among}")
    ax.set_ylabel("true → predicted class (most images first)")
    shown = int(pairs["images"].sum())
    if not is_narrow():
        ax.set_title(f"The {len(pairs)} most frequent confusions: {shown} of {errors} errors", loc="left", size=10)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
