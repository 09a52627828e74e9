"""Dot plot of the latency or throughput of a model in several engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlkit.render.plots.canvas import BLUE, ORANGE, axes_of_size, horizontal_rows, is_narrow, label_axis, legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.exported.bench import Benchmark


def plot_bench(benchmark: Benchmark, ax: Axes | None = None) -> Axes:
    """Plot the images per second with their intervals, a row for each engine and batch size; color = threads.

    Args:
        benchmark: the measurement.
        ax: where to draw; default: a new figure.
    """
    lines = "\n" if ax is None and is_narrow() else ", "
    named = [f"{row.engine}{lines}{row.subject}, batch {row.batch}" for row in benchmark.rows]
    names = list(dict.fromkeys(named))
    ax = axes_of_size(ax, width=7.5, height=1.3 + 0.42 * max(len(names), 2))
    for offset, color, shape, threads in zip(
        (-0.15, 0.15), (BLUE, ORANGE), "os", sorted({row.threads for row in benchmark.rows}), strict=False
    ):
        rows = [row for row in benchmark.rows if row.threads == threads]
        places = [
            names.index(name) + offset
            for row, name in zip(benchmark.rows, named, strict=True)
            if row.threads == threads
        ]
        for row, place in zip(rows, places, strict=True):
            if row.throughput.low is not None and row.throughput.high is not None:
                ax.plot([row.throughput.low, row.throughput.high], [place] * 2, color=color, linewidth=1.6, alpha=0.75)
        values = np.array([row.throughput.value for row in rows], dtype=np.float64)
        label = "1 thread" if threads == 1 else f"{threads} threads"
        ax.plot(values, places, shape, color=color, markersize=5.5, label=label)
    label_axis(ax, names, axis="y", size=9)
    horizontal_rows(ax, len(names))
    ax.set_xlim(left=0)
    legend_above(ax, columns=2)
    height, width = benchmark.image
    ax.set_xlabel(f"images per second, {benchmark.confidence:.0%} interval ({height}x{width} px)")
    return ax
