"""Dot plot of the accuracy of groups in several runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tlkit.render.plots.canvas import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILLION,
    axes_of_size,
    horizontal_rows,
    label_axis,
    legend_above,
    shortened,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.stats.estimate import Estimate

STYLES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PURPLE, "D"), (VERMILLION, "v"), (GREY, "P"))
"""Color and shape of each run."""
MOST_RUNS = len(STYLES)
MOST_ROWS = 30


def plot_runs(rates: Mapping[str, Mapping[str, Estimate]], ax: Axes | None = None, *, label: str) -> Axes:
    """Plot a rate of several runs with its intervals, a row for each group, and for each run a color and a shape.

    Above 30 rows only the first 30 are shown. A rate without a value has no point, one without an interval no line.

    Args:
        rates: by the name of the run, by the name of the group; at most 6 runs.
        ax: where to draw; default: a new figure.
        label: of the axis, such as "accuracy, 95% interval".
    """
    rows = list(dict.fromkeys(name for one in rates.values() for name in one))[:MOST_ROWS]
    ax = axes_of_size(ax, width=7.5, height=1.3 + 0.2 * len(rates) + (0.16 + 0.14 * len(rates)) * max(len(rows), 2))
    offsets = (np.arange(len(rates)) - (len(rates) - 1) / 2) * 0.7 / max(len(rates), 2)
    for (run, found), offset, (color, shape) in zip(rates.items(), offsets, STYLES, strict=False):
        for place, name in enumerate(rows):
            rate = found.get(name)
            if rate is None:
                continue
            if rate.low is not None and rate.high is not None:
                ax.plot([rate.low, rate.high], [place + offset] * 2, color=color, linewidth=1.6, alpha=0.75)
            if rate.value is not None:
                ax.plot(rate.value, place + offset, shape, color=color, markersize=5.5)
        ax.plot([], [], shape, color=color, linestyle="-", linewidth=1.6, markersize=5.5, label=shortened(run))
    label_axis(ax, [shortened(name) for name in rows], axis="y", size=9)
    horizontal_rows(ax, len(rows))
    ax.set_xlim(right=1.02)
    legend_above(ax, columns=3)
    ax.set_xlabel(label)
    return ax
