"""Plots of a sweep: the figure of each trial with its interval, and the importance of the searched keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.render.plots.canvas import (
    BLUE,
    GREY,
    ORANGE,
    axes_of_size,
    horizontal_rows,
    label_axis,
    legend_above,
    shortened,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.sweeps.sweep_result import SweepResult

MOST_KEYS = 20


def plot_trials(result: SweepResult, ax: Axes | None = None) -> Axes:
    """Plot the figure of every trial on val with its interval, the best so far, and the default recipe.

    Args:
        result: the sweep.
        ax: where to draw; default: a new figure.
    """
    from matplotlib.ticker import MaxNLocator

    ax = axes_of_size(ax, width=7.0, height=3.8)
    complete = [row for row in result.trials if row.figure is not None and row.figure.value is not None]
    best: list[float] = []
    better = max if result.higher_is_better else min
    counted = [row for row in complete if row.state == "complete"]
    for row in complete:
        figure = row.figure
        assert figure is not None and figure.value is not None
        color = ORANGE if row.number == result.best else GREY if row.state == "pruned" else BLUE
        if figure.low is not None and figure.high is not None:
            ax.plot([row.number] * 2, [figure.low, figure.high], color=color, linewidth=1.2, alpha=0.6)
        ax.plot(row.number, figure.value, "x" if row.state == "pruned" else "o", color=color, markersize=5)
    for row in counted:
        assert row.figure is not None and row.figure.value is not None
        best.append(better([*best[-1:], row.figure.value]))
    ax.step([row.number for row in counted], best, where="post", color=ORANGE, linewidth=1.4, label="best so far")
    if result.default.value is not None:
        ax.axhline(result.default.value, color=GREY, linestyle="--", linewidth=1.2, label="default recipe")
    ax.plot([], [], "o", color=BLUE, label=f"trial, {result.confidence:.0%} interval")
    if any(row.state == "pruned" for row in complete):
        ax.plot([], [], "x", color=GREY, label="pruned")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("trial")
    ax.set_ylabel(f"{result.metric.replace('_', ' ')} on val, n = {result.default.n}")
    ax.grid(axis="y", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    legend_above(ax, columns=4)
    return ax


def plot_importance(result: SweepResult, ax: Axes | None = None) -> Axes:
    """Plot the share of the variance of the figure that each key explains, with the range of the forests.

    Args:
        result: the sweep, with importances.
        ax: where to draw; default: a new figure.
    """
    rows = result.importances[:MOST_KEYS]
    ax = axes_of_size(ax, width=6.0, height=0.9 + 0.35 * max(len(rows), 1))
    for place, one in enumerate(rows):
        ax.barh(place, one.share, color=BLUE, height=0.6, alpha=0.8)
        ax.plot([one.low, one.high], [place, place], color=ORANGE, linewidth=2)
    label_axis(ax, [shortened(one.key, 34) for one in rows], axis="y", size=9)
    horizontal_rows(ax, len(rows))
    ax.set_xlim(0, 1)
    complete = sum(row.state == "complete" for row in result.trials)
    ax.set_xlabel(f"share of the variance of {result.metric.replace('_', ' ')}, fANOVA, n = {complete} trials")
    return ax
