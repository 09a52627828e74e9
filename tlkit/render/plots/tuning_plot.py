"""Plots of the learning rate finder and the batch size finder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlkit.render.plots.canvas import BLUE, GREY, ORANGE, VERMILLION, axes_of_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlkit.models.tuning_results import BatchSizes, RateSweep


def plot_rates(sweep: RateSweep, ax: Axes | None = None) -> Axes:
    """Plot the training loss against the learning rate, with the suggested rate.

    Args:
        sweep: the sweep.
        ax: where to draw; default: a new figure.
    """
    ax = axes_of_size(ax, width=7.5, height=4.5)
    ax.plot(sweep.rates, sweep.losses, color=GREY, linewidth=0.8, alpha=0.6, label="loss of each step")
    ax.plot(sweep.rates, sweep.smoothed, color=BLUE, linewidth=1.6, label="smoothed")
    ax.axvline(sweep.lowest, color=ORANGE, linewidth=1.0, linestyle=":", label=f"lowest at {sweep.lowest:.2g}")
    if sweep.suggested is not None:
        ax.axvline(sweep.suggested, color=VERMILLION, linewidth=1.4, label=f"suggested {sweep.suggested:g}")
    ax.set_xscale("log")
    top = float(sweep.smoothed[: max(1, len(sweep.smoothed) - 1)].max())
    bottom = float(min(sweep.smoothed.min(), sweep.losses.min()))
    room = 0.1 * (top - bottom) or 0.1
    ax.set_ylim(bottom - room, top + 2 * room)
    ax.set_xlabel(f"train.learning_rate, n = {len(sweep.rates)} steps; trained: {sweep.phase}")
    ax.set_ylabel("training loss in nats")
    ax.grid(axis="y", linewidth=0.5, alpha=0.5)
    ax.legend(loc="lower left", frameon=False)
    return ax


def plot_batch_sizes(sizes: BatchSizes, ax: Axes | None = None) -> Axes:
    """Plot the throughput against the batch size, with the memory of each size and the suggested size.

    Args:
        sizes: the measurements.
        ax: where to draw; default: a new figure.
    """
    ax = axes_of_size(ax, width=7.5, height=4.5)
    images = [one.images for one in sizes.tried]
    ax.plot(images, [one.images_per_s for one in sizes.tried], "o-", color=BLUE, label="measured")
    for one in sizes.tried:
        if one.memory_mb is not None:
            memory, at = f"{one.memory_mb:,.0f} MB", (one.images, one.images_per_s)
            ax.annotate(memory, at, (0, 8), textcoords="offset points", ha="center", fontsize=8, color=GREY)
    if sizes.suggested is not None:
        ax.axvline(sizes.suggested, color=VERMILLION, linewidth=1.4, label=f"suggested {sizes.suggested}")
        ax.set_xscale("log", base=2)
    ax.set_xticks(images, [str(size) for size in images])
    ax.set_ylim(0, 1.2 * max((one.images_per_s for one in sizes.tried), default=1.0))
    ax.set_xlabel("data.batch_size")
    ax.set_ylabel("images per second of training steps")
    ax.grid(axis="y", linewidth=0.5, alpha=0.5)
    ax.legend(loc="upper left", frameon=False)
    return ax
