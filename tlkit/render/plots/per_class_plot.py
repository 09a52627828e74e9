"""Dot plot of the recall of each class with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.render.plots.canvas import VERMILLION, axes_of_size, legend_above, shortened
from tlkit.render.plots.rates_plot import draw_rates

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.evaluation import ClassResult, Evaluation

MOST_CLASSES = 40


def plot_per_class(evaluation: Evaluation, ax: Axes | None = None) -> Axes:
    """Plot the recall of each class with its interval, lowest first, and the mean over classes.

    Above 40 classes only the 40 with the lowest recall are shown. A class without images has a label but no point.

    Args:
        evaluation: with C classes.
        ax: where to draw; default: a new figure.
    """
    results = sorted(evaluation.per_class, key=_recall_or_last)
    shown = results[:MOST_CLASSES]
    ax = axes_of_size(ax, width=7.5, height=1.5 + 0.27 * max(len(shown), 3))
    draw_rates(
        ax,
        [result.recall for result in shown],
        [f"{shortened(result.name)} (n = {result.support})" for result in shown],
        notes=[result.recall.note or "undefined" for result in shown],
    )
    mean = evaluation.balanced_accuracy.value
    if mean is not None:
        ax.axvline(mean, color=VERMILLION, linewidth=1.2, linestyle="--", label=f"mean over classes {mean:.3f}")
        legend_above(ax)
    ax.set_xlabel(f"recall (share of the class's images), {evaluation.confidence:.0%} interval")
    lowest = f"the {len(shown)} lowest of {len(results)}" if len(shown) < len(results) else "lowest recall first"
    ax.set_ylabel(f"class ({lowest})")
    return ax


def _recall_or_last(result: ClassResult) -> float:
    return 2.0 if result.recall.value is None else result.recall.value
