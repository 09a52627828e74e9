"""Scatter plot of backbones: probe accuracy against latency, with the Pareto front."""

from __future__ import annotations

from math import ceil, floor, log10
from typing import TYPE_CHECKING

from tlkit.render.plots.canvas import BLUE, GREY, ORANGE, axes_of_size, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.analysis.advice import Advice
    from tlkit.stats.estimate import Estimate

NARROWEST = 1.5  # smallest ratio of the two ends of the latency axis


def plot_advice(advice: Advice, ax: Axes | None = None) -> Axes:
    """Plot each backbone's accuracy against its latency, with intervals, and the Pareto front.

    Args:
        advice: the ranking.
        ax: where to draw; default: a new figure.
    """
    ax = axes_of_size(ax, width=7.5, height=4.5)
    times = [_error_bar(backbone.latency_ms)[0] for backbone in advice.backbones]
    middle = (min(times) * max(times)) ** 0.5
    for backbone in advice.backbones:
        x, x_bar = _error_bar(backbone.latency_ms)
        y, y_bar = _error_bar(backbone.probe)
        color = ORANGE if backbone == advice.suggested else BLUE
        ax.errorbar(x, y, xerr=x_bar, yerr=y_bar, fmt="o", color=color, capsize=2, zorder=3)
        offset, align = (6, "left") if x <= middle else (-6, "right")  # labels point inwards
        name = shortened(backbone.label, 32)
        ax.annotate(name, (x, y), xytext=(offset, 7), textcoords="offset points", fontsize=8, ha=align)
    if len(advice.backbones) > 1:
        front = [(_error_bar(backbone.latency_ms)[0], _error_bar(backbone.probe)[0]) for backbone in advice.pareto]
        ax.plot(*zip(*front, strict=True), color=GREY, linewidth=1.2, linestyle="--", zorder=2, label="Pareto front")
    ax.plot([], [], "o", color=ORANGE, label="suggested")
    if advice.max_latency_ms is not None:
        label = f"budget {advice.max_latency_ms:.3g} ms"
        ax.axvline(advice.max_latency_ms, color=GREY, linewidth=1, linestyle=":", zorder=1, label=label)
    ax.set_xscale("log")
    ax.margins(x=0.15)
    low, high = ax.get_xlim()
    if high < NARROWEST * low:  # a single backbone with a narrow interval
        middle = (low * high) ** 0.5
        low, high = middle / NARROWEST**0.5, middle * NARROWEST**0.5
        ax.set_xlim(low, high)
    ticks = _ticks(low, high)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel(f"milliseconds per image, median\n{advice.machine}")
    ax.set_ylabel(f"probe accuracy on n = {advice.images} images, 95% interval")
    ax.grid(axis="y", linewidth=0.5, alpha=0.5)
    ax.legend(loc="lower right", frameon=False, fontsize=8)
    return ax


def _ticks(low: float, high: float) -> list[float]:
    """Return the ticks of a logarithmic axis: 3 to 8 round numbers between its ends."""
    powers = range(floor(log10(low)) - 2, ceil(log10(high)) + 1)
    for steps in ((1, 2, 5), range(1, 10), range(10, 100, 2), range(100, 1000)):
        ticks = [step * 10.0**power for power in powers for step in steps]
        ticks = sorted({float(f"{tick:.6g}") for tick in ticks if low <= tick <= high})
        if len(ticks) >= 3:
            break
    return ticks[:: ceil(len(ticks) / 8)]


def _error_bar(estimate: Estimate) -> tuple[float, list[list[float]] | None]:
    """Return a value and the distances to the ends of its interval, shape (2, 1)."""
    assert estimate.value is not None, "a ranked backbone was measured"
    if estimate.low is None or estimate.high is None:
        return estimate.value, None
    return estimate.value, [[max(estimate.value - estimate.low, 0.0)], [max(estimate.high - estimate.value, 0.0)]]
