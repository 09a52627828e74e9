"""Matrix of labels that are predicted where another label is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlkit.render.plots.canvas import axes_of_size, draw_matrix, label_axis, shortened, write_in_cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.evaluation.multilabel_result import MultilabelEvaluation

MOST_WITH_NUMBERS = 16


def plot_labels_called(evaluation: MultilabelEvaluation, ax: Axes | None = None) -> Axes:
    """Plot how often a label (column) is predicted on images that have another one (row) and not it.

    Args:
        evaluation: of several labels.
        ax: where to draw; default: a new figure.
    """
    seen = {name for one in evaluation.called for name in (one.there, one.called)}
    names = [name for name in evaluation.labels if name in seen]
    place = {name: row for row, name in enumerate(names)}
    shares = np.full((len(names), len(names)), np.nan)
    for one in evaluation.called:
        if one.share.value is not None:
            shares[place[one.there], place[one.called]] = one.share.value
    ax = axes_of_size(ax, width=min(3.6 + 0.5 * len(names), 12.0), height=min(2.6 + 0.4 * len(names), 11.0))
    draw_matrix(ax, shares, label="share of the images", aspect="auto", bar_size=0.9)
    shown = [shortened(name, 20) for name in names]
    label_axis(ax, shown, axis="x", size=9, rotation=45)
    label_axis(ax, shown, axis="y", size=9)
    if len(names) <= MOST_WITH_NUMBERS:
        for row, column in zip(*np.nonzero(np.isfinite(shares)), strict=True):
            share = float(shares[row, column])
            write_in_cell(ax, f"{share:.2f}".removeprefix("0"), row=int(row), column=int(column), share=share, size=8)
    ax.set_xlabel("predicted, but not true")
    ax.set_ylabel("true")
    return ax
