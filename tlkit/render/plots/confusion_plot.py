"""What is mistaken for what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlkit.render.plots.canvas import BLUE, axes_of_size, label_axis, plain, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.evaluation import Evaluation

MOST_AS_MATRIX = 40  # classes; beyond, cells and names are too small to read
MOST_WITH_COUNTS = 20  # classes whose cells still have room for a number
MOST_PAIRS = 25


def plot_confusion(evaluation: Evaluation, ax: Axes | None = None) -> Axes:
    """Plot the confusion matrix: true classes down, predicted classes across, in the order of the classes.

    A cell's colour is the share of its true class (its row), its number the images. Above 40 classes the most frequent
    confusions are shown as bars instead.

    Args:
        evaluation: with C classes.
        ax: where to draw; default: a new figure.
    """
    if len(evaluation.classes) > MOST_AS_MATRIX:
        return _plot_pairs(evaluation, ax)
    return _plot_matrix(evaluation, ax)


def _plot_matrix(evaluation: Evaluation, ax: Axes | None) -> Axes:
    from matplotlib.colors import ListedColormap, to_rgba
    from matplotlib.ticker import PercentFormatter

    matrix = evaluation.confusion
    size = len(evaluation.classes)
    side = min(2.8 + 0.34 * size, 8.6)  # inches
    ax = axes_of_size(ax, width=side + 1.2, height=side)
    support = matrix.sum(axis=1, keepdims=True)
    share = matrix / np.maximum(support, 1)  # (C, C), rows sum to one; a class without images has an empty row
    shades = ListedColormap(
        [to_rgba(BLUE, alpha) for alpha in np.linspace(0.1, 1, 256)]
    )  # on light pages and dark ones
    image = ax.imshow(np.ma.masked_where(matrix == 0, share), cmap=shades, vmin=0, vmax=1, aspect="equal")
    label_size = 10 if size <= 12 else max(5.5, 11 - 0.14 * size)
    names = [shortened(name, 24) for name in evaluation.classes]
    few = size * max(map(len, names)) <= 24  # letters that fit side by side
    label_axis(ax, names, axis="x", size=label_size, rotation=0 if few else 45)
    rows = [f"{name} (n = {count})" for name, count in zip(names, support[:, 0], strict=True)]
    label_axis(ax, rows, axis="y", size=label_size)
    ax.set(xlabel="predicted class", ylabel="true class (n = images)")
    ax.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    ax.grid(which="minor", linewidth=0.6)
    ax.tick_params(which="minor", length=0)
    if size <= MOST_WITH_COUNTS:
        for row, column in np.argwhere(matrix > 0):
            number = str(matrix[row, column])
            text = ax.text(column, row, number, ha="center", va="center", size=label_size - (len(number) > 3))
            if share[row, column] > 0.75:  # contrast with both page colours
                text.set_color("white")
    figure = ax.get_figure()
    assert figure is not None
    bar = figure.colorbar(image, ax=ax, shrink=0.7, label="share of the true class")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    bar.set_ticks([0, 0.25, 0.5, 0.75, 1])
    return ax


def _plot_pairs(evaluation: Evaluation, ax: Axes | None) -> Axes:
    from matplotlib.ticker import MaxNLocator

    pairs = evaluation.most_confused(MOST_PAIRS)
    matrix = evaluation.confusion
    errors = int(matrix.sum() - np.trace(matrix))
    ax = axes_of_size(ax, width=8, height=1.4 + 0.26 * max(len(pairs), 4))
    ax.barh(range(len(pairs)), pairs["images"], color=BLUE, height=0.7)
    labels = [
        f"{shortened(true)} → {shortened(predicted)}"
        for true, predicted in zip(pairs["true"], pairs["predicted"], strict=True)
    ]
    label_axis(ax, labels, axis="y", size=9)
    ax.set_ylim(max(len(pairs), 1) - 0.4, -0.6)
    for position, (images, support) in enumerate(zip(pairs["images"], pairs["support"], strict=True)):
        note = f"{images} of {support}"
        plain(ax.annotate(note, (images, position), (3, 0), textcoords="offset points", va="center", size=8.5))
    if not len(pairs):
        ax.text(0.02, 0, "no errors", va="center", transform=ax.get_yaxis_transform())
    ax.margins(x=0.12)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(f"images so mistaken, of n = {evaluation.n} images in {len(evaluation.classes)} classes")
    ax.set_ylabel("true → predicted class (most images first)")
    shown = int(pairs["images"].sum())
    ax.set_title(f"The {len(pairs)} most frequent confusions: {shown} of {errors} errors", loc="left", size=10)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
