"""Learning curve: accuracy against the number of training images, with the fitted power law."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlkit.render.plots.canvas import BLUE, GREY, ORANGE, axes_of_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.analysis.learning_curve import LearningCurve


def plot_curve(curve: LearningCurve, ax: Axes | None = None, *, more: int | None = None) -> Axes:
    """Plot a learning curve with its intervals, the power law fitted to it, and its extrapolation to more images.

    Where `LearningCurve.gain` has no forecast for so many images, only the points are drawn.

    Args:
        curve: the curve.
        ax: where to draw; default: a new figure.
        more: number of additional images; default: as many as the curve has.
    """
    more = curve.n if more is None else more
    ax = axes_of_size(ax, width=7.5, height=4.5)
    images = np.array([point.images for point in curve.points])
    values = np.array([point.accuracy.value for point in curve.points], dtype=np.float64)
    low = np.array([point.accuracy.low for point in curve.points], dtype=np.float64)
    high = np.array([point.accuracy.high for point in curve.points], dtype=np.float64)
    bars = np.maximum(np.stack([values - low, high - values]), 0.0)
    ax.errorbar(images, values, yerr=bars, fmt="o", color=BLUE, capsize=3, label="measured", zorder=3)
    if curve.gain(more).value is not None:
        measured, forecast = np.geomspace(images[0], curve.n, 80), np.geomspace(curve.n, curve.n + more, 40)
        ax.plot(measured, curve.fitted(measured)[0], color=GREY, linewidth=1.2, label="fitted power law")
        middle, bottom, top = curve.fitted(forecast)
        ax.plot(forecast, middle, color=ORANGE, linewidth=1.4, linestyle="--", label="extrapolation")
        ax.fill_between(forecast, bottom, top, color=ORANGE, alpha=0.25, linewidth=0)
    ax.axvline(curve.n, color=GREY, linewidth=0.8, linestyle=":", label=f"all {curve.n} images")
    ax.set_xscale("log")
    ticks = sorted({round(value) for value in (*images, curve.n, curve.n + more)})
    shown = [tick for place, tick in enumerate(ticks) if place == 0 or tick / ticks[place - 1] > 1.15]
    ax.set_xticks(shown, [str(tick) for tick in shown])
    ax.minorticks_off()
    ax.set_xlabel(f"training images ({curve.kind} head, {curve.folds} folds, {curve.repeats} repeats)")
    ax.set_ylabel(f"accuracy on n = {curve.n} images, {curve.confidence:.0%} interval")
    ax.grid(axis="y", linewidth=0.5, alpha=0.5)
    ax.legend(loc="lower right", frameon=False)
    return ax
